//! What is told of many ranks that fail: one entry, and one line at the end.

use serde_json::{Value, json};

use crate::support::{Done, Place, Running, rank, report};

/// How often a test runs in which processes race.
const ROUNDS: usize = 3;

/// Runs eight ranks of a script to their ends, folded.
fn eight(place: &Place, script: &str) -> Done {
    start(place, "8", script, &[]).wait()
}

/// Runs ranks that end only when `entry` has been shown, so that no rank's end is heard of
/// while what others said is still on its way. What they say is on stdout.
fn folded(place: &Place, ranks: &str, script: &str, args: &[&str], entry: &str) -> Done {
    let script =
        format!("( {script} ) 2>&1; code=$?; until [ -e go ]; do sleep 0.01; done; exit $code");
    let run = start(place, ranks, &script, args);
    run.line_with(entry);
    std::fs::write(place.path("go"), "").unwrap();
    run.wait()
}

fn start(place: &Place, ranks: &str, script: &str, args: &[&str]) -> Running {
    let options = [
        "run",
        "-n",
        ranks,
        "--fold",
        "ranks",
        "--fold-window",
        "60s",
        "--on-failure",
        "continue",
        "--log-dir",
        "logs",
        "--",
        "sh",
        "-c",
        script,
    ];
    place.start(&[&options[..], args].concat())
}

fn failure(place: &Place) -> Value {
    report(&place.path("logs"))["first_failure"].clone()
}

/// What was shown of the ranks' lines.
fn shown(done: &Done) -> Vec<String> {
    done.out().lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect()
}

/// Lastline's own last lines, without what is before the first failure.
fn last_screen(done: &Done) -> Vec<String> {
    let err = done.err();
    let own = err.lines().filter_map(|line| line.strip_prefix("lastline: "));
    own.skip_while(|line| !line.contains(" failed")).map(str::to_owned).collect()
}

const TERMINATE: &str = "
    echo \"terminate called after throwing an instance of 'std::runtime_error'\" >&2
    echo \"  what():  bad shard $RANK\" >&2
    exit 134";

#[test]
fn a_value_in_the_text_keeps_no_rank_apart() {
    for _ in 0..ROUNDS {
        let place = Place::new();
        let done = folded(&place, "8", TERMINATE, &[], "bad shard {0..7}");
        let entry = shown(&done);
        assert_eq!(entry.len(), 2, "{}", done.err());
        assert!(entry[0].starts_with("[0-7] terminate called"), "{}", entry[0]);
        assert_eq!(entry[1], "[0-7]   what():  bad shard {0..7}");
        let screen = last_screen(&done);
        assert_eq!(screen.len(), 5, "{screen:#?}");
        assert!(
            screen[3].ends_with(" failed with the same text but for: what():  bad shard {0..7}"),
            "{screen:#?}"
        );
        let failure = failure(&place);
        assert_eq!(failure["same_text"].as_array().unwrap().len(), 7);
        assert_eq!(failure["same_text_but_for"], "  what():  bad shard {0..7}");
        assert_eq!(failure["last_lines_of"], "stdout");
    }
}

#[test]
fn those_that_failed_otherwise_are_one_line_for_each_statement() {
    // The others go on when rank 0 is about to fail; which one is heard of first is a race.
    let script = format!(
        "if [ $RANK = 0 ]; then echo out of memory >&2; > failed; exit 4; fi
        until [ -e failed ]; do sleep 0.01; done
        [ $RANK = 7 ] && exit 9
        {TERMINATE}"
    );
    for _ in 0..ROUNDS {
        let place = Place::new();
        let done = eight(&place, &script);
        let (screen, failure) = (last_screen(&done), failure(&place));
        let first = failure["rank"].as_u64().unwrap();
        let code = |code: u64| match failure["code"] == code {
            true => String::new(),
            false => format!(" (exit code {code})"),
        };
        let thrown = "what():  bad shard {1..6}";
        let terminated = match first {
            0 | 7 => format!("ranks 1-6{} failed otherwise: {thrown}", code(134)),
            _ => format!(" failed with the same text but for: {thrown}"),
        };
        assert!(screen.iter().any(|line| line.ends_with(&terminated)), "{screen:#?}");
        let silent = format!("rank 7{} failed, too, saying nothing", code(9));
        assert!(first == 7 || screen.contains(&silent), "{screen:#?}");
        let memory = format!("rank 0{} failed otherwise: out of memory", code(4));
        assert!(first == 0 || screen.contains(&memory), "{screen:#?}");
        let statements = failure["others"].as_array().unwrap().iter();
        let statements: Vec<&Value> = statements.map(|other| &other["statement"]).collect();
        if first == 0 {
            assert_eq!(statements, [&json!(format!("  {thrown}")), &Value::Null]);
            assert_eq!(failure["others"][0]["last_words"].as_array().unwrap().len(), 2);
        }
    }
}

