//! A spawner whose ranks are whatever the test makes of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use lastline_line::{Exit, Stream};
use lastline_spawn::{ExitFuture, Output, Process, RankSpec, Spawned, Spawner, TerminalSize};

use crate::{Gate, terminal, wait_until};

/// Starts no process: a rank's outputs are real pipes, or a real terminal, that the test writes to,
/// and it ends when the test says so. Clones are handles to the same one.
///
/// A SIGKILL ends a rank, and what it has left, at once; every other signal is only noted.
#[derive(Clone, Debug, Default)]
pub struct SpawnerDouble {
    gate: Gate,
    state: Arc<Mutex<SpawnerState>>,
}

#[derive(Debug, Default)]
struct SpawnerState {
    ranks: BTreeMap<u32, RankDouble>,
    refused: BTreeMap<u32, io::ErrorKind>,
    dismissed: bool,
}

impl SpawnerDouble {
    /// One that starts every rank that it is asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// The gate that every start passes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// This rank is not started, for this reason.
    pub fn refuse(&self, rank: u32, why: io::ErrorKind) {
        self.state().refused.insert(rank, why);
    }

    /// A rank, when it has been started; the last one of this number.
    ///
    /// # Panics
    ///
    /// When it is not started within [`PATIENCE`](crate::PATIENCE).
    pub fn rank(&self, rank: u32) -> RankDouble {
        wait_until(|| self.state().ranks.contains_key(&rank));
        self.state().ranks[&rank].clone()
    }

    /// The ranks that were started.
    pub fn started(&self) -> Vec<u32> {
        self.state().ranks.keys().copied().collect()
    }

    /// Whether it was dismissed.
    pub fn is_dismissed(&self) -> bool {
        self.state().dismissed
    }

    fn state(&self) -> MutexGuard<'_, SpawnerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spawner for SpawnerDouble {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        self.gate.pass();
        let mut state = self.state();
        if let Some(why) = state.refused.get(&spec.rank) {
            return Err((*why).into());
        }
        let (output, ends) = match spec.terminal {
            None if spec.merge => one_pipe()?,
            None => pipes()?,
            Some(_) => a_terminal()?,
        };
        let rank = RankDouble::new(spec, ends);
        state.ranks.insert(rank.0.spec.rank, rank.clone());
        Ok(Spawned::new(Arc::new(rank), output))
    }

    fn dismiss(&mut self) {
        self.state().dismissed = true;
    }
}

type Ends = [Option<File>; 2];

fn pipes() -> io::Result<(Output, Ends)> {
    let ((stdout, stdout_end), (stderr, stderr_end)) = (io::pipe()?, io::pipe()?);
    let output = Output::Pipes { stdout: stdout.into(), stderr: stderr.into() };
    let file = |end: io::PipeWriter| Some(OwnedFd::from(end).into());
    Ok((output, [stdout_end, stderr_end].map(file)))
}

fn one_pipe() -> io::Result<(Output, Ends)> {
    let (output, end) = io::pipe()?;
    let ends = [OwnedFd::from(end.try_clone()?), OwnedFd::from(end)];
    Ok((Output::Merged(output.into()), ends.map(|end| Some(end.into()))))
}

fn a_terminal() -> io::Result<(Output, Ends)> {
    let (master, slave) = terminal();
    let ends = [Some(slave.try_clone()?), Some(slave.try_clone()?)];
    Ok((Output::Terminal { master, slave: slave.into() }, ends))
}

/// What a rank was started from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SpecDouble {
    /// Which rank it is.
    pub rank: u32,
    /// The program's file.
    pub program: Option<OsString>,
    /// Its name and arguments.
    pub command: Vec<OsString>,
    /// Variables to set, or to take away.
    pub env: Vec<(OsString, Option<OsString>)>,
    /// Where it starts.
    pub workdir: Option<PathBuf>,
    /// The size of its terminal.
    pub terminal: Option<TerminalSize>,
}

/// A rank of a [`SpawnerDouble`], for the test to play. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub struct RankDouble(Arc<Rank>);

#[derive(Debug)]
struct Rank {
    spec: SpecDouble,
    life: Mutex<Life>,
}

#[derive(Debug)]
struct Life {
    exit: Option<Exit>,
    released: bool,
    /// Its ends of stdout and stderr.
    ends: Ends,
    signals: Vec<i32>,
    /// What it has started lives in its group.
    left: bool,
    waiting: Vec<Waker>,
}

