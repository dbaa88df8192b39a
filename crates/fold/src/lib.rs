//! Similar lines and whole tracebacks of many ranks as one entry, with its ranks and what differs.
//!
//! # Overview
//!
//! Four implementations of [`Fold`](lastline_line::Fold), all pure: no clock, no IO, time is handed
//! in.
//!
//! - [`Off`] gives out every line as it comes.
//! - [`Ranks`] makes one entry of what several ranks say; lines of one rank are never merged.
//! - [`Similar`] makes one entry of all similar lines in a window, of whichever rank.
//! - [`EditDistance`] does so by the distance of the texts, character by character. It and
//!   [`Nearest`] need the feature `edit-distance`, which is on by default.
//!
//! `Ranks` and `Similar` compare lines by their statement, which a [`Miner`] finds; it can be used
//! alone. [`Nearest`] is what `EditDistance` compares with. [`Cause`] finds in a rank's last lines
//! why it failed, and [`fold_failures`] folds the causes of many ranks, for a summary.
//!
//! ```
//! use lastline_fold::{Ranks, RanksOptions};
//! use lastline_line::{
//!     Entry, Fold, Launch, Line, Offset, RankSet, Stream, StreamId, Timestamp,
//! };
//!
//! let mut fold = Ranks::new(RankSet::first(3), RanksOptions::default());
//! let mut shown = Vec::new();
//! for (rank, text) in (0..).zip(["step 7 loss 1.92", "step 7 loss 2.07", "step 7 loss 1.99"]) {
//!     let line = Line {
//!         stream: StreamId::new(Launch(1), rank, Stream::Stdout),
//!         start: Offset(0),
//!         bytes: text.len() as u64 + 1,
//!         time: Timestamp(0),
//!         text: text.as_bytes(),
//!         continuation: false,
//!         partial: false,
//!         redrawn: false,
//!     };
//!     fold.push(&line, line.time, &mut |entry| {
//!         if let Entry::Folded(folded) = entry {
//!             shown.push(format!("[{}] {}", folded.ranks, String::from_utf8_lossy(folded.text)));
//!         }
//!     });
//! }
//! assert_eq!(shown, ["[0-2] step 7 loss {1.92..2.07}"]);
//! ```
//!
//! # Theory of operation
//!
//! ## Statements
//!
//! A line is read once, byte by byte, into words, variables, and what stands between them. What is
//! variable is decided by its look alone: numbers with their units, hexadecimal numbers, addresses,
//! paths, names of hosts, dates, times, quoted values, `true` and `null` after `=`, `nan` and `inf`,
//! and values printed in a language's own notation (`{'op': 'stop'}`), also where the program cut
//! them short. A bracket behind a variable explains it (`1190 bytes (1.16 KB)`) and is beside the
//! statement. In a line of JSON with a message only that message's words count. A name with a
//! number at its end (`node-12`) keeps its name. A list of variables counts as one, however long it
//! is. The key of the statement is a sum of hashes, one for each word at its place, so finding a
//! statement takes one look into a table, however many are known. 64 bits are compared: that two
//! different statements among 10,000 share a key has a chance of about one in 10^11.
//!
//! What the look of a line cannot tell is whether a *word* is a variable: `session opened for user
//! cyrus`. That takes several statements. A new one is cut into parts: what stands between blanks,
//! brackets with all that they hold, a key (`state=`) and its value apart, a list of names as one.
//! Statements of as many parts that agree in more than they differ in are a family, in whichever
//! places they differ. What agreement counts for and difference costs depends on how a part is
//! written: a word that holds a sentence together (`of`, `the`) counts little and hardly ever
//! varies, a word with a colon or a key hardly ever varies, what follows one often does, so do
//! identifiers (`w.fetch`) and what consists of several words and variables (`numpy>=1.21`); the
//! first part says what the line is about. The family is looked for by single parts at their
//! places, among the eight used last of each, so that a new statement costs the same however many
//! are known.
//!
//! A place becomes a variable when its family has seen enough values there: two where one is a
//! variable by its look or consists of several words, five plain words, four identifiers or words
//! in capitals; fewer after a key, a colon, a preposition or a noun that names follow (`user`);
//! three more at the first place, and where little else agrees. What its family has at the other
//! places that differ stays apart. So a group is a family with the values at the places that are no
//! variables, and groups that were two become one when a place becomes a variable. All thresholds
//! stand in one place, `miner/weights.rs`; what each is worth on real logs is in `docs/folding.md`.
//! The mechanism resembles that of Drain (He et al., "Drain: An Online Log Parsing Approach with
//! Fixed Depth Tree", ICWS 2017) in that it compares lines of equal length part by part; it differs
//! in that a place needs evidence to vary, and in the index.
//!
//! A line without any word (`17`, `0x1f 3.5`) is the same as an equal one only.
//!
//! Most lines differ from an earlier one in digits alone. Such a line is not read but compared with
//! the earlier one between its numbers, eight bytes at a time; the result is the same.
//!
//! ## Units
//!
//! Lines that belong together are held until they are closed: by the stream's next line that is not
//! part of it, by 200 ms of silence (2 s inside a native backtrace, 10 s inside one whose symbols are
//! resolved on the way, and where more has to come), by the end of the rank. They fold whole, up to 1,000 lines and
//! 64 KiB. Such are the texts in which programs crash, in the shapes that their runtimes print:
//! Python's tracebacks, chained ones and exception groups too, and `faulthandler`; Rust panics with
//! any backtrace; stack traces of Java, Node and Julia; Go panics; a C++ terminate; backtraces of
//! glibc, gdb and PyTorch; Open MPI's report of a signal; a sanitizer's report. And a line that
//! announces more (it ends with a colon) with the indented lines after it; and a printed value whose
//! brackets are still open at the end of its first line, with the indented lines after it until they
//! are closed. While a unit of one stream is open, the rank's other stream goes on: the unit takes
//! its place when it closes.
//!
//! Two units are the same when they have as many lines and each is the same as its counterpart:
//!
//! - A message makes the same statement; its values are fields of the entry, as a line's are.
//! - A frame is at the same place of the program. What is a process's own may differ in it:
//!   addresses, hashes of symbols, numbers of threads, values of arguments. An offset (`+0x1d`) is
//!   part of the place.
//! - A line that is nothing but variables, like the second row of a printed tensor, has the same
//!   shape: the same marks, and as many variables between them.
//! - What a launcher puts before each line (`[rank3]: `) differs in numbers alone.
//!
//! ## Causes
//!
//! [`Cause`] tells which of a rank's last lines say why it failed: the last unit with a message and
//! frames, or near the end one with a word of failure, on stderr or, when that has only warnings, on stdout. Its
//! documentation has the rule.
//!
//! ## Ranks
//!
//! The open entries are a list, and each stream (the standard output or the standard error of a rank)
//! is aligned with it line by line, as sequences are in a progressive alignment. A line joins the
//! first open entry of its statement behind the last one that its stream shares with another, or
//! opens one right behind the last one of its stream and what has gone out behind that. So no stream is in an entry twice, its order is
//! kept, and a line that cannot fold hides nothing that others opened before it. What a stream alone
//! has said since the last entry that it shares may stand anywhere behind that one: it goes right
//! ahead of the entry that the stream joins next. Between the two streams of a rank there is no order
//! to keep. That an entry is ahead of another is a comparison of two labels, kept as by Dietz and
//! Sleator, "Two algorithms for maintaining order in a list" (1987).
//!
//! That is where somebody has missed no line. Who has puts what follows ahead of what the others said
//! before; so an entry ahead of the last one that a stream shares fits, too, if no stream's order keeps it
//! from being put behind that. And an entry in which several ranks agree on a value that the line has not is
//! passed over for another one that has it. Lines of a row are told apart by their place in it (`layer 3`,
//! `layer 4`; `kernel norm`, `kernel rotary`): a place on which ranks agreed in two entries, and which went
//! on from one to the next. There another value is another line, if it is one of the row and nobody has said
//! it yet: a number a few steps on or back, or a name. Before two entries there is nothing to tell a row by.
//!
//! An entry goes out when every rank
//! that lives has said it, or when its window ends; what its streams have said before goes first,
//! rank by rank, and nothing else. A statement that only one rank has made is given out at once from
//! the second time on, or as soon as nothing older holds that stream.
//!
//! That a word is a variable may be found while lines are in open entries that the miner took for
//! different statements. Entries with such lines are read again, and become one where the order of every
//! stream allows it. So it does not matter whose value came first.
//!
//! Beside that lines join as they come, and nothing is undone. So when streams say the same things in different
//! orders there may be more entries than an alignment of the whole would make.
//!
//! ## What an entry looks like
//!
//! Like its first line, with what differs in its place: numbers of one unit as `{min..max}`, other
//! values as `{a,b,c…(+5)}`, where the count is that of different values not shown. Where nearly all
//! agree and few do not, these are named: `{0.750..0.813, 37: nan}`, `{true, 9: false}`. Outliers are
//! parted by a comma and a blank, the ranks of one by a comma alone: `{3, 5,9: nan, 12: 7}`. At most
//! three are named, then `…(+5)` counts the other outlying values. The rules:
//!
//! - What a place has may be a text with words and values of its own (`{'loss': 2.3}`, `cuda:3`). Where at
//!   least three of four statements have the same words there, each of these values is told by itself,
//!   by the same rules, and what has other words is an outlier of the whole.
//! - Where two or three values that are no numbers each have several ranks, or there are two ranks, the
//!   value of most is the common one.
//! - A value that at least three of four statements have is the common one; the others are outliers.
//! - Otherwise, where at least three of four are finite numbers of one unit, what is not, what is far
//!   off, and a negative one among others are outliers. Far off is what is beyond Tukey's outer
//!   fences, with a gap of twice the range of the rest, or more where there are few; one of ten at
//!   most. `nan` and infinities do not count among the four: they are outliers however many they are.
//!
//! What each statement had in the places that differ is kept as it was written, up to 4,096 statements
//! for an entry. Of later ones only the least and the greatest number and up to 64 other values of
//! each place are kept, with who said them; the field says so.
//!
//! Colours stay when all lines have the same at the same places, seen from what varies. What moves the
//! cursor, erases or sets a title is left out, and other control characters are made visible, so that
//! an entry does nothing to a terminal. An entry of one
//! statement is given out as the lines that were written.
//!
//! # Laws
//!
//! Those of [`Fold`](lastline_line::Fold): conservation, release and bounds hold for all four. Order
//! holds for [`Off`] and [`Ranks`]. [`Similar`] and [`EditDistance`] give a line out at once or
//! gather it until a window ends, whatever comes between, so they keep the order of lines given out
//! at once, and of entries. `lastline_testing::laws::fold` runs them all.
//!
//! What is held is bounded by [`Bounds`], what is known of statements by [`MinerOptions`]. Over the
//! bounds the oldest entries go out early. Lines that are partial, unless their stream ends
//! with them, go on with another one or are longer than [`Bounds::max_line_bytes`] pass unfolded.
//!
//! # Writing your own
//!
//! 1. Implement [`Fold::push`](lastline_line::Fold::push): give the line out as
//!    [`Entry::Line`](lastline_line::Entry::Line), or keep a copy.
//! 2. Implement [`due`](lastline_line::Fold::due) for what is kept: give out what has waited long
//!    enough, and say when to be asked again.
//! 3. Implement [`finish`](lastline_line::Fold::finish): give out the rest.
//! 4. For each line kept, count its bytes into a [`Member`](lastline_line::Member) of the entry: the
//!    caller advances what is shown by them.
//! 5. Run `lastline_testing::laws::fold::all` on it, and `keeps_order` if it promises order.
//!
//! # What it does not do
//!
//! It prints nothing: prefixes, colours and the notation of rank sets are a printer's. It does not
//! cut lines, decode them, or know of redrawn progress bars. It keeps no file: what was folded is
//! found by the addresses of an entry's first and last line.

mod cause;
mod colours;
mod column;
#[cfg(feature = "edit-distance")]
mod edit;
mod entry;
mod field;
mod generations;
mod inside;
mod keys;
mod miner;
#[cfg(feature = "edit-distance")]
mod nearest;
mod number;
mod options;
mod outlier;
mod place;
mod ranks;
mod read;
mod similar;
mod skeleton;
mod speakers;
mod statement;
mod summary;
mod unit;
mod values;
mod window;

pub use cause::{Cause, Excerpt};
#[cfg(feature = "edit-distance")]
pub use edit::{EditDistance, EditDistanceOptions};
pub use lastline_line::Off;
pub use miner::{GroupId, Miner, MinerOptions, Statement};
#[cfg(feature = "edit-distance")]
pub use nearest::{MAX_SHARE, Nearest};
pub use options::Bounds;
pub use place::Place;
pub use ranks::{Ranks, RanksOptions};
pub use similar::{Similar, SimilarOptions};
pub use summary::{Failures, fold_failures};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
