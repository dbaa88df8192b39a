//! Which lines belong together, and how each is compared.

use std::time::Duration;

use super::brackets;
use super::looks::{self, is_indented};

/// What a line that is not the first of a unit is to the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It belongs to the unit.
    Inside,
    /// It belongs to the unit if what follows does (a blank line before a chained traceback).
    Perhaps,
    /// It does not.
    Foreign,
}

/// How a line of a unit is compared with another unit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// As any line: by its statement.
    Statement,
    /// By its statement, and it says what happened.
    Message,
    /// A place in a program: equal but for addresses and what else is a process's own.
    Place,
}

/// How a line is compared, and from where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) by: Match,
    /// What a launcher put before the line, in bytes; of it only numbers may differ.
    pub(crate) margin: u32,
}

impl Compared {
    /// As a line that stands for itself.
    pub(crate) const ALONE: Self = Self { by: Match::Statement, margin: 0 };
}

/// What is open, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A line that announces more, or an indented one.
    Block,
    /// A printed value with so many brackets open.
    Brackets(i32),
    /// Python: the frames, after `Traceback (most recent call last):`.
    Frames,
    /// Python: after the line that names the exception.
    Raised,
    /// Python: an exception group, in its margin.
    Group,
    /// Python: what `faulthandler` prints.
    Fault,
    /// Rust: after `panicked at`; true until the message came.
    Panicked(bool),
    /// Rust: after `stack backtrace:`.
    Backtrace,
    /// Java, Node: an exception and its frames.
    Throwable,
    /// Node: the line of source, and so many lines before the exception.
    Source(u8),
    /// Go: `panic:` and the goroutines.
    Go,
    /// Julia: an error and its stack trace.
    Julia,
    /// C++: `terminate called`.
    Terminate,
    /// Frames of a native backtrace.
    Native,
    /// A sanitizer's report.
    Sanitizer,
    /// Open MPI's report of a signal.
    Signal,
    /// Nothing more belongs to it.
    Closed,
}

/// How many lines Node prints between the place and the exception, at most: the source, a mark
/// under it, a blank line. The source may be cut into several lines.
const MAX_SOURCE_LINES: u8 = 6;

/// How long a stream says nothing before its open unit is closed.
const SILENCE: Duration = Duration::from_millis(200);
/// The same in a backtrace, which may be printed frame by frame.
const BACKTRACE_SILENCE: Duration = Duration::from_secs(2);
/// The same where more has to come, and where symbols are resolved on the way: the debug information
/// of a program and of each library is read before its first frame, which takes seconds on a busy
/// machine.
const UNFINISHED_SILENCE: Duration = Duration::from_secs(10);

/// A unit that is being read, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(super) state: State,
    /// What stands before each line, as the `[rank3]: ` that a launcher prints.
    pub(super) prefix: Vec<u8>,
}

impl Shape {
    pub(super) fn of(state: State) -> Self {
        Self { state, prefix: Vec::new() }
    }

    /// What `line` is to the unit.
    pub(crate) fn offer(&mut self, line: &[u8]) -> Part {
        let line = match line.strip_prefix(&self.prefix[..]) {
            Some(rest) => rest,
            None if self.state == State::Signal => return Part::Foreign,
            None if is_indented(line) => {
                self.prefix.clear();
                line
            }
            None if self.prefix.trim_ascii_end() == line => b"",
            // Only the first line of a logged traceback has the logger's prefix.
            None if self.state == State::Frames && looks::is_python_exception(line) => {
                self.prefix.clear();
                line
            }
            None => return Part::Foreign,
        };
        if let Some(state) = self.step(line) {
            self.state = state;
            return if matches!(state, State::Source(_)) { Part::Perhaps } else { Part::Inside };
        }
        if line.trim_ascii().is_empty() && self.may_pause() { Part::Perhaps } else { Part::Foreign }
    }

    /// How the line that was taken last is compared. To be asked before the next one is offered.
    pub(crate) fn compares(&self, line: &[u8]) -> Compared {
        let (margin, text) = match line.strip_prefix(&self.prefix[..]) {
            Some(rest) => (self.prefix.len(), rest),
            None => (0, line),
        };
        Compared { by: self.matches(text), margin: u32::try_from(margin).unwrap_or(0) }
    }

    fn matches(&self, line: &[u8]) -> Match {
        let text = line.trim_ascii();
        let frame = text.starts_with(b"File \"") || looks::is_native_frame(text);
        let place_if = |place: bool| if place { Match::Place } else { Match::Statement };
        let message_if = |message: bool| if message { Match::Message } else { Match::Statement };
        match self.state {
            State::Block | State::Brackets(_) | State::Closed => place_if(frame),
            State::Frames | State::Backtrace => Match::Place,
            State::Source(_) | State::Native => Match::Place,
            State::Raised | State::Terminate if frame => Match::Place,
            State::Raised => message_if(looks::is_python_exception(line)),
            State::Terminate if is_indented(line) => Match::Message,
            State::Terminate => place_if(!looks::is_advice(line)),
            State::Group => match looks::in_group(line) {
                Some(inner) if looks::is_python_exception(inner) => Match::Message,
                inner => {
                    place_if(inner.is_none_or(|inner| is_indented(inner) || inner.ends_with(b":")))
                }
            },
            State::Fault if line.starts_with(b"Fatal Python error: ") => Match::Message,
            State::Fault => place_if(is_indented(line) || line.ends_with(b"call first):")),
            State::Panicked(true) => Match::Place,
            State::Panicked(false) => {
                message_if(!is_indented(line) && !text.starts_with(b"note: "))
            }
            State::Throwable if is_indented(line) => place_if(looks::is_throwable_frame(text)),
            State::Throwable => message_if(!text.is_empty() && !text.starts_with(b"Node.js ")),
            State::Go if text.starts_with(b"panic: ") || text.starts_with(b"fatal error: ") => {
                Match::Message
            }
            State::Go => {
                let called = looks::is_call(line) || line.starts_with(b"created by ");
                place_if(is_indented(line) || called)
            }
            State::Julia if line.starts_with(b"ERROR: ") => Match::Message,
            State::Julia => place_if(text.starts_with(b"@ ") || text.starts_with(b"[")),
            State::Sanitizer if looks::is_marked_with_pid(line) => {
                message_if(memchr::memmem::find(line, b"ERROR: ").is_some())
            }
            State::Sanitizer => {
                place_if(frame || text.starts_with(b"0x") || text.starts_with(b"=>"))
            }
            State::Signal if text.starts_with(b"[") => Match::Place,
            State::Signal => message_if(text.starts_with(b"Signal: ")),
        }
    }

