//! Labelled lines as the messages that a client takes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use lastline_line::{Chunk, Inbox, Launch, Message, Offset, Received, Stream, StreamId, Timestamp};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::labels::{LabelRanks, UNLABELLED};
use super::prefix::LabelPrefix;

/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 << 10;
/// A line without its newline is passed on in parts of this size, in bytes.
const PART_BYTES: usize = 1 << 20;

/// Reads labelled lines and gives them out as the output of ranks.
#[derive(Debug)]
pub(crate) struct LabelledInput {
    input: File,
    lines: Lines,
    over: bool,
    broken_off: Arc<OnceLock<io::Error>>,
}

impl LabelledInput {
    pub(crate) fn new(input: File, prefix: LabelPrefix, ranks: LabelRanks) -> Self {
        Self { input, lines: Lines::new(prefix, ranks), over: false, broken_off: Arc::default() }
    }

    /// Where it says why not all could be read, at the end.
    pub(crate) fn broken_off(&self) -> Arc<OnceLock<io::Error>> {
        Arc::clone(&self.broken_off)
    }

    /// Whether there is something to read, or the input is over, within `wait`.
    fn is_ready(&self, wait: Option<Duration>) -> bool {
        let input = self.input.as_fd();
        // What does not fit is as good as for ever.
        let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], wait.as_ref()) {
            Ok(ready) => ready > 0,
            // What cannot be polled can be read.
            Err(error) => error != rustix::io::Errno::INTR,
        }
    }

    fn read(&mut self) {
        let mut block = [0; READ_BYTES];
        match self.input.read(&mut block) {
            Ok(0) => self.end(),
            Ok(bytes) => self.lines.take(&block[..bytes], now()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.broken_off.get_or_init(|| error);
                self.end();
            }
        }
    }

    fn end(&mut self) {
        self.lines.end();
        self.over = true;
    }
}

#[expect(clippy::disallowed_methods, reason = "the time that goes into a timestamp")]
fn now() -> Timestamp {
    Timestamp::from_system(SystemTime::now())
}

impl Inbox for LabelledInput {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        loop {
            if let Some(message) = self.lines.queue.pop_front() {
                return Received::Message(message);
            }
            if self.over {
                return Received::Closed;
            }
            if !self.is_ready(wait) {
                return Received::TimedOut;
            }
            self.read();
        }
    }
}

/// From blocks of labelled lines to chunks of the ranks' streams.
#[derive(Debug)]
struct Lines {
    prefix: LabelPrefix,
    ranks: LabelRanks,
    queue: VecDeque<Message>,
    /// A line whose newline has not come.
    open: Vec<u8>,
    /// Whose line it is, when a part of it was passed on.
    passed_on: Option<StreamId>,
    /// How much each stream has given.
    given: BTreeMap<StreamId, Offset>,
    /// Lines of one stream that follow one another.
    run: Option<(StreamId, Vec<u8>)>,
    time: Timestamp,
}

impl Lines {
    fn new(prefix: LabelPrefix, ranks: LabelRanks) -> Self {
        Self {
            prefix,
            ranks,
            queue: VecDeque::new(),
            open: Vec::new(),
            passed_on: None,
            given: BTreeMap::new(),
            run: None,
            time: Timestamp(0),
        }
    }

    fn take(&mut self, block: &[u8], now: Timestamp) {
        self.time = now;
        let mut at = 0;
        for end in memchr::memchr_iter(b'\n', block) {
            let line = &block[at..end];
            at = end + 1;
            if self.open.is_empty() {
                self.line(line, true);
            } else {
                let mut open = std::mem::take(&mut self.open);
                open.extend_from_slice(line);
                self.line(&open, true);
                open.clear();
                self.open = open;
            }
        }
        self.open.extend_from_slice(&block[at..]);
        if self.open.len() >= PART_BYTES {
            let open = std::mem::take(&mut self.open);
            self.line(&open, false);
        }
        self.close_run();
    }

