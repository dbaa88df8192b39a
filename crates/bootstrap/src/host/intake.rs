//! What comes from ranks: starts, output, silence, ends. Each is put on what is known of the rank, and
//! told the driver.

use std::collections::{HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use lastline_line::{
    Accept, Capture, Exit, Holder, HostEvent, Message, Offset, Sink as _, Stream, StreamEnd,
    StreamId,
};
use lastline_spawn::{Held, MemoryWatch, Output, Spawned, TerminalSize, Typist, holders};
use lastline_tee::{BoxSink, Outcome, Tee, TeeError};

use super::abort;
use super::link::Link;
use super::ranks::{Ranks, RunId};
use super::watch::{Event, Events};
use crate::blocking::Blocking;
use crate::clock::now;

/// Makes the sinks of a stream.
pub(super) type MakeSinks = Box<dyn Fn(StreamId) -> Vec<BoxSink> + Send>;

/// How streams are read.
pub(super) struct ReadSettings {
    pub(super) drain: Duration,
    pub(super) tee: lastline_tee::Options,
    pub(super) sinks: MakeSinks,
    /// Who types into rank 0's terminal.
    pub(super) typist: Option<Typist>,
}

/// Streams that are silent after their rank's exit; who holds them is looked up elsewhere.
#[derive(Default)]
struct Silent {
    waiting: Vec<(RunId, Stream)>,
    looked_up: Vec<(RunId, Stream)>,
}

/// What the end of a rank means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It did not fail, or was asked to end, or that is known.
    Otherwise,
    /// It failed by itself.
    Failed,
    /// It did, and is to be started again.
    StartsAgain { rank: u32 },
}

pub(super) struct Intake {
    pub(super) ranks: Ranks,
    settings: ReadSettings,
    link: Arc<Link>,
    events: Events,
    memory: MemoryWatch,
    silent: Silent,
    blocking: Blocking,
}

impl Intake {
    /// Of these ranks, none of which has been started.
    pub(super) fn new(
        ranks: Range<u32>,
        settings: ReadSettings,
        link: Arc<Link>,
        events: Events,
        blocking: Blocking,
    ) -> Self {
        let (ranks, memory) = (Ranks::new(ranks), MemoryWatch::start());
        Self { ranks, settings, link, events, memory, silent: Silent::default(), blocking }
    }

    /// A rank runs: its streams are read from now on.
    pub(super) fn started(&mut self, id: RunId, spawned: Spawned) {
        let Spawned { process, output, .. } = spawned;
        let run = self.ranks.started(id);
        run.process = Some(Arc::clone(&process));
        self.link.add_process(Arc::clone(&process));
        let (rank, launch) = (run.rank, run.launch);
        let pid = process.id();
        if let Some(pid) = pid {
            self.memory.rank_started(rank, pid);
        }
        let capture = match &output {
            Output::Pipes { .. } => Capture::Pipes,
            Output::Merged(_) => Capture::Merged,
            Output::Terminal { .. } => Capture::Terminal,
        };
        self.link.send(HostEvent::Started { rank, launch, pid, capture, time: now() });
        match output {
            Output::Pipes { stdout, stderr } => {
                self.read_pipe(id, Stream::Stdout, stdout);
                self.read_pipe(id, Stream::Stderr, stderr);
            }
            Output::Merged(pipe) => self.read_pipe(id, Stream::Merged, pipe),
            Output::Terminal { master, slave } => {
                let held = Held::terminal(&slave).ok();
                self.ranks.run(id).terminal = Some(slave);
                self.type_into(rank, &master);
                self.read_stream(id, Stream::Stdout, held, |id, sinks, options| {
                    Tee::start_pty(id, master, sinks, options)
                });
            }
        }
        self.link.start_is_known();
        self.events.watch_exit(id, &process);
    }

    fn type_into(&self, rank: u32, master: &OwnedFd) {
        if let Some(typist) = self.settings.typist.as_ref().filter(|_| rank == 0)
            && let Err(error) = typist.type_into(master)
        {
            tracing::warn!(%error, "nobody can type into the terminal of rank 0");
        }
    }

