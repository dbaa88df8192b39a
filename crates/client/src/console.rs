//! The printer, and the account of what it was given.

use std::sync::Arc;

use lastline_line::{Entry, Stream, StreamId, Withheld};

use crate::output::Output;
use crate::printer::{Block, Missing, OpenLines, PrintError, Printer, Silent};
use crate::state::ClientState;

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
    /// The first that kept anything from being printed.
    error: Option<PrintError>,
    /// Nobody is told that an output takes no more: whoever owns the client learns it at the end.
    quiet: bool,
    /// The printer is at work: what panics now is the printer.
    pub(crate) printing: bool,
    pub(crate) open_lines: OpenLines,
    pub(crate) shared: Arc<ClientState>,
}

impl Console {
    pub(crate) fn new(printer: Box<dyn Printer>, quiet: bool, shared: Arc<ClientState>) -> Self {
        Self {
            open_lines: printer.open_lines(),
            printer,
            credits: Vec::new(),
            credit_bytes: 0,
            closed: [None, None],
            error: None,
            quiet,
            printing: false,
            shared,
        }
    }

    /// Nothing is printed any more, because of `cause`: what was not flushed is not shown. Gives back
    /// the printer, which is not to be used again.
    pub(crate) fn fail(&mut self, cause: &str) -> Box<dyn Printer> {
        self.credits.clear();
        (self.credit_bytes, self.printing) = (0, false);
        self.open_lines = OpenLines::Held;
        self.closed = [Some(cause.to_owned()), Some(cause.to_owned())];
        let mut state = self.shared.state();
        for account in state.accounts.values_mut() {
            account.settle(account.received, cause);
        }
        drop(state);
        self.shared.subscribers.end_entries();
        std::mem::replace(&mut self.printer, Box::new(Silent))
    }

    /// Has the printer do something.
    fn ask<T>(&mut self, work: impl FnOnce(&mut dyn Printer) -> T) -> T {
        self.printing = true;
        let done = work(&mut *self.printer);
        self.printing = false;
        done
    }

    /// Printed and not flushed, in bytes of the streams.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.credit_bytes
    }

    /// Begins what is given to those who want entries.
    pub(crate) fn begin_entries(&self) {
        self.shared.begin_entries(&self.credits);
    }

    /// Why lines of `stream` can no longer be printed, if so.
    pub(crate) fn closed_for(&self, stream: StreamId) -> Option<&str> {
        self.closed[self.printer.output_of(stream.stream) as usize].as_deref()
    }

    /// Whether an output takes no more.
    pub(crate) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// The first error of an output.
    pub(crate) fn take_error(&mut self) -> Option<PrintError> {
        self.error.take()
    }

    /// Says that bytes are missing, where they would stand.
    pub(crate) fn missing(&mut self, missing: &Missing<'_>) {
        let result = self.ask(|printer| printer.missing(missing));
        self.check(result);
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
        if self.shared.subscribers.want_entries() {
            self.shared.subscribers.offer_entry(entry);
        }
        let stream = match entry {
            Entry::Line(line) => line.stream.stream,
            Entry::Folded(folded) => folded.stream,
        };
        if self.closed[self.printer.output_of(stream) as usize].is_some() {
            return;
        }
        self.turn_to(stream);
        let result = self.ask(|printer| printer.print(entry));
        self.check(result);
        match entry {
            Entry::Line(line) => self.credit(line.stream, line.bytes),
            Entry::Folded(folded) => {
                folded.members.iter().for_each(|member| self.credit(member.stream, member.bytes));
            }
        }
    }

    pub(crate) fn print_block(&mut self, block: &Block<'_>) {
        if self.shared.subscribers.want_entries() {
            self.shared.subscribers.offer_block(block);
        }
        self.turn_to(block.stream.stream);
        if block.bytes.len() >= LARGE_BLOCK_BYTES {
            self.flush();
        }
        let result = self.ask(|printer| printer.print_block(block));
        self.check(result);
        self.credit(block.stream, block.bytes.len() as u64);
    }

    /// Draws what is open.
    pub(crate) fn draw(&mut self, states: &[Entry<'_>]) {
        if self.closed[self.printer.output_of(Stream::Stdout) as usize].is_none() {
            let drawn = self.ask(|printer| printer.draw(states));
            self.check(drawn);
        }
    }

    /// Prints an entry that counts as nothing, at once.
    pub(crate) fn announce(&mut self, entry: &Entry<'_>) {
        let stream = match entry {
            Entry::Line(line) => line.stream.stream,
            Entry::Folded(folded) => folded.stream,
        };
        if self.closed[self.printer.output_of(stream) as usize].is_some() {
            return;
        }
        self.flush();
        let printed = self.ask(|printer| printer.print(entry).and_then(|()| printer.flush()));
        self.check(printed);
    }

    /// Says something of Lastline's own.
    pub(crate) fn note(&mut self, words: &str) {
        if self.closed[Output::Stderr as usize].is_none() {
            let noted = self.ask(|printer| printer.note(words));
            self.check(noted);
        }
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

    /// What was printed so far counts as shown once it is flushed, where somebody sees it.
    pub(crate) fn flush(&mut self) {
        if self.credits.is_empty() {
            return;
        }
        // An error is about one output; the other one is not flushed yet.
        for _ in Output::ALL {
            let result = self.ask(|printer| printer.flush());
            let flushed = result.is_ok();
            self.check(result);
            if flushed {
                break;
            }
        }
        let is_shown = self.printer.shows();
        let mut state = self.shared.state();
        for (stream, bytes) in self.credits.drain(..) {
            let account = state.accounts.entry(stream).or_default();
            if is_shown {
                account.shown_bytes += bytes;
            } else {
                account.withhold(Withheld::Show, bytes);
            }
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
        let slot = &mut self.closed[error.output as usize];
        if slot.is_none() {
            *slot = Some(cause.clone());
            let name = error.output.name();
            self.error.get_or_insert(error);
            if self.quiet {
                return;
            }
            let words = format!("{name} takes no more ({cause}); the job goes on");
            let noted = self.ask(|printer| printer.note(&words));
            // It may be the other output that has failed now; each fails for the first time once.
            self.check(noted);
        }
    }
}
