//! Properties over random streams.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lastline_fold::{
    Bounds, EditDistance, EditDistanceOptions, MAX_SHARE, Nearest, Ranks, RanksOptions, Similar,
    SimilarOptions,
};
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

/// The distance by the plain dynamic programme.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left) in left.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, &right) in right.iter().enumerate() {
            let replaced = before + usize::from(left != right);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The nearest text, by comparing with all.
fn plain_nearest(texts: &VecDeque<(u64, String)>, text: &str) -> Option<u64> {
    let mut nearest = (MAX_SHARE, None);
    for (number, other) in texts {
        let longer = text.len().max(other.len());
        let share = if longer == 0 { 0.0 } else { distance(text, other) as f64 / longer as f64 };
        if share < nearest.0 {
            nearest = (share, Some(*number));
        }
    }
    nearest.1
}

/// Looks for each text, puts it in when nothing is near, and now and then takes the oldest out.
fn compare_with_plain<'a>(lines: impl Iterator<Item = &'a str>, keep: usize) {
    let mut nearest = Nearest::default();
    let mut texts = VecDeque::new();
    for line in lines {
        let expected = plain_nearest(&texts, line);
        assert_eq!(nearest.find(line), expected, "{line}");
        assert_eq!(nearest.find(line), expected, "the second time: {line}");
        if expected.is_none() {
            texts.push_back((nearest.insert(line), line.to_owned()));
        }
        if texts.len() > keep {
            texts.pop_front();
            nearest.remove_oldest();
        }
    }
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

    #[test]
    fn the_nearest_text_is_what_the_plain_programme_finds(
        lines in prop::collection::vec("[ab0-3é ]{0,24}", 1..60),
        keep in 1_usize..40,
    ) {
        compare_with_plain(lines.iter().map(String::as_str), keep);
    }

    #[test]
    fn the_nearest_of_long_texts_is_what_the_plain_programme_finds(
        words in prop::collection::vec(prop::collection::vec(0_usize..12, 12..30), 1..30),
    ) {
        const WORDS: [&str; 12] = [
            "loss", "step 3", "step 4", "rank", "0.125", "0.126", "of", "the", "naïve", "model",
            "done", "=",
        ];
        let lines: Vec<String> =
            words.iter().map(|line| line.iter().map(|&at| WORDS[at]).collect()).collect();
        compare_with_plain(lines.iter().map(String::as_str), 20);
    }
}

#[test]
fn the_nearest_of_real_lines_is_what_the_plain_programme_finds() {
    let lines = include_str!("data/statements.txt").lines();
    compare_with_plain(lines.filter_map(|line| Some(line.split_once('|')?.1)), 1000);
}
