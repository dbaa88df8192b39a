//! How lines of many streams are aligned into entries, in every order in which they may come.

mod chance;
mod missed;
mod odd;
mod reference;

use std::collections::BTreeMap;

use lastline_fold::{Ranks, RanksOptions};
use lastline_line::{Entry, Fold, Line, Offset, RankSet, Stream, StreamId, Timestamp};
use lastline_testing::stdout;
use proptest::prelude::*;
use proptest::sample::Index;

use self::reference::{Alignment, Rule};

/// A line: of which stream, and which one of that stream's.
type Said = (StreamId, usize);

/// What one stream says.
type Script = (StreamId, Vec<String>);

/// What came out: as it reads, the first line, and the ranks.
struct Given {
    shown: String,
    first: Said,
    ranks: RankSet,
}

/// Whose turn it is, line by line: of the scripts that go on, the one that `turns` says.
fn order(scripts: &[Script], turns: &[Index]) -> Vec<usize> {
    let mut left: Vec<usize> = scripts.iter().map(|script| script.1.len()).collect();
    let mut order = Vec::new();
    for turn in turns {
        let open: Vec<usize> = (0..scripts.len()).filter(|&at| left[at] > 0).collect();
        let Some(&at) = open.get(turn.index(open.len().max(1))) else { break };
        left[at] -= 1;
        order.push(at);
    }
    order
}

/// Says lines, each stream's in order.
fn play(scripts: &[Script], order: &[usize], said: &mut dyn FnMut(Said, &str)) {
    let mut next = vec![0; scripts.len()];
    for &at in order {
        let (stream, lines) = &scripts[at];
        said((*stream, next[at]), &lines[next[at]]);
        next[at] += 1;
    }
}

/// Folds, with no time passing.
fn fold(ranks: u32, scripts: &[Script], order: &[usize], options: RanksOptions) -> Vec<Given> {
    let mut fold = Ranks::new(RankSet::first(ranks), options);
    let mut given = Vec::new();
    let mut take = |entry: Entry<'_>| {
        let (text, first, ranks) = match entry {
            Entry::Line(line) => {
                (line.text, (line.stream, line.start.0), [line.stream.rank].into_iter().collect())
            }
            Entry::Folded(folded) => {
                let first = (folded.first.stream, folded.first.start.0);
                (folded.text, first, folded.ranks.clone())
            }
        };
        let shown = format!("[{ranks}] {}", String::from_utf8_lossy(text));
        given.push(Given { shown, first: (first.0, first.1 as usize), ranks });
    };
    play(scripts, order, &mut |(stream, at), text| {
        let line = Line {
            stream,
            start: Offset(at as u64),
            bytes: text.len() as u64 + 1,
            time: Timestamp(0),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut take);
    });
    fold.finish(&mut take);
    given
}

fn shown(ranks: u32, scripts: &[Script], turns: &[Index]) -> Vec<String> {
    let given = fold(ranks, scripts, &order(scripts, turns), RanksOptions::default());
    given.into_iter().map(|given| given.shown).collect()
}

fn turns(lines: usize) -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), lines)
}

