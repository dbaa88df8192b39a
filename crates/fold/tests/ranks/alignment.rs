//! Which lines make one entry, and when it goes out.

use lastline_fold::{Ranks, RanksOptions};
use lastline_line::{Launch, RankSet, Stream, StreamId, StreamSet};
use lastline_testing::stdout;

use crate::console::Console;

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
fn a_rank_that_was_started_again_is_waited_for_again() {
    let mut console = Console::new(3);
    console.end(2);
    let again = StreamId { launch: Launch(7), ..stdout(2) };
    console.say_on(again, "step 1 done");
    (0..2).for_each(|rank| console.say(rank, "step 1 done"));
    assert_eq!(console.shown(), ["[0-2] step 1 done"]);
    (0..2).for_each(|rank| console.say(rank, "step 2 done"));
    assert!(console.shown().is_empty(), "it may say that, too");
    console.say_on(again, "step 2 done");
    assert_eq!(console.shown(), ["[0-2] step 2 done"]);
}

#[test]
fn a_rank_is_waited_for_on_the_streams_that_are_shown_of_it() {
    let mut console = Console::new(0);
    let shown: StreamSet = "0,1:both,2-3:stderr".parse().unwrap();
    console.fold = Ranks::new(shown, RanksOptions::default());
    (0..2).for_each(|rank| console.say(rank, "step 1 done"));
    assert_eq!(console.shown(), ["[0,1] step 1 done"]);
    let stderr = |rank| StreamId { stream: Stream::Stderr, ..stdout(rank) };
    (0..3).for_each(|rank| console.say_on(stderr(rank), "no such device"));
    assert!(console.shown().is_empty(), "rank 3 may say it, too");
    console.end(3);
    assert_eq!(console.shown(), ["[0-2] no such device"]);
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
    for stream in Stream::SEPARATE {
        for rank in 0..2 {
            console.say_on(StreamId { stream, ..stdout(rank) }, "hello there");
        }
    }
    assert_eq!(console.shown(), ["[0,1] hello there", "[0,1] hello there"]);
}
