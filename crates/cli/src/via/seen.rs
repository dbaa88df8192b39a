//! Up to where a driver has shown each stream, on the disk: so that the next one can go on there.
//!
//! A file of records of 32 bytes, each of one stream, in the order in which they were shown first:
//! launch (8), rank (4), descriptor (4), the offset up to which it was shown (8), and eight that are
//! zero; little-endian. A record is written in place, after what it speaks of was given to the console:
//! what was shown just before the end may be shown again, and nothing is left out.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lastline_client::{Block, Missing, OpenLines, Output, PrintError, Printer};
use lastline_line::{Entry, Launch, Offset, Resume, Stream, StreamId};

const RECORD_BYTES: u64 = 32;

/// Where the last driver was; from the start when none was here.
pub(crate) fn last(path: &Path) -> io::Result<Resume> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Resume::After(records(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Resume::Start),
        Err(error) => Err(error),
    }
}

fn records(bytes: &[u8]) -> Vec<(StreamId, Offset)> {
    let wide = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    let number = |bytes: &[u8]| bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    let record = |bytes: &[u8]| {
        let (launch, rank) = (Launch(wide(bytes)?), number(&bytes[8..])?);
        let stream = match number(&bytes[12..])? {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Merged,
            _ => return None,
        };
        Some((StreamId::new(launch, rank, stream), Offset(wide(&bytes[16..])?)))
    };
    bytes.chunks_exact(RECORD_BYTES as usize).filter_map(record).collect()
}

/// Where each stream was shown up to, as it is written down once there is something to.
pub(crate) struct Places {
    path: PathBuf,
    /// What was there before goes on.
    goes_on: bool,
    file: Option<File>,
    slots: HashMap<StreamId, (u64, Offset)>,
    /// Streams whose place has changed.
    changed: Vec<StreamId>,
    failed: bool,
}

impl Places {
    /// Goes on in the file at `path` with what `resume` says; any other that was there is forgotten.
    pub(crate) fn new(path: PathBuf, resume: &Resume) -> Self {
        let goes_on = matches!(resume, Resume::After(_));
        let mut slots = HashMap::new();
        if let Resume::After(places) = resume {
            for (slot, (stream, place)) in (0..).zip(places) {
                slots.insert(*stream, (slot, *place));
            }
        }
        Self { path, goes_on, file: None, slots, changed: Vec::new(), failed: false }
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(!self.goes_on).mode(0o600);
            self.file = Some(options.open(&self.path)?);
        }
        Ok(self.file.as_ref().expect("BUG: it was opened above"))
    }

    /// More of a stream was printed: so many bytes, from `start` where that is known.
    fn printed(&mut self, stream: StreamId, start: Option<Offset>, bytes: u64) {
        let next = self.slots.len() as u64;
        let (_, place) = self.slots.entry(stream).or_insert((next, Offset::ZERO));
        *place = start.unwrap_or(*place).max(*place) + bytes;
        if self.changed.last() != Some(&stream) {
            self.changed.push(stream);
        }
    }

    /// What was printed is on the console.
    fn write(&mut self) {
        for stream in std::mem::take(&mut self.changed) {
            let Some((slot, place)) = self.slots.get(&stream).copied() else {
                continue;
            };
            let mut record = [0; RECORD_BYTES as usize];
            record[..8].copy_from_slice(&stream.launch.0.to_le_bytes());
            record[8..12].copy_from_slice(&stream.rank.to_le_bytes());
            let descriptor = match stream.stream {
                Stream::Stdout => 1_u32,
                Stream::Stderr => 2,
                Stream::Merged => 3,
            };
            record[12..16].copy_from_slice(&descriptor.to_le_bytes());
            record[16..24].copy_from_slice(&place.0.to_le_bytes());
            let written =
                self.file().and_then(|file| file.write_all_at(&record, slot * RECORD_BYTES));
            if let Err(error) = written
                && !std::mem::replace(&mut self.failed, true)
            {
                tracing::warn!(
                    "it cannot be written down what was shown: --from last-seen will show it again: {error}"
                );
            }
        }
    }
}

