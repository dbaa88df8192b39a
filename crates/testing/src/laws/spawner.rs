//! The laws of [`Spawner`] and of [`Process`].
//!
//! They wait on plain threads: where waiting needs a runtime, it is the one that the caller has
//! entered, and it must have a thread of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use lastline_line::Exit;
use lastline_spawn::{
    ExitFuture, Output, Process, RankSpec, Spawned, Spawner, TerminalSize, has_members_of,
    kill_until_empty,
};

use crate::{PATIENCE, wait_until};

/// Runs every law on spawners that `make` makes; they have to run the programs of this host, and
/// `sh` has to be among them. Also those of [`process`], on the processes that they start.
pub fn all<S: Spawner + 'static>(mut make: impl FnMut() -> S) {
    let mut spawner = make();
    process(|| {
        let (read, write) = std::io::pipe().expect("a pipe");
        let mut spec = shell("read line; exit 4");
        spec.stdin = Some(read.into());
        (spawner.spawn(spec).expect("it starts"), move || drop(write))
    });
    leads_a_group(make());
    gives_what_was_asked_for(make());
    keeps_no_end_of_the_outputs(make());
    starts_nothing_on_an_error(make());
    signals_the_group_after_its_leader(make());
    ends_nobody_when_dismissed(make());
}

/// The laws of [`Process`], on processes that `start` starts, each with what makes it end; it must
/// not leave anything in its group.
pub fn process<E: FnOnce()>(mut start: impl FnMut() -> (Spawned, E)) {
    remembers_its_end(start());
    survives_its_release(start());
    let (spawned, _end) = start();
    spawned.process.signal(libc::SIGKILL);
    let exit = block_on(spawned.process.wait());
    assert_eq!(exit, Exit::Signal(libc::SIGKILL), "law 2: a signal reaches it");
    spawned.process.release();
}

/// Laws 1 and 5 of a process: everybody who waits hears the same, before and after the end.
fn remembers_its_end((spawned, end): (Spawned, impl FnOnce())) {
    let process = &spawned.process;
    assert_eq!(process.exit(), None, "law 1: it runs");
    assert!(process.has_members(), "law 3: its leader is a member");
    assert_eq!(has_members_of(std::slice::from_ref(process)), [true], "law 3: the same at once");
    let mut dropped = process.wait();
    assert!(poll(&mut dropped).is_pending(), "law 1: it runs");
    drop(dropped);
    let (mut first, mut second) = (process.wait(), process.wait());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending(), "law 1: it runs");
    end();
    let exit = block_on(first);
    assert_eq!(block_on(second), exit, "law 1: the same for all");
    assert_eq!(process.exit(), Some(exit), "law 1: `exit` after `wait`");
    assert_eq!(block_on(process.wait()), exit, "law 1: `wait` after the end");
    assert!(!process.has_members(), "law 3: a zombie is no member");
    process.release();
    process.release();
    assert_eq!(process.exit(), Some(exit), "law 1: after the release");
    assert_eq!(block_on(process.wait()), exit, "law 1: after the release");
}

/// Laws 3 and 5 of a process: released while it runs, it is left alone.
fn survives_its_release((spawned, end): (Spawned, impl FnOnce())) {
    let process = &spawned.process;
    process.release();
    process.signal(libc::SIGKILL);
    assert!(!process.has_members(), "law 3: a released process has no members");
    end();
    let exit = block_on(process.wait());
    assert_ne!(exit, Exit::Signal(libc::SIGKILL), "law 3: a signal after the release");
}

/// Law 1: it leads a group, on a host that has one for it.
pub fn leads_a_group(mut spawner: impl Spawner) {
    for terminal in [None, Some(TerminalSize::default())] {
        let mut spec = shell("cut -d' ' -f5 /proc/$$/stat");
        spec.terminal = terminal;
        let spawned = spawner.spawn(spec).expect("it starts");
        let id = spawned.process.id();
        let said = first_line(&spawned.output);
        if let Some(id) = id {
            assert_eq!(said.trim(), id.to_string(), "law 1: its group is its own");
        }
        finish(&*spawned.process, Exit::Code(0));
    }
}

/// What a specification asks for: name, arguments, variables, directory, input, a terminal.
pub fn gives_what_was_asked_for(mut spawner: impl Spawner) {
    let place = tempfile::tempdir().expect("a directory");
    let (read, mut write) = std::io::pipe().expect("a pipe");
    write.write_all(b"given\n").expect("room");
    let mut spec = shell("read line; echo $line,$A,${HOME-none},$(pwd -P)");
    spec.env = [("A", Some("a")), ("HOME", None)]
        .map(|(name, value)| (name.into(), value.map(Into::into)))
        .into();
    spec.workdir = Some(place.path().into());
    spec.stdin = Some(read.into());
    let spawned = spawner.spawn(spec).expect("it starts");
    let workdir = place.path().canonicalize().expect("it is there");
    assert_eq!(first_line(&spawned.output), format!("given,a,none,{}\n", workdir.display()));
    finish(&*spawned.process, Exit::Code(0));

    let mut spec = shell("for n in 1 2 3; do echo out $n; echo err $n >&2; done");
    spec.merge = true;
    let spawned = spawner.spawn(spec).expect("it starts");
    let Output::Merged(pipe) = spawned.output else { panic!("one pipe was asked for") };
    assert_eq!(all_of(pipe), "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n", "both, in order");
    finish(&*spawned.process, Exit::Code(0));

    let mut spec = shell("test -t 1 && test -t 2 && stty size </dev/tty");
    spec.terminal = Some(TerminalSize { rows: 33, columns: 77 });
    let spawned = spawner.spawn(spec).expect("it starts");
    assert_eq!(first_line(&spawned.output), "33 77\n", "its terminal");
    finish(&*spawned.process, Exit::Code(0));
}