    /// Whether the frame nearest to the failure is printed last, before the message.
    pub(crate) fn prints_nearest_last(&self) -> bool {
        matches!(self.state, State::Frames | State::Raised | State::Group)
    }

    /// How long its stream may be silent before it is taken for whole.
    pub(crate) fn patience(&self) -> Duration {
        match self.state {
            State::Frames | State::Panicked(true) => UNFINISHED_SILENCE,
            State::Backtrace | State::Sanitizer => UNFINISHED_SILENCE,
            State::Native | State::Signal => BACKTRACE_SILENCE,
            _ => SILENCE,
        }
    }

    /// Whether a blank line may be followed by more of the unit.
    fn may_pause(&self) -> bool {
        matches!(
            self.state,
            State::Raised
                | State::Go
                | State::Frames
                | State::Group
                | State::Fault
                | State::Throwable
                | State::Brackets(_)
                | State::Terminate
                | State::Sanitizer
        )
    }

    /// Where a line that belongs to the unit leads.
    fn step(&self, line: &[u8]) -> Option<State> {
        let indented = is_indented(line) && !line.trim_ascii().is_empty();
        let text = line.trim_ascii();
        let stay = |belongs: bool| belongs.then_some(self.state);
        match self.state {
            State::Block if looks::is_native_frame(line) => Some(State::Native),
            State::Block => stay(indented),
            State::Brackets(open) => {
                let left = open.saturating_add(brackets::depth(line));
                let state = if left > 0 { State::Brackets(left) } else { State::Closed };
                brackets::goes_on(line).then_some(state)
            }
            State::Frames | State::Raised | State::Group => step_in_python(self.state, line),
            State::Fault => stay(indented || looks::is_of_fault(line)),
            State::Panicked(true) => Some(State::Panicked(false)),
            State::Panicked(false) if text == b"stack backtrace:" => Some(State::Backtrace),
            // A note is the end of a backtrace.
            State::Panicked(false) | State::Backtrace if text.starts_with(b"note: ") => {
                Some(State::Panicked(false))
            }
            State::Panicked(false) | State::Backtrace => stay(indented),
            // An exception of Python that was never raised has no traceback before it.
            State::Throwable if looks::is_python_chain(text) => Some(State::Raised),
            State::Throwable => {
                let more = looks::is_java_cause(line) || line == b"}";
                stay(indented || more || text.starts_with(b"Node.js v"))
            }
            State::Source(_) if looks::is_throwable(line) => Some(State::Throwable),
            State::Source(lines) => {
                let more = lines == 0 || indented || text.is_empty();
                (more && lines < MAX_SOURCE_LINES).then_some(State::Source(lines + 1))
            }
            State::Go => stay(indented || looks::is_go(line)),
            State::Julia => {
                let more =
                    text == b"Stacktrace:" || text.starts_with(b"in expression starting at ");
                stay(indented || more || text.starts_with(b"caused by: "))
            }
            State::Terminate => stay(indented || is_more_of_message(line)),
            State::Native => stay(indented || looks::is_native_frame(line)),
            State::Sanitizer if line.ends_with(b"==ABORTING") => Some(State::Closed),
            State::Sanitizer => stay(indented || looks::is_of_sanitizer(line)),
            State::Signal if text == b"*** End of error message ***" => Some(State::Closed),
            State::Signal => Some(State::Signal),
            State::Closed => None,
        }
    }
}

fn step_in_python(state: State, line: &[u8]) -> Option<State> {
    let text = line.trim_ascii();
    let indented = is_indented(line) && !text.is_empty();
    match state {
        State::Group if looks::is_of_group(line) => Some(State::Group),
        State::Frames if indented => Some(State::Frames),
        State::Frames => looks::is_python_exception(line).then_some(State::Raised),
        _ if text.ends_with(b"+ Exception Group Traceback (most recent call last):") => {
            Some(State::Group)
        }
        _ if text.ends_with(b"Traceback (most recent call last):") => Some(State::Frames),
        State::Group => looks::is_python_chain(text).then_some(State::Raised),
        _ => {
            let more = indented || looks::is_python_chain(text) || is_more_of_message(line);
            more.then_some(State::Raised)
        }
    }
}

/// What a message of PyTorch's C++ half goes on with: advice, and the frames there.
fn is_more_of_message(line: &[u8]) -> bool {
    looks::is_advice(line) || looks::is_raised_from(line) || looks::is_native_frame(line)
}
