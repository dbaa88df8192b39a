//! Which of a rank's last lines to show.

use std::ops::Range;

use super::Cause;

impl Cause {
    /// Which of the stream's last lines to show, at most `max_lines`: the last ones, when it is
    /// whole in them; else the cause and the very last ones; when it is too long for that, its head
    /// with the message and the frames nearest to the failure.
    pub fn excerpt<L: AsRef<[u8]>>(&self, lines: &[L], max_lines: usize) -> Excerpt {
        let tail = lines.len().saturating_sub(max_lines);
        let (start, end) = (self.lines.start, self.whole_end.min(lines.len()));
        let (head, rest) = if start >= tail {
            (tail..tail, tail..lines.len())
        } else if end - start <= max_lines {
            // How it went on may tell that it was survived.
            let after = (max_lines - (end - start)).min(max_lines / 4).min(lines.len() - end);
            match after {
                0 => (start..start, start..end),
                _ => (start..end, lines.len() - after..lines.len()),
            }
        } else if self.nearest_last {
            let after = (end - self.message - 1).min(max_lines / 4);
            let to = self.message + 1 + after;
            let from = to.saturating_sub(max_lines - 1).max(start + 1);
            (start..start + 1, first_whole_frame(lines, from..self.message)..to)
        } else {
            let head = start..(self.message + 1).min(start + max_lines / 2);
            let left = max_lines - head.len();
            let from = first_own_frame(lines, head.end..end).min(end - left);
            (head, from..from + left)
        };
        Excerpt { head, rest }
    }
}

/// Which lines to show of a rank's last ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Excerpt {
    /// The first ones; none unless lines are left out behind them.
    pub head: Range<usize>,
    /// The others.
    pub rest: Range<usize>,
}

impl Excerpt {
    /// How many lines are left out between the two.
    pub fn left_out(&self) -> usize {
        self.rest.start - self.head.end
    }
}

/// Where the first frame of Python's, or a traceback, starts within these lines, so that none stands there without its
/// place. What a message says over several lines may take all the room.
fn first_whole_frame<L: AsRef<[u8]>>(lines: &[L], mut within: Range<usize>) -> usize {
    let from = within.start;
    let has = |at: usize, part: &[u8]| memchr::memmem::find(lines[at].as_ref(), part).is_some();
    let starts = |at: &usize| has(*at, b"  File \"") || has(*at, b"Traceback (most recent");
    within.find(starts).unwrap_or(from)
}

/// Behind the frames in which Rust's runtime handles a panic.
fn first_own_frame<L: AsRef<[u8]>>(lines: &[L], within: Range<usize>) -> usize {
    let has = |at: usize, part: &[u8]| memchr::memmem::find(lines[at].as_ref(), part).is_some();
    let handles =
        |at: &usize| has(*at, b"rust_begin_unwind") || has(*at, b"panicking::begin_panic");
    let Some(last) = within.clone().rev().find(handles) else {
        return within.start;
    };
    let runtime = |at: &usize| {
        let place = lines[*at].as_ref().trim_ascii_start().starts_with(b"at ");
        place
            || [&b"panicking::"[..], b"unwrap_failed", b"expect_failed"]
                .iter()
                .any(|part| has(*at, part))
    };
    (last + 1..within.end).find(|at| !runtime(at)).unwrap_or(within.start)
}
