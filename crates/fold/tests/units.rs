//! Units: what belongs together is held together.

use lastline_fold::{Ranks, RanksOptions};
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

/// A cause that was made and not raised has no frames.
const PYTHON_CAUSE: &str = "\
ValueError: bad batch 7

The above exception was the direct cause of the following exception:

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

const ALL: [&str; 7] = [PYTHON, PYTHON_CAUSE, RUST, JAVA, GO, CPP, BLOCK];

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

/// As a cause without a message, or one whose name tells nothing: `KeyError`, `StopIteration: 3`.
#[test]
fn what_leads_from_a_cause_to_its_effect_is_part_of_the_effect() {
    let cause: Vec<&str> = PYTHON_CAUSE.lines().collect();
    let said = [&["KeyError"], &cause[1..]].concat();
    let effect = cause[2..].join("\n");
    assert_eq!(
        folded(&[(0, &said), (1, &said)]),
        ["[0,1] KeyError", "[0,1] ", &format!("[0,1] {effect}")]
    );
}

#[test]
fn a_line_that_names_an_error_is_alone_where_nothing_follows_from_it() {
    let shown = folded(&[(0, &["ValueError: bad batch 7", "", "step 4"])]);
    assert_eq!(shown, ["[0] ValueError: bad batch 7", "[0] ", "[0] step 4"]);
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
    let lines: Vec<&str> = PYTHON.lines().chain(["", "next"]).collect();
    // Of two ranks that go on differently, the traceback and the blank line fold all the same.
    let other: Vec<&str> = PYTHON.lines().chain(["", "other"]).collect();
    let shown = folded(&[(0, &lines), (1, &other)]);
    assert_eq!(shown, [&format!("[0,1] {PYTHON}"), "[0,1] ", "[0] next", "[1] other",]);
}

/// What ranks say, one after the other, folded.
fn folded(said: &[(u32, &[&str])]) -> Vec<String> {
    let (mut fold, mut shown) = (ranks(20), Vec::new());
    for (rank, lines) in said {
        for text in *lines {
            fold.push(&line(*rank, text, 0), Timestamp(0), &mut |e| show(&mut shown, e));
        }
    }
    fold.finish(&mut |entry| show(&mut shown, entry));
    shown
}

#[test]
fn units_are_compared_by_what_was_said_and_where() {
    let entries = |changed: &str| {
        let (first, second): (Vec<_>, Vec<_>) =
            (PYTHON.lines().collect(), changed.lines().collect());
        folded(&[(3, &first), (17, &second)]).len()
    };
    assert_eq!(entries(&PYTHON.replace("batch 7", "batch 8")), 1);
    // A place is shown line by line for each of them.
    assert_eq!(entries(&PYTHON.replace("line 31", "line 32")), 2 * PYTHON.lines().count());
}

/// Texts as they were printed by two ranks, 3 and 17, of real programs: CPython 3.11, Rust, libstdc++
/// and glibc, gdb 13, GCC's AddressSanitizer, Java 17, Node 20; those of PyTorch, Open MPI, Julia and
/// Go as their reports of defects have them; and what in an entry of both says what differs.
macro_rules! samples {
    ($(($name:literal, $differs:literal),)*) => {
        [$((
            $name,
            include_str!(concat!("samples/", $name, ".3.txt")),
            include_str!(concat!("samples/", $name, ".17.txt")),
            $differs,
        ),)*]
    };
}

const SAMPLES: [(&str, &str, &str, &str); 18] = samples![
    ("exception_group", "    | ValueError: bad shard {3..17}"),
    ("python_long", "ValueError: bad shard {3..17}"),
    ("faulthandler", "Fatal Python error: Segmentation fault"),
    ("rust_full", "bad shard {3..17}"),
    ("terminate", "  what():  bad shard {3..17}"),
    ("torch", "  what():  CUDA error: device-side assert triggered on rank {3..17}"),
    ("backtrace_symbols", "./bt(step+0xc)["),
    ("gdb", "in load (shard={3..17}, p=0x0) at crash.c:1"),
    ("asan", "ERROR: AddressSanitizer: heap-buffer-overflow"),
    ("open_mpi", "Signal: Segmentation fault (11)"),
    ("java", "Exception in thread \"main\" java.lang.IllegalStateException: bad shard {3..17}"),
    ("node", "TypeError: bad shard {3..17}"),
    ("julia", "ERROR: LoadError: bad shard {3..17}"),
    ("go", "panic: bad shard {3..17}"),
    ("tensor", "        [0.3, {3.0..17.0}]])"),
    ("array", " [3 {3..17}]]"),
    ("array_3d", "  [ 7.  {3..17}.]]]"),
    ("dict", "{'shard': {3..17},"),
];

