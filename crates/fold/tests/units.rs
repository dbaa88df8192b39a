//! Units: what belongs together is held together.

use lastline_fold::{Ranks, RanksOptions, same_statement, units};
use lastline_line::{Entry, Fold, Line, Offset, RankSet, Stream, StreamId, Timestamp};
use lastline_testing::stdout;

const PYTHON: &str = "\
Traceback (most recent call last):
  File \"train.py\", line 31, in step
    loss = model(batch)
ValueError: bad batch 7

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"train.py\", line 40, in <module>
    main()
RuntimeError: step failed";

const RUST: &str = "\
thread 'main' panicked at src/main.rs:4:5:
index out of bounds: the len is 3 but the index is 7
stack backtrace:
   0: rust_begin_unwind
             at /rustc/0/library/std/src/panicking.rs:645:5
   1: app::main
             at ./src/main.rs:4:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.";

const JAVA: &str = "\
Exception in thread \"main\" java.lang.IllegalStateException: not open
\tat com.example.App.run(App.java:12)
\tat com.example.App.main(App.java:5)
Caused by: java.io.IOException: no such device
\tat com.example.Disk.open(Disk.java:33)
\t... 2 more";

const GO: &str = "\
panic: runtime error: index out of range [7] with length 3

goroutine 1 [running]:
main.run(0xc000012345, 0x3)
\t/src/main.go:8 +0x1d
main.main()
\t/src/main.go:14 +0x20";

const CPP: &str = "\
terminate called after throwing an instance of 'std::runtime_error'
  what():  lost the device";

const BLOCK: &str = "\
options:
  depth = 3
  width = 4";

const ALL: [&str; 6] = [PYTHON, RUST, JAVA, GO, CPP, BLOCK];

fn line<'a>(rank: u32, text: &'a str, now: u64) -> Line<'a> {
    Line {
        stream: StreamId { stream: Stream::Stderr, ..stdout(rank) },
        start: Offset(now),
        bytes: text.len() as u64 + 1,
        time: Timestamp(now),
        text: text.as_bytes(),
        continuation: false,
        partial: false,
        redrawn: false,
    }
}

fn show(shown: &mut Vec<String>, entry: Entry<'_>) {
    shown.push(match entry {
        Entry::Line(line) => {
            format!("[{}] {}", line.stream.rank, String::from_utf8_lossy(line.text))
        }
        Entry::Folded(folded) => {
            format!("[{}] {}", folded.ranks, String::from_utf8_lossy(folded.text))
        }
    });
}

fn ranks(ranks: u32) -> Ranks {
    Ranks::new(RankSet::first(ranks), RanksOptions::default())
}

#[test]
fn a_unit_of_several_ranks_is_one_entry_whole_and_in_order() {
    for unit in ALL {
        let (mut fold, mut shown) = (ranks(2), Vec::new());
        for text in unit.lines() {
            for rank in 0..2 {
                fold.push(&line(rank, text, 0), Timestamp(0), &mut |e| show(&mut shown, e));
            }
        }
        assert!(shown.is_empty());
        fold.due(Timestamp(200_000), &mut |entry| show(&mut shown, entry));
        assert_eq!(shown, [format!("[0,1] {unit}")]);
    }
}

#[test]
fn the_next_line_that_is_not_part_of_it_closes_a_unit() {
    for unit in ALL {
        let (mut fold, mut shown) = (ranks(1), Vec::new());
        for text in unit.lines().chain(["all is well again"]) {
            fold.push(&line(0, text, 0), Timestamp(0), &mut |entry| show(&mut shown, entry));
        }
        let expected: Vec<_> =
            unit.lines().chain(["all is well again"]).map(|text| format!("[0] {text}")).collect();
        assert_eq!(shown, expected);
    }
}

#[test]
fn the_end_of_a_rank_closes_its_units() {
    let (mut fold, mut shown) = (ranks(2), Vec::new());
    for text in PYTHON.lines() {
        fold.push(&line(0, text, 0), Timestamp(0), &mut |entry| show(&mut shown, entry));
    }
    fold.ended(1, Timestamp(0), &mut |entry| show(&mut shown, entry));
    assert!(shown.is_empty());
    fold.ended(0, Timestamp(0), &mut |entry| show(&mut shown, entry));
    assert_eq!(shown.len(), PYTHON.lines().count());
}

#[test]
fn one_odd_traceback_among_equal_ones_stays_apart() {
    let (mut fold, mut shown) = (ranks(64), Vec::new());
    for rank in 0..64 {
        for text in PYTHON.lines() {
            let text =
                if rank == 17 { text.replace("line 31", "line 57") } else { text.to_owned() };
            fold.push(&line(rank, &text, 0), Timestamp(0), &mut |e| show(&mut shown, e));
        }
    }
    fold.finish(&mut |entry| show(&mut shown, entry));
    let entries: Vec<_> = shown.iter().filter(|entry| entry.contains("Traceback")).collect();
    assert!(entries[0].starts_with("[0-16,18-63] Traceback"), "{}", entries[0]);
    assert_eq!(shown.iter().filter(|entry| entry.starts_with("[17]")).count(), 11);
}

#[test]
fn a_launchers_prefix_does_not_hide_a_traceback() {
    let (mut fold, mut shown) = (ranks(2), Vec::new());
    for rank in 0..2 {
        for text in PYTHON.lines() {
            let text = format!("[rank0]: {text}");
            fold.push(&line(rank, &text, 0), Timestamp(0), &mut |e| show(&mut shown, e));
        }
    }
    fold.finish(&mut |entry| show(&mut shown, entry));
    assert_eq!(shown.len(), 1);
}

#[test]
fn a_blank_line_after_a_traceback_is_not_part_of_it() {
    let lines: Vec<&[u8]> = PYTHON.lines().chain(["", "next"]).map(str::as_bytes).collect();
    assert_eq!(units(&lines), [0..11, 11..12, 12..13]);
}

#[test]
fn units_are_compared_by_what_was_said_and_where() {
    let cut = |text: &'static str| text.lines().map(str::as_bytes).collect::<Vec<_>>();
    for unit in ALL {
        assert_eq!(units(&cut(unit)).len(), 1);
        assert!(same_statement(&cut(unit), &cut(unit)));
    }
    let other_value = PYTHON.replace("batch 7", "batch 8");
    let other_place = PYTHON.replace("line 31", "line 32");
    let python = cut(PYTHON);
    let changed =
        |text: &str| same_statement(&python, &text.lines().map(str::as_bytes).collect::<Vec<_>>());
    assert!(changed(&other_value));
    assert!(!changed(&other_place));
}
