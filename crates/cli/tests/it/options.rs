//! Files, reports and directories, as options say.

use std::fs;

use crate::support::{Place, Running, check, file, json, report};

#[test]
fn no_files_keeps_nothing_and_says_so() {
    let place = Place::new();
    let args = ["run", "--no-files", "--report", "r.json", "--", "echo", "x"];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "x\n");
    assert!(!place.path("state").exists());
    let report = json(&place.path("r.json"));
    check(&report);
    assert_eq!(report["ranks"][0]["streams"]["stdout"]["filed_bytes"], 0);
    assert!(!done.err().contains("LOST"), "{}", done.err());
    place.lastline(&["run", "--no-files", "--strict", "--", "echo", "x"]).expect(0);
}

#[test]
fn the_report_goes_where_it_is_told_and_the_job_is_known_as_finished() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--report", "r.json", "--", "echo", "x"]).expect(0);
    let report = json(&place.path("r.json"));
    check(&report);
    assert_eq!(report["job"], "j");
    assert_eq!(report["command"], serde_json::json!(["echo", "x"]));
    let jobs = place.lastline(&["jobs"]).out();
    assert!(!jobs.contains("broken"), "{jobs}");
}

#[test]
fn a_relative_log_directory_is_where_lastline_was_started() {
    let place = Place::new();
    let args = ["run", "--job", "j", "--log-dir", "a/b", "--workdir", "/", "--", "echo", "x"];
    let done = place.lastline(&args).expect(0);
    assert_eq!(file(&place.path("a/b"), 0, "stdout"), b"x\n");
    report(&place.path("a/b"));
    let said = format!("logs in {}", fs::canonicalize(place.path("a/b")).unwrap().display());
    assert!(done.err().contains(&said), "{}", done.err());
    assert!(!place.path("a/b/rank-0.stderr.log").exists(), "files are made at the first byte");
}

#[test]
fn files_that_cannot_be_made_do_not_stop_the_job() {
    let place = Place::new();
    let script = "rm -rf logs; echo x; echo y >&2";
    let args = ["run", "--log-dir", "logs", "--report", "r.json", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(done.out(), "x\n");
    let report = json(&place.path("r.json"));
    check(&report);
}

#[test]
fn a_directory_that_is_moved_while_the_job_runs_gets_its_report() {
    let place = Place::new();
    let script = "mv logs moved; mkdir logs; echo x";
    let args = ["run", "--job", "j", "--log-dir", "logs", "--", "sh", "-c", script];
    let done = place.lastline(&args).expect(0);
    assert_eq!(file(&place.path("moved"), 0, "stdout"), b"x\n");
    report(&place.path("moved"));
    let said = format!("logs in {}", fs::canonicalize(place.path("moved")).unwrap().display());
    assert!(done.err().contains(&said), "{}", done.err());
    assert_eq!(fs::read_dir(place.path("logs")).unwrap().count(), 0);
}

#[test]
fn a_report_for_a_descriptor_goes_on_where_the_output_is() {
    let place = Place::new();
    // As `/dev/stdout`, which is the machine's: a fault here must not cost it that.
    std::os::unix::fs::symlink("/proc/self/fd/1", place.path("stdout")).unwrap();
    let script = "\"$0\" run --quiet --no-files --report stdout -- echo x >out";
    let lastline = env!("CARGO_BIN_EXE_lastline");
    let done = Running::start(place.wrap("sh", &["-c", script, lastline])).wait().expect(0);
    let out = fs::read_to_string(place.path("out")).unwrap();
    let report = out.strip_prefix("x\n").unwrap_or_else(|| panic!("{out} {}", done.err()));
    check(&serde_json::from_str(report).unwrap());
    assert!(place.path("stdout").is_symlink());
}

#[test]
fn an_unprivileged_user_can_run_a_thousand_ranks() {
    let place = Place::new();
    let binary = place.lastline_for_anybody();
    let run = ["run", "-n", "1000", "--job", "j", "--", "echo", "here"];
    let command = place.as_another_user(&binary, &run).unwrap_or_else(|| {
        println!("not run as another user: that takes root and setpriv");
        place.wrap(binary.to_str().unwrap(), &run)
    });
    let done = Running::start(command).wait().expect(0);
    assert_eq!(done.sorted().len(), 1000, "{}", done.err());
    report(&place.job("j"));
}

#[test]
fn a_thousand_ranks_print_a_line_each() {
    let place = Place::new();
    let done = place.lastline(&["run", "-n", "1000", "--job", "j", "--", "echo", "here"]);
    let done = done.expect(0);
    assert_eq!(done.sorted().len(), 1000);
    assert_eq!(report(&place.job("j"))["ranks"].as_array().unwrap().len(), 1000);
}
