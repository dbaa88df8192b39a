//! How much is held, and states beside lines.

use lastline_fold::{Bounds, Ranks, RanksOptions};
use lastline_line::{Fold, Line, Offset, RankSet, Timestamp};
use lastline_testing::stdout;

use crate::console::{Console, show};

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
