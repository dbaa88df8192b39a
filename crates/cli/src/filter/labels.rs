//! The labels of a filter's lines: which rank each one is, and how several are written.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lastline_line::{RankNames, RankSet};

/// Where the ranks of labels without a number begin, when the others are numbers.
const NAMED_FROM: u32 = 1 << 16;

/// What lines without a label are labelled.
pub(crate) const UNLABELLED: &str = "?";

/// Labels and their ranks. Clones share them.
///
/// When the first label is a number, a rank is the number that its label is. Otherwise ranks count
/// the labels as they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelRanks(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    ranks: HashMap<Box<str>, u32>,
    names: BTreeMap<u32, Box<str>>,
    /// The first label was a number.
    numbers: bool,
}

impl LabelRanks {
    /// The rank of a label, which gets one when it is new.
    pub(crate) fn rank(&self, label: &str) -> u32 {
        let mut known = self.known();
        if let Some(&rank) = known.ranks.get(label) {
            return rank;
        }
        let rank = known.next_rank(label);
        known.ranks.insert(label.into(), rank);
        known.names.insert(rank, label.into());
        rank
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn next_rank(&mut self, label: &str) -> u32 {
        let number = number(label);
        if self.names.is_empty() {
            self.numbers = number.is_some();
        }
        match number {
            Some(rank) if self.numbers => rank,
            _ => {
                let first = if self.numbers { NAMED_FROM } else { 0 };
                self.names.last_key_value().map_or(first, |(&last, _)| first.max(last + 1))
            }
        }
    }
}

/// The number that a label is, when no other text is the same number.
fn number(label: &str) -> Option<u32> {
    let rank: u32 = label.parse().ok()?;
    (rank < NAMED_FROM && label == rank.to_string()).then_some(rank)
}

impl RankNames for LabelRanks {
    fn write(&self, ranks: &RankSet, into: &mut dyn Write) -> fmt::Result {
        let known = self.known();
        let names = ranks.iter().filter_map(|rank| known.names.get(&rank));
        write_names(names.map(AsRef::as_ref), into)
    }

    fn noun(&self) -> &'static str {
        "labels"
    }
}

/// What stands around the last number of names that are counted, and how many digits the number is
/// filled up to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Around<'a> {
    before: &'a str,
    after: &'a str,
    digits: usize,
}

/// Writes names as clusters do: `node[1-8,12],login`. Numbers alone have no brackets: `0-3,8`.
fn write_names<'a>(names: impl Iterator<Item = &'a str>, into: &mut dyn Write) -> fmt::Result {
    let (mut numbered, mut others) = (Vec::new(), Vec::new());
    for name in names {
        match split_number(name) {
            Some(split) => numbered.push(split),
            None => others.push(name),
        }
    }
    // Those that are filled up first: `node10` belongs to `node09`.
    numbered.sort_by_key(|(around, ..)| around.digits == 0);
    let mut counted: BTreeMap<Around<'_>, RankSet> = BTreeMap::new();
    for (around, digits, number) in numbered {
        let filled = Around { digits, ..around };
        let around = if counted.contains_key(&filled) { filled } else { around };
        counted.entry(around).or_default().insert(number);
    }
    others.sort_unstable();
    let mut separator = "";
    for (around, numbers) in &counted {
        into.write_str(separator)?;
        write_counted(around, numbers, into)?;
        separator = ",";
    }
    for name in others {
        write!(into, "{separator}{name}")?;
        separator = ",";
    }
    Ok(())
}

fn write_counted(around: &Around<'_>, numbers: &RankSet, into: &mut dyn Write) -> fmt::Result {
    let alone = around.before.is_empty() && around.after.is_empty();
    let brackets = !alone && numbers.len() > 1;
    let width = around.digits;
    write!(into, "{}{}", around.before, if brackets { "[" } else { "" })?;
    for (at, (first, last)) in numbers.ranges().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let dash = if last == first + 1 { ',' } else { '-' };
        write!(into, "{comma}{first:0width$}")?;
        if last > first {
            write!(into, "{dash}{last:0width$}")?;
        }
    }
    write!(into, "{}{}", if brackets { "]" } else { "" }, around.after)
}

/// The last number in a name: what stands around it, how many digits it has, and what it is.
fn split_number(name: &str) -> Option<(Around<'_>, usize, u32)> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let digits = name[..end].bytes().rev().take_while(u8::is_ascii_digit).count();
    let (start, text) = (end - digits, &name[end - digits..end]);
    // A set of ranks has a bit for each number.
    let number = text.parse().ok().filter(|number| *number < NAMED_FROM)?;
    let filled = if text.starts_with('0') && digits > 1 { digits } else { 0 };
    Some((Around { before: &name[..start], after: &name[end..], digits: filled }, digits, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(labels: &[&str]) -> String {
        let ranks = LabelRanks::default();
        let set: RankSet = labels.iter().map(|label| ranks.rank(label)).collect();
        let mut text = String::new();
        ranks.write(&set, &mut text).unwrap();
        text
    }

    #[test]
    fn labels_are_written_as_clusters_write_hosts() {
        let table: [(&[&str], &str); 9] = [
            (&["3"], "3"),
            (&["0", "1", "2", "8"], "0-2,8"),
            (&["node2", "node1", "node3", "node9"], "node[1-3,9]"),
            (&["node7"], "node7"),
            (&["node08", "node10", "node09", "node111"], "node111,node[08-10]"),
            (&["pod/train-0/main", "pod/train-1/main"], "pod/train-[0,1]/main"),
            (&["a", "c", "b"], "a,b,c"),
            (&["r1n1", "r1n2", "r2n1"], "r1n[1,2],r2n1"),
            (&["gpu99999999999", "0"], "0,gpu99999999999"),
        ];
        for (labels, text) in table {
            assert_eq!(written(labels), text, "{labels:?}");
        }
    }

    #[test]
    fn numbers_are_their_own_ranks_where_the_first_label_is_one() {
        let ranks = LabelRanks::default();
        assert_eq!(["7", "0", "login", "07"].map(|label| ranks.rank(label)), [7, 0, 65536, 65537]);
        let ranks = LabelRanks::default();
        assert_eq!(["login", "7", "login"].map(|label| ranks.rank(label)), [0, 1, 0]);
    }
}
