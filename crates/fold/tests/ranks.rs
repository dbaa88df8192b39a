//! What `Ranks` prints.

use std::sync::Arc;

use lastline_fold::{Bounds, Ranks, RanksOptions, Similar, SimilarOptions};
use lastline_line::{
    Entry, Field, Fold, Line, Offset, Outlier, RankNames, RankSet, Stream, StreamId, Timestamp,
};
use lastline_testing::stdout;

/// Feeds lines and writes entries as the console does.
struct Console {
    fold: Ranks,
    now: u64,
    shown: Vec<String>,
}

fn show(entry: Entry<'_>) -> String {
    match entry {
        Entry::Line(line) => {
            format!("[{}] {}", line.stream.rank, String::from_utf8_lossy(line.text))
        }
        Entry::Folded(folded) => {
            let text = String::from_utf8_lossy(folded.text);
            match folded.except {
                None => format!("[{}] {text}", folded.ranks),
                Some(except) => {
                    let all: RankSet = folded.ranks.iter().chain(except.iter()).collect();
                    format!("[{all} except {except}] {text}")
                }
            }
        }
    }
}

impl Console {
    fn new(ranks: u32) -> Self {
        let fold = Ranks::new(RankSet::first(ranks), RanksOptions::default());
        Self { fold, now: 0, shown: Vec::new() }
    }

    fn say(&mut self, rank: u32, text: &str) {
        self.say_on(stdout(rank), text);
    }

