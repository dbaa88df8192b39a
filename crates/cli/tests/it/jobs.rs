//! `jobs`, `flush`, `completions`, and how jobs are found.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use crate::support::{Place, Running, not_run, report};

#[test]
fn jobs_lists_what_is_there() {
    let place = Place::new();
    assert_eq!(place.lastline(&["jobs"]).expect(0).out().lines().count(), 1, "the heading");
    place.lastline(&["run", "--job", "good", "--", "echo", "x"]).expect(0);
    place.lastline(&["run", "--job", "bad", "-n", "2", "--", "sh", "-c", "exit 3"]).expect(3);
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--job", "now", "--log-dir", "logs"], &["gate", &path]);
    run.line();
    let out = place.lastline(&["jobs"]).expect(0).out();
    let rows: Vec<Vec<&str>> =
        out.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    let exits: Vec<(&str, &str, &str)> = rows.iter().map(|row| (row[0], row[3], row[4])).collect();
    assert_eq!(exits, [("good", "1", "0"), ("bad", "2", "3"), ("now", "1", "running")], "{out}");
    drop(gate);
    run.wait().expect(0);
    assert!(!place.lastline(&["jobs"]).out().contains("running"));
}

#[test]
fn a_job_that_is_short_removes_what_there_is_too_much_of() {
    let place = Place::new();
    place.lastline(&["run", "--job", "first", "--", "true"]).expect(0);
    for at in 0..120 {
        let copy = place.job(&format!("copy-{at}"));
        fs::create_dir(&copy).unwrap();
        for name in ["job.json", "report.json"] {
            fs::copy(place.job("first").join(name), copy.join(name)).unwrap();
        }
    }
    place.lastline(&["run", "--job", "last", "--", "true"]).expect(0);
    let left = fs::read_dir(place.job("")).unwrap().flatten();
    // A hundred that were finished, the last one and `latest`.
    assert_eq!(left.count(), 102);
}

#[test]
fn what_says_of_a_job_is_damaged_and_its_lines_are_there_still() {
    let place = Place::new();
    for job in ["a", "b"] {
        let options = ["run", "--job", job, "-n", "2", "--on-failure", "continue"];
        let script = ["--", "sh", "-c", "echo x; exit 3"];
        place.lastline(&[&options[..], &script].concat()).expect(3);
    }
    fs::write(place.job("a").join("report.json"), "{").unwrap();
    let done = place.lastline(&["report", "a"]).expect(1);
    let said = done.err();
    assert!(said.contains("report.json cannot be understood: EOF"), "{said}");
    assert!(said.ends_with("; rebuilt from the job's files\n"), "{said}");
    let report: serde_json::Value = serde_json::from_str(&done.out()).unwrap();
    assert_eq!((&report["broken_off"], &report["job"]), (&true.into(), &"a".into()));
    let cause = &report["ranks"][0]["streams"]["stdout"]["lost"][0]["cause"];
    assert_eq!(cause, "unknown: there is no report that says what was shown");

    // Its report says all that `job.json` did.
    fs::write(place.job("b").join("job.json"), "").unwrap();
    let done = place.lastline(&["report", "b"]).expect(1);
    assert!(done.err().contains("job.json cannot be understood: EOF"), "{}", done.err());
    assert!(done.out().contains("\"code\": 3"), "{}", done.out());
    let done = place.lastline(&["jobs"]).expect(0);
    let rows: Vec<(String, String)> = done.out().lines().skip(1).map(first_and_exit).collect();
    assert_eq!(rows, [("a", "broken"), ("b", "3")].map(|(a, b)| (a.into(), b.into())));

    // Nothing does any more.
    fs::write(place.job("b").join("report.json"), "").unwrap();
    let done = place.lastline(&["jobs"]).expect(1);
    assert_eq!(done.out().lines().count(), 2, "{}", done.out());
    let said = "lastline: a job is not listed: ";
    assert!(done.err().starts_with(said) && done.err().contains("/b/job.json"), "{}", done.err());
    for job in ["a", "b"] {
        let file = fs::read(place.job(job).join("rank-1.stdout.log")).unwrap();
        assert_eq!(file, b"x\n", "{job}");
    }
    let done = place.lastline(&["logs", "a"]).expect(1);
    assert_eq!(done.sorted(), ["[0] x", "[1] x"]);
    assert!(done.err().contains("report.json cannot be understood: EOF"), "{}", done.err());
    let done = place.lastline(&["logs", "b"]).expect(1);
    assert!(done.err().contains("job.json cannot be understood: EOF"), "{}", done.err());
}