/// One script for each rank.
fn of_each_rank(ranks: u32, says: impl Fn(u32) -> Vec<String>) -> Vec<Script> {
    (0..ranks).map(|rank| (stdout(rank), says(rank))).collect()
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

proptest! {
    #[test]
    fn a_line_that_cannot_fold_unfolds_nothing_else(turns in turns(8 * 5)) {
        let scripts = of_each_rank(8, |rank| {
            let own = rank.to_string();
            owned(&["starting up", &own, "loading model", "compiling kernels", "ready to serve"])
        });
        let mut expected = owned(&["[0-7] starting up"]);
        expected.extend((0..8).map(|rank| format!("[{rank}] {rank}")));
        let rest = ["[0-7] loading model", "[0-7] compiling kernels", "[0-7] ready to serve"];
        expected.extend(owned(&rest));
        prop_assert_eq!(shown(8, &scripts, &turns), expected);
    }

    #[test]
    fn a_banner_with_an_own_line_is_one_banner(turns in turns(8 * 20)) {
        let words = ["error", "cause", "device", "driver", "memory", "kernel", "stack", "fabric"];
        let scripts = of_each_rank(8, |rank| {
            let line = |at: usize| match at {
                7 => format!("{rank}"),
                at => format!("{} of the {} is {}", words[at % 8], words[at / 8], words[at % 7]),
            };
            (0..20).map(line).collect()
        });
        let shown = shown(8, &scripts, &turns);
        prop_assert_eq!(shown.len(), 19 + 8);
        prop_assert!(shown[15..].iter().all(|entry| entry.starts_with("[0-7] ")), "{:?}", shown);
    }

    #[test]
    fn streams_that_alternate_do_not_break_each_other(turns in turns(16 * 5)) {
        let lines = ["reading shards", "no cache found", "building index", "slow disk", "all done"];
        let mut scripts = Vec::new();
        for rank in 0..16 {
            for stream in Stream::SEPARATE {
                let said = lines.iter().skip(stream as usize).step_by(2);
                let said = said.map(|&line| line.to_owned()).collect();
                scripts.push((StreamId { stream, ..stdout(rank) }, said));
            }
        }
        let mut shown = shown(16, &scripts, &turns);
        shown.sort();
        let mut expected: Vec<String> = lines.iter().map(|line| format!("[0-15] {line}")).collect();
        expected.sort();
        prop_assert_eq!(shown, expected);
    }
}

/// Statements by letter; an amount in them may differ.
fn statement(letter: u8, number: u8) -> String {
    let word = ["amber", "birch", "cedar", "dogwood", "elder"][letter as usize];
    format!("{word} tree grows {number}.5")
}

/// A few streams that say few different things, in an order that is shared only roughly.
fn tangled() -> impl Strategy<Value = Vec<Script>> {
    let line = (0_u8..4, 0_u8..3).prop_map(|(letter, number)| statement(letter, number));
    let lines = prop::collection::vec(line, 0..10);
    let streams = prop::collection::vec((lines, any::<bool>()), 1..6);
    streams.prop_map(|streams| {
        let mut scripts = Vec::new();
        for (rank, (lines, both)) in (0..).zip(streams) {
            if both {
                let stream = StreamId { stream: Stream::Stderr, ..stdout(rank) };
                scripts.push((stream, lines.iter().rev().cloned().collect()));
            }
            scripts.push((stdout(rank), lines));
        }
        scripts
    })
}

/// What a reference makes of it: the lines of each entry.
fn aligned(rule: Rule, ranks: u32, scripts: &[Script], turns: &[Index]) -> Vec<Vec<Said>> {
    let mut alignment = Alignment::new(rule, ranks as usize);
    play(scripts, &order(scripts, turns), &mut |said, text| alignment.take(said, text));
    alignment.entries()
}

fn key(said: &Said) -> (u32, Stream, usize) {
    (said.0.rank, said.0.stream, said.1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn entries_are_those_of_the_plain_rule_and_keep_each_streams_order(
        scripts in tangled(),
        turns in turns(100),
    ) {
        let ranks = scripts.iter().map(|(stream, _)| stream.rank + 1).max().unwrap_or(1);
        let expected = aligned(Rule::RightBehind, ranks, &scripts, &turns);
        let mut by_first: BTreeMap<_, _> =
            expected.iter().map(|entry| (key(&entry[0]), entry)).collect();
        let mut next: BTreeMap<_, usize> = BTreeMap::new();
        for given in fold(ranks, &scripts, &order(&scripts, &turns), RanksOptions::default()) {
            let entry = by_first.remove(&key(&given.first));
            let entry = entry.ok_or_else(|| TestCaseError::fail(given.shown.clone()))?;
            let ranks: RankSet = entry.iter().map(|said| said.0.rank).collect();
            prop_assert_eq!((&ranks, ranks.len()), (&given.ranks, entry.len()));
            for (stream, at) in entry {
                let next = next.entry((stream.rank, stream.stream)).or_default();
                prop_assert_eq!(*at, *next, "{} out of order in {}", at, given.shown);
                *next += 1;
            }
        }
        prop_assert!(by_first.is_empty(), "not given: {:?}", by_first);
    }

    /// What every stream says, and lines of its own anywhere between.
    #[test]
    fn own_lines_cost_an_entry_each_and_nothing_more(
        own in prop::collection::vec(prop::collection::vec(0_usize..3, 6), 2..6),
        turns in turns(100),
    ) {
        let ranks = own.len() as u32;
        let mut alone = 0;
        let mut scripts = of_each_rank(ranks, |_| Vec::new());
        for (rank, (script, own)) in scripts.iter_mut().zip(&own).enumerate() {
            for (letter, &count) in (0..).zip(own) {
                // Nothing but a number folds with an equal one only.
                script.1.extend((0..count).map(|at| format!("{rank}{letter}{at}")));
                alone += count;
                if letter < 5 {
                    script.1.push(statement(letter, 0));
                }
            }
        }
        let mut all = turns;
        all.resize(500, all[0]);
        let entries = fold(ranks, &scripts, &order(&scripts, &all), RanksOptions::default()).len();
        prop_assert_eq!(entries, 5 + alone);
        prop_assert!(aligned(Rule::AtTheEnd, ranks, &scripts, &all).len() >= entries);
    }

    /// Statements that are forgotten while their entries are open cost entries, and no order.
    #[test]
    fn what_is_forgotten_and_what_is_over_the_bounds_keeps_the_order(
        scripts in tangled(),
        turns in turns(100),
        statements in 1_usize..4,
        max_entries in 1_usize..6,
    ) {
        let mut options = RanksOptions::default();
        options.miner.max_statements = statements;
        options.bounds.max_entries = max_entries;
        let mut lines = BTreeMap::new();
        play(&scripts, &order(&scripts, &turns), &mut |(stream, _), _| {
            *lines.entry((stream.rank, stream.stream)).or_insert(0_usize) += 1;
        });
        let mut next: BTreeMap<_, usize> = BTreeMap::new();
        for given in fold(6, &scripts, &order(&scripts, &turns), options) {
            for rank in given.ranks.iter() {
                let at = next.entry((rank, given.first.0.stream)).or_default();
                let first = (rank, *at) == (given.first.0.rank, given.first.1);
                prop_assert!(first || rank != given.first.0.rank, "out of order: {}", given.shown);
                *at += 1;
            }
        }
        prop_assert_eq!(next, lines);
    }
}