/// Law 2: what the rank writes to ends with the rank.
pub fn keeps_no_end_of_the_outputs(mut spawner: impl Spawner) {
    let first = spawner.spawn(shell("echo first")).expect("it starts");
    // A second rank has none of the first one's, either.
    let second = spawner.spawn(shell("exec sleep 3179"));
    let second = second.expect("it starts");
    let Output::Pipes { stdout, stderr } = first.output else {
        panic!("no terminal was asked for");
    };
    assert_eq!(all_of(stdout), "first\n", "law 2: stdout ends");
    assert_eq!(all_of(stderr), "", "law 2: stderr ends");
    finish(&*first.process, Exit::Code(0));
    second.process.signal(libc::SIGKILL);
    finish(&*second.process, Exit::Signal(libc::SIGKILL));
}

/// Law 3: an error, and who spawns goes on.
pub fn starts_nothing_on_an_error(mut spawner: impl Spawner) {
    let mut missing = shell("exit 0");
    missing.program = Some("/no/such/program".into());
    let error = spawner.spawn(missing).expect_err("law 3: there is no such program");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "law 3: {error}");
    let unknown = RankSpec::new(0, vec!["no-such-program-anywhere".into()]);
    let error = spawner.spawn(unknown).expect_err("law 3: no directory has it");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "law 3: {error}");
    let mut lost = shell("exit 0");
    lost.workdir = Some("/no/such/directory".into());
    drop(spawner.spawn(lost).expect_err("law 3: there is no such directory"));
    let good = spawner.spawn(shell("exit 5")).expect("law 3: the next one starts");
    finish(&*good.process, Exit::Code(5));
}

/// Laws 2 and 3 of a process: what outlives the leader is in its group, and can be ended.
pub fn signals_the_group_after_its_leader(mut spawner: impl Spawner) {
    let script = "trap '' TERM; (while :; do sleep 3180 & wait; done) & echo ready";
    let spawned = spawner.spawn(shell(script)).expect("it starts");
    let Output::Pipes { stdout, stderr } = spawned.output else {
        panic!("no terminal was asked for");
    };
    let process = spawned.process;
    assert_eq!(block_on(process.wait()), Exit::Code(0));
    assert!(process.has_members(), "law 2: its group has members");
    process.signal(libc::SIGTERM);
    assert!(kill_until_empty(std::slice::from_ref(&process)), "law 2: they can be ended");
    assert!(!process.has_members(), "law 2: nobody is left");
    assert_eq!((all_of(stdout).as_str(), all_of(stderr).as_str()), ("ready\n", ""));
    process.release();
}

/// Law 5: dismissing ends no rank.
pub fn ends_nobody_when_dismissed(mut spawner: impl Spawner) {
    let (read, write) = std::io::pipe().expect("a pipe");
    let mut spec = shell("read line; exit 6");
    spec.stdin = Some(read.into());
    let spawned = spawner.spawn(spec).expect("it starts");
    spawner.dismiss();
    spawner.dismiss();
    drop(spawner);
    assert_eq!(spawned.process.exit(), None, "law 5: it runs on");
    drop(write);
    finish(&*spawned.process, Exit::Code(6));
}

fn shell(script: &str) -> RankSpec {
    RankSpec::new(0, ["sh", "-c", script].map(Into::into).into())
}

fn finish(process: &dyn Process, exit: Exit) {
    wait_until(|| process.exit().is_some());
    assert_eq!(process.exit(), Some(exit));
    process.release();
}

fn all_of(pipe: OwnedFd) -> String {
    let mut text = String::new();
    File::from(pipe).read_to_string(&mut text).expect("text");
    text
}

fn first_line(output: &Output) -> String {
    let (Output::Pipes { stdout: from, .. }
    | Output::Merged(from)
    | Output::Terminal { master: from, .. }) = output;
    let mut from = File::from(from.try_clone().expect("a descriptor"));
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') && from.read(&mut byte).is_ok_and(|read| read == 1) {
        line.extend(byte);
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn poll(wait: &mut ExitFuture) -> Poll<Exit> {
    wait.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Waits on this thread.
fn block_on(mut wait: ExitFuture) -> Exit {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(exit) = wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            return exit;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "law 1: who waits hears of the end");
        std::thread::park_timeout(left);
    }
}

/// Wakes a thread that has parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
