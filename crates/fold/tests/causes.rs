//! Why a rank failed, and who failed alike.

use lastline_fold::{Cause, fold_failures};
use lastline_line::Stream;
use proptest::prelude::*;

const RUST: &str = include_str!("samples/rust_full.17.txt");
const PYTHON: &str = include_str!("samples/python_long.17.txt");
const GROUP: &str = include_str!("samples/exception_group.17.txt");
const ASAN: &str = include_str!("samples/asan.17.txt");
const TERMINATE: &str = include_str!("samples/terminate.17.txt");
const TORCH: &str = include_str!("samples/torch.17.txt");

fn lines(text: &str) -> Vec<&str> {
    text.trim_matches('\n').lines().collect()
}

/// The stream of the cause and its message.
fn found(stdout: &[&str], stderr: &[&str]) -> Option<(Stream, String)> {
    let cause = Cause::find(stdout, stderr)?;
    let lines = if cause.stream == Stream::Stdout { stdout } else { stderr };
    assert!(cause.lines.contains(&cause.message) && cause.lines.end <= lines.len());
    Some((cause.stream, lines[cause.message].trim().to_owned()))
}

#[test]
fn the_message_says_what_happened() {
    let table = [
        (RUST, "bad shard 17"),
        (PYTHON, "ValueError: bad shard 17"),
        (GROUP, "| TypeError: type 17"),
        (ASAN, "==29002==ERROR: AddressSanitizer"),
        (TERMINATE, "what():  bad shard 17"),
        (TORCH, "what():  CUDA error: device-side assert triggered on rank 17"),
        ("terminate called without an active exception", "terminate called without"),
        ("out of memory", "out of memory"),
    ];
    for (text, message) in table {
        let before = ["step 3", "W0731 12:00:00 17 reducer.cc:12] slow"];
        let stderr = [&before[..], &lines(text)].concat();
        let (stream, told) = found(&["step 3 done"], &stderr).unwrap();
        assert_eq!(stream, Stream::Stderr);
        let pid = |text: &str| {
            text.trim_start_matches(|c: char| c == '=' || c.is_ascii_digit()).to_owned()
        };
        assert!(pid(&told).starts_with(&pid(message)), "{told}");
    }
}

#[test]
fn the_stream_is_the_one_that_says_why() {
    use Stream::{Stderr, Stdout};
    let warning = ["a.py:3: UserWarning: slow", "  warnings.warn('slow')"];
    let log = ["2026-11-25 12:00:00 INFO step 3", "2026-11-25 12:00:00 WARNING slow"];
    let failed = ["step 3", "Assertion failed: shard < 16"];
    let traceback = lines(PYTHON);
    type Case<'a> = (&'a [&'a str], &'a [&'a str], Option<(Stream, &'a str)>);
    let table: [Case<'_>; 10] = [
        (&[], &[], None),
        (&["step 3"], &[], Some((Stdout, "step 3"))),
        (&[], &["step 3"], Some((Stderr, "step 3"))),
        (&failed, &warning, Some((Stdout, failed[1]))),
        (&failed, &log, Some((Stdout, failed[1]))),
        (&traceback, &warning, Some((Stdout, "ValueError: bad shard 17"))),
        // Nothing on stdout tells more than the warning does.
        (&["step 3"], &warning, Some((Stderr, warning[1]))),
        (&failed, &["out of patience"], Some((Stderr, "out of patience"))),
        (&failed, &[warning[0], warning[1], "Error: 3"], Some((Stderr, "Error: 3"))),
        (&failed, &[" 45%|####      | 9/20"], Some((Stdout, failed[1]))),
    ];
    for (stdout, stderr, wanted) in table {
        let wanted = wanted.map(|(stream, message)| (stream, message.trim().to_owned()));
        assert_eq!(found(stdout, stderr), wanted, "{stdout:?} {stderr:?}");
    }
}