#[test]
fn other_exit_codes_of_the_same_text_are_told() {
    let place = Place::new();
    let script = "echo lost peer $RANK >&2; [ $RANK -lt 4 ] && exit 4; exit 3";
    let screen = last_screen(&eight(&place, script));
    let failure = failure(&place);
    let (own, other) = if failure["code"] == 3 {
        ("4-7", "ranks 0-3 (exit code 4)")
    } else {
        ("0-3", "ranks 4-7 (exit code 3)")
    };
    let line = screen.iter().find(|line| line.contains("with the same text")).unwrap();
    assert!(line.contains(&format!(" and {other} failed with the same text")), "{line}");
    assert!(line.ends_with("but for: lost peer {0..7}"), "{line}");
    let first = failure["rank"].as_u64().unwrap();
    assert_eq!(own == "4-7", first >= 4, "{failure}");
}

/// Python 3.11 or later.
fn python(place: &Place, source: &str, name: &str) -> bool {
    std::fs::write(place.path(name), source).unwrap();
    let version = "import sys; sys.exit(sys.version_info < (3, 11))";
    let asked = || Running::start(place.wrap("python3", &["-c", version])).wait();
    place.has("python3") && asked().status.success()
}

#[test]
fn an_exception_group_is_one_entry_whatever_is_in_it() {
    let source = "
import os
def load(shard):
    raise ValueError(f'bad shard {shard}')
errors = []
try:
    load(os.environ['RANK'])
except ValueError as error:
    errors.append(error)
raise ExceptionGroup('cannot load', errors)
";
    for _ in 0..ROUNDS {
        let place = Place::new();
        if !python(&place, source, "load.py") {
            return;
        }
        let done = folded(&place, "8", "python3 load.py", &[], "bad shard {0..7}");
        let entry = shown(&done);
        assert!(entry.iter().all(|line| line.starts_with("[0-7] ")), "{}", done.err());
        assert_eq!(entry[0], "[0-7]   + Exception Group Traceback (most recent call last):");
        assert!(
            entry.iter().any(|line| line == "[0-7]     | ValueError: bad shard {0..7}"),
            "{}",
            done.err()
        );
        let failure = failure(&place);
        assert_eq!(failure["same_text"].as_array().unwrap().len(), 7);
        assert_eq!(failure["same_text_but_for"], "    | ValueError: bad shard {0..7}");
        assert_eq!(
            failure["last_lines"][0],
            "  + Exception Group Traceback (most recent call last):"
        );
    }
}

