//! What another tool has labelled, folded.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Done, Place, Running, tell};

fn fold(options: &[&str], text: &str) -> Done {
    let place = Place::new();
    let mut command = place.command(&[&["fold"], options].concat());
    command.stdin(Stdio::piped());
    let mut run = Running::start(command);
    let mut stdin = run.stdin();
    tell(&mut stdin, text);
    drop(stdin);
    run.wait()
}

/// What 64 hosts say, of which one is full and one says nothing.
fn hosts() -> String {
    let hosts = (1..=64).filter(|host| *host != 9);
    let lines = hosts.map(|host| {
        let used = if host == 37 { 99 } else { 40 + host % 5 };
        format!("node{host}: kernel 6.8.0\nnode{host}: disk used {used} %\n")
    });
    lines.collect()
}

#[test]
fn hosts_that_say_the_same_are_one_entry_which_names_the_odd_one() {
    let done = fold(&["--prefix", r"^(\S+):"], &hosts()).expect(0);
    let text =
        "[node[1-8,10-64]] kernel 6.8.0\n[node[1-8,10-64]] disk used {40..44, node37: 99} %\n";
    assert_eq!(done.out(), text);
    assert_eq!(done.err(), "");
    assert_eq!(fold(&[], &hosts()).expect(0).out(), text, "the prefix is a known one");
}

#[test]
fn json_has_the_labels() {
    let done = fold(&["--format", "json"], &hosts()).expect(0);
    let objects: Vec<Value> =
        done.out().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(
        (&objects[0]["ranks"], &objects[0]["count"]),
        (&"node[1-8,10-64]".into(), &63.into())
    );
    let outliers = serde_json::json!([{ "ranks": "node37", "value": "99" }]);
    assert_eq!(objects[1]["fields"][0]["outliers"], outliers);
    let alone = fold(&["--format", "json"], "node1: hello\n").expect(0);
    let object: Value = serde_json::from_str(alone.out().trim()).unwrap();
    assert_eq!((&object["label"], &object["line"]), (&"node1".into(), &"hello".into()));
}

#[test]
fn a_blank_of_the_text_is_the_texts() {
    let text = "[1,0]<stdout>:hello\n[1,0]<stdout>:  two\n[1,0]<stdout>: one\n";
    assert_eq!(fold(&[], text).expect(0).out(), "[0] hello\n[0]   two\n[0]  one\n");
}

#[test]
fn a_printed_dictionary_is_one_entry() {
    let lines = (0..3).map(|rank| format!("[{rank}] {{'a': 1,\n[{rank}]  'rank': {rank}}}\n"));
    let done = fold(&[], &lines.collect::<String>()).expect(0);
    assert_eq!(done.out(), "[0-2] {'a': 1,\n[0-2]  'rank': {0..2}}\n");
    let lines = (0..3).map(|rank| {
        format!(
            "[{rank}] {{\n[{rank}]   \"name\": \"w{rank}\",\n[{rank}]   \"size\": 8\n[{rank}] }}\n"
        )
    });
    let done = fold(&[], &lines.collect::<String>()).expect(0);
    assert_eq!(done.out().lines().count(), 4, "{}", done.out());
}

#[test]
fn who_is_missing_among_pods_is_named() {
    let pods = ["6d4f8", "abc12", "x8zkq", "p2vw7", "qq9rt"];
    let say = |pod: &str, text: &str| format!("[pod/train-5b9c-{pod}/main] {text}\n");
    let others = pods.iter().filter(|pod| **pod != "abc12").map(|pod| say(pod, "ready to go"));
    let all = pods.iter().map(|pod| say(pod, "starting up"));
    let done = fold(&[], &all.chain(others).collect::<String>()).expect(0);
    let missing = "[all 5 labels except pod/train-5b9c-abc12/main] ready to go";
    assert_eq!(done.out().lines().last(), Some(missing), "{}", done.out());
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let place = Place::new();
    let mut command = place.command(&["fold"]);
    command.stdin(std::fs::File::open("/").unwrap());
    let done = Running::start(command).wait().expect(1);
    assert_eq!(done.err(), "lastline: cannot read stdin on: Is a directory (os error 21)\n");
    let done = place.lastline(&["fold", "none"]).expect(1);
    assert!(done.err().starts_with("lastline: cannot read none: No such file"), "{}", done.err());
    let done = place.lastline(&["fold", "--prefix", "("]).expect(2);
    assert!(done.err().contains("unclosed group"), "{}", done.err());
}

