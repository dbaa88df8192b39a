//! What many ranks say alike is one entry, which names who differs.

use serde_json::Value;

use crate::support::{Done, Place};

/// How often a job runs whose entries must not hang on who comes first.
const TIMES: u32 = 5;

/// Longer than any rank takes to start, so that an entry goes out when the last rank has said it.
const WINDOW: &str = "20s";

fn fold(ranks: u32, options: &[&str], script: &str) -> Done {
    let place = Place::new();
    let ranks = ranks.to_string();
    let run = ["run", "-n", &ranks, "--fold", "ranks", "--fold-window", WINDOW];
    let fixed = ["--no-files", "--quiet"];
    let child = ["--", "sh", "-c", script];
    place.lastline(&[&run, &fixed[..], options, &child].concat()).expect(0)
}

/// The entries on stdout and stderr, without the word that something was folded.
fn entries(done: &Done) -> Vec<String> {
    let (out, err) = (done.out(), done.err());
    let lines = out.lines().chain(err.lines());
    lines.filter(|line| !line.starts_with("lastline: ")).map(str::to_owned).collect()
}

#[track_caller]
fn is_one_entry(ranks: u32, script: &str, entry: &str) {
    for _ in 0..TIMES {
        assert_eq!(entries(&fold(ranks, &[], script)), [entry]);
    }
}

#[test]
fn a_loss_that_is_no_number_is_named_with_its_rank() {
    is_one_entry(
        64,
        "loss=0.$((750 + RANK)); [ $RANK = 37 ] && loss=nan; echo step 3 loss $loss lr 1e-4",
        "[0-63] step 3 loss {0.750..0.813, 37: nan} lr 1e-4",
    );
}

#[test]
fn a_loss_that_is_no_number_is_named_however_many_have_it() {
    is_one_entry(
        8,
        "loss=0.$((750 + RANK)); [ $RANK -lt 5 ] || loss=nan; echo step 3 loss $loss",
        "[0-7] step 3 loss {0.750..0.754, 5-7: nan}",
    );
}

#[test]
fn the_one_that_differs_is_named_though_it_comes_first() {
    // The others wait until the odd one has written.
    is_one_entry(
        8,
        "if [ $RANK = 5 ]; then echo step 3 loss nan; : > $LASTLINE_JOB_ID.said; else \
         until [ -e $LASTLINE_JOB_ID.said ]; do sleep 0.01; done; \
         echo step 3 loss 0.$((750 + RANK)); fi",
        "[0-7] step 3 loss {0.750..0.757, 5: nan}",
    );
}

#[test]
fn a_float_of_many_digits_is_a_number() {
    is_one_entry(
        16,
        "echo step 3 lr 0.00078123456789012$((10 + RANK))",
        "[0-15] step 3 lr {0.0007812345678901210..0.0007812345678901225}",
    );
}

#[test]
fn a_last_line_without_its_newline_folds() {
    is_one_entry(8, "printf done", "[0-7] done");
    // One rank's alone has none.
    is_one_entry(
        8,
        "[ $RANK = 3 ] && exec printf 'loss 0.753'; echo loss 0.$((750 + RANK))",
        "[0-7] loss {0.750..0.757}",
    );
    is_one_entry(8, "printf 'the last '; sleep 0.2; printf step", "[0-7] the last step");
}

#[test]
fn words_and_counts_that_differ_are_named() {
    is_one_entry(
        16,
        "ok=true; [ $RANK = 9 ] && ok=false; echo check done ok=$ok",
        "[0-15] check done ok={true, 9: false}",
    );
    is_one_entry(
        64,
        "n=0; [ $RANK = 12 ] && n=12; [ $RANK = 40 ] && n=3; echo ECC errors: $n",
        "[0-63] ECC errors: {0, 12: 12, 40: 3}",
    );
    is_one_entry(
        96,
        "step=3; [ $RANK = 77 ] && step=2; echo step $step/8",
        "[0-95] step {3, 77: 2}/8",
    );
}

#[test]
fn a_value_of_another_kind_is_named_whoever_comes_first() {
    for (common, odd) in [("16", "auto"), ("auto", "16")] {
        let script = format!("v={common}; [ $RANK != 2 ] || v={odd}; echo cache size $v now");
        is_one_entry(8, &script, &format!("[0-7] cache size {{{common}, 2: {odd}}} now"));
    }
    is_one_entry(
        4,
        "case $RANK in 2) m='out of memory';; *) m='peer access';; esac; echo \"Cuda failure '$m'\"",
        "[0-3] Cuda failure '{peer access, 2: out of memory}'",
    );
}