impl RankDouble {
    fn new(spec: RankSpec, ends: Ends) -> Self {
        let RankSpec { rank, program, command, env, workdir, terminal, .. } = spec;
        let (exit, signals, waiting) = (None, Vec::new(), Vec::new());
        Self(Arc::new(Rank {
            spec: SpecDouble { rank, program, command, env, workdir, terminal },
            life: Mutex::new(Life { exit, released: false, ends, signals, left: false, waiting }),
        }))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.0.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it was started from.
    pub fn spec(&self) -> &SpecDouble {
        &self.0.spec
    }

    /// Writes to one of its outputs. Blocks while the pipe is full.
    ///
    /// # Panics
    ///
    /// When it has closed that output, or nobody reads it.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        let end = self.life().ends[at(stream)].as_ref().map(File::try_clone);
        let mut end = end.expect("the output was closed").expect("a descriptor");
        end.write_all(bytes).expect("somebody reads");
    }

    /// Closes one of its outputs.
    pub fn close(&self, stream: Stream) {
        self.life().ends[at(stream)] = None;
    }

    /// It leaves something in its group, which lives until it is sent SIGKILL or goes by itself,
    /// and has the outputs open meanwhile.
    pub fn leave(&self) {
        self.life().left = true;
    }

    /// What it has left goes, and closes the outputs.
    pub fn gone(&self) {
        let mut life = self.life();
        life.left = false;
        life.close_if_over();
    }

    /// It ends. Its outputs are closed unless it has left something that has them.
    pub fn end(&self, exit: Exit) {
        self.life().end(exit);
    }

    /// The signals that it was sent, in order.
    pub fn signals(&self) -> Vec<i32> {
        self.life().signals.clone()
    }

    /// Whether nobody needs it any more.
    pub fn is_released(&self) -> bool {
        self.life().released
    }
}

impl Life {
    fn end(&mut self, exit: Exit) {
        self.exit.get_or_insert(exit);
        self.waiting.drain(..).for_each(Waker::wake);
        self.close_if_over();
    }

    fn close_if_over(&mut self) {
        if self.exit.is_some() && !self.left {
            self.ends = [None, None];
        }
    }
}

impl Process for RankDouble {
    /// It has none: what takes one for a process of this host would signal a stranger.
    fn id(&self) -> Option<u32> {
        None
    }

    fn signal(&self, signal: i32) {
        let mut life = self.life();
        if life.released {
            return;
        }
        life.signals.push(signal);
        if signal == libc::SIGKILL {
            life.left = false;
            life.end(Exit::Signal(signal));
        }
    }

    fn exit(&self) -> Option<Exit> {
        self.life().exit
    }

    fn wait(&self) -> ExitFuture {
        let rank = self.clone();
        Box::pin(std::future::poll_fn(move |context| {
            let mut life = rank.life();
            match life.exit {
                Some(exit) => Poll::Ready(exit),
                None => {
                    life.waiting.push(context.waker().clone());
                    Poll::Pending
                }
            }
        }))
    }

    fn has_members(&self) -> bool {
        let life = self.life();
        !life.released && (life.exit.is_none() || life.left)
    }

    fn release(&self) {
        self.life().released = true;
    }
}

fn at(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::laws;

    #[test]
    fn the_laws_of_a_process_hold_for_a_rank_of_the_double() {
        let mut double = SpawnerDouble::new();
        laws::spawner::process(|| {
            let spawned = double.spawn(RankSpec::new(3, vec!["any".into()])).unwrap();
            let rank = double.rank(3);
            (spawned, move || rank.end(Exit::Code(4)))
        });
    }

    #[test]
    fn its_outputs_are_what_the_test_writes_and_end_when_nobody_has_them() {
        let mut double = SpawnerDouble::new();
        double.refuse(1, io::ErrorKind::NotFound);
        let refused = double.spawn(RankSpec::new(1, Vec::new())).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        let spawned = double.spawn(RankSpec::new(0, vec!["name".into()])).unwrap();
        assert_eq!(double.started(), [0]);
        let Output::Pipes { stdout, stderr } = spawned.output else {
            panic!("no terminal was asked for");
        };
        let rank = double.rank(0);
        assert_eq!(rank.spec().command, ["name"]);
        rank.write(Stream::Stdout, b"out");
        rank.write(Stream::Stderr, b"err");
        rank.close(Stream::Stderr);
        rank.leave();
        rank.end(Exit::Code(0));
        let mut text = String::new();
        File::from(stderr).read_to_string(&mut text).unwrap();
        assert_eq!(text, "err");
        assert!(spawned.process.has_members());
        spawned.process.signal(libc::SIGTERM);
        spawned.process.signal(libc::SIGKILL);
        assert_eq!(rank.signals(), [libc::SIGTERM, libc::SIGKILL]);
        assert!(!spawned.process.has_members());
        text.clear();
        File::from(stdout).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), spawned.process.exit()), ("out", Some(Exit::Code(0))));
        double.dismiss();
        assert!(double.is_dismissed());
    }
}