/// A printer whose places are written down, where there is somewhere to.
pub(crate) struct Noted<P> {
    printer: P,
    places: Option<Places>,
}

impl<P> Noted<P> {
    pub(crate) fn new(printer: P, places: Option<Places>) -> Self {
        Self { printer, places }
    }
}

impl<P: Printer> Printer for Noted<P> {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        self.printer.print(entry)?;
        if let Some(places) = &mut self.places {
            match entry {
                Entry::Line(line) => places.printed(line.stream, Some(line.start), line.bytes),
                Entry::Folded(folded) => {
                    for member in folded.members {
                        places.printed(member.stream, None, member.bytes);
                    }
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        self.printer.flush()?;
        if let Some(places) = &mut self.places {
            places.write();
        }
        Ok(())
    }

    fn print_block(&mut self, block: &Block<'_>) -> Result<(), PrintError> {
        self.printer.print_block(block)?;
        if let Some(places) = &mut self.places {
            places.printed(block.stream, Some(block.start), block.bytes.len() as u64);
        }
        Ok(())
    }

    fn note(&mut self, text: &str) -> Result<(), PrintError> {
        self.printer.note(text)
    }

    fn open_lines(&self) -> OpenLines {
        self.printer.open_lines()
    }

    fn draw(&mut self, states: &[Entry<'_>]) -> Result<(), PrintError> {
        self.printer.draw(states)
    }

    fn missing(&mut self, missing: &Missing<'_>) -> Result<(), PrintError> {
        self.printer.missing(missing)
    }

    fn output_of(&self, stream: Stream) -> Output {
        self.printer.output_of(stream)
    }

    fn shows(&self) -> bool {
        self.printer.shows()
    }
}

#[cfg(test)]
mod tests {
    use lastline_testing::{PrintRecorder, stdout};

    use super::*;

    fn block(rank: u32, start: u64, bytes: &[u8]) -> Block<'_> {
        let (stream, start) = (stdout(rank), Offset(start));
        Block { stream, start, time: lastline_line::Timestamp(1), bytes }
    }

    #[test]
    fn the_next_one_goes_on_where_the_last_one_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seen");
        assert_eq!(last(&path).unwrap(), Resume::Start);
        let places = Places::new(path.clone(), &Resume::Start);
        let mut printer = Noted::new(PrintRecorder::new(), Some(places));
        printer.print_block(&block(0, 0, b"one\n")).unwrap();
        assert_eq!(last(&path).unwrap(), Resume::Start, "it is not on the console yet");
        printer.print_block(&block(3, 0, b"three\n")).unwrap();
        printer.flush().unwrap();
        printer.print_block(&block(0, 4, b"two\n")).unwrap();
        printer.flush().unwrap();
        let seen = Resume::After(vec![(stdout(0), Offset(8)), (stdout(3), Offset(6))]);
        assert_eq!(last(&path).unwrap(), seen);
        let places = Places::new(path.clone(), &seen);
        let mut printer = Noted::new(PrintRecorder::new(), Some(places));
        printer.print_block(&block(3, 6, b"four\n")).unwrap();
        printer.flush().unwrap();
        let seen = Resume::After(vec![(stdout(0), Offset(8)), (stdout(3), Offset(11))]);
        assert_eq!(last(&path).unwrap(), seen);
        let places = Places::new(path.clone(), &Resume::Start);
        let mut printer = Noted::new(PrintRecorder::new(), Some(places));
        printer.flush().unwrap();
        assert_eq!(last(&path).unwrap(), seen, "nothing was shown");
        printer.print_block(&block(0, 0, b"one\n")).unwrap();
        printer.flush().unwrap();
        assert_eq!(last(&path).unwrap(), Resume::After(vec![(stdout(0), Offset(4))]));
    }
}
