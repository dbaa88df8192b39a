//! A console that shows entries.

use lastline_fold::{Ranks, RanksOptions};
use lastline_line::{Entry, Fold, Line, Offset, RankSet, StreamId, Timestamp};
use lastline_testing::stdout;

/// Feeds lines and writes entries as the console does.
pub(crate) struct Console {
    pub(crate) fold: Ranks,
    pub(crate) now: u64,
    pub(crate) shown: Vec<String>,
}

pub(crate) fn show(entry: Entry<'_>) -> String {
    match entry {
        Entry::Line(line) => {
            format!("[{}] {}", line.stream.rank, String::from_utf8_lossy(line.text))
        }
        Entry::Folded(folded) => {
            let text = String::from_utf8_lossy(folded.text);
            match folded.except {
                None => format!("[{}] {text}", folded.ranks),
                Some(except) => {
                    let all: RankSet = folded.ranks.iter().chain(except.iter()).collect();
                    format!("[{all} except {except}] {text}")
                }
            }
        }
    }
}

impl Console {
    pub(crate) fn new(ranks: u32) -> Self {
        let fold = Ranks::new(RankSet::first(ranks), RanksOptions::default());
        Self { fold, now: 0, shown: Vec::new() }
    }

    /// It is not known which ranks there are.
    pub(crate) fn of_speakers() -> Self {
        Self { fold: Ranks::of_speakers(RanksOptions::default()), now: 0, shown: Vec::new() }
    }

    pub(crate) fn say(&mut self, rank: u32, text: &str) {
        self.say_on(stdout(rank), text);
    }

    /// Without a newline; the stream may end with it.
    pub(crate) fn say_open(&mut self, rank: u32, text: &str, last: bool) {
        let line = Line { partial: true, ..self.line(stdout(rank), text) };
        let emit = &mut |entry: Entry<'_>| self.shown.push(show(entry));
        if last {
            self.fold.push_last(&line, line.time, emit);
        } else {
            self.fold.push(&line, line.time, emit);
        }
    }

    fn line<'a>(&self, stream: StreamId, text: &'a str) -> Line<'a> {
        Line {
            stream,
            start: Offset(self.now),
            bytes: text.len() as u64 + 1,
            time: Timestamp(self.now),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        }
    }

    pub(crate) fn say_on(&mut self, stream: StreamId, text: &str) {
        let line = self.line(stream, text);
        let shown = &mut self.shown;
        self.fold.push(&line, line.time, &mut |entry| shown.push(show(entry)));
    }

    pub(crate) fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1000;
        let shown = &mut self.shown;
        self.fold.due(Timestamp(self.now), &mut |entry| shown.push(show(entry)));
    }

    pub(crate) fn end(&mut self, rank: u32) {
        let shown = &mut self.shown;
        self.fold.ended(rank, Timestamp(self.now), &mut |entry| shown.push(show(entry)));
    }

    pub(crate) fn finish(&mut self) -> Vec<String> {
        let shown = &mut self.shown;
        self.fold.finish(&mut |entry| shown.push(show(entry)));
        self.shown()
    }

    pub(crate) fn shown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.shown)
    }
}