    fn line(&mut self, line: &[u8], whole: bool) {
        let (stream, text) = match self.passed_on {
            Some(stream) => (stream, line),
            None => self.split(line),
        };
        self.passed_on = (!whole).then_some(stream);
        if self.run.as_ref().is_none_or(|(running, _)| *running != stream) {
            self.close_run();
        }
        let (_, run) = self.run.get_or_insert_with(|| (stream, Vec::new()));
        run.extend_from_slice(text);
        run.extend_from_slice(if whole { b"\n" } else { b"" });
    }

    fn split<'a>(&mut self, line: &'a [u8]) -> (StreamId, &'a [u8]) {
        let of = |rank, stream| StreamId::new(Launch(0), rank, stream);
        match self.prefix.split(line) {
            Some(found) => {
                let rank = self.ranks.rank(&String::from_utf8_lossy(found.label));
                (of(rank, found.stream), found.text)
            }
            None => (of(self.ranks.rank(UNLABELLED), Stream::Stdout), line),
        }
    }

    fn close_run(&mut self) {
        if let Some((stream, bytes)) = self.run.take().filter(|(_, bytes)| !bytes.is_empty()) {
            let given = self.given.entry(stream).or_default();
            let chunk = Chunk::new(stream, *given, self.time, Bytes::from(bytes));
            *given = chunk.span().to;
            self.queue.push_back(Message::Data(chunk));
        }
    }

    /// No more comes: the last line may have no newline.
    fn end(&mut self) {
        let open = std::mem::take(&mut self.open);
        if !open.is_empty() {
            self.line(&open, false);
            self.close_run();
        }
        for (stream, at) in std::mem::take(&mut self.given) {
            self.queue.push_back(Message::End { stream, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each label has said, whatever the blocks.
    fn said(text: &[u8], cuts: &[usize]) -> BTreeMap<u32, Vec<u8>> {
        let mut lines = Lines::new(LabelPrefix::known(), LabelRanks::default());
        let mut at = 0;
        for cut in cuts.iter().map(|cut| cut % (text.len() + 1)).filter(|cut| *cut > 0) {
            let end = (at + cut).min(text.len());
            lines.take(&text[at..end], Timestamp(0));
            at = end;
        }
        lines.take(&text[at..], Timestamp(0));
        lines.end();
        let mut said: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for message in lines.queue {
            match message {
                Message::Data(chunk) => {
                    let all = said.entry(chunk.stream.rank).or_default();
                    assert_eq!(chunk.span().from.0, all.len() as u64);
                    all.extend_from_slice(&chunk.bytes);
                }
                Message::End { stream, at } => {
                    assert_eq!(at.0, said[&stream.rank].len() as u64);
                }
                other => panic!("{other:?}"),
            }
        }
        said
    }

    proptest! {
        #[test]
        fn each_label_gets_its_lines_however_the_input_is_cut(
            lines in proptest::collection::vec((0_u32..4, "[a-z ]{0,6}"), 0..20),
            newline in any::<bool>(),
            cuts in proptest::collection::vec(0_usize..64, 0..30),
        ) {
            let mut text: String = lines.iter().map(|(rank, line)| format!("{rank}: {line}\n")).collect();
            let mut wanted: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            for (rank, line) in &lines {
                wanted.entry(*rank).or_default().extend_from_slice(format!("{line}\n").as_bytes());
            }
            if !newline && let Some((rank, _)) = lines.last() {
                text.pop();
                wanted.get_mut(rank).unwrap().pop();
            }
            // A last line of nothing, and without an end, is no line.
            wanted.retain(|_, said| !said.is_empty());
            prop_assert_eq!(said(text.as_bytes(), &cuts), wanted);
        }
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_parts() {
        let mut text = b"3: ".to_vec();
        text.resize(3 * PART_BYTES, b'x');
        text.extend_from_slice(b"\n3: next\n");
        let found = said(&text, &vec![READ_BYTES; 60]);
        assert_eq!(found.len(), 1);
        assert!(found[&3].ends_with(b"x\nnext\n"));
        assert_eq!(found[&3].len(), 3 * PART_BYTES - 3 + 6);
    }

    #[test]
    fn what_has_no_label_is_kept() {
        let found = said(b"3: a\npdsh: no such host\nrest\n", &[]);
        assert_eq!(found[&3], b"a\n");
        assert_eq!(found[&65537], b"rest\n", "the label `pdsh` came before");
    }
}
