//! Properties over random streams.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lastline_fold::{Bounds, Ranks, RanksOptions, Similar, SimilarOptions};
#[cfg(feature = "edit-distance")]
use lastline_fold::{EditDistance, EditDistanceOptions};
use lastline_line::{Entry, Fold, Line, Offset, RankSet, Stream, StreamId, Timestamp};
use lastline_testing::stdout;
use proptest::prelude::*;

const RANKS: u32 = 4;

/// What happens to a fold.
#[derive(Clone, Debug)]
enum Event {
    Say { rank: u32, stderr: bool, text: String, partial: bool },
    Wait(u64),
    Ended(u32),
    Finish,
}

fn text() -> impl Strategy<Value = String> {
    let said = prop_oneof![
        Just("step {} done"),
        Just("loss {}"),
        Just("rank {} says hello to everybody"),
        Just("Traceback (most recent call last):"),
        Just("  File \"train.py\", line {}, in <module>"),
        Just("ValueError: {}"),
        Just(""),
        Just("  indented"),
        Just("options:"),
        Just("\x1b[31mred {}\x1b[0m"),
        Just("panic: {}"),
        Just("goroutine {} [running]:"),
    ];
    (said, 0_u32..4).prop_map(|(text, number)| text.replace("{}", &number.to_string()))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => (0..RANKS, prop::bool::weighted(0.2), text(), prop::bool::weighted(0.05))
            .prop_map(|(rank, stderr, text, partial)| Event::Say { rank, stderr, text, partial }),
        2 => (0_u64..400_000).prop_map(Event::Wait),
        1 => (0..RANKS).prop_map(Event::Ended),
        1 => Just(Event::Finish),
    ]
}

/// What was said and not yet given out, stream by stream, oldest first.
#[derive(Default)]
struct Account {
    said: BTreeMap<StreamId, VecDeque<(String, u64)>>,
    bytes: BTreeMap<StreamId, (i64, i64)>,
}

impl Account {
    fn say(&mut self, line: &Line<'_>) {
        let text = String::from_utf8_lossy(line.text).into_owned();
        self.said.entry(line.stream).or_default().push_back((text, line.start.0));
        let held = self.bytes.entry(line.stream).or_default();
        (held.0, held.1) = (held.0 + 1, held.1 + line.bytes as i64);
    }

    fn give(&mut self, entry: Entry<'_>, in_order: bool) {
        match entry {
            Entry::Line(line) => {
                self.count(line.stream, 1, line.bytes);
                let said = self.said.entry(line.stream).or_default();
                let at = said.iter().position(|(_, start)| *start == line.start.0);
                let at = at.expect("given twice, or never said");
                assert!(at == 0 || !in_order, "out of order");
                let text = said.remove(at).map(|(text, _)| text.into_bytes());
                assert_eq!(text.as_deref(), Some(line.text), "changed");
            }
            Entry::Folded(folded) => {
                assert!(folded.count > 1);
                assert_eq!(folded.lines, folded.members.iter().map(|m| m.lines).sum::<u64>());
                for member in folded.members {
                    assert_eq!(member.stream.stream, folded.stream);
                    assert!(folded.ranks.contains(member.stream.rank));
                    self.count(member.stream, member.lines, member.bytes);
                    if in_order {
                        let said = self.said.entry(member.stream).or_default();
                        said.drain(..member.lines as usize);
                    }
                }
            }
        }
    }

    fn count(&mut self, stream: StreamId, lines: u64, bytes: u64) {
        let held = self.bytes.entry(stream).or_default();
        (held.0, held.1) = (held.0 - lines as i64, held.1 - bytes as i64);
        assert!(held.0 >= 0 && held.1 >= 0, "more was given than said");
    }
}

