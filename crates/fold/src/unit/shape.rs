//! Which lines belong together: tracebacks, panics, stack traces, indented blocks.

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
    /// A place in a program: equal but for addresses.
    Place,
}

/// What is open, and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A line that announces more, or an indented one.
    Block,
    /// Python: the frames, after `Traceback (most recent call last):`.
    Frames,
    /// Python: after the line that names the exception.
    Raised,
    /// Rust: after `panicked at`; true until the message came.
    Panicked(bool),
    /// Rust: after `stack backtrace:`.
    Backtrace,
    /// Java: an exception and its frames.
    Java,
    /// Go: `panic:` and the goroutines.
    Go,
    /// C++: `terminate called`.
    Terminate,
}

/// A unit that is being read, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    state: State,
    /// What stands before each line, as the `[rank3]: ` that a launcher prints.
    prefix: Vec<u8>,
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

impl Shape {
    /// The unit that `line` opens, if it opens one.
    #[inline]
    pub(crate) fn opened_by(line: &[u8]) -> Option<Self> {
        let (&first, &last) = (line.first()?, line.last()?);
        let announces = matches!(last, b':' | b'{' | b'[' | b'(' | b'\\');
        let telling = matches!(first, b' ' | b'\t') || names_trouble(first, line);
        if announces || telling { Self::open(line) } else { None }
    }

    #[cold]
    fn open(line: &[u8]) -> Option<Self> {
        if let Some(at) = memchr::memmem::find(line, b"Traceback (most recent call last):") {
            let grouped = line[..at].trim_ascii_end().ends_with(b"+ Exception Group");
            let end = if grouped { 0 } else { at };
            return Some(Self { state: State::Frames, prefix: line[..end].to_vec() });
        }
        let state = if is_indented(line) {
            if line.trim_ascii().is_empty() {
                return None;
            }
            let frame = line.trim_ascii_start().starts_with(b"File \"");
            if frame { State::Frames } else { State::Block }
        } else if is_rust_panic(line) {
            State::Panicked(line.ends_with(b":"))
        } else if opens_go(line) {
            State::Go
        } else if line.starts_with(b"terminate called") {
            State::Terminate
        } else if line.starts_with(b"Exception in thread ") || is_java_exception(line) {
            State::Java
        } else {
            State::Block
        };
        Some(Self { state, prefix: Vec::new() })
    }

    /// What `line` is to the unit.
    pub(crate) fn offer(&mut self, line: &[u8]) -> Part {
        let line = match line.strip_prefix(&self.prefix[..]) {
            Some(rest) => rest,
            None if is_indented(line) => {
                self.prefix.clear();
                line
            }
            None if self.prefix.trim_ascii_end() == line => b"",
            // Only the first line of a logged traceback has the logger's prefix.
            None if self.state == State::Frames && is_python_exception(line) => line,
            None => return Part::Foreign,
        };
        match self.step(line) {
            Some(state) => {
                self.state = state;
                Part::Inside
            }
            None if line.trim_ascii().is_empty() && self.may_pause() => Part::Perhaps,
            None => Part::Foreign,
        }
    }

    /// How the line that was taken last is compared. To be asked before the next one is offered.
    pub(crate) fn compares(&self, line: &[u8]) -> Match {
        let place = match self.state {
            State::Block => false,
            State::Frames => true,
            State::Raised | State::Terminate => is_indented(line),
            State::Panicked(waiting) => waiting || line.ends_with(b":"),
            State::Backtrace => true,
            State::Java | State::Go => is_indented(line) || is_call(line),
        };
        if place { Match::Place } else { Match::Statement }
    }

    /// Whether a blank line may be followed by more of the unit.
    fn may_pause(&self) -> bool {
        matches!(self.state, State::Raised | State::Go | State::Frames)
    }