#[test]
fn what_comes_after_the_cause_is_not_the_cause() {
    for after in ["[rank 3] exiting", "2026-11-25 12:00:00 INFO bye", "srun: error: node-3: exit 1"]
    {
        let stderr = [&lines(PYTHON)[..], &[after]].concat();
        assert_eq!(found(&[], &stderr).unwrap().1, "ValueError: bad shard 17", "{after}");
    }
}

const TRACEBACK: &str = "Traceback (most recent call last):
  File \"train.py\", line 99, in <module>
    main()
";

#[test]
fn stacks_notes_and_what_comes_after_an_end_are_no_cause() {
    let traceback = |message: &str| format!("{TRACEBACK}{message}");
    let table = [
        // glog, as XLA and Ray have it.
        (
            "F1127 12:00:00.1 7 file.cc:12] Check failed: x == y\n*** Check failure stack trace: ***\n    \
             @     0x7f12  google::LogMessage::Fail()\n    @     0x7f13  main"
                .to_owned(),
            "F1127 12:00:00.1 7 file.cc:12] Check failed: x == y",
        ),
        (
            "*** SIGSEGV (@0x0) received by PID 7 from PID 0; stack trace: ***\n    @  0x7f12  fail()".into(),
            "*** SIGSEGV (@0x0) received by PID 7 from PID 0; stack trace: ***",
        ),
        // gfortran.
        (
            "At line 5 of file a.f90 (unit = 10, file = 'x')\nFortran runtime error: End of file\n\n\
             Error termination. Backtrace:\n#0  0x5f4f in ???\n#1  0x94a9 in MAIN__\n\tat /src/a.f90:5"
                .into(),
            "Fortran runtime error: End of file",
        ),
        (
            "Program received signal SIGFPE: Floating-point exception - erroneous arithmetic operation.\n\n\
             Backtrace for this error:\n#0  0x7f1 in ???"
                .into(),
            "Program received signal SIGFPE: Floating-point exception - erroneous arithmetic operation.",
        ),
        // Open MPI.
        (
            "-----------------\nMPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD\nwith \
             errorcode 3.\n\nNOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.\nYou may \
             or may not see output from other processes, depending on\nexactly when Open MPI kills \
             them.\n-----------------"
                .into(),
            "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD",
        ),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  bad shard\n\
             [node:123] *** Process received signal ***\n[node:123] Signal: Aborted (6)\n[node:123] Signal \
             code:  (-6)\n[node:123] [ 0] /lib/libc.so.6(+0x42520)[0x7f12]\n[node:123] *** End of error \
             message ***"
                .into(),
            "what():  bad shard",
        ),
        // NCCL's only word for a failure is a warning.
        (
            "step 3\nn:7:8 [3] socket.cc:48 NCCL WARN Connect to 10.0.0.1<4000> failed: refused\nn:7:8 [3] \
             NCCL INFO init.cc:1501 -> 2"
                .into(),
            "n:7:8 [3] socket.cc:48 NCCL WARN Connect to 10.0.0.1<4000> failed: refused",
        ),
        (
            "solve: solve.c:112: main: Assertion `n > 0' failed.\nAborted (core dumped)".into(),
            "solve: solve.c:112: main: Assertion `n > 0' failed.",
        ),
        (
            traceback(&format!(
                "AssertionError\nException ignored in: <function X.__del__ at 0x7f12>\n{TRACEBACK}TypeError: \
                 'NoneType' object is not callable"
            )),
            "AssertionError",
        ),
        (
            traceback(&format!(
                "ValueError: bad\nTask exception was never retrieved\nfuture: <Task finished>\n{TRACEBACK}\
                 OSError: closed"
            )),
            "ValueError: bad",
        ),
        // Where there is nothing else, they are the cause.
        ("step 3\nAborted (core dumped)\nbye".into(), "Aborted (core dumped)"),
        (format!("Error in atexit._run_exitfuncs:\n{TRACEBACK}OSError: closed"), "OSError: closed"),
        // Who ends by another signal than that of abort has not said why before.
        (
            "error: retrying\n[node:123] *** Process received signal ***\n[node:123] Signal: Segmentation \
             fault (11)\n[node:123] [ 0] /lib/libc.so.6(+0x42520)[0x7f12]\n[node:123] *** End of error \
             message ***"
                .into(),
            "[node:123] Signal: Segmentation fault (11)",
        ),
    ];
    for (text, message) in table {
        assert_eq!(found(&[], &lines(&text)).unwrap().1, message, "{text}");
    }
}

