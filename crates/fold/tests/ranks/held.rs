//! How much is held, and states beside lines.

use std::time::Duration;

use lastline_fold::{Bounds, Ranks, RanksOptions};
use lastline_line::{Entry, Fold, Line, Offset, RankSet, Timestamp};
use lastline_testing::stdout;

use crate::console::{Console, show};

/// What 4,096 lines take that each of 64 ranks said with six numbers of its own.
#[test]
fn the_default_bounds_have_room_for_64_ranks() {
    let entries = 4096;
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

/// Ranks that end as soon as they have said something, one after the other, within a window.
#[test]
fn ranks_that_are_not_known_yet_are_waited_for_when_the_known_ones_have_ended() {
    let mut console = Console::of_speakers();
    for rank in 0..8 {
        console.say(rank, "ready");
        console.say(rank, &format!("loss 0.{rank}"));
        console.wait(10);
        console.end(rank);
    }
    assert!(console.shown().is_empty(), "others may still say it");
    console.wait(500);
    assert_eq!(console.shown(), ["[0-7] ready", "[0-7] loss {0.0..0.7}"]);
    console.say(8, "ready");
    console.end(8);
    assert_eq!(console.finish(), ["[8] ready"]);
}

/// What is read of a rank at once has thousands of lines, none of which another rank has said yet.
#[test]
fn ranks_that_only_copy_files_fold_however_far_apart_they_are() {
    let steps = 12_000;
    let mut console = Console::new(8);
    for rank in 0..8 {
        for step in 0..steps {
            console.say(rank, &format!("step {step} loss 0.{}", 100 + (step * 8 + rank) % 900));
        }
    }
    assert_eq!(console.finish().len(), steps as usize);
}

/// What it says next would have to give out what the others are about to say.
#[test]
fn who_has_said_much_more_than_the_others_is_ahead_until_they_have_said_it() {
    let half = RanksOptions::default().bounds.max_entries / 2;
    let mut fold = Ranks::new(RankSet::first(3), RanksOptions::default());
    let mut say = |rank, steps| steps_said(&mut fold, rank, steps);
    assert_eq!(say(0, 0..half / 2), [false; 3]);
    assert_eq!(say(0, half / 2..half + 1), [true, false, false]);
    assert_eq!(say(1, 0..half + 1), [true, true, false]);
    assert_eq!(say(2, 0..half / 2 + 1), [false; 3]);
}

/// As of a file, of which it is not known who is in it: all is held, whoever waits.
#[test]
fn nobody_is_ahead_of_ranks_that_are_not_known() {
    let half = RanksOptions::default().bounds.max_entries / 2;
    let options = RanksOptions { window: Duration::MAX, ..RanksOptions::default() };
    let mut fold = Ranks::of_speakers(options);
    for rank in 0..3 {
        assert_eq!(steps_said(&mut fold, rank, 0..half + 1), [false; 3]);
    }
}

/// A rank says some steps; which of three are ahead then.
fn steps_said(fold: &mut Ranks, rank: u32, steps: std::ops::Range<usize>) -> [bool; 3] {
    for step in steps {
        let text = format!("step {step}");
        let line = Line {
            stream: stdout(rank),
            start: Offset(step as u64 * 12),
            bytes: 12,
            time: Timestamp(0),
            text: text.as_bytes(),
            continuation: false,
            partial: false,
            redrawn: false,
        };
        fold.push(&line, line.time, &mut |_| {});
    }
    [0, 1, 2].map(|rank| fold.ahead(stdout(rank)) > 0)
}

/// Beside its text a line that is held takes eight bytes for the rank, and in its row four for that and
/// eight for a value of seven digits.
#[test]
fn what_is_held_of_a_thousand_ranks_stays_within_the_bounds() {
    const LEAST_BYTES: usize = 20;
    let bounds = Bounds { max_bytes: 1 << 20, ..Bounds::default() };
    let mut fold =
        Ranks::new(RankSet::first(1001), RanksOptions { bounds, ..RanksOptions::default() });
    let (mut held, mut most) = (0, 0);
    for rank in 0..1000 {
        for step in 0..200 {
            let text = format!("step {step} loss 0.{:05}", (step * 1000 + rank) % 99_991);
            let line = Line {
                stream: stdout(rank),
                start: Offset(0),
                bytes: text.len() as u64 + 1,
                time: Timestamp(0),
                text: text.as_bytes(),
                continuation: false,
                partial: false,
                redrawn: false,
            };
            held += 1;
            fold.push(&line, line.time, &mut |entry| {
                held -= match entry {
                    Entry::Line(_) => 1,
                    Entry::Folded(folded) => folded.lines as usize,
                };
            });
            assert!(held * LEAST_BYTES <= bounds.max_bytes, "{held} lines at rank {rank}");
            most = most.max(held);
        }
    }
    assert!(most * LEAST_BYTES > bounds.max_bytes / 3, "no more than {most} lines were held");
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
