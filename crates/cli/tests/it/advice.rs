//! What is typed by mistake is answered by what to type.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::{Place, Running, file, rank, report};

#[test]
fn options_that_do_nothing_are_told() {
    let place = Place::new();
    let err = |options: &[&str]| {
        let args = [&["run", "-n", "4", "--no-files"], options, &["--", "echo", "x"]].concat();
        place.lastline(&args).expect(0).err()
    };
    let said = err(&["--show", "7"]);
    let wanted = "--show: there is no rank 7, so nothing is shown; there are ranks 0 to 3\n";
    assert!(said.contains(wanted), "{said}");
    let said = err(&["--show", "2-5"]);
    assert!(said.contains("--show: there are no ranks 4,5; there are ranks 0 to 3\n"), "{said}");
    let said = err(&["--fold-window", "1s"]);
    assert!(said.contains("--fold-window does nothing here"), "{said}");
    let said = err(&["--rotate", "1MiB"]);
    assert!(said.contains("--rotate does nothing here: there are no files"), "{said}");
    let said = err(&["--max-size", "1GiB", "--fsync", "end"]);
    assert!(said.contains("--max-size, --fsync do nothing here"), "{said}");
    let said = err(&["--compress", "zstd"]);
    assert!(said.contains("--compress does nothing here: there are no files"), "{said}");
    let run = ["run", "--job", "j", "--compress", "zstd"];
    let said = place.lastline(&[&run[..], &["--", "true"]].concat()).expect(0).err();
    assert!(said.contains("--compress does nothing here: no file is closed before"), "{said}");
    for closing in [["--rotate", "1MiB"], ["--max-size", "1GiB"]] {
        let args = [&run[..], &["--overwrite"], &closing, &["--", "true"]].concat();
        let said = place.lastline(&args).expect(0).err();
        assert!(!said.contains("does nothing"), "{said}");
    }
    for right in [&["--show", "1-3"][..], &["--fold", "ranks", "--fold-window", "1s"]] {
        let said = err(right);
        assert!(!said.contains("--show") && !said.contains("does nothing"), "{said}");
    }
}

#[test]
fn a_variable_that_is_nearly_an_option_is_told() {
    let place = Place::new();
    let mut command = place.command(&["run", "--no-files", "--quiet", "--", "true"]);
    command
        .env("LASTLINE_RUN_PROC", "4")
        .env("LASTLINE_RUN_PTY", "")
        .env("LASTLINE_RUN_GRACE", "1s");
    let said = Running::start(command).wait().expect(0).err();
    let proc =
        "LASTLINE_RUN_PROC is no option of `run`, and does nothing; is LASTLINE_RUN_PROCS meant?";
    assert_eq!(said, format!("lastline: {proc}\n"));
}

#[test]
fn what_is_no_job_or_no_place_for_one_is_named_as_that() {
    let place = Place::new();
    let root = place.path("").display().to_string();
    let holds_none = "holds no job: neither job.json nor report.json is there\n";
    for command in ["logs", "report", "stop", "flush"] {
        let said = place.lastline(&[command, &root]).expect(2).err();
        assert!(said.ends_with(holds_none), "{said}");
        let said = place.lastline(&[command, "none"]).expect(2).err();
        assert_eq!(said.matches("`none`").count(), 1, "{said}");
    }
    std::fs::write(place.path("file"), "").unwrap();
    let said = place.lastline(&["run", "--log-dir", "file", "--", "true"]).expect(2).err();
    assert!(said.contains("file: it is no directory\nlastline: `--log-dir DIR` keeps"), "{said}");
    for wrong in ["x", "-1", "99999999999999999999"] {
        let said = place.lastline(&["logs", "--tail", wrong]).expect(2).err();
        assert!(said.contains("write a number of lines, as in `--tail 20`"), "{said}");
    }
}

#[test]
fn a_report_goes_to_stdout_where_that_is_asked() {
    let place = Place::new();
    let done = place.lastline(&["run", "--no-files", "--report", "-", "--", "true"]).expect(0);
    let report: serde_json::Value = serde_json::from_str(&done.out()).unwrap();
    assert_eq!(report["balanced"], true);
    assert!(!place.path("-").exists());
}

#[test]
fn ranks_that_a_job_has_not_are_no_empty_logs() {
    let place = Place::new();
    place.lastline(&["run", "-n", "2", "--job", "j", "--", "echo", "x"]).expect(0);
    let none = place.lastline(&["logs", "--rank", "9"]).expect(2);
    assert_eq!(none.err(), "lastline: the job has no rank 9: there are ranks 0 to 1\n");
    assert_eq!(place.lastline(&["logs", "--rank", "1,9"]).expect(0).out(), "[1] x\n");
}

#[test]
fn habits_of_other_launchers_and_slips_are_answered_by_what_to_type() {
    let place = Place::new();
    for (words, answer) in [
        (&["-np", "4", "true"][..], "write `-n 4` for `-np 4`"),
        (&["-n", "-1", "true"], "write a number of ranks from 1 to 100000, as in `-n 4`"),
        (&["-n", "0", "true"], "write a number of ranks from 1 to 100000"),
        (&["--rotate", "1", "true"], "that is 1 B; the least is 4 KiB"),
        (&["--max-size", "10", "true"], "that is 10 B; the least is 32 KiB"),
    ] {
        let err = place.lastline(&[&["run"], words].concat()).expect(2).err();
        assert!(err.contains(answer), "{err}");
        assert!(!err.contains("-- -1"), "{err}");
    }
    let err = place.lastline(&["run", "echo hi"]).expect(127).err();
    assert!(err.contains("command not found: echo hi\n"), "{err}");
    assert!(err.contains("with one: lastline run -- sh -c 'echo hi'\n"), "{err}");
}

