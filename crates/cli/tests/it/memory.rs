//! Ranks that the kernel kills for want of memory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::support::{Done, Place, Running, not_run, rank, report, wait_until};

/// More than a rank may have, and less than would hurt anybody.
const MUCH_MIB: &str = "512";
const LIMIT_BYTES: &str = "100663296";

/// A memory cgroup with a limit, until it is dropped.
struct Limited(PathBuf);

impl Limited {
    fn new() -> io::Result<Self> {
        let (root, settings): (_, &[_]) = if Path::new("/sys/fs/cgroup/memory").exists() {
            ("/sys/fs/cgroup/memory", &["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"])
        } else {
            ("/sys/fs/cgroup", &["memory.max", "memory.swap.max"])
        };
        let dir = tempfile::Builder::new().prefix("lastline-test-").tempdir_in(root)?.keep();
        let group = Self(dir);
        for (at, setting) in settings.iter().enumerate() {
            let file = group.0.join(setting);
            // A system that has no swap has no limit of it.
            if at == 0 || file.exists() {
                let none = *setting == "memory.swap.max";
                fs::write(file, if none { "0" } else { LIMIT_BYTES })?;
            }
        }
        Ok(group)
    }

    /// Runs a job of shells, lastline and all, in this cgroup. Of these the kernel kills ranks first.
    fn run(&self, place: &Place, options: &[&str], script: &str) -> Done {
        let procs = self.0.join("cgroup.procs");
        let enter = "echo $$ >\"$0\" && exec \"$@\"";
        let lastline = [env!("CARGO_BIN_EXE_lastline"), "run", "--job", "j", "--grace", "1s"];
        let script = format!("echo 1000 >/proc/$$/oom_score_adj; {script}");
        let ranks = ["--", "sh", "-c", &script, &rank(), MUCH_MIB];
        let before = ["-c", enter, procs.to_str().unwrap()];
        let args = [&before[..], &lastline, options, &ranks].concat();
        Running::start(place.wrap("sh", &args)).wait()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        wait_until("the cgroup is empty", || fs::remove_dir(&self.0).is_ok());
    }
}

/// Runs a test in a cgroup of its own, where there can be one.
fn in_little_memory(test: impl FnOnce(&Limited)) -> ExitCode {
    match Limited::new() {
        Ok(group) => test(&group),
        Err(error) => not_run("no memory cgroup can be made here", &error),
    }
    ExitCode::SUCCESS
}

#[test]
fn a_rank_that_is_killed_for_memory_is_told_as_such() -> ExitCode {
    in_little_memory(|group| {
        let place = Place::new();
        let script = "[ $RANK = 1 ] && exec \"$0\" eat-memory $1; exec sleep 60";
        let done = group.run(&place, &["-n", "3"], script).expect(137);
        let report = report(&place.job("j"));
        assert_eq!(report["first_failure"]["killed_for_memory"], true, "{report:#}");
        assert_eq!(report["ranks"][1]["killed_for_memory"], true);
        assert!(report["ranks"][0].get("killed_for_memory").is_none());
        assert_eq!(report["memory_kills"][0]["processes"], 1, "{report:#}");
        assert_eq!(report["memory_kills"][0]["ranks"][0], 1);
        let how =
            "rank 1 failed first: signal 9 (SIGKILL), killed by the kernel for want of memory";
        assert!(done.err().contains(how), "{}", done.err());
    })
}

#[test]
fn a_kill_while_the_counter_stands_still_is_only_a_kill() -> ExitCode {
    in_little_memory(|group| {
        let place = Place::new();
        let done = group.run(&place, &["-n", "2"], "kill -KILL $$").expect(137);
        let report = report(&place.job("j"));
        assert!(report["first_failure"].get("killed_for_memory").is_none(), "{report:#}");
        assert!(report.get("memory_kills").is_none());
        assert!(!done.err().contains("memory"), "{}", done.err());
    })
}

#[test]
fn a_kill_that_the_counter_does_not_explain_is_told_with_care() -> ExitCode {
    in_little_memory(|group| {
        let place = Place::new();
        // Rank 1 kills itself when rank 0 is gone.
        let script = "[ $RANK = 0 ] && echo $$ >first && exec \"$0\" eat-memory $1; \
            until [ -s first ]; do sleep 0.01; done; \
            until grep -q '^State:.[ZX]' /proc/$(cat first)/status; do sleep 0.01; done; \
            kill -KILL $$";
        let options = ["-n", "2", "--on-failure", "continue"];
        let done = group.run(&place, &options, script).expect(137);
        let report = report(&place.job("j"));
        assert_eq!(report["memory_kills"][0]["processes"], 1, "{report:#}");
        assert_eq!(report["memory_kills"][0]["ranks"].as_array().unwrap().len(), 2);
        assert!(report["ranks"][0].get("killed_for_memory").is_none(), "{report:#}");
        assert!(
            done.err().contains("which of ranks 0,1 that was cannot be told"),
            "{}",
            done.err()
        );
    })
}

#[test]
fn a_child_that_is_killed_for_memory_is_told_beside_the_rank_that_fails() -> ExitCode {
    in_little_memory(|group| {
        let place = Place::new();
        let done = group.run(&place, &[], "\"$0\" eat-memory $1; exit $?").expect(137);
        let report = report(&place.job("j"));
        assert_eq!(report["first_failure"]["code"], 137);
        assert!(report["first_failure"].get("killed_for_memory").is_none(), "{report:#}");
        let killed = "the kernel killed a process for want of memory in /sys/fs/cgroup";
        assert!(done.err().contains(killed), "{}", done.err());
    })
}
