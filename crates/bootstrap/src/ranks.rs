//! What the supervisor does when a rank starts, falls silent or ends.

use std::collections::HashSet;
use std::sync::Arc;

use lastline_line::{Stream, StreamId};
use lastline_spawn::{Exit, Held, Output, Spawned, holders};
use lastline_tee::{BoxSink, Tee, TeeError};

use crate::clock::now;
use crate::plan::{OnFailure, StopCause};
use crate::rank::{Event, watch_end, watch_exit, watch_silence};
use crate::supervisor::Supervisor;

impl Supervisor {
    pub(crate) fn rank_started(&mut self, rank: u32, spawned: Spawned) {
        self.starting -= 1;
        let process = spawned.process;
        self.inner.label(&self.plan.job, rank, process.id().unwrap_or_default());
        let state = &mut self.ranks[rank as usize];
        state.started = now();
        if let Some(pid) = process.id() {
            self.memory.rank_started(rank, pid);
        }
        state.process = Some(Arc::clone(&process));
        match spawned.output {
            Output::Pipes { stdout, stderr } => {
                for (stream, pipe) in [(Stream::Stdout, stdout), (Stream::Stderr, stderr)] {
                    let held = Held::pipe(&pipe).ok();
                    self.read_stream(rank, stream, held, |id, sinks, options| {
                        Tee::start_pipe(id, pipe, sinks, options)
                    });
                }
            }
            Output::Terminal { master, slave } => {
                let held = Held::terminal(&slave).ok();
                state.terminal = Some(slave);
                self.read_stream(rank, Stream::Stdout, held, |id, sinks, options| {
                    Tee::start_pty(id, master, sinks, options)
                });
            }
        }
        tokio::spawn(watch_exit(rank, process, self.inner.events.clone()));
        let state = &mut self.ranks[rank as usize];
        if let Some(stop) = &self.stop {
            state.stopped_by_lastline = !state.has_exited();
            state.signal(stop.cause.for_ranks());
        }
    }

    /// Starts the tee of one stream of a rank.
    fn read_stream(
        &mut self,
        rank: u32,
        stream: Stream,
        held: Option<Held>,
        start: impl FnOnce(StreamId, Vec<BoxSink>, lastline_tee::Options) -> Result<Tee, TeeError>,
    ) {
        let slot = self.ranks[rank as usize].stream(stream);
        let sinks = self.inner.with_sender(|sender| self.wiring.sinks(slot.id, sender));
        match start(slot.id, sinks.unwrap_or_default(), self.wiring.tee_options.clone()) {
            Ok(tee) => {
                (slot.held, slot.tee) = (held, Some(tee.clone()));
                self.inner.add_tee(tee.clone());
                tokio::spawn(watch_end(tee, self.inner.events.clone()));
            }
            Err(error) => tracing::error!(%error, rank, "its output is not read"),
        }
    }

    pub(crate) fn rank_not_started(&mut self, rank: u32, error: &std::io::Error) {
        self.starting -= 1;
        let stopped = self.stop.is_some();
        let code = if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 };
        let state = &mut self.ranks[rank as usize];
        state.error = Some((format!("could not be started: {error}"), code));
        state.stopped_by_lastline = stopped;
        (state.started, state.ended) = (now(), Some(now()));
        if !stopped {
            self.rank_failed(rank);
        }
    }

    pub(crate) fn rank_exited(&mut self, rank: u32, exit: Exit) {
        let state = &mut self.ranks[rank as usize];
        (state.exit, state.ended) = (Some(exit), Some(now()));
        // Who else has it open keeps it open.
        state.terminal = None;
        for tee in state.streams.iter().filter(|s| !s.is_over()).filter_map(|s| s.tee.clone()) {
            tokio::spawn(watch_silence(tee, self.plan.drain, self.inner.events.clone()));
        }
        if exit == Exit::Signal(libc::SIGKILL)
            && !state.killed_by_lastline
            && let Some(pid) = state.pid()
        {
            self.memory.rank_killed(rank, pid);
        }
        let stopped = state.stopped_by_lastline;
        if !exit.is_success() && !stopped {
            self.rank_failed(rank);
        }
    }

    fn rank_failed(&mut self, rank: u32) {
        self.first_failure.get_or_insert(rank);
        if self.plan.on_failure == OnFailure::Stop {
            self.stop(StopCause::Failure);
        }
    }

    /// Open streams of ranks that have exited say nothing: who holds them is looked up for all of
    /// them at once, and they are given up after what is there has been read.
    pub(crate) async fn streams_silent(&mut self, rank: u32, stream: Stream) {
        let mut silent = vec![(rank, stream)];
        let mut others = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Silent(rank, stream) => silent.push((rank, stream)),
                other => others.push(other),
            }
        }
        let held = |(rank, stream): &(u32, Stream)| {
            self.ranks[*rank as usize].streams[usize::from(*stream == Stream::Stderr)].held
        };
        let held: HashSet<Held> = silent.iter().filter_map(held).collect();
        let look_up = tokio::task::spawn_blocking(move || holders(&held));
        let mut found = look_up.await.unwrap_or_default();
        for (rank, stream) in silent {
            let slot = self.ranks[rank as usize].stream(stream);
            slot.given_up = true;
            slot.leaked_to = slot.held.and_then(|held| found.remove(&held)).unwrap_or_default();
            if let Some(tee) = &slot.tee {
                tee.stop();
            }
        }
        for event in others {
            Box::pin(self.hear(event)).await;
        }
    }

    /// Takes note of ranks that ended after nobody listened any more.
    pub(crate) fn take_exits(&mut self) {
        for rank in self.ranks.iter_mut().filter(|rank| rank.runs()) {
            if let Some(exit) = rank.process.as_ref().and_then(|process| process.exit()) {
                (rank.exit, rank.ended) = (Some(exit), Some(now()));
            }
        }
    }
}
