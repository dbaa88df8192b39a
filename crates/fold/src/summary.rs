//! What ranks said when they failed, folded for a summary.

use std::collections::HashSet;
use std::time::Duration;

use lastline_line::{
    Colours, Entry, Fold, Launch, Line, Offset, RankSet, Stream, StreamId, Timestamp, plain_text,
};

use crate::cause::Unit;
use crate::miner::{GroupId, Miner};
use crate::ranks::{Ranks, RanksOptions};
use crate::unit::Match;

/// Longer than the pauses between any number of ranks.
const WINDOW: Duration = Duration::from_secs(365 * 86_400);
/// A pause after which a rank's unit is whole.
const PAUSE: Duration = Duration::from_secs(60);

/// Ranks that said the same when they failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failures {
    /// Who.
    pub ranks: RankSet,
    /// What they said, with what differs in its place, as in an entry.
    pub lines: Vec<String>,
    /// Which of the lines says what happened. Of several such lines, as of chained exceptions, the one that
    /// the rank died of, unless that makes the same statement as an earlier one's: then the last that none
    /// before has.
    pub message: usize,
    /// Which line to show for what differs, if anything but addresses does: the message, where that
    /// is not the same for all.
    pub differs: Option<usize>,
}

/// Folds what ranks said when they failed: the lines of each one's [`Cause`](crate::Cause), each
/// rank once. Those that made the same statement at the same places of the program come together, in
/// the order in which their first one is in `said`.
///
/// ```
/// let said: Vec<(u32, [String; 2])> = (0..3)
///     .map(|rank| {
///         let thrown = "terminate called after throwing an instance of 'std::runtime_error'";
///         (rank, [thrown.to_owned(), format!("  what():  bad shard {rank}")])
///     })
///     .collect();
/// let said: Vec<(u32, &[String])> = said.iter().map(|(rank, lines)| (*rank, &lines[..])).collect();
/// let failures = lastline_fold::fold_failures(&said);
/// assert_eq!(failures.len(), 1);
/// assert_eq!(failures[0].ranks.to_string(), "0-2");
/// assert_eq!(failures[0].lines[failures[0].message], "  what():  bad shard {0..2}");
/// ```
pub fn fold_failures<L: AsRef<[u8]>>(said: &[(u32, &[L])]) -> Vec<Failures> {
    let options = RanksOptions { window: WINDOW, ..RanksOptions::default() };
    let mut fold = Ranks::new(said.iter().map(|(rank, _)| *rank).collect::<RankSet>(), options);
    let mut entries = Entries::default();
    let mut now = Timestamp::default();
    for (rank, lines) in said {
        let stream = StreamId::new(Launch(0), *rank, Stream::Stderr);
        let mut start = 0;
        for text in lines.iter().map(AsRef::as_ref) {
            let line = whole_line(stream, Offset(start), now, text);
            fold.push(&line, now, &mut |entry| entries.take(entry));
            start += line.bytes;
        }
        now = now.after(PAUSE);
        fold.due(now, &mut |entry| entries.take(entry));
    }
    fold.finish(&mut |entry| entries.take(entry));
    let mut failures: Vec<_> =
        entries.0.into_iter().filter_map(|entry| told(entry, said)).collect();
    failures.sort_by_key(|(at, ..)| *at);
    let messages: Vec<Vec<(usize, &[u8])>> = failures
        .iter()
        .map(|(_, unit, lines, _)| unit.messages().map(|at| (at, lines[at])).collect())
        .collect();
    let mut failures: Vec<Failures> = failures.into_iter().map(|(.., failures)| failures).collect();
    tell_apart(&mut failures, &messages);
    failures
}

/// Lets each tell a message that makes another statement than those told before, if it has one.
/// `messages` are those that each one's first rank said, with their places in its lines.
fn tell_apart(failures: &mut [Failures], messages: &[Vec<(usize, &[u8])>]) {
    let mut miner = Miner::default();
    let mut statements: Vec<Vec<(usize, GroupId)>> = Vec::new();
    for messages in messages {
        statements.push(messages.iter().map(|(at, line)| (*at, miner.group(line))).collect());
    }
    let (mut told, mut said) = (HashSet::new(), HashSet::new());
    for (failure, statements) in failures.iter_mut().zip(statements) {
        let statements: Vec<(usize, GroupId)> =
            statements.into_iter().map(|(at, group)| (at, miner.resolve(group))).collect();
        let own = statements.iter().find(|(at, _)| *at == failure.message);
        let is_told = own.is_some_and(|(_, group)| told.contains(group));
        let other = statements.iter().rev().find(|(_, group)| is_told && !said.contains(group));
        if let Some((at, group)) = other.or(own) {
            failure.message = *at;
            told.insert(*group);
        }
        said.extend(statements.iter().map(|(_, group)| *group));
    }
}

/// Whose, the first of them, and the text.
type Taken = (RankSet, u32, Vec<u8>);

/// What a fold gave out.
#[derive(Debug, Default)]
struct Entries(Vec<Taken>);

impl Entries {
    fn take(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Folded(folded) => {
                let first = folded.first.stream.rank;
                self.0.push((folded.ranks.clone(), first, folded.text.to_vec()));
            }
            Entry::Line(line) => self.add(line.stream.rank, line.text),
        }
    }

    /// A line that stands for itself: all such lines of a rank are what that rank said.
    fn add(&mut self, rank: u32, line: &[u8]) {
        let mut text = Vec::new();
        plain_text(line, Colours::Drop, &mut text);
        let alone = |taken: &&mut Taken| taken.1 == rank && taken.0.len() == 1;
        match self.0.iter_mut().find(alone) {
            Some((_, _, lines)) => {
                lines.push(b'\n');
                lines.extend_from_slice(&text);
            }
            None => self.0.push((RankSet::from_iter([rank]), rank, text)),
        }
    }
}

/// An entry, by where its first rank is in `said`, with what that one said.
fn told<'a, L: AsRef<[u8]>>(
    (ranks, first, text): Taken,
    said: &[(u32, &'a [L])],
) -> Option<(usize, Unit, Vec<&'a [u8]>, Failures)> {
    let at = said.iter().position(|(rank, _)| *rank == first)?;
    let earliest = said.iter().position(|(rank, _)| ranks.contains(*rank))?;
    let lines: Vec<&[u8]> = said[at].1.iter().map(AsRef::as_ref).collect();
    let unit = Unit::first_of(&lines);
    let shown: Vec<String> = text
        .split(|byte| *byte == b'\n')
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    let differs = |at: &usize| {
        let mut plain = Vec::new();
        plain_text(lines[*at], Colours::Drop, &mut plain);
        unit.compares(*at) != Match::Place && *shown[*at].as_bytes() != *plain
    };
    let message = unit.message().min(shown.len().saturating_sub(1));
    let compared = 0..shown.len().min(lines.len());
    let differs = std::iter::once(message).chain(compared).find(differs);
    Some((earliest, unit, lines, Failures { ranks, lines: shown, message, differs }))
}

/// A line that came whole.
fn whole_line(stream: StreamId, start: Offset, time: Timestamp, text: &[u8]) -> Line<'_> {
    Line {
        stream,
        start,
        bytes: text.len() as u64 + 1,
        time,
        text,
        continuation: false,
        partial: false,
        redrawn: false,
    }
}