#[test]
fn a_file_is_folded_whole_though_each_label_stands_alone() {
    let place = Place::new();
    // Sorted by label: the first one's lines are all over before the second one's begin.
    let text: String = (0..4)
        .flat_map(|rank| (0..500).map(move |step| format!("{rank}: step {step} of training\n")))
        .collect();
    fs::write(place.path("log"), text).unwrap();
    let done = place.lastline(&["fold", "log"]).expect(0);
    assert_eq!(done.out().lines().count(), 500);
    assert!(done.out().starts_with("[0-3] step 0 of training\n[0-3] step 1 "), "{}", done.out());
}

#[test]
fn an_entry_goes_out_when_the_labels_that_are_there_have_said_it() {
    let place = Place::new();
    let mut command = place.command(&["fold", "--fold-window", "300ms"]);
    command.stdin(Stdio::piped());
    let mut run = Running::start(command);
    let mut stdin = run.stdin();
    tell(&mut stdin, "0: loading the model\n1: loading the model\n2: loading the model\n");
    assert_eq!(run.line(), "[0-2] loading the model");
    tell(&mut stdin, "0: step 1 is done\n1: step 1 is done\n");
    assert_eq!(run.line(), "[0,1] step 1 is done", "who is missing is not waited for without end");
    drop(stdin);
    run.wait().expect(0);
}

#[test]
fn streams_of_mpirun_and_lines_without_a_label_are_kept() {
    let text = "[1,0]<stdout>:hello\n[1,1]<stdout>:hello\n[1,1]<stderr>:oops\nmpirun: warning\n";
    let done = fold(&["--prefix", r"^\[1,(\d+)\]<(?P<stream>\w+)>:"], text).expect(0);
    assert_eq!(done.sorted(), ["[0,1] hello", "[?] mpirun: warning"]);
    assert_eq!(done.err(), "[1] oops\n");
}

#[test]
fn a_last_line_without_its_newline_folds() {
    let done = fold(&[], "0: ready\n1: ready\n2: ready").expect(0);
    assert_eq!(done.out(), "[0-2] ready\n");
    let done = fold(&["--format", "json"], "0: ready").expect(0);
    let object: Value = serde_json::from_str(done.out().trim()).unwrap();
    assert_eq!((&object["line"], &object["partial"]), (&"ready".into(), &true.into()));
}

#[test]
fn similar_lines_are_counted_whoever_says_them() {
    let text: String = (0..40).map(|at| format!("{}: retry {at} of the read\n", at % 4)).collect();
    let done = fold(&["--mode", "similar"], &text).expect(0);
    assert_eq!(done.out(), "[0] retry 0 of the read\n[0-3 ×39] retry {1..39} of the read\n");
}

#[test]
fn what_cannot_be_folded_is_an_error_that_says_why() {
    let done = fold(&["--prefix", "("], "");
    assert!(done.err().contains("--prefix"), "{}", done.err());
    assert_ne!(done.code(), 0);
    let place = Place::new();
    let done = place.lastline(&["fold", "nowhere"]).expect(1);
    assert!(done.err().contains("cannot read nowhere"), "{}", done.err());
    let full = place.wrap(
        "sh",
        &["-c", "echo '0: x' | \"$0\" fold > /dev/full", env!("CARGO_BIN_EXE_lastline")],
    );
    let done = Running::start(full).wait().expect(1);
    assert!(done.err().contains("cannot write to stdout"), "{}", done.err());
}