#[test]
fn an_empty_variable_is_as_one_that_is_not_set() {
    let place = Place::new();
    let mut command = place.command(&["run", "--job", "j", "--", "echo", "x"]);
    for option in ["QUIET", "LOG_DIR", "PROCS", "FOLD", "ENV", "GRACE", "PTY"] {
        command.env(format!("LASTLINE_RUN_{option}"), "");
    }
    let done = Running::start(command).wait().expect(0);
    assert!(done.err().contains("lastline: 1 rank"), "{}", done.err());
    report(&place.job("j"));
}

#[test]
fn variables_and_directories_may_be_of_any_bytes() {
    let place = Place::new();
    let odd = |text: &[u8]| OsStr::from_bytes(text).to_owned();
    let mut command = place.command(&["run", "--quiet"]);
    command.arg("--env").arg(odd(b"ODD=a\xffb")).arg("--log-dir").arg(odd(b"logs\xff"));
    command.args(["--", "sh", "-c", "printf %s $ODD"]);
    assert_eq!(Running::start(command).wait().expect(0).stdout, b"a\xffb");
    let dir = place.path("").join(odd(b"logs\xff"));
    assert_eq!(file(&dir, 0, "stdout"), b"a\xffb");
    for words in [&["logs", "--stream", "stdout"][..], &["report"]] {
        let mut command = place.command(words);
        command.arg(odd(b"logs\xff"));
        assert!(!Running::start(command).wait().expect(0).stdout.is_empty());
    }
}

#[test]
fn a_long_command_is_shortened_in_the_list() {
    let place = Place::new();
    let long = "x".repeat(100_000);
    place.lastline(&["run", "--job", "j", "--", "true", &long]).expect(0);
    place.lastline(&["run", "--job", "k", "--", "true", "short"]).expect(0);
    let out = place.lastline(&["jobs"]).expect(0).out();
    let rows: Vec<&str> = out.lines().skip(1).collect();
    assert!(rows[0].ends_with("xxx…") && rows[0].chars().count() == 1000, "{out}");
    assert!(rows[1].ends_with("  true short"), "{out}");
}

#[test]
fn several_ranks_of_a_program_that_is_linked_with_mpi_are_told_to_be_worlds_of_their_own() {
    let place = Place::new();
    // Our own program, which then asks for MPI in place of another library.
    let mut program = std::fs::read(rank()).unwrap();
    let (old, new) = (b"libgcc_s.so.1\0", b"libmpi.so.40\0\0");
    let found = program.windows(old.len()).position(|part| part == old);
    let Some(at) = found else {
        return println!("not run: this program does not ask for libgcc_s.so.1");
    };
    program[at..at + old.len()].copy_from_slice(new);
    place.executable("mpi", &program);
    let run = |ranks: &str, variable: &str| {
        let mut command =
            place.command(&["run", "-n", ranks, "--no-files", "--", "./mpi", "terminals"]);
        command.env(variable, "0");
        // There may be no such library here.
        Running::start(command).wait().err()
    };
    let err = run("4", "NONE");
    let said = "is linked with MPI (libmpi.so.40), and lastline is no launcher of MPI: each rank is a \
        world of its own; `mpirun -n 4 ";
    assert!(err.contains(said), "{err}");
    for (ranks, variable) in [("1", "NONE"), ("4", "PMI_RANK"), ("4", "PMIX_RANK")] {
        let err = run(ranks, variable);
        assert!(!err.contains("linked with MPI"), "{err}");
    }
    let plain = place.ranks(&["-n", "2", "--no-files"], &["terminals"]).expect(0).err();
    assert!(!plain.contains("MPI"), "{plain}");
}

#[test]
fn several_that_a_launcher_has_started_are_told_that_each_is_a_job() {
    let place = Place::new();
    let started_as = |rank: &str, args: &[&str]| {
        let mut command = place.command(args);
        command.env("OMPI_COMM_WORLD_RANK", rank).env("OMPI_COMM_WORLD_SIZE", "4");
        Running::start(command).wait().expect(0).err()
    };
    let run = ["run", "--", "true"];
    let said = "lastline: Open MPI has started 4 of these, and each is a job of its own";
    assert!(started_as("0", &run).starts_with(said), "{}", started_as("0", &run));
    assert!(!started_as("1", &run).contains("of these"));
    // As a rank of a job does.
    let nested =
        ["run", "--quiet", "--env", "LASTLINE_RANK=0", "--", env!("CARGO_BIN_EXE_lastline")];
    let nested = [&nested[..], &["run", "--quiet", "--", "true"]].concat();
    assert_eq!(started_as("0", &nested).matches("of these").count(), 1);
}

#[test]
fn a_value_of_a_variable_that_is_none_is_said_to_be_that() {
    let place = Place::new();
    let with = |name: &str, value: &str| {
        let mut command = place.command(&["run", "--", "true"]);
        command.env(name, value);
        Running::start(command).wait().expect(2).err()
    };
    for (name, value) in [("PROCS", "x"), ("MAX_SIZE", "y"), ("STRICT", "maybe"), ("FOLD", "z")] {
        let name = format!("LASTLINE_RUN_{name}");
        let err = with(&name, value);
        assert!(err.contains(&format!("tip: the value is that of {name}")), "{err}");
    }
    let err = place.lastline(&["run", "-n", "x", "--", "true"]).expect(2).err();
    assert!(!err.contains("LASTLINE_RUN"), "{err}");
}
