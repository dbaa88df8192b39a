//! Lastline as the first process of a container, and without `/proc`.

use std::io;
use std::time::Duration;

use crate::support::{Done, Place, Running, not_run, rank, report, wait_until};

/// Runs lastline behind `unshare`, where that may be done.
fn unshared(place: &Place, how: &[&str], args: &[&str]) -> Option<Done> {
    let may = Running::start(place.wrap("unshare", &[how, &["true"]].concat())).wait();
    if !may.status.success() {
        not_run("no namespace can be made here", &io::Error::other(may.err()));
        return None;
    }
    let all = [how, &[env!("CARGO_BIN_EXE_lastline")], args].concat();
    let mut command = place.wrap("unshare", &all);
    command.env("LASTLINE_LOG", "debug");
    Some(Running::start(command).wait())
}

#[test]
fn as_the_first_process_it_reaps_the_orphans_of_its_ranks() {
    let place = Place::new();
    // Two hundred processes whose parents are gone, and no zombie is left of them after a while.
    let script = "i=0; while [ $i -lt 200 ]; do (sh -c 'exec sleep 0.05' &); i=$((i+1)); done; \
        left=1; tries=0; while [ $left -gt 0 ] && [ $tries -lt 600 ]; do sleep 0.05; \
        left=$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); \
        tries=$((tries+1)); done; echo left $left; exit $((3+RANK))";
    let how = ["--pid", "--fork", "--mount-proc"];
    let args = ["run", "--job", "j", "--", "sh", "-c", script];
    let Some(done) = unshared(&place, &how, &args) else {
        return;
    };
    let done = done.expect(3);
    assert_eq!(done.out(), "left 0\n", "{}", done.err());
    let told = done.err();
    let told = told.lines().find(|line| line.contains("an orphan was reaped")).unwrap_or_default();
    assert!(told.contains("sleep") && told.contains("rank=0"), "{}", done.err());
    assert_eq!(report(&place.job("j"))["ranks"][0]["code"], 3);
}

#[test]
fn without_proc_what_ranks_leave_is_ended_although_it_ignores_sigterm() {
    let place = Place::new();
    let hide = "mount -t tmpfs none /proc && exec \"$@\"";
    let how = ["--mount", "sh", "-c", hide, "sh"];
    let script = "trap '' TERM; \"$0\" wait >/dev/null 2>&1 & echo $!";
    let options = ["run", "-n", "2", "--job", "j", "--grace", "300ms", "--drain", "100ms"];
    let child = rank();
    let args = [&options[..], &["--", "sh", "-c", script, &child]].concat();
    let Some(done) = unshared(&place, &how, &args) else {
        return;
    };
    let done = done.expect(0);
    assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
    let left = done.sorted();
    assert_eq!(left.len(), 2, "{}", done.err());
    for line in left {
        let pid: u32 = line.rsplit_once(' ').unwrap().1.parse().unwrap();
        wait_until("what was left is gone", || !crate::support::runs(pid));
    }
}
