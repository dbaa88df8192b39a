//! What is shown of values that differ.

use std::sync::Arc;

use lastline_fold::{Ranks, RanksOptions, Similar, SimilarOptions};
use lastline_line::{Entry, Field, Fold, Line, Offset, Outlier, RankNames, RankSet, Timestamp};
use lastline_testing::stdout;

use crate::console::Console;

#[test]
fn progress_bars_are_one_statement_however_full_they_are() {
    let mut console = Console::new(3);
    console.say(0, " 45%|████▌     | 45/100 [00:01<00:02, 19.90it/s]");
    console.say(1, "  9%|▉         | 9/100 [00:01<00:10, 4.10it/s]");
    console.say(2, "  0%|          | 0/100 [00:01<00:30, 1.10it/s]");
    assert_eq!(
        console.finish(),
        ["[0-2]  {0..45}%|████▌     | {0..45}/100 [00:01<00:{02..30}, {1.10..19.90}it/s]"]
    );
}

#[test]
fn the_one_that_differs_is_named() {
    let mut console = Console::new(64);
    for rank in 0..64 {
        let loss = if rank == 37 { "nan".to_owned() } else { format!("0.{}", 750 + rank) };
        console.say(rank, &format!("step 3 loss {loss} lr 1e-4"));
    }
    for rank in 0..64 {
        let ok = rank != 9;
        console.say(rank, &format!("health check of rank ok={ok}"));
    }
    for rank in 0..64 {
        let errors = match rank {
            12 => 12,
            40 => 3,
            _ => 0,
        };
        console.say(rank, &format!("ECC errors: {errors}"));
    }
    let expected = [
        "[0-63] step 3 loss {0.750..0.813, 37: nan} lr 1e-4",
        "[0-63] health check of rank ok={true, 9: false}",
        "[0-63] ECC errors: {0, 12: 12, 40: 3}",
    ];
    assert_eq!(console.shown(), expected);
}

#[derive(Debug)]
struct Hosts;

impl RankNames for Hosts {
    fn write(&self, ranks: &RankSet, into: &mut dyn std::fmt::Write) -> std::fmt::Result {
        let names = ranks.iter().map(|rank| format!("node{rank}")).collect::<Vec<_>>();
        into.write_str(&names.join(","))
    }
}

#[test]
fn who_differs_goes_by_its_name() {
    let mut console = Console::new(8);
    console.fold = Ranks::new(RankSet::first(8), RanksOptions::default()).named(Arc::new(Hosts));
    for rank in 0..8 {
        console.say(rank, &format!("disk full={}", rank == 3));
    }
    assert_eq!(console.shown(), ["[0-7] disk full={false, node3: true}"]);
}

/// A rank may say it many times: the ranks of an outlier are those that did.
#[test]
fn similar_lines_name_who_said_what_differs() {
    let mut fold = Similar::new(SimilarOptions::default());
    let mut told = Vec::new();
    for at in 0..12_000_u32 {
        let (rank, odd) = (at % 4, at == 101 || at == 201 || at == 11_000);
        let text = format!("wrote shard in {} ms", if odd { 900_000 } else { 10 + at % 7 });
        let line = Line {
            stream: stdout(rank),
            start: Offset(u64::from(at)),
            bytes: 1,
            time: Timestamp(0),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut |_| ());
    }
    fold.finish(&mut |entry| {
        let Entry::Folded(folded) = entry else { panic!("a line alone") };
        told.push((String::from_utf8_lossy(folded.text).into_owned(), folded.fields.fields()));
    });
    let ranks = [0, 1].into_iter().collect();
    let field = Field::Numbers {
        min: "10 ms".to_owned(),
        max: "16 ms".to_owned(),
        distinct: 8,
        more: true,
        outliers: vec![Outlier { ranks, value: "900000 ms".to_owned() }],
    };
    assert_eq!(told, [("wrote shard in {10..16, 0,1: 900000} ms".to_owned(), vec![field])]);
}

