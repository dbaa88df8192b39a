//! Why a rank failed, found in its last lines.

mod weight;

use std::ops::Range;

use lastline_line::Stream;

use self::weight::{Weight, is_remark, names_trouble};
use crate::unit::{Compared, Match, Part, Shape};

/// How near to the end what says why is looked for, in lines.
const NEAR: usize = 20;

/// Why a rank failed, as far as its last lines tell.
///
/// # Which lines say it
///
/// Lines are cut into units. A unit is a *crash* when it has a message and places in a program (a
/// traceback, a panic, a terminate, a sanitizer's report); otherwise it is a *remark* when it is
/// blank, a progress bar, a warning, or a line of a log below the level of errors; otherwise
/// *trouble* when it has a word like `error`, `failed` or `assertion`; otherwise plain.
///
/// 1. The stream is stderr. It is stdout when stderr has nothing, or nothing but remarks and the
///    last 20 lines of stdout have a crash or trouble.
/// 2. In it, of the units that end in the last 20 lines: the last crash, else the last trouble.
/// 3. Else the last unit that is no remark, else the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause {
    /// Where it was said.
    pub stream: Stream,
    /// Which of that stream's last lines say it: one unit.
    pub lines: Range<usize>,
    /// Which line says what happened.
    pub message: usize,
    /// The frames come before the message, the nearest to the failure last, as Python prints them.
    nearest_last: bool,
}

impl Cause {
    /// Finds it in the last lines of a rank's streams. `None` when the rank said nothing.
    ///
    /// ```
    /// use lastline_fold::Cause;
    /// use lastline_line::Stream;
    ///
    /// let stderr = ["train.py:3: UserWarning: slow", "  warnings.warn('slow')"];
    /// let stdout = ["step 3", "Assertion failed: shard < 16"];
    /// let cause = Cause::find(&stdout, &stderr).unwrap();
    /// assert_eq!((cause.stream, cause.lines), (Stream::Stdout, 1..2));
    /// ```
    pub fn find<L: AsRef<[u8]>>(stdout: &[L], stderr: &[L]) -> Option<Self> {
        let (stdout, stderr) = (Units::of(stdout), Units::of(stderr));
        let serious = stdout.serious();
        if stderr.is_empty() || stderr.has_only_remarks() && serious.is_some() {
            let unit = serious.or_else(|| stdout.last())?;
            return Some(unit.cause(Stream::Stdout));
        }
        let unit = stderr.serious().or_else(|| stderr.last())?;
        Some(unit.cause(Stream::Stderr))
    }