fn first_and_exit(row: &str) -> (String, String) {
    let words: Vec<&str> = row.split_whitespace().collect();
    (words[0].into(), words[4].into())
}

#[test]
fn a_command_of_several_lines_is_one_row() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "sh", "-c", "true\nfake  2026-01-01\n\x1b[2J"]);
    let out = place.lastline(&["jobs"]).expect(0).out();
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.ends_with("  sh -c true fake  2026-01-01 ^[[2J\n"), "{out}");
}

#[test]
fn latest_is_the_newest_job_wherever_its_files_are() {
    let place = Place::new();
    place.lastline(&["run", "--job", "one", "--", "echo", "1"]).expect(0);
    assert_eq!(place.lastline(&["logs"]).expect(0).out(), "1\n");
    place.lastline(&["run", "--job", "two", "--log-dir", "logs", "--", "echo", "2"]).expect(0);
    assert_eq!(place.lastline(&["logs"]).expect(0).out(), "2\n");
    assert_eq!(place.lastline(&["logs", "two"]).expect(0).out(), "2\n");
    assert_eq!(place.lastline(&["logs", "./logs"]).expect(0).out(), "2\n");
    assert_eq!(place.lastline(&["logs", "one"]).expect(0).out(), "1\n");
    assert_eq!(
        fs::canonicalize(place.job("latest")).unwrap(),
        fs::canonicalize(place.path("logs")).unwrap()
    );
    let none = place.lastline(&["logs", "none"]).expect(2);
    assert!(none.err().contains("there is no job `none`"), "{}", none.err());
    // A job that could not be started is nobody's latest.
    place.lastline(&["run", "--job", "three", "--", "no-such-command"]).expect(127);
    assert_eq!(place.lastline(&["logs"]).expect(0).out(), "2\n");
    // Nor is one whose files are gone.
    fs::remove_dir_all(place.path("logs")).unwrap();
    assert_eq!(place.lastline(&["logs"]).expect(0).out(), "1\n");
    fs::remove_file(place.job("latest")).unwrap();
    assert_eq!(place.lastline(&["logs"]).expect(0).out(), "1\n");
}

#[test]
fn jobs_that_may_not_be_read_are_not_taken_for_none() {
    let place = Place::new();
    place.lastline(&["run", "--job", "j", "--", "echo", "x"]).expect(0);
    let (binary, dir) = (place.lastline_for_anybody(), place.job("j"));
    for words in [&["jobs"][..], &["logs"], &["logs", "j"], &["logs", dir.to_str().unwrap()]] {
        let Some(command) = place.as_another_user(&binary, words) else {
            not_run("another user takes root and setpriv", &io::Error::other("not there"));
            return;
        };
        let done = Running::start(command).wait().expect(1);
        let said = done.err();
        assert!(said.starts_with("lastline: cannot "), "{words:?}: {said}");
        assert!(said.ends_with(": Permission denied (os error 13)\n"), "{words:?}: {said}");
        assert_eq!(done.out(), "", "{words:?}");
    }
}

#[test]
fn a_directory_that_is_used_again_is_one_job() {
    let place = Place::new();
    place.lastline(&["run", "--job", "a", "--", "echo", "a"]).expect(0);
    for job in ["one", "two"] {
        let options = ["run", "--job", job, "--log-dir", "logs", "--overwrite"];
        place.lastline(&[&options[..], &["--", "echo", job]].concat()).expect(0);
    }
    let listed = place.lastline(&["jobs"]).expect(0).out();
    let ids: Vec<&str> = listed.lines().skip(1).filter_map(|row| row.split(' ').next()).collect();
    assert_eq!(ids, ["a", "two"], "{listed}");
    let gone = place.lastline(&["logs", "one"]).expect(2);
    assert!(gone.err().contains("the job `one` is gone"), "{}", gone.err());
    assert_eq!(place.lastline(&["prune", "--keep", "2"]).expect(0).out(), "");
    let old = place.lastline(&["prune", "--older-than", "7"]).expect(2);
    assert!(old.err().contains("`7d` for days"), "not seven seconds: {}", old.err());
    assert_eq!(place.lastline(&["prune", "--keep", "1"]).expect(0).out(), "a\n");
    assert_eq!(place.lastline(&["logs", "two"]).expect(0).out(), "two\n");
}