    /// Where a line that belongs to the unit leads.
    fn step(&self, line: &[u8]) -> Option<State> {
        let indented = is_indented(line) && !line.trim_ascii().is_empty();
        let text = line.trim_ascii();
        match self.state {
            State::Block => indented.then_some(State::Block).or_else(|| closes_block(line)),
            State::Frames if indented => Some(State::Frames),
            State::Frames => is_python_exception(line).then_some(State::Raised),
            State::Raised if text.ends_with(TRACEBACK) => Some(State::Frames),
            State::Raised if indented || is_python_chain(text) => Some(State::Raised),
            State::Raised => None,
            State::Panicked(true) => Some(State::Panicked(false)),
            State::Panicked(false) if text == b"stack backtrace:" => Some(State::Backtrace),
            State::Panicked(false) => {
                (indented || text.starts_with(b"note: ")).then_some(State::Panicked(false))
            }
            State::Backtrace => {
                (indented || text.starts_with(b"note: ")).then_some(State::Backtrace)
            }
            State::Java => (indented || is_java_cause(line)).then_some(State::Java),
            State::Go => (indented || is_go(line)).then_some(State::Go),
            State::Terminate => indented.then_some(State::Terminate),
        }
    }
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Whether the line starts as one that tells of an error does.
#[inline]
fn names_trouble(first: u8, line: &[u8]) -> bool {
    match first {
        b't' => line.starts_with(b"thread '") || line.starts_with(b"terminate called"),
        b'p' => line.starts_with(b"panic: "),
        b'f' => line.starts_with(b"fatal error: "),
        b'e' => line.starts_with(b"error") && matches!(line.get(5), Some(b':' | b'[')),
        b'w' => line.starts_with(b"warning: "),
        b'E' if line.starts_with(b"Exception in thread ") || line.starts_with(b"Error: ") => true,
        b'a'..=b'z' | b'A'..=b'Z' => is_java_exception(line),
        _ => false,
    }
}

/// `thread 'main' panicked at src/main.rs:2:5:`
fn is_rust_panic(line: &[u8]) -> bool {
    line.starts_with(b"thread '") && memchr::memmem::find(line, b"panicked at ").is_some()
}

fn opens_go(line: &[u8]) -> bool {
    line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ") || is_goroutine(line)
}

fn is_goroutine(line: &[u8]) -> bool {
    line.starts_with(b"goroutine ") && line.ends_with(b"]:")
}

/// `java.lang.IllegalStateException: …`: a dotted name that ends as exceptions' names do.
fn is_java_exception(line: &[u8]) -> bool {
    let name_ends = |byte: &u8| matches!(byte, b':' | b' ' | b'=' | b'[' | b'(');
    let length = line.iter().position(name_ends).unwrap_or(line.len());
    let (name, rest) = line.split_at(length);
    let ends = name.ends_with(b"Exception") || name.ends_with(b"Error");
    ends && memchr::memchr(b'.', name).is_some() && (rest.is_empty() || rest.starts_with(b": "))
}

fn is_java_cause(line: &[u8]) -> bool {
    line.starts_with(b"Caused by: ") || line.starts_with(b"Suppressed: ")
}

/// The line of a Python traceback that says what was raised: `ValueError: …`,
/// `KeyboardInterrupt`.
fn is_python_exception(line: &[u8]) -> bool {
    let part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(**b, b'.' | b'_');
    let length = line.iter().take_while(part).count();
    let starts = line.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    starts && matches!(line.get(length), None | Some(b':'))
}

/// What stands between the tracebacks of a chain.
fn is_python_chain(text: &[u8]) -> bool {
    text.starts_with(b"During handling of the above exception, another")
        || text.starts_with(b"The above exception was the direct cause")
}

/// A line of a Go panic that is not indented.
fn is_go(line: &[u8]) -> bool {
    is_goroutine(line)
        || is_call(line)
        || line.starts_with(b"[signal ")
        || line.starts_with(b"created by ")
        || line.starts_with(b"panic: ")
}

/// `main.run(0x1, 0x2)`: a name without blanks and its arguments.
fn is_call(line: &[u8]) -> bool {
    let name = line.iter().take_while(|&&b| !matches!(b, b'(' | b' ')).count();
    name > 0 && line.get(name) == Some(&b'(') && line.ends_with(b")")
}

/// A bracket that closes what a block's first line opened.
fn closes_block(line: &[u8]) -> Option<State> {
    matches!(line, b"}" | b"]" | b")" | b"}," | b"]," | b");" | b"};").then_some(State::Block)
}
