//! Why a rank failed, found in its last lines.

mod excerpt;
mod units;
mod weight;

use std::ops::Range;

use lastline_line::Stream;

pub use self::excerpt::Excerpt;
use self::units::Units;
use self::weight::{Weight, is_title_of_stack, tells_of_abort};
use crate::unit::{Compared, Match, Part, Shape};

/// Why a rank failed, as far as its last lines tell.
///
/// # Which lines say it
///
/// Lines are cut into units. A unit is a *crash* when it has a message and places in a program (a
/// traceback, a panic, a terminate, a sanitizer's report), or when it tells of a failure and a stack stands
/// behind it; otherwise it is
///
/// - a *remark* when it is blank, a progress bar, a warning, a note, or a line of a log below the level of
///   errors; but a *complaint* when that is a warning with a word like `error` or `failed`;
/// - an *aftermath* when it tells that the program aborted, as that is what a program does that has said
///   why, or of an exception that was ignored, or when it is a stack with the line that announces it;
/// - *fatal* at the level of fatal errors (`FATAL`, glog's `F0731`), or as an assertion;
/// - *trouble* when it has a word like `error`, `failed` or `abort`, or is at the level of errors; of a text
///   between two rules only the first such line;
/// - otherwise plain.
///
/// 1. The stream is stderr. It is stdout when stderr has nothing, or nothing but remarks and complaints and
///    stdout has a crash or trouble by the rules below.
/// 2. In it, the last crash in the last 20 lines, else the last that is fatal there.
/// 3. Else the last crash in the last 200 lines. Much may follow one: what is cleared away, summaries, what
///    other threads say. A rank may have survived it as well; so an [`Excerpt`] has the very last lines, too.
/// 4. Else in the last 20 lines the last trouble, else the last aftermath.
/// 5. Else the last unit that is no remark, else the last warning of a log, else the last unit.
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
    /// One past the last line of the stack that was printed for it.
    whole_end: usize,
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

    /// The same of a rank that writes one stream.
    pub fn find_in<L: AsRef<[u8]>>(stream: Stream, lines: &[L]) -> Option<Self> {
        let units = Units::of(lines);
        let unit = units.serious().or_else(|| units.last())?;
        Some(unit.cause(stream))
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
    /// It is places in a program, or announces them, and tells of no failure by itself.
    stack: bool,
    /// One past the last line of the stack that belongs to it.
    whole_end: usize,
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
        let weight = weigh(lines, &compared, message);
        let stack = !nearest_last && is_stack(lines, &compared);
        Self { from: 0, compared, message, weight, nearest_last, stack, whole_end: 0 }
    }

    /// How one of its lines is compared.
    pub(crate) fn compares(&self, at: usize) -> Match {
        self.compared.get(at).map_or(Match::Statement, |compared| compared.by)
    }

    /// Which of its lines says what happened.
    pub(crate) fn message(&self) -> usize {
        self.message
    }

    /// Which of its lines say what happened, as several do of chained exceptions.
    pub(crate) fn messages(&self) -> impl Iterator<Item = usize> + '_ {
        let says = |at: &usize| self.compared[*at].by == Match::Message;
        (0..self.compared.len()).filter(says)
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
            whole_end: self.whole_end,
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

fn weigh(lines: &[&[u8]], compared: &[Compared], message: usize) -> Weight {
    let has = |wanted: Match| compared.iter().any(|compared| compared.by == wanted);
    let terminates = lines[0].starts_with(b"terminate called");
    let of_line = |line: &&[u8]| weight::of_line(line);
    let first = of_line(&lines[0]);
    let most = lines[1..].iter().map(of_line).fold(first, Weight::max);
    if tells_of_abort(lines[message].trim_ascii()) {
        Weight::Aftermath
    } else if has(Match::Message) && has(Match::Place) || terminates {
        Weight::Crash
    } else if first < Weight::Plain {
        first
    } else if is_stack(lines, compared) && most > Weight::Plain {
        Weight::Aftermath
    } else {
        most.max(Weight::Plain)
    }
}

/// Whether a unit is places in a program and no more, or what announces them.
fn is_stack(lines: &[&[u8]], compared: &[Compared]) -> bool {
    let places = |compared: &[Compared]| compared.iter().all(|line| line.by == Match::Place);
    places(compared) || is_title_of_stack(lines[0])
}