#[test]
fn a_stack_that_is_announced_is_shown_with_what_it_is_of() {
    let frames: Vec<String> = (0..30).map(|at| format!("    @  0x7f{at}  run()")).collect();
    let mut stderr =
        vec!["F1127 12:00:00.1 7 a.cc:12] ring broken", "*** Check failure stack trace: ***"];
    stderr.extend(frames.iter().map(String::as_str));
    assert_eq!(found(&[], &stderr).unwrap().1, stderr[0]);
    assert_eq!(excerpt(&stderr), stderr[..20]);
}

/// Lines that a traceback may be followed by.
fn later(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("closing worker {at}")).collect()
}

#[test]
fn a_crash_is_the_cause_however_much_is_cleared_away_after_it() {
    for (count, told) in [
        (19, "ValueError: bad shard 17"),
        (20, "ValueError: bad shard 17"),
        (199, "ValueError: bad shard 17"),
        // What was survived long ago is no cause.
        (200, "closing worker 199"),
    ] {
        let later = later(count);
        let later: Vec<&str> = later.iter().map(String::as_str).collect();
        let stderr = [&lines(PYTHON)[..], &later].concat();
        assert_eq!(found(&[], &stderr).unwrap().1, told, "{count}");
        // A word of failure among them is no cause; without a crash it is one, near the end.
        let stderr = [&stderr[..], &["closing failed"]].concat();
        let told = if count < 199 { "ValueError: bad shard 17" } else { "closing failed" };
        assert_eq!(found(&[], &stderr).unwrap().1, told, "{count}");
    }
}

#[test]
fn a_cause_that_is_far_from_the_end_is_shown_with_the_very_last_lines() {
    let later = later(25);
    let later: Vec<&str> = later.iter().map(String::as_str).collect();
    let short = lines(TERMINATE);
    let shown = excerpt(&[&["step 3"], &short[..], &later].concat());
    assert_eq!(shown, [&short[..], &["…"], &later[20..]].concat());
    // No more than there is room for.
    let frames: Vec<String> =
        (0..15).map(|at| format!("  File \"a.py\", line {at}, in f")).collect();
    let mut long = vec!["Traceback (most recent call last):"];
    long.extend(frames.iter().map(String::as_str));
    long.push("ValueError: bad");
    let shown = excerpt(&[&long[..], &later].concat());
    assert_eq!(shown, [&long[..], &["…"], &later[22..]].concat());
}

/// What is shown, with `…` where lines are left out.
fn excerpt<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let cause = Cause::find(&[], lines).expect("there are lines");
    let excerpt = cause.excerpt(lines, 20);
    let gap: &[&str] = if excerpt.left_out() > 0 { &["…"] } else { &[] };
    [&lines[excerpt.head], gap, &lines[excerpt.rest]].concat()
}

#[test]
fn a_short_cause_is_shown_with_what_is_around_it() {
    let before: Vec<&str> = vec!["step"; 40];
    let stderr = [&before[..], &lines(TERMINATE), &["bye"]].concat();
    assert_eq!(excerpt(&stderr), stderr[23..]);
}