#[test]
fn a_full_backtrace_of_rust_is_one_entry_and_shows_the_programs_frames() {
    // Two ranks: each reads the debug information of all that it is made of.
    // The child panics of a behaviour that it has not.
    let script = "RUST_BACKTRACE=full \"$0\" shard-$RANK";
    for _ in 0..ROUNDS {
        let place = Place::new();
        let done = folded(&place, "2", script, &[&rank()], "<unknown>");
        let entry = shown(&done);
        assert!(entry.iter().all(|line| line.starts_with("[0,1] ")), "{}", done.err());
        let failure = failure(&place);
        assert_eq!(failure["same_text"].as_array().unwrap().len(), 1, "{failure:#}");
        let lines: Vec<&str> = failure["last_lines"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        assert_eq!(lines.len(), 20);
        assert!(lines[0].starts_with("thread 'main'"), "{failure:#}");
        assert!(lines[1].starts_with("no behaviour `shard-"), "{failure:#}");
        // The first frame behind those in which the runtime handles the panic.
        assert!(lines[3].contains("src/rank/mod.rs:"), "{failure:#}");
        let out = format!(
            "  … {} lines left out; the whole is in {}",
            failure["left_out"]["lines"],
            place.path("logs").join(format!("rank-{}.stdout.log", failure["rank"])).display()
        );
        assert!(
            last_screen(&done).iter().any(|line| out.ends_with(line.trim_start())),
            "{}",
            done.err()
        );
    }
}

#[test]
fn a_long_traceback_is_told_by_its_head_and_its_last_frames() {
    let source = "
def even(n):
    return odd(n - 1)
def odd(n):
    if n < 1: raise ValueError('bad shard 3')
    return even(n - 1)
even(20)
";
    let place = Place::new();
    if !python(&place, source, "deep.py") {
        return;
    }
    let done = place.lastline(&["run", "--log-dir", "logs", "--", "python3", "deep.py"]);
    let failure = failure(&place);
    let all = std::fs::read_to_string(place.path("logs/rank-0.stderr.log")).unwrap();
    let all: Vec<&str> = all.lines().collect();
    assert_eq!(failure["left_out"], json!({ "after": 1, "lines": all.len() - 20 }));
    let told = [&all[..1], &all[all.len() - 19..]].concat();
    assert_eq!(failure["last_lines"], json!(told));
    let screen = last_screen(&done);
    assert_eq!(screen[1], "  Traceback (most recent call last):");
    assert!(
        screen[2].starts_with(&format!("  … {} lines left out; the whole is in ", all.len() - 20))
    );
    assert_eq!(screen[21], "  ValueError: bad shard 3");
}

#[test]
fn the_assertion_on_stdout_is_told_where_stderr_has_only_warnings() {
    let place = Place::new();
    let script = "
        echo step 3; echo 'Assertion failed: shard < 16'
        echo \"load.py:3: UserWarning: slow\" >&2; echo \"  warnings.warn('slow')\" >&2
        exit 1";
    let run = ["run", "--log-dir", "logs", "--overwrite", "--", "sh", "-c"];
    let done = place.lastline(&[&run[..], &[script]].concat());
    let told = failure(&place);
    assert_eq!(told["last_lines"], json!(["step 3", "Assertion failed: shard < 16"]));
    assert_eq!(told["last_lines_of"], "stdout");
    assert!(done.err().contains("lastline:   Assertion failed: shard < 16\n"), "{}", done.err());
    // What is no warning is the cause, whatever stdout says.
    place.lastline(&[&run[..], &[&format!("echo out of patience >&2; {script}")]].concat());
    assert_eq!(failure(&place)["last_lines_of"], "stderr");
}

#[test]
fn of_a_progress_bar_the_last_state_is_told() {
    let place = Place::new();
    let script =
        "printf '\\r 10%% of 30\\r 50%% of 30\\r 90%% of 30\\nerror: out of luck\\n' >&2; exit 3";
    let done = start(&place, "1", script, &[]).wait().expect(3);
    let told = [" 90% of 30", "error: out of luck"];
    assert_eq!(failure(&place)["last_lines"], json!(told));
    assert!(!done.err().contains('\r'), "{:?}", done.err());
}

#[test]
fn a_traceback_is_the_cause_whatever_is_cleared_away_after_it() {
    let place = Place::new();
    let script = "
        [ $RANK = 2 ] && why='bus error' || why='lost peer'
        echo 'Traceback (most recent call last):' >&2
        echo '  File \"train.py\", line 3, in <module>' >&2
        echo \"RuntimeError: $why on $RANK\" >&2
        for worker in $(seq 25); do echo closing worker $worker >&2; done
        exit 1";
    let done = start(&place, "4", script, &[]).wait();
    let (screen, failure) = (last_screen(&done), failure(&place));
    assert_eq!(screen[1], "  Traceback (most recent call last):", "{screen:#?}");
    assert!(screen[3].starts_with("  RuntimeError: "), "{screen:#?}");
    assert!(screen[4].starts_with("  … 20 lines left out; the whole is in "), "{screen:#?}");
    assert_eq!(screen[5..10], [21, 22, 23, 24, 25].map(|at| format!("  closing worker {at}")));
    // None is not told.
    let same = failure["same_text"].as_array().map_or(0, Vec::len);
    let others = failure["others"].as_array().unwrap();
    let (first, told) = (&failure["rank"], others[0]["statement"].as_str().unwrap());
    if *first == 2 {
        assert_eq!((same, told), (0, "RuntimeError: lost peer on {0..3}"), "{screen:#?}");
    } else {
        assert_eq!((same, told), (2, "RuntimeError: bus error on 2"), "{screen:#?}");
    }
}
