//! What a host knows of its ranks: each start of one, its process and its streams.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lastline_jobs::random_u64;
use lastline_line::{Exit, Holder, HostEvent, Launch, Stream, StreamEnd, StreamId};
use lastline_spawn::{Held, Process};
use lastline_tee::{End, Outcome, Tee, TeeError};

use super::recent::recent_text;

/// A stream of a rank.
#[derive(Debug)]
pub(super) struct StreamState {
    pub(super) id: StreamId,
    pub(super) tee: Option<Tee>,
    pub(super) held: Option<Held>,
    pub(super) end: Option<StreamEnd>,
    /// Who holds it, once it was found to be held by others and told to end.
    leaked_to: Option<Vec<Holder>>,
}

impl StreamState {
    fn new(id: StreamId) -> Self {
        Self { id, tee: None, held: None, end: None, leaked_to: None }
    }

    /// Whether nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        self.tee.is_none() || self.end.is_some()
    }

    /// How many bytes were read of it; nothing when nobody read it.
    fn read(&self) -> Option<(StreamId, u64)> {
        self.tee.as_ref().map(|tee| (self.id, tee.read().0))
    }

    /// It is held by others, who say nothing: what is there is read, and then it ends.
    pub(super) fn leak(&mut self, holders: Vec<Holder>) {
        if let (Some(tee), false) = (&self.tee, self.is_over()) {
            self.leaked_to = Some(holders);
            tee.stop();
        }
    }

    /// Its reader has ended; what there is to say of it.
    pub(super) fn ended(&mut self, outcome: Result<&Outcome, &TeeError>) -> HostEvent {
        let stopped_by_abort = self.leaked_to.is_none();
        let end = match outcome.map(|outcome| outcome.end) {
            Ok(End::Eof) => StreamEnd::Eof,
            Ok(End::Stopped) if !stopped_by_abort => StreamEnd::Leaked,
            _ => StreamEnd::Aborted,
        };
        self.end = Some(end);
        let error = match outcome {
            Ok(outcome) => outcome.error.as_ref().map(ToString::to_string),
            Err(error) => Some(error.to_string()),
        };
        // Others may have held it, but it ended by itself before they were found.
        let leaked_to = self.leaked_to.take().filter(|_| end == StreamEnd::Leaked);
        let (read_bytes, read_lines) = self.tee.as_ref().map_or((0, 0), Tee::counts);
        let leaked_to = leaked_to.unwrap_or_default();
        HostEvent::StreamEnded { stream: self.id, end, read_bytes, read_lines, error, leaked_to }
    }
}

/// One start of a rank, from before it to after its end.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) rank: u32,
    pub(super) launch: Launch,
    /// How often the rank was started before.
    pub(super) starts_before: u32,
    pub(super) process: Option<Arc<dyn Process>>,
    pub(super) exit: Option<Exit>,
    /// It could not be started.
    pub(super) refused: bool,
    /// It was told to end, by its host, before it did.
    pub(super) stopped: bool,
    /// It was sent SIGKILL by its host.
    pub(super) killed: bool,
    /// It failed, and is started again.
    pub(super) starts_again: bool,
    /// It was told that it stands still.
    pub(super) told_still: bool,
    pub(super) streams: [StreamState; Stream::ALL.len()],
    /// The rank's own end of its terminal, held until it has exited: a terminal that nobody has
    /// open has ended, and one that is closed here is hung up, which would end the rank.
    pub(super) terminal: Option<OwnedFd>,
}

