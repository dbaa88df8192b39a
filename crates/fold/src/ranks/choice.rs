//! Which of the open entries of its statement a line joins.

use lastline_line::RankSet;

use super::cursors::Use;
use super::order::Position;
use super::queue::{Open, Queue};
use super::sequence::{Sequence, Track};
use crate::read::Reading;

/// How many entries of a statement are looked at for the one that a line belongs to.
const MAX_CHOICES: usize = 16;
/// How many of them where some may be its own.
const MAX_LOOKED_AT: usize = 64;
/// How many of those that are ahead of what the line's stream shares.
const MAX_AHEAD: usize = 8;
/// How far ahead of that.
const MAX_WAY: usize = 128;

/// What a line comes to among the open entries of its statement.
pub(super) struct Choice {
    /// The entry that it comes to first, behind the last one which its stream shares.
    pub(super) first: Option<Position>,
    /// The one that it joins, if it does, and what has to be put behind the last shared one for that.
    pub(super) joins: Option<(Position, Vec<Position>)>,
}

/// Chooses the entry that a line joins. `shared` is the last one which its stream shares.
///
/// The entry is the first behind that one, unless the line has another value than what several ranks
/// agree on in it, and not by chance, or than the one by which such lines are told apart ([`Track`]): then
/// somebody has missed a line, and joining would make one of them one behind for good. A later one that has the
/// value is taken. So is one ahead of `shared` that may be behind it as well, for all that the streams
/// say: it was put where it is by one who missed what the others said before. Where no entry has the
/// value, and it is of the row in which such lines go on, it is another line; else another value.
pub(super) fn choose(
    queue: &Queue,
    used: &Use,
    shared: Position,
    rank: u32,
    reading: &Reading<'_>,
) -> Choice {
    let order = &queue.order;
    let own = |at: &Position| queue.get(*at).is_some_and(|open| open.only == Some(rank));
    let behind = used.open.partition_point(|&at| !order.is_ahead(shared, at));
    let (from, most) = match (used.open.get(behind), used.open.back()) {
        // What the stream alone has said stands ahead of all else, unless that was put behind `shared`.
        (Some(next), Some(last)) if own(next) && !own(last) => {
            (used.open.partition_point(|at| !order.is_ahead(shared, *at) || own(at)), usize::MAX)
        }
        (Some(next), _) if !own(next) => (behind, MAX_LOOKED_AT),
        _ => (used.open.len(), 0),
    };
    let mut fitting = used.open.iter().skip(from).take(most).copied().filter(|at| !own(at));
    let first = fitting.next();
    let joins = choose_from(first, fitting, queue, used, (shared, rank), reading);
    Choice { first, joins }
}

/// The same, where `first` and `later` are the entries behind `shared` that it may join.
fn choose_from(
    first: Option<Position>,
    later: impl Iterator<Item = Position>,
    queue: &Queue,
    used: &Use,
    (shared, rank): (Position, u32),
    reading: &Reading<'_>,
) -> Option<(Position, Vec<Position>)> {
    let (order, track) = (&queue.order, used.sequence.track());
    let first = first.and_then(|at| Some((at, queue.get(at)?)));
    let own = |at: &Position| queue.get(*at).is_some_and(|open| open.only == Some(rank));
    let wanted = Wanted::of(first.map(|(_, open)| open), &used.sequence, reading);
    let Some(wanted) = wanted else { return first.map(|(at, _)| (at, Vec::new())) };
    let has = |at: &Position| queue.get(*at).is_some_and(|open| wanted.has(open, reading));
    if first.is_some()
        && let Some(found) = later.take(MAX_CHOICES).find(has)
    {
        return Some((found, Vec::new()));
    }
    let ahead = used.open.partition_point(|&at| !order.is_ahead(shared, at));
    let near = used.open.iter().take(ahead).rev().take(MAX_AHEAD).filter(|at| !own(at) && has(at));
    let movable = |&at: &Position| Some((at, moves_behind(queue, at, shared, rank)?));
    if let Some(found) = near.filter_map(movable).next_back() {
        return Some(found);
    }
    let (at, open) = first?;
    let goes_on = track.is_some_and(|track| {
        let said = reading.places.get(track.place).map(|place| place.of(reading.plain));
        let of_entry = open.gathered.first_value(track.place);
        said.zip(of_entry).is_some_and(|(said, of_entry)| track.goes_on(of_entry, said))
    });
    (!goes_on).then_some((at, Vec::new()))
}

/// What an entry must have for a line to join it rather than the first one.
enum Wanted<'a> {
    /// Nothing that several agree on and the line has not.
    NothingElse,
    /// The line's value in one of these places.
    In(Vec<usize>),
    /// In this one.
    At(&'a Track),
}

impl<'a> Wanted<'a> {
    /// None when the line joins the first entry.
    fn of(first: Option<&Open>, sequence: &'a Sequence, reading: &Reading<'_>) -> Option<Self> {
        match (first, sequence.track()) {
            (Some(open), Some(track)) if open.gathered.starts_with(track.place, reading) => None,
            (_, Some(track)) => Some(Self::At(track)),
            (Some(open), None) => {
                let mut differing = open.gathered.agreed_otherwise(reading);
                differing.retain(|&place| !sequence.is_chance(place));
                (!differing.is_empty()).then_some(Self::In(differing))
            }
            (None, None) => Some(Self::NothingElse),
        }
    }

    fn has(&self, open: &Open, reading: &Reading<'_>) -> bool {
        match self {
            Self::NothingElse => !open.gathered.has_agreed_otherwise(reading),
            Self::In(places) => {
                places.iter().any(|&place| open.gathered.starts_with(place, reading))
            }
            Self::At(track) => open.gathered.starts_with(track.place, reading),
        }
    }
}

/// What has to be put behind `shared` so that an entry ahead of it is behind it: the entry, and what its
/// streams and those of what is put there have said after it. None where that cannot be: a stream has
/// said `shared` after it, or `rank` something.
fn moves_behind(queue: &Queue, at: Position, shared: Position, rank: u32) -> Option<Vec<Position>> {
    let open = queue.get(at)?;
    let (stream, mut ranks) = (open.stream, open.gathered.ranks.clone());
    let overlaps = |ranks: &RankSet, open: &Open| {
        open.stream == stream && open.gathered.ranks.iter().any(|rank| ranks.contains(rank))
    };
    let (mut moved, mut next) = (vec![at], queue.order.behind(at));
    for _ in 0..MAX_WAY {
        if next == shared {
            let held = queue.get(shared).is_some_and(|open| overlaps(&ranks, open));
            return (!held && !ranks.contains(rank)).then_some(moved);
        }
        if next == Position::HEAD {
            return None;
        }
        if let Some(open) = queue.get(next).filter(|open| overlaps(&ranks, open)) {
            open.gathered.ranks.iter().for_each(|rank| {
                ranks.insert(rank);
            });
            moved.push(next);
        }
        next = queue.order.behind(next);
    }
    None
}