    /// Gives the terminals of all ranks that run another size.
    pub(super) fn resize(&self, size: TerminalSize) {
        for terminal in self.ranks.iter().filter_map(|run| run.terminal.as_ref()) {
            if let Err(error) = size.give_to(terminal) {
                tracing::debug!(%error, "a terminal keeps its size");
            }
        }
    }

    fn read_pipe(&mut self, id: RunId, stream: Stream, pipe: OwnedFd) {
        let held = Held::pipe(&pipe).ok();
        self.read_stream(id, stream, held, |id, sinks, options| {
            Tee::start_pipe(id, pipe, sinks, options)
        });
    }

    /// Starts the reader of one stream of a rank.
    fn read_stream(
        &mut self,
        id: RunId,
        stream: Stream,
        held: Option<Held>,
        start: impl FnOnce(StreamId, Vec<BoxSink>, lastline_tee::Options) -> Result<Tee, TeeError>,
    ) {
        let slot = self.ranks.run(id).stream(stream);
        let sinks = (self.settings.sinks)(slot.id);
        match start(slot.id, sinks, self.settings.tee.clone()) {
            Ok(tee) => {
                (slot.held, slot.tee) = (held, Some(tee.clone()));
                self.link.add_tee(tee.clone());
                self.events.watch_end(id, tee);
            }
            Err(error) => tracing::error!(%error, rank = slot.id.rank, "its output is not read"),
        }
    }

    /// A rank could not be started, or is not wanted any more.
    pub(super) fn refused(&mut self, id: RunId, error: &io::Error, stopped: bool) {
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        let run = self.ranks.started(id);
        (run.refused, run.stopped) = (true, stopped);
        let (rank, launch, time) = (run.rank, run.launch, now());
        let error = format!("could not be started: {error}");
        self.link.send(HostEvent::NotStarted { rank, launch, error, code, stopped, time });
        self.link.start_is_known();
    }

    /// A rank has exited. One that failed by itself is to be started again, where that was not done
    /// `max_restarts` times.
    pub(super) fn exited(&mut self, id: RunId, exit: Exit, max_restarts: u32) -> Ended {
        let Some(run) = self.ranks.find(id).filter(|run| run.exit.is_none()) else {
            return Ended::Otherwise;
        };
        run.exit = Some(exit);
        // Who else has it open keeps it open.
        run.terminal = None;
        let (rank, launch, stopped) = (run.rank, run.launch, run.stopped);
        if let Some(typist) = self.settings.typist.as_ref().filter(|_| rank == 0) {
            typist.stop();
        }
        let run = self.ranks.run(id);
        if exit == Exit::Signal(libc::SIGKILL)
            && !run.killed
            && let Some(pid) = run.process.as_ref().and_then(|process| process.id())
        {
            self.memory.rank_killed(rank, pid);
        }
        let run = self.ranks.run(id);
        for tee in run.streams.iter().filter(|s| !s.is_over()).filter_map(|s| s.tee.clone()) {
            self.events.watch_silence(id, tee, self.settings.drain);
        }
        let failed = exit.is_failure() && !stopped;
        let restarts = run.starts_before;
        let starts_again = failed && restarts < max_restarts;
        run.starts_again = starts_again;
        let time = now();
        self.link.send(HostEvent::Exited { rank, launch, exit, stopped, starts_again, time });
        self.say_last_lines(id);
        match (failed, starts_again) {
            (false, _) => Ended::Otherwise,
            (true, false) => Ended::Failed,
            (true, true) => {
                let times = restarts + 1;
                tracing::warn!(
                    "rank {rank} failed ({exit}) and is started again, time {times} of {max_restarts}"
                );
                Ended::StartsAgain { rank }
            }
        }
    }

    /// What a start that is over has left in its group is ended, elsewhere: that may take a moment.
    pub(super) fn end_group(&mut self, id: RunId, leave: bool) {
        let Some(process) = self.ranks.run(id).process.clone() else {
            return self.let_go(id);
        };
        let events = self.events.clone();
        // It is told as an event.
        drop(self.blocking.run(move || {
            abort::end_before_restart(&process, leave);
            events.send(Event::GroupEnded { run: id });
        }));
    }

