//! What the drivers of a run have printed.

use std::collections::HashMap;

use lastline_line::Gaps;
use serde_json::Value;

/// A stream as consoles name it.
pub(super) type Name = (u64, String);

/// From which byte to which.
type Part = (u64, u64);

/// Which parts of each stream stand on any console; parts may overlap, as of two drivers.
#[derive(Debug, Default)]
pub(super) struct Consoles {
    shown: HashMap<Name, Vec<Part>>,
}

/// What a stream has written, to be compared with.
pub(super) type Written<'a> = &'a dyn Fn(&Name) -> Option<Vec<u8>>;

impl Consoles {
    /// Takes one console: lines of ranks, each with its place, in order and once. The last line of a
    /// driver that was killed may be cut.
    pub(super) fn take(&mut self, printed: &[u8], cut: bool, written: Written<'_>) -> Vec<String> {
        let (mut wrong, mut streams) = (Vec::new(), HashMap::new());
        for text in printed.split_inclusive(|byte| *byte == b'\n') {
            if cut && !text.ends_with(b"\n") {
                break;
            }
            if let Err(error) = self.take_line(text, &mut streams, written) {
                wrong.push(format!("{error}: {}", String::from_utf8_lossy(text).trim_end()));
            }
        }
        wrong
    }

    fn take_line(
        &mut self,
        text: &[u8],
        streams: &mut HashMap<Name, (Vec<u8>, u64)>,
        written: Written<'_>,
    ) -> Result<(), String> {
        let object: Value = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let rank = object["rank"].as_u64().ok_or("no rank")?;
        let name = (rank, object["stream"].as_str().ok_or("no stream")?.to_owned());
        let line = match object["line"].as_str() {
            Some(line) => line.as_bytes().to_vec(),
            None => {
                let text = object["line_base64"].as_str().ok_or("no line")?;
                data_encoding::BASE64.decode(text.as_bytes()).map_err(|error| error.to_string())?
            }
        };
        if !streams.contains_key(&name) {
            let written = written(&name).ok_or("no rank has that number")?;
            streams.insert(name.clone(), (written, 0));
        }
        let (written, at) = streams.get_mut(&name).expect("BUG: it was put there");
        let start = object["offset"].as_u64().ok_or("no offset")?;
        if start < *at {
            return Err(format!("it comes after byte {at} of its stream"));
        }
        let mut end = start + line.len() as u64;
        if written.get(start as usize..end as usize) != Some(&line[..]) {
            return Err(String::from("the rank has not written that there"));
        }
        if object["partial"] != true {
            if written.get(end as usize) != Some(&b'\n') {
                return Err(String::from("the line is not whole"));
            }
            end += 1;
        }
        *at = end;
        let shown = self.shown.entry(name).or_default();
        match shown.last_mut() {
            // Most lines follow each other.
            Some((_, to)) if *to == start => *to = end,
            _ => shown.push((start, end)),
        }
        Ok(())
    }

    /// What of a stream's first `read` bytes stands on no console, and is not declared lost.
    pub(super) fn missing(&self, name: &Name, read: u64, lost: &Gaps) -> Vec<Part> {
        let mut have = self.shown.get(name).cloned().unwrap_or_default();
        have.extend(lost.as_slice().iter().map(|gap| (gap.span.from.0, gap.span.to.0)));
        have.sort_unstable();
        let (mut missing, mut at) = (Vec::new(), 0);
        for (from, to) in have.into_iter().chain([(read, read)]) {
            if from > at {
                missing.push((at, from.min(read)));
            }
            at = at.max(to);
        }
        missing
    }
}