impl Run {
    fn new(rank: u32, starts_before: u32) -> Self {
        let launch = Launch(random_u64());
        Self {
            rank,
            launch,
            starts_before,
            process: None,
            exit: None,
            refused: false,
            stopped: false,
            killed: false,
            starts_again: false,
            told_still: false,
            streams: Stream::ALL
                .map(|stream| StreamState::new(StreamId::new(launch, rank, stream))),
            terminal: None,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.process.is_some() && self.exit.is_none()
    }

    /// Whether nothing more is to be heard of its process.
    pub(super) fn is_over(&self) -> bool {
        self.refused || self.exit.is_some()
    }

    pub(super) fn stream(&mut self, stream: Stream) -> &mut StreamState {
        &mut self.streams[stream as usize]
    }

    /// Tells its group to end.
    pub(super) fn stop(&mut self, signal: i32) {
        let Some(process) = self.process.as_ref().filter(|_| self.exit.is_none()) else {
            return;
        };
        // One that is dead and not heard of yet ended by itself; its group is told all the same.
        self.stopped |= process.exit().is_none();
        process.signal(signal);
        // What stands hears nothing else.
        process.signal(libc::SIGCONT);
    }

    /// Ends its group.
    pub(super) fn kill(&mut self) {
        let Some(process) = self.process.as_ref().filter(|_| self.exit.is_none()) else {
            return;
        };
        self.killed |= process.exit().is_none();
        process.signal(libc::SIGKILL);
    }

    /// Whether nothing more is to come of it: its process, its group and its streams are over.
    fn is_done(&self) -> bool {
        self.is_over() && self.process.is_none() && self.streams.iter().all(StreamState::is_over)
    }

    /// The last lines of its streams, when it failed and nothing more of it is to come. Nobody asks for
    /// those of one that is started again, which is no failure.
    pub(super) fn last_lines(&self) -> Vec<HostEvent> {
        let failed = self.exit.is_some_and(Exit::is_failure) && !self.starts_again;
        let complete = failed && self.streams.iter().all(StreamState::is_over);
        let lines = |state: &StreamState| {
            let lines = recent_text(state.tee.as_ref().filter(|_| complete)?);
            (!lines.is_empty()).then_some(HostEvent::LastLines { stream: state.id, lines })
        };
        self.streams.iter().filter_map(lines).collect()
    }
}

/// All starts of all ranks of a host. Of one that is done and after which its rank was started again stays
/// what was read of its streams.
#[derive(Debug)]
pub(super) struct Ranks {
    runs: BTreeMap<RunId, Run>,
    /// What the next start is called.
    next: RunId,
    /// The streams of starts that were let go, and how many bytes were read of each.
    let_go: Vec<(StreamId, u64)>,
    /// The sum of these.
    let_go_bytes: u64,
    /// The last start of each rank.
    current: HashMap<u32, usize>,
    /// Starts of which it is not known yet what they came to.
    starting: usize,
}

/// A start, by its place among all that a host has ever begun.
pub(super) type RunId = usize;

impl Ranks {
    pub(super) fn new(all: Range<u32>) -> Self {
        let (runs, current) = (BTreeMap::new(), HashMap::new());
        let let_go = Vec::new();
        let mut ranks = Self { runs, next: 0, let_go, let_go_bytes: 0, current, starting: 0 };
        for rank in all {
            ranks.begin(rank);
        }
        ranks
    }

    /// One more start of a rank begins.
    pub(super) fn begin(&mut self, rank: u32) -> RunId {
        let id = self.next;
        self.next += 1;
        let last = self.current.get(&rank).map(|last| &self.runs[last]);
        self.runs.insert(id, Run::new(rank, last.map_or(0, |last| last.starts_before + 1)));
        self.current.insert(rank, id);
        self.starting += 1;
        id
    }

    /// It is known what a start came to.
    pub(super) fn started(&mut self, id: RunId) -> &mut Run {
        self.starting -= 1;
        self.run(id)
    }

    /// A start that was not let go: its process or its group is not over, or it is its rank's last one.
    pub(super) fn run(&mut self, id: RunId) -> &mut Run {
        self.find(id).expect("BUG: a start is let go when nothing more comes of it")
    }

    /// A start of which something may come late; nothing when it was let go.
    pub(super) fn find(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.get_mut(&id)
    }

    /// Lets go of a start that is done, and is not its rank's last one. Gives the streams that were read of it.
    pub(super) fn let_go(&mut self, id: RunId) -> Vec<StreamId> {
        let done = |run: &Run| run.is_done() && self.current.get(&run.rank) != Some(&id);
        if !self.runs.get(&id).is_some_and(done) {
            return Vec::new();
        }
        let run = self.runs.remove(&id);
        let streams = run.iter().flat_map(|run| &run.streams);
        let read: Vec<(StreamId, u64)> = streams.filter_map(StreamState::read).collect();
        self.let_go_bytes += read.iter().map(|(_, bytes)| bytes).sum::<u64>();
        self.let_go.extend(&read);
        read.into_iter().map(|(stream, _)| stream).collect()
    }

    /// Every stream that was read, of all starts, and how many bytes of it.
    pub(super) fn read(&self) -> impl Iterator<Item = (StreamId, u64)> {
        self.let_go.iter().copied().chain(self.streams().filter_map(StreamState::read))
    }

    /// How many bytes that is together.
    pub(super) fn read_bytes(&self) -> u64 {
        let bytes = self.streams().filter_map(StreamState::read).map(|(_, bytes)| bytes);
        self.let_go_bytes + bytes.sum::<u64>()
    }

    /// The last start of a rank.
    pub(super) fn last(&mut self, rank: u32) -> Option<(RunId, &mut Run)> {
        let id = *self.current.get(&rank)?;
        Some((id, self.run(id)))
    }

    /// The starts of which something may still come, and the last one of each rank.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.runs.values()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Run> {
        self.runs.values_mut()
    }

    /// Starts that nobody has made yet, of ranks that are to be attached.
    pub(super) fn waiting(&mut self) -> Vec<RunId> {
        let waits = |(_, run): &(&RunId, &Run)| run.process.is_none() && !run.is_over();
        self.runs.iter().filter(waits).map(|(id, _)| *id).collect()
    }

    /// Processes that have exited without anybody having heard of it.
    pub(super) fn unheard_exits(&self) -> Vec<(RunId, Exit)> {
        let running = self.runs.iter().filter(|(_, run)| run.is_running());
        running.filter_map(|(id, run)| Some((*id, run.process.as_ref()?.exit()?))).collect()
    }

