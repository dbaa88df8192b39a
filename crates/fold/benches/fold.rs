//! What folding costs a line, next to folding nothing.
//!
//! `cargo bench -p lastline-fold`; one element is one line.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_main};
use lastline_fold::{EditDistance, Miner, Nearest, Off, Ranks, RanksOptions, Similar};
use lastline_line::{Fold, Line, Offset, RankSet, Timestamp};
use lastline_testing::stdout;

const RANKS: u32 = 64;

/// A line of training of one rank: 100 bytes, no number like another rank's or step's.
fn training(step: u64, rank: u64) -> String {
    let mixed = (step * 64 + rank + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = |bits: u32, below: u64| (mixed >> bits) % below;
    format!(
        "step {:>6} loss {:.5} grad {:.4} lr {:.7} tokens/s {:>6} mem {:.2} GB time {:.3} s id {:>5}",
        100_000 + step,
        1.0 + number(3, 100_000) as f64 / 100_000.0,
        number(9, 10_000) as f64 / 10_000.0,
        number(15, 10_000_000) as f64 / 10_000_000.0,
        100_000 + number(21, 800_000),
        10.0 + number(27, 9_000) as f64 / 100.0,
        number(33, 1000) as f64 / 1000.0,
        10_000 + rank * 100 + number(39, 100),
    )
}

/// Lines with their ranks, a microsecond from each to the next.
fn lines(texts: Vec<(u32, String)>) -> Vec<(u32, String)> {
    texts
}

fn feed(fold: &mut dyn Fold, lines: &[(u32, String)]) -> u64 {
    let mut given = 0;
    for (at, (rank, text)) in (0..).zip(lines) {
        let line = Line {
            stream: stdout(*rank),
            start: Offset(at * 101),
            bytes: text.len() as u64 + 1,
            time: Timestamp(at),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut |_| given += 1);
    }
    fold.finish(&mut |_| given += 1);
    given
}

fn folds(ranks: u32) -> [(&'static str, Box<dyn Fold>); 3] {
    let ranks = Ranks::new(RankSet::first(ranks), RanksOptions::default());
    [("off", Box::new(Off)), ("ranks", Box::new(ranks)), ("similar", Box::new(Similar::default()))]
}

/// 64 ranks that train, step by step.
fn training_lines(c: &mut Criterion) {
    let steps = (0..300).flat_map(|step| (0..u64::from(RANKS)).map(move |rank| (step, rank)));
    let lines = lines(steps.map(|(step, rank)| (rank as u32, training(step, rank))).collect());
    let mut group = c.benchmark_group("training");
    group.throughput(Throughput::Elements(lines.len() as u64));
    for (name, mut fold) in folds(RANKS) {
        group.bench_function(name, |b| b.iter(|| feed(&mut *fold, black_box(&lines))));
    }
    group.finish();
}

/// 64 ranks that each say 1,000 lines in a go, as ranks do that only copy a file: what the first one
/// opened stays open until the last one has said it.
fn blocks(c: &mut Criterion) {
    let said = |at: u64| (at / 64_000 * 1000 + at % 1000, at / 1000 % 64);
    let said = (0..3 * 64_000).map(said);
    let lines = lines(said.map(|(step, rank)| (rank as u32, training(step, rank))).collect());
    let mut group = c.benchmark_group("blocks");
    group.sample_size(10);
    group.throughput(Throughput::Elements(lines.len() as u64));
    for (name, mut fold) in folds(RANKS) {
        group.bench_function(name, |b| b.iter(|| feed(&mut *fold, black_box(&lines))));
    }
    group.finish();
}

/// A statement of about `length` bytes, with a number every six words.
fn statement(template: u64, round: u64, length: usize) -> String {
    let mut text = String::new();
    let mut at = template + 1;
    while text.len() < length {
        at = at.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) + 1;
        let letters = (0..6).map(|place| char::from(b'g' + (at >> (4 * place) & 15) as u8));
        text.extend(letters);
        text.push(' ');
        if at.is_multiple_of(6) {
            text.push_str(&format!("{} ", at % 997 + round));
        }
    }
    text.truncate(length);
    text
}

/// Many live statements beside few, short and long ones: each of 8 ranks makes all of them before the
/// next one does.
fn live_statements(c: &mut Criterion) {
    let mut group = c.benchmark_group("statements");
    group.throughput(Throughput::Elements(1));
    for length in [100, 1000] {
        for templates in [10_u64, 1000] {
            let said =
                |at: u64| ((at / templates % 8) as u32, statement(at % templates, at, length));
            let all = (0..8000).map(said);
            let lines = lines(all.collect());
            group.throughput(Throughput::Elements(lines.len() as u64));
            for (name, mut fold) in folds(8) {
                let name = format!("{name}/{templates}x{length}");
                group.bench_function(name, |b| b.iter(|| feed(&mut *fold, black_box(&lines))));
            }
            let mut miner = Miner::default();
            group.bench_function(format!("miner/{templates}x{length}"), |b| {
                b.iter(|| {
                    lines.iter().map(|(_, text)| miner.group(text.as_bytes()).0 & 1).sum::<u64>()
                });
            });
        }
    }
    group.finish();
}

/// Every line makes a statement that nobody made before.
fn new_statements(c: &mut Criterion) {
    let mut group = c.benchmark_group("new");
    let mut next = 0;
    group.throughput(Throughput::Elements(1000));
    for (name, mut fold) in folds(RANKS) {
        group.bench_function(name, |b| {
            let lines = || {
                next += 1000;
                lines(
                    (next..next + 1000)
                        .map(|at| ((at % 64) as u32, statement(at, 0, 100)))
                        .collect(),
                )
            };
            b.iter_batched(lines, |lines| feed(&mut *fold, &lines), BatchSize::LargeInput);
        });
    }
    group.finish();
}

/// The plain dynamic programme over all entries.
fn plain_nearest(entries: &[String], text: &str) -> Option<usize> {
    let mut nearest: Option<(f64, usize)> = None;
    for (number, entry) in entries.iter().enumerate() {
        let right: Vec<char> = entry.chars().collect();
        let mut row: Vec<usize> = (0..=right.len()).collect();
        for (i, left) in text.chars().enumerate() {
            let mut before = row[0];
            row[0] = i + 1;
            for (j, &right) in right.iter().enumerate() {
                let replaced = before + usize::from(left != right);
                before = row[j + 1];
                row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
            }
        }
        let share = row[right.len()] as f64 / text.len().max(entry.len()) as f64;
        if share < nearest.map_or(lastline_fold::MAX_SHARE, |(share, _)| share) {
            nearest = Some((share, number));
        }
    }
    nearest.map(|(_, number)| number)
}

/// The nearest of 1,000 entries of 100 characters.
fn edit_distance(c: &mut Criterion) {
    let entries: Vec<String> = (0..1000).map(|at| statement(at, 0, 100)).collect();
    let mut nearest = Nearest::default();
    for entry in &entries {
        nearest.insert(entry);
    }
    // Never the same text twice: five characters of an entry are others.
    let mut at = 0_usize;
    let mut text = || {
        at += 1;
        let mut text = entries[at % 1000].clone().into_bytes();
        let digits = format!("{at:05}");
        (0..5).for_each(|place| text[7 + place * 19] = digits.as_bytes()[place]);
        String::from_utf8(text).expect("BUG: ASCII")
    };
    let mut group = c.benchmark_group("edit-distance");
    group.throughput(Throughput::Elements(1));
    group.bench_function("nearest", |b| {
        b.iter_batched(&mut text, |text| nearest.find(&text), BatchSize::SmallInput);
    });
    group.sample_size(10);
    group.bench_function("plain", |b| {
        b.iter_batched(&mut text, |text| plain_nearest(&entries, &text), BatchSize::SmallInput);
    });
    group.finish();
    let steps = (0..20).flat_map(|step| (0..u64::from(RANKS)).map(move |rank| (step, rank)));
    let lines = lines(steps.map(|(step, rank)| (rank as u32, training(step, rank))).collect());
    let mut fold = EditDistance::default();
    let mut group = c.benchmark_group("training");
    group.throughput(Throughput::Elements(lines.len() as u64));
    group.bench_function("edit-distance", |b| b.iter(|| feed(&mut fold, &lines)));
    group.finish();
}

/// What `cargo bench` runs.
fn all(c: &mut Criterion) {
    training_lines(c);
    blocks(c);
    live_statements(c);
    new_statements(c);
    edit_distance(c);
}

mod benches {
    //! What criterion makes of the functions.
    use criterion::criterion_group;
    criterion_group!(fold, super::all);
}

criterion_main!(benches::fold);
