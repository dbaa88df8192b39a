//! Which lines open a unit.

use super::brackets;
use super::looks;
use super::shape::{Shape, State};

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const GROUP: &[u8] = b"+ Exception Group";

impl Shape {
    /// The unit that `line` opens, if it opens one.
    #[inline]
    pub(crate) fn opened_by(line: &[u8]) -> Option<Self> {
        let (&first, &last) = (line.first()?, line.last()?);
        if matches!(last, b':' | b'\\') || tells(first, last, line) {
            return open(line);
        }
        brackets::opened_by(line).map(|depth| Shape::of(State::Brackets(depth)))
    }
}

#[cold]
fn open(line: &[u8]) -> Option<Shape> {
    if let Some(at) = memchr::memmem::find(line, TRACEBACK) {
        return Some(open_traceback(line, at));
    }
    if let Some(end) = looks::signal_prefix(line) {
        return Some(Shape { prefix: line[..end].to_vec(), ..Shape::of(State::Signal) });
    }
    let state = if looks::is_indented(line) {
        let text = line.trim_ascii();
        match text {
            [] => return None,
            _ if text.starts_with(b"File \"") => State::Frames,
            _ => State::Block,
        }
    } else if looks::is_python_chain(line) {
        State::Raised
    } else if looks::is_rust_panic(line) {
        State::Panicked(line.ends_with(b":"))
    } else if looks::opens_go(line) {
        State::Go
    } else if line.starts_with(b"terminate called") {
        State::Terminate
    } else if line.starts_with(b"Exception in thread ") || looks::is_throwable(line) {
        State::Throwable
    } else if looks::is_native_frame(line) || looks::is_raised_from(line) {
        State::Native
    } else if looks::is_marked_with_pid(line) || looks::is_sanitizers_rule(line) {
        State::Sanitizer
    } else if line.starts_with(b"Fatal Python error: ") {
        State::Fault
    } else if line.starts_with(b"ERROR: ") {
        State::Julia
    } else if looks::is_source_place(line) {
        State::Source(0)
    } else if let Some(depth) = brackets::opened_by(line) {
        State::Brackets(depth)
    } else {
        State::Block
    };
    Some(Shape::of(state))
}

/// The traceback whose first line says so at `at`; a launcher or a logger may stand before it.
fn open_traceback(line: &[u8], at: usize) -> Shape {
    let before = &line[..at];
    let group = before.trim_ascii_end().strip_suffix(GROUP);
    let (state, prefix) = match group {
        // The group's own margin is no prefix: two blanks stand before its first line.
        Some(before) => (State::Group, before.strip_suffix(b"  ").unwrap_or(b"")),
        None => (State::Frames, before),
    };
    Shape { prefix: prefix.to_vec(), ..Shape::of(state) }
}

/// Whether the line starts or ends as one that belongs to an error does.
#[inline]
fn tells(first: u8, last: u8, line: &[u8]) -> bool {
    match first {
        b' ' | b'\t' => true,
        b't' => line.starts_with(b"thread '") || line.starts_with(b"terminate called"),
        b'p' => line.starts_with(b"panic: "),
        b'f' if line.starts_with(b"fatal error: ") || looks::is_native_frame(line) => true,
        b'e' if line.starts_with(b"error") && matches!(line.get(5), Some(b':' | b'[')) => true,
        b'w' if line.starts_with(b"warning: ") => true,
        b'E' if line.starts_with(b"Exception in thread ") || line.starts_with(b"ERROR: ") => true,
        b'F' if line.starts_with(b"Fatal Python error: ") => true,
        b'#' => looks::is_native_frame(line),
        b'=' => looks::is_marked_with_pid(line) || looks::is_sanitizers_rule(line),
        b'[' if last == b'*' => looks::signal_prefix(line).is_some(),
        b'/' | b'f' | b'n' if last.is_ascii_digit() && looks::is_source_place(line) => true,
        _ if last == b']' && looks::ends_with_address(line) => true,
        b'a'..=b'z' | b'A'..=b'Z' => looks::is_throwable(line),
        _ => false,
    }
}
