//! The laws of [`Fold`].

use std::collections::{BTreeMap, VecDeque};

use lastline_line::{Entry, Fold, Line, Offset, Stream, StreamId, Timestamp};

/// Runs laws 1, 3 and 4 on folds that `make` makes: those that hold for every fold.
pub fn all<F: Fold>(mut make: impl FnMut() -> F) {
    conserves(&mut make());
    releases(&mut make());
    is_bounded(&mut make(), 100_000);
}

/// Law 1: what goes in comes out, alone or counted, stream by stream.
pub fn conserves(fold: &mut impl Fold) {
    let mut ledger = Ledger::default();
    for (step, text) in script() {
        ledger.push(fold, step, &text);
    }
    for rank in 0..7 {
        ledger.push_last(fold, 700 + rank, "step 100 lo");
    }
    fold.finish(&mut |entry| ledger.given.take(entry));
    assert_eq!(ledger.given, ledger.pushed, "law 1: what went in did not come out");
}

/// Law 2, for folds that promise it: lines of one stream come out in the order in which they came.
/// An entry may stand for several lines of a stream, if those came one after the other.
pub fn keeps_order(fold: &mut impl Fold) {
    let mut expected: BTreeMap<StreamId, VecDeque<String>> = BTreeMap::new();
    let words = ["load", "train", "save", "test"];
    for step in 0..2000_u64 {
        let mixed = step.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let stream = stream(mixed % 5, (mixed >> 3).is_multiple_of(4));
        let text = format!("{} the model", words[(mixed >> 6) as usize % words.len()]);
        expected.entry(stream).or_default().push_back(text.clone());
        let line = line(stream, step, &text);
        fold.push(&line, line.time, &mut |entry| take_in_order(&mut expected, &entry));
    }
    fold.finish(&mut |entry| take_in_order(&mut expected, &entry));
    assert!(expected.values().all(VecDeque::is_empty), "law 1: what went in did not come out");
}

/// The next lines of each stream that an entry stands for are those that it shows.
fn take_in_order(expected: &mut BTreeMap<StreamId, VecDeque<String>>, entry: &Entry<'_>) {
    let (text, members, shows_all) = match entry {
        Entry::Line(line) => (line.text, vec![(line.stream, 1)], true),
        Entry::Folded(folded) => {
            let members = folded.members.iter().map(|member| (member.stream, member.lines));
            // What differs stands in the fields.
            (folded.text, members.collect(), folded.fields.fields().is_empty())
        }
    };
    for (stream, lines) in members {
        let shown = text.split(|&byte| byte == b'\n').cycle();
        for line in shown.take(usize::try_from(lines).expect("BUG: a small number")) {
            let next = expected.get_mut(&stream).and_then(VecDeque::pop_front);
            let line = String::from_utf8_lossy(line);
            let same = !shows_all || next.as_deref() == Some(&*line);
            assert!(next.is_some() && same, "law 2: {stream}: {line:?} where {next:?} is next");
        }
    }
}

/// Law 3: who asks when `due` says is given everything, without `finish`.
pub fn releases(fold: &mut impl Fold) {
    let mut ledger = Ledger::default();
    let mut now = Timestamp::default();
    for (step, text) in script() {
        now = ledger.push(fold, step, &text);
    }
    for _ in 0..10_000 {
        match fold.due(now, &mut |entry| ledger.given.take(entry)) {
            Some(next) => now = next.max(now),
            None => break,
        }
    }
    assert_eq!(ledger.given, ledger.pushed, "law 3: held longer than `due` said");
}

/// Law 4: however many different statements go in at one time, no more than `lines` are held.
pub fn is_bounded(fold: &mut impl Fold, lines: u64) {
    let mut ledger = Ledger::default();
    for step in 0..4 * lines {
        let text = word(step);
        let line = Line { time: Timestamp(0), ..line(stream(step % 7, false), step, &text) };
        ledger.pushed.count(line.stream, 1, line.bytes);
        fold.push(&line, line.time, &mut |entry| ledger.given.take(entry));
        let held = ledger.pushed.lines - ledger.given.lines;
        assert!(held <= lines, "law 4: {held} lines are held");
    }
    fold.finish(&mut |entry| ledger.given.take(entry));
    assert_eq!(ledger.given, ledger.pushed, "law 1: what went in did not come out");
}

/// Lines and bytes, stream by stream.
#[derive(Debug, Default, PartialEq)]
struct Account {
    streams: BTreeMap<StreamId, (u64, u64)>,
    lines: u64,
}

impl Account {
    fn count(&mut self, stream: StreamId, lines: u64, bytes: u64) {
        let entry = self.streams.entry(stream).or_default();
        entry.0 += lines;
        entry.1 += bytes;
        self.lines += lines;
    }