fn sample(text: &str) -> Vec<&str> {
    text.trim_matches('\n').lines().collect()
}

#[test]
fn what_real_programs_print_is_one_entry_whole_and_in_order() {
    for (name, first, second, differs) in SAMPLES {
        let (left, right): (Vec<_>, Vec<_>) = (sample(first), sample(second));
        let shown = folded(&[(3, &left), (17, &right)]);
        assert_eq!(shown.len(), 1, "{name}: {shown:#?}");
        assert!(shown[0].contains(differs), "{name}: {}", shown[0]);
        assert_eq!(shown[0].lines().count(), left.len(), "{name}");
        let alone: Vec<&str> = shown[0].trim_start_matches("[3,17] ").lines().collect();
        for (shown, said) in alone.iter().zip(&left) {
            // What stands before the first value that differs is as it was said.
            assert!(said.starts_with(shown.split('{').next().unwrap()), "{name}: {shown}");
        }
    }
}

#[test]
fn a_unit_ends_with_the_text_of_the_program() {
    for (name, first, second, _) in SAMPLES {
        let with_next =
            |text: &'static str| [&sample(text)[..], &["the next line of the log"]].concat();
        let shown = folded(&[(3, &with_next(first)), (17, &with_next(second))]);
        assert_eq!(shown.len(), 2, "{name}: {shown:#?}");
        assert_eq!(shown[1], "[3,17] the next line of the log", "{name}");
    }
}

#[test]
fn each_launchers_prefix_has_its_own_rank() {
    let prefixed = |text: &str, rank: u32| {
        let lines = text.trim_matches('\n').lines().map(|line| format!("[rank{rank}]: {line}"));
        lines.collect::<Vec<_>>()
    };
    for (name, first, second, _) in &SAMPLES[..2] {
        let (left, right) = (prefixed(first, 3), prefixed(second, 17));
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let right: Vec<&str> = right.iter().map(String::as_str).collect();
        let shown = folded(&[(3, &left), (17, &right)]);
        assert_eq!(shown.len(), 1, "{name}: {shown:#?}");
        assert!(shown[0].starts_with("[3,17] [rank{3..17}]: "), "{}", shown[0]);
    }
}

#[test]
fn lines_of_variables_alone_fold_in_a_unit_only() {
    assert_eq!(folded(&[(0, &["[1 2]"]), (1, &["[1 3]"])]).len(), 2);
    let block = |value| ["values:", value];
    assert_eq!(
        folded(&[(0, &block("  1 2")), (1, &block("  1 3"))]),
        ["[0,1] values:\n  1 {2..3}"]
    );
    assert_eq!(folded(&[(0, &block("  1 2")), (1, &block("  1 2 3"))]).len(), 4);
}

#[test]
fn lines_that_begin_with_a_path_fold_in_a_unit() {
    let said = [
        (
            0,
            &[
                "time across ranks (ms):",
                "  train/valid/test: (441.68, 508.67)",
                "  /a/0.pt (10 MB)",
            ][..],
        ),
        (
            1,
            &[
                "time across ranks (ms):",
                "  train/valid/test: (431.68, 518.67)",
                "  /a/1.pt (12 MB)",
            ],
        ),
    ];
    let expected = "[0,1] time across ranks (ms):
  train/valid/test: ({431.68..441.68}, {508.67..518.67})
  /a/{0, 1: 1}.pt ({10..12} MB)";
    assert_eq!(folded(&said), [expected]);
}

#[test]
fn an_unfinished_bracket_does_not_swallow_what_follows() {
    let shown = folded(&[(0, &["weights [0.5 0.6", "step 1", "  [0.7", "step 2"])]);
    assert_eq!(shown, ["[0] weights [0.5 0.6", "[0] step 1", "[0]   [0.7", "[0] step 2"]);
}

#[test]
fn a_backtrace_may_be_printed_with_pauses() {
    let (mut fold, mut shown) = (ranks(1), Vec::new());
    let mut at = 0;
    for text in RUST.lines() {
        // Each symbol is looked up before its frame is printed.
        at += match text {
            _ if text.starts_with("   ") => 9_900_000,
            _ => 1000,
        };
        fold.due(Timestamp(at), &mut |entry| show(&mut shown, entry));
        assert_eq!(shown, Vec::<String>::new(), "before {text}");
        fold.push(&line(0, text, at), Timestamp(at), &mut |entry| show(&mut shown, entry));
    }
    let due = fold.due(Timestamp(at), &mut |entry| show(&mut shown, entry));
    assert!(shown.is_empty() && due.is_some_and(|due| due <= Timestamp(at + 2_000_000)));
    fold.due(Timestamp(at + 2_000_000), &mut |entry| show(&mut shown, entry));
    assert_eq!(shown.len(), RUST.lines().count());
}