    fn say_on(&mut self, stream: StreamId, text: &str) {
        let line = Line {
            stream,
            start: Offset(self.now),
            bytes: text.len() as u64 + 1,
            time: Timestamp(self.now),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        let shown = &mut self.shown;
        self.fold.push(&line, line.time, &mut |entry| shown.push(show(entry)));
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += milliseconds * 1000;
        let shown = &mut self.shown;
        self.fold.due(Timestamp(self.now), &mut |entry| shown.push(show(entry)));
    }

    fn end(&mut self, rank: u32) {
        let shown = &mut self.shown;
        self.fold.ended(rank, Timestamp(self.now), &mut |entry| shown.push(show(entry)));
    }

    fn finish(&mut self) -> Vec<String> {
        let shown = &mut self.shown;
        self.fold.finish(&mut |entry| shown.push(show(entry)));
        self.shown()
    }

    fn shown(&mut self) -> Vec<String> {
        std::mem::take(&mut self.shown)
    }
}

#[test]
fn what_all_ranks_say_is_printed_at_once_as_one_entry() {
    let mut console = Console::new(64);
    for rank in 0..64 {
        assert!(console.shown().is_empty());
        console.say(rank, &format!("step 120 loss {:.2}", 1.92 + f64::from(rank % 16) / 100.0));
    }
    assert_eq!(console.shown(), ["[0-63] step 120 loss {1.92..2.07}"]);
}

#[test]
fn a_silent_rank_is_named_when_the_window_ends() {
    let mut console = Console::new(64);
    for rank in (0..64).filter(|&rank| rank != 17) {
        console.say(rank, "step 120 done");
    }
    console.wait(499);
    assert!(console.shown().is_empty());
    console.wait(1);
    assert_eq!(console.shown(), ["[0-63 except 17] step 120 done"]);
}

#[test]
fn a_missed_line_does_not_shift_what_follows() {
    let mut console = Console::new(4);
    for step in 0..200 {
        for rank in (0..4).filter(|&rank| (rank, step) != (2, 3)) {
            console.say(rank, &format!("step {step} done"));
        }
    }
    let shown = console.finish();
    assert_eq!(shown.len(), 200);
    assert_eq!(shown[3], "[0-3 except 2] step 3 done");
    assert_eq!(shown[199], "[0-3] step 199 done");
    assert_eq!(shown.iter().filter(|entry| entry.contains("except")).count(), 1);
}

#[test]
fn a_rank_one_step_behind_for_ever_shifts_nothing() {
    let mut console = Console::new(64);
    for step in 0..50 {
        for rank in 0..64 {
            let said = if rank == 17 { step - 1 } else { step };
            if said >= 0 {
                console.say(rank, &format!("step {said} done"));
            }
        }
        console.wait(100);
    }
    let expected: Vec<String> = (0..49).map(|step| format!("[0-63] step {step} done")).collect();
    assert_eq!(console.shown(), expected);
    assert_eq!(console.finish(), ["[0-63 except 17] step 49 done"]);
}

#[test]
fn a_rank_behind_by_more_than_the_window_is_missing_once_and_stays_in_the_entries() {
    let mut console = Console::new(64);
    for step in 0..10 {
        for rank in (0..64).filter(|&rank| rank != 17) {
            console.say(rank, &format!("step {step} done"));
        }
        console.wait(500);
        console.say(17, &format!("step {step} done"));
    }
    let shown = console.shown();
    assert_eq!((shown.len(), &*shown[0]), (10, "[0-63 except 17] step 0 done"));
    assert!(shown[1..].iter().all(|entry| entry.starts_with("[0-63] step ")), "{shown:?}");
}

#[test]
fn what_one_rank_alone_says_keeps_together_and_in_the_order_of_ranks() {
    let mut console = Console::new(3);
    for (rank, text) in [
        (2, "starting up"),
        (2, "20"),
        (0, "starting up"),
        (2, "21"),
        (2, "ready to serve"),
        (0, "1"),
        (1, "starting up"),
        (1, "10"),
        (0, "2"),
        (1, "ready to serve"),
    ] {
        console.say(rank, text);
    }
    assert_eq!(console.shown(), ["[0-2] starting up"]);
    console.say(0, "ready to serve");
    assert_eq!(
        console.shown(),
        ["[0] 1", "[0] 2", "[1] 10", "[2] 20", "[2] 21", "[0-2] ready to serve"]
    );
}

#[test]
fn a_rank_that_had_nothing_open_joins_what_the_others_are_at() {
    let mut console = Console::new(3);
    (0..3).for_each(|rank| console.say(rank, "starting up"));
    console.say(0, "saved checkpoint");
    console.wait(500);
    console.shown();
    (1..3).for_each(|rank| console.say(rank, "step 1 done"));
    // Given out at once, and no reason to miss what the others said before.
    console.say(0, "saved checkpoint");
    console.say(0, "step 1 done");
    assert_eq!(console.shown(), ["[0] saved checkpoint", "[0-2] step 1 done"]);
}

#[test]
fn ranks_far_apart_fold_as_near_ones_do() {
    let live: RankSet = [5, 20_000].into_iter().collect();
    let mut console = Console::new(0);
    console.fold = Ranks::new(live, RanksOptions::default());
    for rank in [20_000, 5] {
        console.say(rank, "starting up");
        console.say_on(StreamId { stream: Stream::Stderr, ..stdout(rank) }, &rank.to_string());
        console.say(rank, "ready to serve");
    }
    let shown = ["[5,20000] starting up", "[5,20000] ready to serve"];
    assert_eq!(console.shown(), shown);
    assert_eq!(console.finish(), ["[20000] 20000", "[5] 5"]);
}

#[test]
fn lines_of_one_rank_are_never_merged() {
    let mut console = Console::new(2);
    for step in 0..3 {
        console.say(0, &format!("step {step}"));
    }
    assert_eq!(console.finish(), ["[0] step 0", "[0] step 1", "[0] step 2"]);
}

#[test]
fn what_one_rank_alone_says_does_not_wait_after_the_first_time() {
    let mut console = Console::new(8);
    console.say(0, "saved checkpoint 1");
    assert!(console.shown().is_empty());
    console.wait(500);
    assert_eq!(console.shown(), ["[0] saved checkpoint 1"]);
    console.say(0, "saved checkpoint 2");
    assert_eq!(console.shown(), ["[0] saved checkpoint 2"]);
    // It keeps its place behind what the rank said before.
    console.say(0, "step 9");
    console.say(0, "saved checkpoint 3");
    assert!(console.shown().is_empty());
    (1..8).for_each(|rank| console.say(rank, "step 9"));
    assert_eq!(console.shown(), ["[0-7] step 9", "[0] saved checkpoint 3"]);
    // And the rank joins what others open after it.
    console.say(0, "saved checkpoint 4");
    (0..8).rev().for_each(|rank| console.say(rank, "step 10"));
    assert_eq!(console.shown(), ["[0] saved checkpoint 4", "[0-7] step 10"]);
}

#[test]
fn nobody_waits_for_a_rank_that_ended() {
    let mut console = Console::new(4);
    (0..3).for_each(|rank| console.say(rank, "step 1 done"));
    assert!(console.shown().is_empty());
    console.end(3);
    assert_eq!(console.shown(), ["[0-2] step 1 done"]);
    (0..3).for_each(|rank| console.say(rank, "step 2 done"));
    assert_eq!(console.shown(), ["[0-2] step 2 done"]);
}

#[test]
fn stdout_and_stderr_are_two_entries() {
    let mut console = Console::new(2);
    for stream in Stream::ALL {
        for rank in 0..2 {
            console.say_on(StreamId { stream, ..stdout(rank) }, "hello there");
        }
    }
    assert_eq!(console.shown(), ["[0,1] hello there", "[0,1] hello there"]);
}

#[test]
fn equal_lines_look_as_they_are_and_colours_make_no_difference() {
    let mut console = Console::new(2);
    console.say(0, "\x1b[32mready\x1b[0m to go");
    console.say(1, "\x1b[32mready\x1b[0m to go");
    console.say(0, "\x1b[32mready\x1b[0m to run");
    console.say(1, "ready to run");
    console.say(0, "\x1b]0;title\x07ready to stop");
    console.say(1, "\x1b]0;title\x07ready to stop");
    let shown = console.shown();
    assert_eq!(shown[0], "[0,1] \x1b[32mready\x1b[0m to go");
    assert_eq!(shown[1], "[0,1] ready to run");
    assert_eq!(shown[2], "[0,1] ready to stop");
}

#[test]
fn colours_that_all_lines_agree_on_stay() {
    let table = [
        // Around a number that differs, however long it is.
        (
            [
                "loss \x1b[31m0.5\x1b[0m at \x1b[1mstep 3",
                "loss \x1b[31m10.5\x1b[0m at \x1b[1mstep 3",
            ],
            "loss \x1b[31m{0.5..10.5}\x1b[0m at \x1b[1mstep 3\x1b[0m",
        ),
        // Within what differs, behind it.
        (
            ["saved /a/b\x1b[32m/c ok", "saved /a/b\x1b[32m/d ok"],
            "saved {/a/b/c,/a/b/d}\x1b[32m ok\x1b[0m",
        ),
        // Not the same, or not at the same place.
        (["loss \x1b[31m0.5\x1b[0m now", "loss \x1b[32m0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        (["loss \x1b[31m0.5\x1b[0m now", "\x1b[31mloss 0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        (["loss \x1b[31m0.5\x1b[0m now", "loss 0.7 now"], "loss {0.5..0.7} now"),
        (["loss 0.5 now", "loss \x1b[31m0.7\x1b[0m now"], "loss {0.5..0.7} now"),
        // What moves the cursor is left out, whether they differ or not.
        (
            ["\x1b[2K\x1b[32mready\x1b[0m\x1b[K 1", "\x1b[2K\x1b[32mready\x1b[0m\x1b[K 1"],
            "\x1b[32mready\x1b[0m 1",
        ),
        (
            ["\x1b[2K\x1b[32mready\x1b[0m 1", "\x1b[1A\x1b[32mready\x1b[0m 2"],
            "\x1b[32mready\x1b[0m {1..2}",
        ),
    ];
    for (said, expected) in table {
        let mut console = Console::new(2);
        (0..).zip(said).for_each(|(rank, text)| console.say(rank, text));
        assert_eq!(console.shown(), [format!("[0,1] {expected}")]);
    }
}

#[test]
fn values_that_are_not_numbers_are_sampled() {
    let mut console = Console::new(8);
    for rank in 0..8 {
        console.say(rank, &format!("listening on /tmp/worker/{rank}.sock"));
    }
    let expected =
        "[0-7] listening on {/tmp/worker/0.sock,/tmp/worker/1.sock,/tmp/worker/2.sock…(+5)}";
    assert_eq!(console.shown(), [expected]);
}

#[test]
fn short_statements_and_bare_values_do_not_fold_into_others() {
    let mut console = Console::new(4);
    for (rank, text) in [(0, "starting"), (1, "stopping"), (2, "17"), (3, "18")] {
        console.say(rank, text);
    }
    assert_eq!(console.finish().len(), 4);
    for rank in 0..4 {
        console.say(rank, "17");
    }
    assert_eq!(console.shown(), ["[0-3] 17"]);
}

#[test]
fn an_entry_says_what_it_stands_for() {
    let mut fold = Ranks::new(RankSet::first(2), RanksOptions::default());
    let mut seen = 0;
    for rank in 0..2_u32 {
        let text = format!("took {} ms", 10 + rank);
        let line = Line {
            stream: stdout(rank),
            start: Offset(7),
            bytes: 11,
            time: Timestamp(5),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut |entry| {
            let Entry::Folded(folded) = entry else { panic!("a line alone") };
            assert_eq!((folded.lines, folded.count, folded.members.len()), (2, 2, 2));
            assert_eq!((folded.first.stream.rank, folded.last.stream.rank), (0, 1));
            let (min, max) = ("10 ms".to_owned(), "11 ms".to_owned());
            let field = Field::Numbers { min, max, distinct: 2, more: false, outliers: vec![] };
            assert_eq!(folded.fields.fields(), [field]);
            assert_eq!(folded.text, b"took {10..11} ms");
            seen += 1;
        });
    }
    assert_eq!(seen, 1);
}

#[test]
fn when_ranks_have_ended_the_shorter_way_names_who_said_it() {
    let mut console = Console::new(9);
    for rank in [0, 1, 2] {
        console.end(rank);
    }
    for rank in 3..8 {
        console.say(rank, "still here");
    }
    assert_eq!(console.finish(), ["[3-7] still here"]);
    for rank in [3, 4, 6, 7, 8] {
        console.say(rank, "still here");
    }
    assert_eq!(console.finish(), ["[3-8 except 5] still here"]);
}

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

/// As many entries as the bounds allow are held, with what each of 64 ranks said.
#[test]
fn the_default_bounds_have_room_for_64_ranks() {
    let entries = Bounds::default().max_entries;
    let mut console = Console::new(65);
    for rank in 0..64 {
        for step in 0..entries {
            let value = (step * 64 + rank as usize) % 9973;
            let numbers = [1, 2, 3, 4, 5, 6].map(|place| format!("{:06}", value * place));
            console.say(rank, &format!("step {step} with {} of work", numbers.join(" then ")));
        }
    }
    assert!(console.shown().is_empty());
    assert_eq!(console.finish().len(), entries);
}

#[test]
fn states_of_one_moment_fold_whatever_folds_the_lines() {
    let folds: [Box<dyn Fold>; 2] = [
        Box::new(Ranks::new(RankSet::first(64), RanksOptions::default())),
        Box::new(lastline_fold::Similar::default()),
    ];
    for fold in folds {
        let mut states = fold.for_states([0, 3, 4].into_iter().collect());
        let mut shown = Vec::new();
        for (rank, text) in [(0, " 30%|###   |"), (3, " 31%|###   |"), (4, "compiling")] {
            let line = Line {
                stream: stdout(rank),
                start: Offset(0),
                bytes: 0,
                time: Timestamp(0),
                text: text.as_bytes(),
                continuation: false,
                partial: false,
                redrawn: true,
            };
            states.push(&line, Timestamp(0), &mut |entry| shown.push(show(entry)));
        }
        states.finish(&mut |entry| shown.push(show(entry)));
        shown.sort();
        assert_eq!(shown, ["[0,3]  {30..31}%|###   |", "[4] compiling"]);
    }
}
