//! Whom an entry stands for.

use lastline_fold::{Ranks, RanksOptions};
use lastline_line::{Entry, Field, Fold, Line, Offset, RankSet, Timestamp};
use lastline_testing::stdout;

use crate::console::Console;

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
