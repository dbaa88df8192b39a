//! The printer, and the account of what it was given.

use std::sync::Arc;

use lastline_line::{Entry, Stream, StreamId};

use crate::printer::{Block, PrintError, Printer};
use crate::shared::Shared;

/// Before a block of so many bytes is printed, what was printed before it is flushed: a block may be
/// written at once, and that may take for ever.
const LARGE_BLOCK_BYTES: usize = 16 << 10;

/// The printer, and what it was given since it was flushed.
pub(crate) struct Console {
    printer: Box<dyn Printer>,
    /// Bytes of streams that count as shown when the printer is flushed.
    credits: Vec<(StreamId, u64)>,
    credit_bytes: u64,
    /// Why stdout and stderr take nothing more.
    closed: [Option<String>; 2],
    pub(crate) shared: Arc<Shared>,
}

impl Console {
    pub(crate) fn new(printer: Box<dyn Printer>, shared: Arc<Shared>) -> Self {
        Self { printer, credits: Vec::new(), credit_bytes: 0, closed: [None, None], shared }
    }

    /// Printed and not flushed, in bytes of the streams.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.credit_bytes
    }

    /// Why lines of `stream` can no longer be printed, if so.
    pub(crate) fn closed_for(&self, stream: StreamId) -> Option<&str> {
        self.closed[index(self.printer.output_of(stream.stream))].as_deref()
    }

    /// Bytes that will have been shown, unless their output has just failed.
    fn credit(&mut self, stream: StreamId, bytes: u64) {
        if self.closed_for(stream).is_some() {
            return;
        }
        self.credit_bytes += bytes;
        match self.credits.last_mut() {
            Some((last, sum)) if *last == stream => *sum += bytes,
            _ => self.credits.push((stream, bytes)),
        }
    }

    pub(crate) fn print(&mut self, entry: &Entry<'_>) {
        let stream = match entry {
            Entry::Line(line) => line.stream.stream,
            Entry::Folded(folded) => folded.stream,
        };
        if self.closed[index(self.printer.output_of(stream))].is_some() {
            return;
        }
        self.turn_to(stream);
        let result = self.printer.print(entry);
        self.check(result);
        match entry {
            Entry::Line(line) => self.credit(line.stream, line.bytes),
            Entry::Folded(folded) => {
                folded.members.iter().for_each(|member| self.credit(member.stream, member.bytes));
            }
        }
    }

    pub(crate) fn print_block(&mut self, block: &Block<'_>) {
        self.turn_to(block.stream.stream);
        if block.bytes.len() >= LARGE_BLOCK_BYTES {
            self.flush();
        }
        let result = self.printer.print_block(block);
        self.check(result);
        self.credit(block.stream, block.bytes.len() as u64);
    }

    /// What the other output was given is flushed before this one is: when this one takes nothing,
    /// ever, it is known all the same that the other has it.
    fn turn_to(&mut self, stream: Stream) {
        let output = self.printer.output_of(stream);
        let last = self.credits.last().map(|(last, _)| self.printer.output_of(last.stream));
        if last.is_some_and(|last| last != output) {
            self.flush();
        }
    }

    /// What was printed so far counts as shown once it is flushed.
    pub(crate) fn flush(&mut self) {
        if self.credits.is_empty() {
            return;
        }
        // An error is about one output; the other one is not flushed yet.
        for _ in Stream::ALL {
            let result = self.printer.flush();
            let flushed = result.is_ok();
            self.check(result);
            if flushed {
                break;
            }
        }
        let mut state = self.shared.state();
        for (stream, bytes) in self.credits.drain(..) {
            state.accounts.entry(stream).or_default().shown_bytes += bytes;
        }
        self.credit_bytes = 0;
    }

    /// An output is gone: what it was given since the last flush, and all that is held for it, is
    /// not shown.
    fn check(&mut self, result: Result<(), PrintError>) {
        let Err(error) = result else {
            return;
        };
        let cause = if error.is_closed() {
            String::from("console closed")
        } else {
            format!("console: {}", error.source)
        };
        let printer = &mut self.printer;
        let lost = |stream: StreamId| printer.output_of(stream.stream) == error.output;
        self.credits.retain(|(stream, _)| !lost(*stream));
        self.credit_bytes = self.credits.iter().map(|(_, bytes)| bytes).sum();
        let mut state = self.shared.state();
        for (stream, account) in &mut state.accounts {
            if lost(*stream) {
                account.settle(account.received, &cause);
            }
        }
        drop(state);
        let slot = &mut self.closed[index(error.output)];
        if slot.is_none() {
            *slot = Some(cause.clone());
            let name = error.output.name();
            let noted =
                self.printer.note(&format!("{name} takes no more ({cause}); the job goes on"));
            // It may be the other output that has failed now; each fails for the first time once.
            self.check(noted);
        }
    }
}

fn index(output: Stream) -> usize {
    usize::from(output == Stream::Stderr)
}