#[test]
fn a_line_that_one_rank_misses_shifts_nothing() {
    let script = "for m in attention mlp norm rotary embed head; do \
        [ $RANK$m = 2norm ] || echo compiled kernel $m for sm_80; done";
    let expected = ["attention", "mlp", "norm", "rotary", "embed", "head"].map(|module| {
        let ranks = if module == "norm" { "0,1,3-7" } else { "0-7" };
        format!("[{ranks}] compiled kernel {module} for sm_80")
    });
    for _ in 0..TIMES {
        // Who is missing is named as long as that rank lives.
        let shown =
            entries(&fold(8, &[], script)).join("\n").replace("[0-7 except 2]", "[0,1,3-7]");
        assert_eq!(shown, expected.join("\n"));
    }
}

#[test]
fn a_prefix_is_of_all_who_said_it() {
    let script = "echo loss 0.$RANK; [ $RANK = 2 ] || echo ready to go";
    let done = fold(4, &["--prefix", "{local_rank}: "], script);
    assert_eq!(entries(&done), ["0-3: loss {0.0..0.3}", "0,1,3: ready to go"]);
    let done = fold(2, &["--prefix", "{pid}: "], "echo all say it");
    let entries = entries(&done);
    let pids = entries[0].strip_suffix(": all say it").expect(&entries[0]);
    assert_eq!(pids.split(',').filter(|pid| pid.parse::<u32>().is_ok()).count(), 2, "{pids}");
}

#[test]
fn stderr_is_told_by_its_colour_where_lines_are_folded() {
    let done = fold(4, &["--color", "always"], "echo all say it >&2; echo and this");
    assert!(done.err().contains("\x1b[31m[0-3] \x1b[0mall say it"), "{:?}", done.err());
    assert!(!done.out().contains("\x1b[31m"), "{:?}", done.out());
}

#[test]
fn numbers_that_merely_spread_name_nobody() {
    is_one_entry(
        64,
        "echo shard $((RANK + 1)) of the data loaded in $((100 + RANK * 7 % 64)) ms",
        "[0-63] shard {1..64} of the data loaded in {100..163} ms",
    );
}

#[test]
fn json_has_each_field_with_who_differs() {
    let script = "ok=true; [ $RANK = 9 ] && ok=false; loss=0.$((750 + RANK)); \
                  [ $RANK = 3 ] && loss=nan; echo step 3 loss $loss ok=$ok";
    let done = fold(16, &["--format", "json"], script);
    let object: Value = serde_json::from_str(done.out().trim()).unwrap();
    assert_eq!((&object["ranks"], &object["count"]), (&"0-15".into(), &16.into()));
    let fields = object["fields"].as_array().unwrap();
    assert_eq!(fields[0]["value"], "3");
    assert_eq!((&fields[1]["min"], &fields[1]["max"]), (&"0.750".into(), &"0.765".into()));
    assert_eq!(fields[1]["distinct"], 16);
    assert_eq!(fields[1]["outliers"], serde_json::json!([{ "ranks": "3", "value": "nan" }]));
    assert_eq!((&fields[2]["value"], &fields[2]["distinct"]), (&"true".into(), &2.into()));
    assert_eq!(fields[2]["outliers"], serde_json::json!([{ "ranks": "9", "value": "false" }]));
}

#[test]
fn a_line_that_cannot_fold_leaves_the_others_folded() {
    let script = "echo starting up; echo $RANK; echo loading model; echo compiling kernels; \
                  echo ready to serve";
    for _ in 0..TIMES {
        let found = entries(&fold(8, &[], script));
        assert_eq!(found.len(), 12, "{found:#?}");
        assert_eq!(found[0], "[0-7] starting up");
        let ends = ["[0-7] loading model", "[0-7] compiling kernels", "[0-7] ready to serve"];
        assert_eq!(found[9..], ends);
        let mut alone = found[1..9].to_vec();
        alone.sort();
        let wanted: Vec<String> = (0..8).map(|rank| format!("[{rank}] {rank}")).collect();
        assert_eq!(alone, wanted);
    }
}