#[test]
fn a_long_python_traceback_is_shown_with_its_head_and_its_last_frames() {
    let all = lines(PYTHON);
    let shown = excerpt(&all);
    // The next frame does not fit whole.
    assert_eq!(shown.len(), 20);
    assert_eq!(shown[..2], ["Traceback (most recent call last):", "…"]);
    assert_eq!(shown[2..], all[all.len() - 18..]);
}

#[test]
fn a_long_traceback_is_cut_where_a_frame_starts() {
    for margin in ["", "[rank3]: "] {
        let mut all = vec![format!("{margin}Traceback (most recent call last):")];
        for at in 0..8 {
            all.push(format!("{margin}  File \"train.py\", line {at}, in f"));
            all.push(format!("{margin}    return f(x) + 1"));
            all.push(format!("{margin}           ^^^^"));
        }
        // What takes its whole line has no row of marks.
        all.push(format!("{margin}  File \"train.py\", line 9, in g"));
        all.push(format!("{margin}    raise ValueError('bad shard')"));
        all.push(format!("{margin}ValueError: bad shard"));
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let shown = excerpt(&all);
        assert_eq!(shown[..2], [all[0], "…"]);
        assert_eq!(shown[2..], all[all.len() - 18..]);
        assert!(shown[2].starts_with(&format!("{margin}  File ")), "{shown:#?}");
    }
}

#[test]
fn a_full_rust_backtrace_is_shown_from_the_programs_own_frames_on() {
    let all = lines(RUST);
    let shown = excerpt(&all);
    assert_eq!(shown.len(), 21);
    assert_eq!(shown[1..3], ["bad shard 17", "…"]);
    assert!(shown[3].contains(" - panic::load::h"), "{}", shown[3]);
    assert!(shown[5].contains(" - panic::main::h"), "{}", shown[5]);
}

#[test]
fn a_long_report_is_shown_from_its_head_on() {
    let all = lines(ASAN);
    assert_eq!(excerpt(&all), all[..20]);
}

#[test]
fn ranks_that_failed_alike_are_told_together() {
    let text = |rank: u32| -> Vec<String> {
        let (why, at) =
            if rank == 5 { ("MemoryError: cannot map", 4) } else { ("ValueError: bad", 3) };
        let frame = format!("  File \"a.py\", line {at}, in f");
        vec!["Traceback (most recent call last):".into(), frame, format!("{why} shard {rank}")]
    };
    let said: Vec<(u32, Vec<String>)> = [7, 0, 5, 1].map(|rank| (rank, text(rank))).into();
    let said: Vec<(u32, &[String])> =
        said.iter().map(|(rank, lines)| (*rank, &lines[..])).collect();
    let failures = fold_failures(&said);
    let told: Vec<_> = failures
        .iter()
        .map(|told| (told.ranks.to_string(), &told.lines[told.message][..]))
        .collect();
    assert_eq!(
        told,
        [
            ("0,1,7".to_owned(), "ValueError: bad shard {0..7}"),
            ("5".to_owned(), "MemoryError: cannot map shard 5"),
        ]
    );
    assert_eq!((failures[0].differs, failures[1].differs), (Some(2), None));
}

