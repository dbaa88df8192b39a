//! That a line which one rank misses shifts nothing, whoever comes first.

use lastline_fold::RanksOptions;
use lastline_line::RankSet;
use proptest::prelude::*;

use super::{Script, fold, of_each_rank, order, turns};

const RANKS: u32 = 8;
const LINES: usize = 8;

/// Lines of a row: names, numbers, and statements of their own.
fn rows() -> [Vec<String>; 4] {
    let modules = ["attention", "mlp", "norm", "rotary", "embed", "head", "router", "expert"];
    let row = |line: &dyn Fn(usize) -> String| (0..LINES).map(line).collect();
    [
        row(&|at| format!("compiled kernel {} for sm_80", modules[at])),
        row(&|at| format!("layer {at} loaded")),
        row(&|at| format!("step {}/80 done", 10 * at)),
        row(&|at| {
            ["wire is", "all disks", "host in", "time of day", "no fan", "hot", "cold", "end"][at]
                .replace(' ', " the ")
                + " ready"
        }),
    ]
}

/// Each rank says all lines, but for the one that `rank` misses.
fn scripts(lines: &[String], rank: u32, missed: usize) -> Vec<Script> {
    of_each_rank(RANKS, |of| {
        let said = lines.iter().enumerate().filter(|&(at, _)| (of, at) != (rank, missed));
        said.map(|(_, line)| line.clone()).collect()
    })
}

/// Each line is one entry, in its place, and one of them without that rank.
fn check(lines: &[String], rank: u32, missed: usize, order: &[usize]) -> Result<(), TestCaseError> {
    let scripts = scripts(lines, rank, missed);
    let shown = fold(RANKS, &scripts, order, RanksOptions::default());
    let shown: Vec<String> = shown.into_iter().map(|given| given.shown).collect();
    let others: RankSet = (0..RANKS).filter(|&other| other != rank).collect();
    let expected = (0..).zip(lines).map(|(at, line)| match at == missed {
        true => format!("[{others}] {line}"),
        false => format!("[0-7] {line}"),
    });
    prop_assert_eq!(shown, expected.collect::<Vec<String>>());
    Ok(())
}

/// Ranks speak in an order of their own, so many lines each at a time.
fn in_turn(ranks: &[u32], lines: usize, scripts: &[Script]) -> Vec<usize> {
    let mut left: Vec<usize> = scripts.iter().map(|script| script.1.len()).collect();
    let mut turns = Vec::new();
    while left.iter().any(|&left| left > 0) {
        for &rank in ranks {
            let said = left[rank as usize].min(lines);
            left[rank as usize] -= said;
            turns.extend(std::iter::repeat_n(rank as usize, said));
        }
    }
    turns
}

/// What is put behind an entry so that a rank can join it comes ahead of what another rank has said there
/// alone, which joins it all the same.
#[test]
fn what_is_put_behind_an_entry_is_joined_past_lines_of_ones_own() {
    let trees: &[&str] = &["amber tree grows 0.5", "amber tree grows 1.5", "birch tree grows 0.5"];
    let said: [(u32, &[&str]); 7] = [
        (0, &["amber tree grows 0.5", "cedar tree grows 0.5"]),
        (2, trees),
        (3, trees),
        (4, &["cedar tree grows 0.5"]),
        (0, &["birch tree grows 1.5"]),
        (4, &["amber tree grows 1.5"]),
        (0, &["birch tree grows 0.5"]),
    ];
    let mut scripts = of_each_rank(5, |_| Vec::new());
    let mut order = Vec::new();
    for (rank, lines) in said {
        scripts[rank as usize].1.extend(lines.iter().map(|&line| line.to_owned()));
        order.extend(lines.iter().map(|_| rank as usize));
    }
    let shown = fold(5, &scripts, &order, RanksOptions::default());
    let shown: Vec<String> = shown.into_iter().map(|given| given.shown).collect();
    assert!(shown.contains(&String::from("[0,2,3] birch tree grows 0.5")), "{shown:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_missed_line_shifts_nothing_whoever_speaks_first(
        row in 0..4_usize,
        rank in 0..RANKS,
        missed in 2..LINES - 1,
        lines in 1..=LINES,
        ranks in Just((0..RANKS).collect::<Vec<u32>>()).prop_shuffle(),
    ) {
        let row = &rows()[row];
        let order = in_turn(&ranks, lines, &scripts(row, rank, missed));
        check(row, rank, missed, &order)?;
    }

    #[test]
    fn a_missed_line_shifts_nothing_in_any_order(
        row in 0..4_usize,
        rank in 0..RANKS,
        missed in 2..LINES - 1,
        turns in turns(RANKS as usize * LINES),
    ) {
        let row = &rows()[row];
        let order = order(&scripts(row, rank, missed), &turns);
        check(row, rank, missed, &order)?;
    }
}