/// Plays events; checks that every line comes out once, and in order where that is promised.
fn play(fold: &mut dyn Fold, events: &[Event], in_order: bool) {
    let mut account = Account::default();
    let mut now = Timestamp(0);
    for (at, event) in (0_u64..).zip(events) {
        match event {
            Event::Say { rank, stderr, text, partial } => {
                let stream = if *stderr { Stream::Stderr } else { Stream::Stdout };
                let line = Line {
                    stream: StreamId { stream, ..stdout(*rank) },
                    start: Offset(at),
                    bytes: text.len() as u64 + 1,
                    time: now,
                    text: text.as_bytes(),
                    continuation: false,
                    partial: *partial,
                    redrawn: false,
                };
                account.say(&line);
                fold.push(&line, now, &mut |entry| account.give(entry, in_order));
            }
            Event::Wait(microseconds) => {
                now = Timestamp(now.0 + microseconds);
                let next = fold.due(now, &mut |entry| account.give(entry, in_order));
                assert!(next.is_none_or(|next| next > now), "due now, and not given out");
            }
            Event::Ended(rank) => {
                fold.ended(*rank, now, &mut |entry| account.give(entry, in_order));
            }
            Event::Finish => {
                fold.finish(&mut |entry| account.give(entry, in_order));
                assert!(account.bytes.values().all(|held| *held == (0, 0)), "held after finish");
            }
        }
    }
    fold.finish(&mut |entry| account.give(entry, in_order));
    assert!(account.bytes.values().all(|held| *held == (0, 0)), "held after finish");
}

fn bounds() -> impl Strategy<Value = Bounds> {
    (1_usize..20, 20_usize..2000, 5_usize..200).prop_map(
        |(max_entries, max_bytes, max_line_bytes)| Bounds {
            max_entries,
            max_bytes,
            max_line_bytes,
        },
    )
}

fn window() -> impl Strategy<Value = Duration> {
    (1_u64..3000).prop_map(Duration::from_millis)
}

proptest! {
    #[test]
    fn ranks_gives_every_line_once_and_in_order(
        events in prop::collection::vec(event(), 0..200),
        bounds in bounds(),
        window in window(),
    ) {
        let options = RanksOptions { window, bounds, ..RanksOptions::default() };
        play(&mut Ranks::new(RankSet::first(RANKS), options), &events, true);
    }

    #[test]
    fn similar_gives_every_line_once(
        events in prop::collection::vec(event(), 0..200),
        bounds in bounds(),
        window in window(),
    ) {
        let options = SimilarOptions { window, bounds, ..SimilarOptions::default() };
        play(&mut Similar::new(options), &events, false);
    }

    #[cfg(feature = "edit-distance")]
    #[test]
    fn edit_distance_gives_every_line_once(
        events in prop::collection::vec(event(), 0..200),
        bounds in bounds(),
        window in window(),
    ) {
        play(&mut EditDistance::new(EditDistanceOptions { window, bounds }), &events, false);
    }

    #[test]
    fn one_missed_line_makes_one_entry_without_that_rank(
        steps in 2_usize..60,
        missed in 0_usize..60,
        silent in 0..RANKS,
    ) {
        let missed = missed % (steps - 1);
        let mut fold = Ranks::new(RankSet::first(RANKS), RanksOptions::default());
        let mut without = Vec::new();
        let mut entries = 0;
        for step in 0..steps {
            for rank in (0..RANKS).filter(|&rank| (rank, step) != (silent, missed)) {
                let text = format!("step {step} done");
                let line = Line {
                    stream: stdout(rank),
                    start: Offset(step as u64),
                    bytes: 1,
                    time: Timestamp(0),
                    text: text.as_bytes(),
                    continuation: false,
                    partial: false,
                    redrawn: false,
                };
                fold.push(&line, line.time, &mut |entry| {
                    entries += 1;
                    if let Entry::Folded(folded) = entry
                        && folded.ranks.len() < RANKS as usize
                    {
                        without.push(String::from_utf8_lossy(folded.text).into_owned());
                    }
                });
            }
        }
        // Nobody can know yet, when the silent rank is the first to go on.
        if silent > 1 {
            prop_assert_eq!(entries, steps);
            prop_assert_eq!(without, [format!("step {missed} done")]);
        }
    }
}