    /// Nothing is kept open for that start: its rank may be started any number of times.
    pub(super) fn group_ended(&mut self, id: RunId) {
        if let Some(process) = self.ranks.find(id).and_then(|run| run.process.take()) {
            self.link.forget_process(&process);
        }
        self.let_go(id);
    }

    /// Of a start that is done, and after which its rank was started again, nothing is kept but what the
    /// files are asked for in the end.
    fn let_go(&mut self, id: RunId) {
        let streams = self.ranks.let_go(id);
        if !streams.is_empty() {
            self.link.let_go(&streams);
        }
    }

    /// A stream has ended.
    pub(super) fn stream_ended(
        &mut self,
        id: RunId,
        stream: Stream,
        outcome: Result<&Outcome, &TeeError>,
    ) {
        let slot = self.ranks.find(id).map(|run| run.stream(stream));
        let Some(slot) = slot.filter(|slot| slot.end.is_none()) else { return };
        let said = slot.ended(outcome);
        self.link.send(said);
        self.say_last_lines(id);
        self.let_go(id);
    }

    fn say_last_lines(&mut self, id: RunId) {
        for said in self.ranks.run(id).last_lines() {
            self.link.send(said);
        }
    }

    /// A stream says nothing, and its rank has exited.
    pub(super) fn silent(&mut self, id: RunId, stream: Stream) {
        self.silent.waiting.push((id, stream));
        self.look_up_holders();
    }

    /// Looks up who holds the streams that are silent, all at once, and not here: `/proc` may be
    /// long, or slow.
    fn look_up_holders(&mut self) {
        let Silent { waiting, looked_up } = &mut self.silent;
        if !looked_up.is_empty() || waiting.is_empty() {
            return;
        }
        looked_up.append(waiting);
        let held = |(id, stream): &(RunId, Stream)| self.ranks.find(*id)?.stream(*stream).held;
        let held: HashSet<Held> = looked_up.iter().filter_map(held).collect();
        let events = self.events.clone();
        // It is told as an event.
        drop(self.blocking.run(move || events.send(Event::Holders(holders(&held)))));
    }

    /// Who holds the streams that were looked up is known: those streams are given up.
    pub(super) fn found_holders(&mut self, mut found: HashMap<Held, Vec<Holder>>) {
        for (id, stream) in std::mem::take(&mut self.silent.looked_up) {
            // It may have ended meanwhile.
            let Some(slot) = self.ranks.find(id).map(|run| run.stream(stream)) else { continue };
            let holders = slot.held.and_then(|held| found.remove(&held)).unwrap_or_default();
            slot.leak(holders);
        }
        self.look_up_holders();
    }

    /// Streams that did not end by themselves are given up, and processes released.
    pub(super) fn give_up(&mut self) {
        self.ranks.processes().for_each(|process| process.release());
        for stream in self.ranks.streams_mut().filter(|stream| !stream.is_over()) {
            let Some(tee) = &stream.tee else {
                continue;
            };
            tee.kill();
            let (read_bytes, read_lines) = tee.counts();
            let (stream_id, end) = (stream.id, StreamEnd::Aborted);
            stream.end = Some(end);
            // Its reader does not say any more how far it came.
            if let Some(mut sink) = self.link.sink() {
                let at = Offset(read_bytes);
                let accept = sink.accept(&Message::End { stream: stream_id, at });
                debug_assert_eq!(accept, Accept::Taken, "a sender's sink is never full");
            }
            self.link.send(HostEvent::StreamEnded {
                stream: stream_id,
                end,
                read_bytes,
                read_lines,
                error: None,
                leaked_to: Vec::new(),
            });
        }
    }

    /// What has been read, in bytes.
    pub(super) fn read_bytes(&self) -> u64 {
        self.ranks.read_bytes()
    }

    /// Tells the driver where the kernel killed processes for want of memory.
    pub(super) fn say_memory_kills(&mut self) {
        self.memory.look_again();
        let tally = self.memory.tally();
        let ranks = self.ranks.iter().map(|run| run.rank).filter(|rank| tally.has(*rank));
        let (cgroups, ranks) = (tally.reports(), ranks.collect::<Vec<_>>());
        if !cgroups.is_empty() || !ranks.is_empty() {
            self.link.send(HostEvent::MemoryKills { cgroups, ranks });
        }
    }
}