#[test]
fn a_job_that_is_not_pruned_is_named_and_why() {
    let place = Place::new();
    place.lastline(&["run", "--job", "a", "--", "echo", "a"]).expect(0);
    place.lastline(&["run", "--job", "b", "--", "echo", "b"]).expect(0);
    fs::write(place.job("a").join("notes.txt"), "mine").unwrap();
    let done = place.lastline(&["prune", "--keep", "0"]).expect(0);
    assert_eq!(done.out(), "b\n");
    assert_eq!(done.err(), "lastline: kept a: notes.txt is not lastline's\n");
    assert_eq!(place.lastline(&["logs", "a"]).expect(0).out(), "a\n");
}

#[test]
fn a_job_whose_files_are_elsewhere_is_off_the_list_and_that_is_said() {
    let place = Place::new();
    place.lastline(&["run", "--job", "a", "--log-dir", "logs", "--", "echo", "a"]).expect(0);
    let done = place.lastline(&["prune", "--keep", "0"]).expect(0);
    assert_eq!(done.out(), "");
    let dir = fs::canonicalize(place.path("logs")).unwrap();
    assert_eq!(
        done.err(),
        format!("lastline: a is off the list; its files stay in {}\n", dir.display())
    );
    assert_eq!(place.lastline(&["logs", "logs"]).expect(0).out(), "a\n");
}

