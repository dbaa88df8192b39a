//! The laws of [`Fold`].

use std::collections::BTreeMap;

use lastline_line::{Entry, Fold, Line, Offset, StreamId, Timestamp};

/// Runs every law on folds that `make` makes.
pub fn all<F: Fold>(mut make: impl FnMut() -> F) {
    conserves(&mut make());
}

/// Law 1: what goes in comes out, alone or counted, stream by stream.
pub fn conserves(fold: &mut impl Fold) {
    let mut told: BTreeMap<StreamId, (u64, u64)> = BTreeMap::new();
    let mut given: BTreeMap<StreamId, (u64, u64)> = BTreeMap::new();
    let mut emit = |entry: Entry<'_>| match entry {
        Entry::Line(line) => count(&mut given, line.stream, 1, line.bytes),
        Entry::Folded(folded) => {
            for member in folded.members {
                count(&mut given, member.stream, member.lines, member.bytes);
            }
        }
    };
    for step in 0..200_u64 {
        let stream = crate::stdout(u32::try_from(step % 7).expect("BUG: below 7"));
        let text = format!("step {} loss {}.5", step / 7, step % 3);
        let line = Line {
            stream,
            start: Offset(step * 100),
            bytes: text.len() as u64 + 1,
            time: Timestamp(step * 1000),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
        };
        count(&mut told, stream, 1, line.bytes);
        fold.push(&line, line.time, &mut emit);
    }
    fold.finish(&mut emit);
    assert_eq!(given, told, "law 1: what went in did not come out");
}

fn count(into: &mut BTreeMap<StreamId, (u64, u64)>, stream: StreamId, lines: u64, bytes: u64) {
    let entry = into.entry(stream).or_default();
    entry.0 += lines;
    entry.1 += bytes;
}