    /// Whether every process has ended.
    pub(super) fn are_over(&self) -> bool {
        self.starting == 0 && !self.iter().any(Run::is_running)
    }

    /// Whether all that a start has printed is read.
    pub(super) fn is_read(&self, id: RunId) -> bool {
        self.runs.get(&id).is_none_or(|run| run.streams.iter().all(StreamState::is_over))
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = &StreamState> {
        self.iter().flat_map(|run| &run.streams)
    }

    pub(super) fn streams_mut(&mut self) -> impl Iterator<Item = &mut StreamState> {
        self.iter_mut().flat_map(|run| &mut run.streams)
    }

    pub(super) fn processes(&self) -> impl Iterator<Item = &Arc<dyn Process>> {
        self.iter().filter_map(|run| run.process.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use lastline_testing::stdout;
    use tokio::io::{AsyncRead, ReadBuf};

    use super::*;

    /// What is read ends like this.
    struct Reader(Option<io::ErrorKind>);

    impl AsyncRead for Reader {
        fn poll_read(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
            _buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(self.0.map_or(Ok(()), |kind| Err(kind.into())))
        }
    }

    async fn ended(error: Option<io::ErrorKind>, leaks: bool) -> (StreamState, HostEvent) {
        let mut stream = StreamState::new(stdout(0));
        let tee = Tee::start(stream.id, Reader(error), Vec::new(), Default::default());
        stream.tee = Some(tee.clone());
        let outcome = tee.join().await;
        if leaks {
            // Its end has not been heard of yet.
            stream.leak(vec![Holder { pid: 7, command: "sleep".into() }]);
        }
        let said = stream.ended(outcome.as_ref());
        (stream, said)
    }

    #[tokio::test]
    async fn a_stream_that_ends_while_its_holders_are_looked_up_has_ended() {
        let (mut stream, said) = ended(None, true).await;
        let HostEvent::StreamEnded { end: StreamEnd::Eof, leaked_to, .. } = said else {
            panic!("{said:?}");
        };
        assert!(leaked_to.is_empty());
        // And when they are found after that.
        stream.leak(vec![Holder { pid: 7, command: "sleep".into() }]);
        assert_eq!((stream.end, stream.leaked_to), (Some(StreamEnd::Eof), None));
    }

    /// A start of rank 0 that has exited, and of which a stream was read.
    async fn over(ranks: &mut Ranks, id: RunId) -> StreamId {
        let run = ranks.started(id);
        run.exit = Some(Exit::Code(3));
        let slot = run.stream(Stream::Stdout);
        let text: &'static [u8] = b"said\n";
        let tee = Tee::start(slot.id, text, Vec::new(), Default::default());
        let outcome = tee.join().await;
        slot.tee = Some(tee);
        slot.ended(outcome.as_ref());
        slot.id
    }

    #[tokio::test]
    async fn a_start_is_let_go_when_all_of_it_is_over_and_there_is_another() {
        let mut ranks = Ranks::new(0..2);
        let first = over(&mut ranks, 0).await;
        assert_eq!(ranks.let_go(0), [], "it is the rank's last one");
        let again = ranks.begin(0);
        ranks.run(0).stream(Stream::Stdout).end = None;
        assert_eq!(ranks.let_go(0), [], "it is still read");
        ranks.run(0).stream(Stream::Stdout).end = Some(StreamEnd::Eof);
        assert_eq!(ranks.let_go(0), [first]);
        assert_eq!(ranks.let_go(0), []);
        assert!(ranks.find(0).is_none() && ranks.is_read(0));
        assert_eq!(ranks.last(0).map(|(id, run)| (id, run.starts_before)), Some((again, 1)));
        let second = over(&mut ranks, again).await;
        assert_eq!(ranks.read().collect::<Vec<_>>(), [(first, 5), (second, 5)]);
        assert_eq!(ranks.read_bytes(), 10);
        assert!(!ranks.are_over(), "rank 1 has not been started");
    }

    #[tokio::test]
    async fn last_lines_are_told_of_a_failure_and_not_of_what_is_started_again() {
        let mut ranks = Ranks::new(0..1);
        let stream = over(&mut ranks, 0).await;
        let told = HostEvent::LastLines { stream, lines: vec!["said".into()] };
        assert_eq!(ranks.run(0).last_lines(), [told]);
        ranks.run(0).starts_again = true;
        assert_eq!(ranks.run(0).last_lines(), []);
    }

    #[tokio::test]
    async fn a_stream_that_cannot_be_read_says_why() {
        let (_, said) = ended(Some(io::ErrorKind::ConnectionReset), false).await;
        let HostEvent::StreamEnded { end: StreamEnd::Aborted, error: Some(error), .. } = said
        else {
            panic!("{said:?}");
        };
        assert!(error.contains("reset"), "{error}");
    }
}