    /// Which of the stream's last lines to show, at most `max_lines`: the last ones, when it is
    /// whole in them; else the cause alone; when that is too long, its head with the message and the
    /// frames nearest to the failure.
    pub fn excerpt<L: AsRef<[u8]>>(&self, lines: &[L], max_lines: usize) -> Excerpt {
        let tail = lines.len().saturating_sub(max_lines);
        let Range { start, end } = self.lines;
        let (head, rest) = if start >= tail {
            (tail..tail, tail..lines.len())
        } else if end - start <= max_lines {
            (start..start, start..end)
        } else if self.nearest_last {
            let after = (end - self.message - 1).min(max_lines / 4);
            let to = self.message + 1 + after;
            (start..start + 1, to.saturating_sub(max_lines - 1).max(start + 1)..to)
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

/// Lines of one stream cut into units.
struct Units {
    units: Vec<Unit>,
    /// From which line on a unit that ends behind it is near the end.
    near: usize,
}

impl Units {
    fn of<L: AsRef<[u8]>>(lines: &[L]) -> Self {
        let lines: Vec<&[u8]> = lines.iter().map(AsRef::as_ref).collect();
        let mut units: Vec<Unit> = Vec::new();
        let mut from = 0;
        while from < lines.len() {
            let mut unit = Unit::first_of(&lines[from..]);
            unit.from = from;
            // A line of source under a warning, and the like.
            let remarked = units.last().is_some_and(|unit| unit.weight == Weight::Remark);
            if remarked && unit.weight <= Weight::Trouble && lines[from].starts_with(b" ") {
                unit.weight = Weight::Remark;
            }
            from += unit.compared.len();
            units.push(unit);
        }
        Self { units, near: lines.len().saturating_sub(NEAR) }
    }

    fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    fn has_only_remarks(&self) -> bool {
        self.units.iter().all(|unit| unit.weight == Weight::Remark)
    }

    /// The last crash near the end, else the last trouble there.
    fn serious(&self) -> Option<&Unit> {
        let last = |weight: Weight| {
            let mut near = self.units.iter().rev().filter(|unit| unit.end() > self.near);
            near.find(|unit| unit.weight == weight)
        };
        last(Weight::Crash).or_else(|| last(Weight::Trouble))
    }

    /// The last that is no remark, else the last.
    fn last(&self) -> Option<&Unit> {
        let telling = self.units.iter().rev().find(|unit| unit.weight > Weight::Remark);
        telling.or(self.units.last())
    }
}

/// Lines that say one thing together.
#[derive(Debug)]
pub(crate) struct Unit {
    from: usize,
    /// How each of its lines is compared; never empty.
    compared: Vec<Compared>,
    message: usize,
    weight: Weight,
    nearest_last: bool,
}

impl Unit {
    /// The first line and those that belong to it.
    pub(crate) fn first_of(lines: &[&[u8]]) -> Self {
        let mut compared = vec![Compared::ALONE];
        let mut nearest_last = false;
        if let Some(mut shape) = Shape::opened_by(lines[0]) {
            compared[0] = shape.compares(lines[0]);
            let mut certain = 1;
            for line in &lines[1..] {
                match shape.offer(line) {
                    Part::Foreign => break,
                    part => {
                        compared.push(shape.compares(line));
                        if part == Part::Inside {
                            certain = compared.len();
                        }
                    }
                }
            }
            compared.truncate(certain);
            nearest_last = shape.prints_nearest_last();
        }
        let lines = &lines[..compared.len()];
        let message = message(lines, &compared, nearest_last);
        let weight = weigh(lines, &compared);
        Self { from: 0, compared, message, weight, nearest_last }
    }

    /// How one of its lines is compared.
    pub(crate) fn compares(&self, at: usize) -> Match {
        self.compared.get(at).map_or(Match::Statement, |compared| compared.by)
    }

    /// Which of its lines says what happened.
    pub(crate) fn message(&self) -> usize {
        self.message
    }

    /// One past its last line.
    fn end(&self) -> usize {
        self.from + self.compared.len()
    }

    fn cause(&self, stream: Stream) -> Cause {
        Cause {
            stream,
            lines: self.from..self.end(),
            message: self.from + self.message,
            nearest_last: self.nearest_last,
        }
    }
}

/// The line that says what happened: of tracebacks chained or nested the last such, as that is what
/// the rank died of or what a group holds; elsewhere the first. Without any, the first with a letter.
fn message(lines: &[&[u8]], compared: &[Compared], last: bool) -> usize {
    let says = |at: &usize| compared[*at].by == Match::Message;
    let mut all = 0..lines.len();
    let found = if last { all.clone().rfind(says) } else { all.clone().find(says) };
    let worded = |at: &usize| lines[*at].iter().any(u8::is_ascii_alphabetic);
    found.or_else(|| all.find(worded)).unwrap_or(0)
}

fn weigh(lines: &[&[u8]], compared: &[Compared]) -> Weight {
    let has = |wanted: Match| compared.iter().any(|compared| compared.by == wanted);
    let terminates = lines[0].starts_with(b"terminate called");
    if has(Match::Message) && has(Match::Place) || terminates {
        Weight::Crash
    } else if lines.iter().all(|line| is_remark(line)) || is_remark(lines[0]) {
        Weight::Remark
    } else if lines.iter().any(|line| names_trouble(line)) {
        Weight::Trouble
    } else {
        Weight::Plain
    }
}