#[test]
fn a_banner_with_one_line_of_its_own_folds_around_it() {
    // Twenty lines, the seventh of which is nobody else's.
    let banner = "terminating the process|signal caught by handler|state of all queues follows|\
                  no work was pending then|last checkpoint is intact|memory map written below|\
                  heap regions look sound|threads joined with errors|network links were closed|\
                  cache contents discarded|open handles get released|final statistics printed|\
                  timers stopped early today|locks held by nobody now|config reloaded before that|\
                  workers told of shutdown|backup copies kept aside|journal replay is needed|\
                  goodbye from this program";
    let script = format!(
        "at=0; IFS='|'; for line in {}; do at=$((at + 1)); echo $line; \
         [ $at = 6 ] && echo $((RANK * 7919)); done; true",
        banner.split('|').map(|line| format!("'{line}'")).collect::<Vec<_>>().join(" ")
    );
    for _ in 0..TIMES {
        let found = entries(&fold(8, &[], &script));
        assert_eq!(found.len(), 19 + 8, "{found:#?}");
        assert_eq!(found.iter().filter(|line| line.starts_with("[0-7] ")).count(), 19);
    }
}

#[test]
fn stdout_and_stderr_in_one_burst_are_aligned_each_for_itself() {
    let script = "echo the model is loaded; echo cannot find a cache >&2; \
                  echo kernels are compiled; echo falling back to one thread >&2; echo serving";
    for _ in 0..TIMES {
        let done = fold(16, &[], script);
        let wanted = ["the model is loaded", "kernels are compiled", "serving"];
        let wanted = wanted.map(|text| format!("[0-15] {text}\n")).concat();
        assert_eq!(done.out(), wanted);
        let mut err = entries(&done);
        let err = err.split_off(3);
        assert_eq!(err, ["[0-15] cannot find a cache", "[0-15] falling back to one thread"]);
    }
}

#[test]
fn rank_sets_are_short() {
    let script = "[ $((RANK % 2)) = 1 ] && echo odd ranks say this || echo even ones say that";
    let mut found = entries(&fold(128, &[], script));
    found.sort();
    assert_eq!(
        found,
        ["[0,2,4…(64 ranks)] even ones say that", "[1,3,5…(64 ranks)] odd ranks say this"]
    );
    let script = "[ $RANK = 3 ] && exec sleep 0.5; echo all but the last say this";
    let done = Place::new().lastline(&[
        "run",
        "-n",
        "4",
        "--fold",
        "ranks",
        "--fold-window",
        "200ms",
        "--quiet",
        "--no-files",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(done.expect(0).out(), "[0-2] all but the last say this\n");
}

/// The window is longer than a line stands before it is shown.
#[test]
fn a_line_that_stands_open_comes_behind_what_its_ranks_said_before() {
    let script = "[ $RANK = 2 ] || echo mounting; printf waiting; \
        until [ -e $LASTLINE_JOB_ID.seen ]; do sleep 0.05; done; echo ' got'";
    let place = Place::new();
    let options = ["run", "-n", "4", "--job", "j", "--fold", "ranks", "--fold-window", WINDOW];
    let child = ["--no-files", "--quiet", "--", "sh", "-c", script];
    let run = place.start(&[&options[..], &child].concat());
    assert_eq!(run.line_with("mounting"), "[0-3 except 2] mounting");
    assert_eq!(run.line(), "[0-3] waiting …");
    std::fs::write(place.path("j.seen"), "").unwrap();
    assert_eq!(run.wait().expect(0).out().lines().last(), Some("[0-3] waiting got"));
}

/// The second rank begins when the first has written more than a fold holds, and more than is in a pipe.
#[test]
fn ranks_that_are_far_apart_in_a_flood_fold() {
    let script = "if [ $RANK = 1 ]; then until [ -e $LASTLINE_JOB_ID.said ]; do sleep 0.01; done; fi; \
                  seq 1 50000; : > $LASTLINE_JOB_ID.said";
    let entries = entries(&fold(2, &[], script));
    assert_eq!(entries.len(), 50_000, "{:?}", entries.iter().rev().take(3).collect::<Vec<_>>());
    assert_eq!(entries.last().map(String::as_str), Some("[0,1] 50000"));
}

#[test]
fn where_every_line_is_depends_on_what_is_filed() {
    let place = Place::new();
    // One rank's word alone folds with none.
    let script = "[ $RANK = 1 ] || echo first; until [ -e go ]; do sleep 0.01; done; echo done";
    let options =
        ["run", "-n", "2", "--fold", "ranks", "--fold-window", "60s", "--log-dir", "logs"];
    let short = ["--min-free", "100PB", "--", "sh", "-c", script];
    let run = place.start(&[&options[..], &short].concat());
    run.err_line_with("output is not filed");
    std::fs::write(place.path("go"), "").unwrap();
    let done = run.wait();
    let err = done.err();
    assert!(err.contains(" free, --min-free 100.0 PB)\n"), "{err}");
    assert!(err.contains("lastline: similar lines are folded; not every line is in "), "{err}");
}
