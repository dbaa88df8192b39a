//! What is left in a group when its leader has exited, and how it is ended.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lastline_spawn::{
    Exit, Output, Process, ProcessOptions, ProcessSpawner, RankSpec, Spawner, has_members_of,
    kill_until_empty,
};
use lastline_testing::wait_until;

const KILL: i32 = 9;
const TERM: i32 = 15;

/// A shell that runs `script`, and where its stdout is read.
fn shell(script: &str) -> (Arc<dyn Process>, std::fs::File) {
    let mut spawner = ProcessSpawner::new(ProcessOptions::default()).expect("a guardian");
    let script = format!("exec 2>/dev/null; {script}");
    let command = ["sh", "-c", &script].map(Into::into).into();
    let spawned = spawner.spawn(RankSpec::new(0, command)).expect("a shell");
    let Output::Pipes { stdout, stderr: _ } = spawned.output else {
        panic!("no terminal was asked for");
    };
    spawner.dismiss();
    (spawned.process, stdout.into())
}

fn read(from: &mut std::fs::File, expected: &str) {
    let mut text = vec![0; expected.len()];
    from.read_exact(&mut text).expect("as much as that");
    assert_eq!(String::from_utf8_lossy(&text), expected);
}

fn end(process: &dyn Process) -> Exit {
    wait_until(|| process.exit().is_some());
    process.exit().expect("BUG: it has just been there")
}

/// The signal that ends a group is what makes a background shell start more.
#[test]
fn who_is_started_while_the_group_is_being_ended_does_not_escape() {
    let background =
        "trap 'echo more; sleep 3171 & sleep 3172' TERM; echo ready; sleep 3170 & wait";
    let (process, mut stdout) = shell(&format!("({background}) &"));
    read(&mut stdout, "ready\n");
    assert_eq!(end(&*process), Exit::Code(0));
    process.signal(TERM);
    read(&mut stdout, "more\n");
    assert!(process.has_members());
    assert!(kill_until_empty(std::slice::from_ref(&process)));
    assert!(!process.has_members());
    // Nobody has the pipe any more.
    assert_eq!(stdout.read(&mut [0]).unwrap(), 0);
    process.release();
}

#[test]
fn a_group_that_never_stops_starting_is_ended() {
    let (process, mut stdout) = shell("echo ready; while :; do sleep 3173 & done");
    read(&mut stdout, "ready\n");
    assert!(kill_until_empty(std::slice::from_ref(&process)));
    assert_eq!(end(&*process), Exit::Signal(KILL));
    process.release();
}

#[test]
fn a_zombie_is_no_member_and_one_look_tells_of_many_groups() {
    let (dead, _stdout) = shell("exit 7");
    let (leaves, mut stdout) = shell("sleep 3174 & echo ready");
    read(&mut stdout, "ready\n");
    assert_eq!((end(&*dead), end(&*leaves)), (Exit::Code(7), Exit::Code(0)));
    let all = [dead, leaves];
    assert_eq!(has_members_of(&all), [false, true]);
    assert!(kill_until_empty(&all));
    assert_eq!(has_members_of(&all), [false, false]);
    all.iter().for_each(|process| process.release());
}

/// A signal for a group goes to nobody once its number may be a stranger's.
#[test]
fn what_was_released_is_not_signalled() {
    let (process, mut stdout) = shell("sleep 3175 & echo ready");
    read(&mut stdout, "ready\n");
    let group = process.id().unwrap();
    end(&*process);
    process.release();
    process.signal(KILL);
    assert_eq!(process.exit(), Some(Exit::Code(0)));
    assert!(!process.has_members());
    let groups = [group].into();
    assert_eq!(lastline_spawn::live_groups(&groups), groups);
    let group = rustix::process::Pid::from_raw(i32::try_from(group).unwrap()).unwrap();
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_process_of_somebody_else_is_waited_for_and_signalled_alone() {
    let (leads, mut stdout) = shell("sleep 3176 & echo $!; wait $!; echo $?; sleep 3177");
    let mut digits = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        digits.push(byte[0]);
    }
    let pid: u32 = String::from_utf8(digits).unwrap().parse().unwrap();
    let sleep = lastline_spawn::attach(pid, pidfd(pid));
    assert_eq!((sleep.exit(), sleep.group(), sleep.id()), (None, None, Some(pid)));
    assert!(sleep.has_members());
    sleep.signal(TERM);
    assert_eq!(end(&*sleep), Exit::Unknown);
    assert!(!sleep.has_members());
    // The shell was not signalled, and tells how its child ended.
    read(&mut stdout, "143\n");
    let leader = leads.id().unwrap();
    let again = lastline_spawn::attach(leader, pidfd(leader));
    assert_eq!(again.group(), Some(leader));
    assert!(kill_until_empty(&[Arc::clone(&again)]));
    assert_eq!((end(&*again), end(&*leads)), (Exit::Signal(KILL), Exit::Signal(KILL)));
    leads.release();
    // Its number may be a stranger's now, or nobody's.
    again.signal(KILL);
    assert!(!again.has_members());
}

fn pidfd(pid: u32) -> OwnedFd {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("an id");
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("it is there")
}