#[test]
fn of_a_chain_that_ends_alike_the_message_that_differs_is_told() {
    let chain = |rank: u32| {
        let cause = match rank {
            4 => "RuntimeError: shard 4 corrupt: crc mismatch".to_owned(),
            _ => format!("RuntimeError: worker {rank} cannot open shard"),
        };
        let first = format!("FileNotFoundError: no file /data/shard-{rank}");
        let between = "\nThe above exception was the direct cause of the following exception:\n\n";
        let last = format!("SystemError: rank {rank} gives up");
        lines(&[first, cause, last].map(|said| format!("{TRACEBACK}{said}\n")).join(between))
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let told = |ranks: &[u32]| -> Vec<(String, String)> {
        let said: Vec<(u32, Vec<String>)> =
            ranks.iter().map(|rank| (*rank, chain(*rank))).collect();
        let said: Vec<(u32, &[String])> =
            said.iter().map(|(rank, lines)| (*rank, &lines[..])).collect();
        let failures = fold_failures(&said).into_iter();
        failures.map(|told| (told.ranks.to_string(), told.lines[told.message].clone())).collect()
    };
    let last =
        |ranks: &str, rank: &str| (ranks.to_owned(), format!("SystemError: rank {rank} gives up"));
    let corrupt = "RuntimeError: shard 4 corrupt: crc mismatch".to_owned();
    assert_eq!(told(&[0, 1, 4, 7]), [last("0,1,7", "{0..7}"), ("4".to_owned(), corrupt)]);
    let open = "RuntimeError: worker {0..7} cannot open shard".to_owned();
    assert_eq!(told(&[4, 0, 7]), [last("4", "4"), ("0,7".to_owned(), open)]);
}

#[test]
fn addresses_alone_are_no_difference() {
    let real = ["backtrace_symbols", "rust_full"].map(|name| {
        let read =
            |rank| std::fs::read_to_string(format!("tests/samples/{name}.{rank}.txt")).unwrap();
        // The message is made the same.
        (read(3), read(17).replace("shard 17", "shard 3"))
    });
    for (left, right) in real {
        let (left, right) = (lines(&left), lines(&right));
        let failures = fold_failures(&[(3, &left[..]), (17, &right[..])]);
        assert_eq!((failures.len(), failures[0].differs), (1, None));
    }
}

proptest! {
    /// Who is told is who failed, each once; and the lines are as many as each one said.
    #[test]
    fn nobody_is_left_out(
        kinds in prop::collection::vec(0_usize..5, 1..24),
        value in 0_u32..1000,
    ) {
        let texts = [RUST, PYTHON, TERMINATE, "out of memory", "lost peer 17"];
        let said: Vec<(u32, Vec<String>)> = (0..).zip(&kinds).map(|(rank, kind)| {
            let text = texts[*kind].replace("shard 17", &format!("shard {}", value + rank));
            (rank, text.trim_matches('\n').lines().map(str::to_owned).collect())
        }).collect();
        let borrowed: Vec<(u32, &[String])> = said.iter().map(|(rank, lines)| (*rank, &lines[..])).collect();
        let failures = fold_failures(&borrowed);
        let mut told: Vec<u32> = failures.iter().flat_map(|told| told.ranks.iter()).collect();
        told.sort_unstable();
        prop_assert_eq!(told, (0..kinds.len() as u32).collect::<Vec<_>>());
        let mut different = kinds.clone();
        different.sort_unstable();
        different.dedup();
        prop_assert_eq!(failures.len(), different.len());
        for told in &failures {
            for rank in told.ranks.iter() {
                prop_assert_eq!(told.lines.len(), said[rank as usize].1.len());
            }
        }
    }

    /// What is shown is in order, within the cause or the end, and not too much.
    #[test]
    fn an_excerpt_is_at_most_so_long(
        before in 0_usize..30,
        which in 0_usize..5,
        after in 0_usize..30,
        max in 4_usize..40,
    ) {
        let text = [RUST, PYTHON, GROUP, ASAN, TORCH][which];
        let stderr = [&vec!["step"; before][..], &lines(text), &vec!["bye"; after]].concat();
        let cause = Cause::find(&[], &stderr).unwrap();
        let shown = cause.excerpt(&stderr, max);
        let count = shown.head.len() + shown.rest.len();
        prop_assert!(count <= max, "{} lines", count);
        prop_assert!(shown.head.end <= shown.rest.start && shown.rest.end <= stderr.len());
        prop_assert_eq!(shown.left_out() > 0, !shown.head.is_empty() && shown.head.end < shown.rest.start);
        let ends = shown.head.is_empty() && shown.rest.end == stderr.len();
        let told = shown.head.contains(&cause.message) || shown.rest.contains(&cause.message);
        prop_assert!(told || ends);
    }
}