/// What eight ranks say, of whom rank 5 says something odd.
fn of_eight(usual: impl Fn(u32) -> String, odd: &str) -> Vec<String> {
    let mut console = Console::new(8);
    for rank in 0..8 {
        console.say(rank, &if rank == 5 { odd.to_owned() } else { usual(rank) });
    }
    console.finish()
}

#[test]
fn who_differs_inside_of_a_printed_value_is_named() {
    let table = [
        ("state {'loss': 2.#}", "state {'loss': nan}", "state {'loss': {2.0..2.7, 5: nan}}"),
        (
            "INFO trainer: {'loss': 2.#, 'lr': 0.1} done",
            "INFO trainer: {'loss': nan, 'lr': 0.1} done",
            "INFO trainer: {'loss': {2.0..2.7, 5: nan}, 'lr': 0.1} done",
        ),
        (
            "args: {\"local_rank\": #, \"fp16\": true}",
            "args: {\"local_rank\": 5, \"fp16\": false}",
            "args: {\"local_rank\": {0..7}, \"fp16\": {true, 5: false}}",
        ),
        (
            "env: {'NCCL_IB': '1', 'RANK': '#'}",
            "env: {'NCCL_IB': '0', 'RANK': '5'}",
            "env: {'NCCL_IB': '{1, 5: 0}', 'RANK': '{0..7}'}",
        ),
        (
            "TrainOutput(global_step=10, metrics={'opt': {'lr': 2.#}})",
            "TrainOutput(global_step=10, metrics={'opt': {'lr': nan}})",
            "TrainOutput(global_step=10, metrics={'opt': {'lr': {2.0..2.7, 5: nan}}})",
        ),
        (
            "state {'loss': 2.#}",
            "state {'skipped': true}",
            "state {{'loss': {2.0..2.7}, 5: 'skipped': true}}",
        ),
        ("device: 'cuda:#' ok", "device: 'cpu' ok", "device: '{cuda:{0..7}, 5: cpu}' ok"),
        (
            "x {'device': 'cuda:#', 'n': 3}",
            "x {'device': 'cpu', 'n': 3}",
            "x {'device': '{cuda:{0..7}, 5: cpu}', 'n': 3}",
        ),
    ];
    for (usual, odd, expected) in table {
        let told = of_eight(|rank| usual.replace('#', &rank.to_string()), odd);
        assert_eq!(told, [format!("[0-7] {expected}")]);
    }
}

#[test]
fn what_differs_inside_of_a_value_is_a_field() {
    let mut fold = Ranks::new(RankSet::first(8), RanksOptions::default());
    let mut told = Vec::new();
    for rank in 0..8 {
        let device = if rank == 5 { "cpu".to_owned() } else { format!("cuda:{rank}") };
        let text = format!("x {{'device': '{device}', 'n': 3}}");
        let line = Line {
            stream: stdout(rank),
            start: Offset(0),
            bytes: 1,
            time: Timestamp(0),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut |entry| {
            let Entry::Folded(folded) = entry else { panic!("a line alone") };
            told = folded.fields.fields();
        });
    }
    let outliers = vec![Outlier { ranks: [5].into_iter().collect(), value: "cpu".to_owned() }];
    let (min, max) = ("0".to_owned(), "7".to_owned());
    let device = Field::Numbers { min, max, distinct: 8, more: false, outliers };
    assert_eq!(told, [device, Field::Same("3".to_owned())]);
}

#[test]
fn what_varies_as_a_whole_has_its_brackets() {
    let table = [
        (
            "moved to device(cuda:#)",
            "moved to device(cpu)",
            "moved to device({cuda:{0..7}, 5: cpu})",
        ),
        (
            "moved model to [CudaDevice(id=#)] now",
            "moved model to [CpuDevice(id=0)] now",
            "moved model to [{CudaDevice(id={0..7}), 5: CpuDevice(id=0)}] now",
        ),
    ];
    for (usual, odd, expected) in table {
        let told = of_eight(|rank| usual.replace('#', &rank.to_string()), odd);
        assert_eq!(told, [format!("[0-7] {expected}")]);
    }
}