#[test]
fn what_another_user_has_is_neither_removed_nor_asked_and_that_is_said() {
    let place = Place::new();
    let binary = place.lastline_for_anybody();
    let open = |dir: &str| {
        fs::set_permissions(place.path(dir), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let as_another =
        |args: &[&str]| Some(Running::start(place.as_another_user(&binary, args)?).wait());
    place.lastline(&["run", "--job", "over", "--", "true"]).expect(0);
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["--job", "live"], &["gate", &path]);
    run.line();
    let dirs = ["state", "state/lastline", "state/lastline/jobs"];
    dirs.into_iter().for_each(open);
    for job in ["over", "live"] {
        let dir = format!("state/lastline/jobs/{job}");
        open(&dir);
        open(&format!("{dir}/job.json"));
    }
    open("state/lastline/jobs/over/report.json");
    match as_another(&["prune", "--keep", "0"]) {
        None => not_run("another user takes root and setpriv", &io::Error::other("not there")),
        Some(pruned) => {
            let said = pruned.expect(1).err();
            assert_eq!(said, "lastline: kept over: Permission denied (os error 13)\n");
            let refused = as_another(&["stop", "live"]).unwrap().expect(1).err();
            let words = "the job `live` runs, and is another user's (id 0), who alone can ask it\n";
            assert!(refused.ends_with(words), "{refused}");
        }
    }
    drop(gate);
    run.wait().expect(0);
}

#[test]
fn flush_from_another_process_says_that_all_has_arrived() {
    let place = Place::new();
    let (gate, path) = place.gate();
    let run = place.start_ranks(&["-n", "3", "--job", "j", "--log-dir", "l"], &["gate", &path]);
    (0..3).for_each(|_| drop(run.line()));
    for _ in 0..3 {
        assert_eq!(place.lastline(&["flush", "j"]).expect(0).out(), "reached\n");
    }
    drop(gate);
    run.wait().expect(0);
    let report = report(&place.path("l"));
    let barriers = report["barriers"].as_array().unwrap();
    let from_outside: Vec<_> = barriers.iter().take(3).map(|barrier| &barrier["verdict"]).collect();
    assert_eq!(from_outside, ["reached"; 3]);
    let gone = place.lastline(&["flush", "j"]).expect(1);
    assert!(gone.err().contains("no running job `j` answers: it is over"), "{}", gone.err());
    assert!(gone.err().contains("`lastline logs j` has what it printed"), "{}", gone.err());
    let none = place.lastline(&["flush", "none"]).expect(2);
    assert!(none.err().starts_with("lastline: there is no job `none` in "), "{}", none.err());
    let left: Vec<_> = fs::read_dir(place.path("run/lastline")).unwrap().flatten().collect();
    assert!(left.is_empty(), "the socket is left: {left:?}");
}

#[test]
fn flush_tells_of_streams_and_hosts_that_were_not_reached() {
    let place = Place::new();
    let socket = place.control("far");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let job = std::thread::spawn(move || {
        let (mut asker, _) = listener.accept().unwrap();
        let mut asked = String::new();
        io::BufReader::new(&asker).read_line(&mut asked).unwrap();
        let missing = r#"{"rank":3,"stream":"stdout","why":"bytes 0..7 were lost: silent"}"#;
        let unreachable = r#"["node2 (silent for 7 s)"]"#;
        let fields = format!(r#""missing":[{missing}],"unreachable":{unreachable}"#);
        writeln!(asker, r#"{{"version":1,"verdict":"lost",{fields}}}"#).unwrap();
        asked
    });
    let flush = place.lastline(&["flush", "far"]).expect(1);
    assert_eq!(job.join().unwrap(), "flush\n");
    assert_eq!(
        flush.out(),
        "lost\nrank 3 stdout: bytes 0..7 were lost: silent\nhost node2 (silent for 7 s) cannot be reached\n"
    );
}

#[test]
fn a_rank_can_flush_its_own_job() {
    let place = Place::new();
    let script = "printf 'no newline'; \"$0\" flush $LASTLINE_JOB_ID";
    let args = ["run", "--quiet", "--", "sh", "-c", script, env!("CARGO_BIN_EXE_lastline")];
    assert_eq!(place.lastline(&args).expect(0).out(), "no newlinereached\n");
}

#[test]
fn every_command_has_a_man_page_and_an_example() {
    let place = Place::new();
    let page = place.lastline(&["man"]).expect(0).out();
    assert!(page.contains(".TH lastline 1") && page.contains("lastline\\-run"), "{page}");
    for command in ["run", "logs", "fold", "jobs", "flush", "report", "prune", "completions", "man"]
    {
        let page = place.lastline(&["man", command]).expect(0).out();
        assert!(page.contains(&format!(".TH lastline-{command} 1")), "{page}");
        let help = place.lastline(&[command, "--help"]).expect(0).out();
        assert!(help.contains("Example"), "{help}");
    }
    let unknown = place.lastline(&["man", "none"]).expect(2);
    assert!(unknown.err().contains("[possible values: run, "), "{}", unknown.err());
}

#[test]
fn completions_are_scripts() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = place.lastline(&["completions", shell]).expect(0);
        assert!(done.out().contains("lastline"), "{shell}");
    }
    place.lastline(&["completions", "none"]).expect(2);
}

#[test]
fn options_of_run_stand_under_headings_and_examples_come_first() {
    let place = Place::new();
    let help = place.lastline(&["run", "--help"]).expect(0).out();
    let headings =
        ["Examples:", "Ranks and environment:", "Files:", "Output:", "Failure and ending:"];
    let at = headings.map(|heading| help.find(heading).expect(heading));
    assert!(at.is_sorted(), "{help}");
    assert!(!help.contains("[env:") && help.contains("LASTLINE_RUN_<OPTION>"), "{help}");
    let short = place.lastline(&["run", "-h"]).expect(0).out();
    assert!(short.lines().count() <= 50, "{short}");
    assert!(short.contains("`lastline run --help` has all options"), "{short}");
    let page = place.lastline(&["man", "run"]).expect(0).out();
    for heading in ["FILES", "OUTPUT", "LIMITS"] {
        assert!(
            page.contains(&format!(".SH {heading}"))
                || page.contains(&format!(".SH \"{heading}\"")),
            "{page}"
        );
    }
    assert!(
        page.contains("\\-\\-teardown\\-timeout") && !page.contains("LASTLINE_RUN_GRACE"),
        "{page}"
    );
}
