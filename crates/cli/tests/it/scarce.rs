//! Few threads and processes are to be had.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::support::{Done, Place, Running, not_run, report, wait_until};

/// A cgroup with room for so many processes and threads, until it is dropped.
struct Few(PathBuf);

impl Few {
    /// None, and it is said, where there can be none.
    fn new(most: u32) -> Option<Self> {
        let made = Self::make(most);
        made.inspect_err(|error| not_run("no cgroup of processes can be made here", error)).ok()
    }

    fn make(most: u32) -> io::Result<Self> {
        let version_1 = PathBuf::from("/sys/fs/cgroup/pids");
        let root = if version_1.exists() { version_1 } else { "/sys/fs/cgroup".into() };
        let dir = tempfile::Builder::new().prefix("lastline-test-").tempdir_in(root)?.keep();
        let group = Self(dir);
        fs::write(group.0.join("pids.max"), most.to_string())?;
        Ok(group)
    }

    fn run(&self, place: &Place, options: &[&str], script: &str) -> Done {
        let procs = self.0.join("cgroup.procs");
        let enter = "echo $$ >\"$0\" && exec \"$@\"";
        let before = ["-c", enter, procs.to_str().unwrap(), env!("CARGO_BIN_EXE_lastline")];
        let run = ["run", "--job", "j", "--grace", "1s"];
        let args = [&before[..], &run, options, &["--", "sh", "-c", script]].concat();
        Running::start(place.wrap("sh", &args)).wait()
    }
}

impl Drop for Few {
    fn drop(&mut self) {
        wait_until("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

/// Either nothing was started, and it is said what to do, or the job came to its end, report and all.
/// Whether it ran.
#[track_caller]
fn check(place: &Place, done: &Done) -> bool {
    let (code, said) = (done.code(), done.err());
    assert!(!said.contains("panicked"), "{said}");
    match code {
        1 => {
            assert!(said.contains("ulimit -u") && said.contains("pids.max"), "{said}");
            assert!(!place.job("j").exists(), "nothing ran, and a job is there: {said}");
            false
        }
        // The rank's own, or that of one that could not be started.
        7 | 126 => {
            report(&place.job("j"));
            assert!(code == 7 || said.contains("ulimit -u"), "{said}");
            true
        }
        other => panic!("{other}: {said}"),
    }
}

#[test]
fn with_any_number_of_threads_to_be_had_a_job_ends_with_its_report_or_does_not_begin() -> ExitCode {
    let (mut ran, mut refused) = (0, 0);
    for most in 2..=20 {
        let Some(few) = Few::new(most) else { return ExitCode::SUCCESS };
        let place = Place::new();
        let done = few.run(&place, &["-n", "2"], "echo here; exit 7");
        if check(&place, &done) {
            ran += 1;
        } else {
            refused += 1;
        }
    }
    assert!(ran > 3 && refused > 3, "{ran} ran, {refused} were refused");
    ExitCode::SUCCESS
}

#[test]
fn a_rank_that_takes_every_process_there_is_keeps_its_code_and_what_it_left_is_ended() -> ExitCode {
    let Some(few) = Few::new(40) else { return ExitCode::SUCCESS };
    let place = Place::new();
    // A shell that can start nothing more ends by itself.
    let script = "trap 'exit 7' EXIT; while :; do sleep 60 & done";
    let done = few.run(&place, &["--drain", "100ms"], script);
    assert!(check(&place, &done) && done.code() == 7, "{}", done.err());
    ExitCode::SUCCESS
}

#[test]
fn ranks_whose_turn_had_not_come_are_not_said_to_have_been_stopped() -> ExitCode {
    let Some(few) = Few::new(40) else { return ExitCode::SUCCESS };
    let place = Place::new();
    let done = few.run(&place, &["-n", "60"], "exec sleep 60").expect(126);
    let said = done.err();
    let ranks_of = |what: &str| {
        let line = said.lines().find_map(|line| line.strip_suffix(what)).expect(&said);
        line.strip_prefix("lastline: ranks ").unwrap().to_owned()
    };
    let (stopped, not_started) =
        (ranks_of(" were stopped by lastline"), ranks_of(" were not started"));
    assert!(stopped.starts_with("0-") && not_started.ends_with("59"), "{said}");
    ExitCode::SUCCESS
}

#[test]
fn a_user_who_may_have_few_processes_is_told_or_gets_the_job_done() {
    let place = Place::new();
    let is_there = place.has("setpriv") && place.has("prlimit");
    if !rustix::process::geteuid().is_root() || !is_there {
        not_run("another user takes root, setpriv and prlimit", &io::Error::other("not there"));
        return;
    }
    let (mut ran, mut refused) = (0, 0);
    for most in 1..=18 {
        // Nobody else is this user, and nothing that the job before has left counts against it.
        let user = (1_000_000 + 32 * std::process::id() + most).to_string();
        let place = Place::new();
        let binary = place.lastline_for_anybody();
        let limit = format!("--nproc={most}");
        let become_user =
            ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"];
        let run = [binary.to_str().unwrap(), "run", "-n", "2", "--job", "j", "--grace", "1s"];
        let rank = ["--", "sh", "-c", "echo here; exit 7"];
        let args = [&[&limit[..]], &become_user[..], &["--"], &run, &rank].concat();
        let done = Running::start(place.wrap("prlimit", &args)).wait();
        if check(&place, &done) {
            ran += 1;
        } else {
            refused += 1;
        }
    }
    assert!(ran > 3 && refused > 3, "{ran} ran, {refused} were refused");
}