    fn take(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Line(line) => self.count(line.stream, 1, line.bytes),
            Entry::Folded(folded) => {
                let members: u64 = folded.members.iter().map(|member| member.lines).sum();
                assert_eq!(members, folded.lines, "an entry's members are not its lines");
                for member in folded.members {
                    assert!(folded.ranks.contains(member.stream.rank), "a member is not named");
                    self.count(member.stream, member.lines, member.bytes);
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Ledger {
    pushed: Account,
    given: Account,
}

impl Ledger {
    fn push(&mut self, fold: &mut impl Fold, step: u64, text: &str) -> Timestamp {
        let line = line(stream(step % 7, step.is_multiple_of(11)), step, text);
        self.pushed.count(line.stream, 1, line.bytes);
        fold.push(&line, line.time, &mut |entry| self.given.take(entry));
        line.time
    }

    fn push_last(&mut self, fold: &mut impl Fold, step: u64, text: &str) {
        let whole = line(stream(step % 7, false), step, text);
        let line = Line { partial: true, bytes: whole.bytes - 1, ..whole };
        self.pushed.count(line.stream, 1, line.bytes);
        fold.push_last(&line, line.time, &mut |entry| self.given.take(entry));
    }
}

/// Steps of training, a traceback now and then.
fn script() -> impl Iterator<Item = (u64, String)> {
    (0..700_u64).map(|step| {
        let text = match step / 7 % 10 {
            6 => "Traceback (most recent call last):".to_owned(),
            7 => "  File \"train.py\", line 3, in <module>".to_owned(),
            8 => format!("ValueError: bad batch {}", step % 3),
            _ => format!("step {} loss {}.5", step / 7, step % 3),
        };
        (step, text)
    })
}

/// Sixteen letters that no other number has, or anything like them.
fn word(number: u64) -> String {
    let mut mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 29;
    mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (0..16).map(|place| char::from(b'g' + (mixed >> (4 * place) & 15) as u8)).collect()
}

pub(super) fn stream(rank: u64, stderr: bool) -> StreamId {
    let stdout = crate::stdout(u32::try_from(rank).expect("BUG: a small number"));
    StreamId { stream: if stderr { Stream::Stderr } else { Stream::Stdout }, ..stdout }
}

pub(super) fn line(stream: StreamId, step: u64, text: &str) -> Line<'_> {
    Line {
        stream,
        start: Offset(step * 100),
        bytes: text.len() as u64 + 1,
        time: Timestamp(step * 1000),
        text: text.as_bytes(),
        continuation: false,
        partial: false,
        redrawn: false,
    }
}

#[cfg(test)]
mod tests {
    use lastline_line::{Address, Emit, Folded, Member, RankSet};

    use super::*;

    /// Equal lines of one stream that follow each other are one entry.
    #[derive(Default)]
    struct Repeats(Option<(StreamId, String, u64, u64, Timestamp)>);

    impl Fold for Repeats {
        fn push(&mut self, line: &Line<'_>, now: Timestamp, emit: &mut Emit<'_>) {
            let text = String::from_utf8_lossy(line.text).into_owned();
            match &mut self.0 {
                Some((stream, held, lines, bytes, _))
                    if (*stream, &*held) == (line.stream, &text) =>
                {
                    *lines += 1;
                    *bytes += line.bytes;
                }
                _ => {
                    self.finish(emit);
                    self.0 = Some((line.stream, text, 1, line.bytes, now));
                }
            }
        }

        fn due(&mut self, now: Timestamp, emit: &mut Emit<'_>) -> Option<Timestamp> {
            let due = self.0.as_ref().map(|(.., since)| Timestamp(since.0 + 1000))?;
            if due > now {
                return Some(due);
            }
            self.finish(emit);
            None
        }

        fn finish(&mut self, emit: &mut Emit<'_>) {
            let Some((stream, text, lines, bytes, time)) = self.0.take() else { return };
            let (first, ranks) = (
                Address { stream, start: Offset(0) },
                [stream.rank].into_iter().collect::<RankSet>(),
            );
            emit(Entry::Folded(Folded {
                stream: stream.stream,
                text: text.as_bytes(),
                lines,
                count: lines,
                ranks: &ranks,
                except: None,
                fields: &Vec::new(),
                first,
                last: first,
                time,
                members: &[Member { stream, lines, bytes }],
            }));
        }
    }

    #[test]
    fn an_entry_may_stand_for_several_lines_of_a_stream() {
        all(Repeats::default);
        keeps_order(&mut Repeats::default());
    }
}
