//! A host whose drivers come and go.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lastline_line::{
    Capture, Cause, Exit, Heard, Heartbeat, HostEvent, HostId, HostMessage, Inbox as _, Launch,
    Message, Offset, Resume, Sink as _, Span, Stage, StageReport, StreamId, Timestamp, Withheld,
};
use lastline_sender::framed::{
    self, FramedInbox, InboxHandle, LocalError, LocalListener, ReconnectingOptions,
    ReconnectingTransport, connect_local, inbox, reconnecting, shared_inbox,
};
use lastline_sender::{Options, Reason, Sender, Transport as _};
use lastline_testing::{Files, PATIENCE, chunk, laws, stdout, until, wait_until};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

const WINDOW: usize = 4 << 10;

fn options(files: &Files) -> ReconnectingOptions {
    let mut options = ReconnectingOptions::default();
    options.window = WINDOW;
    options.retry = Duration::from_millis(5);
    options.read_back = Some(Arc::new(files.clone()));
    options
}

#[test]
fn the_laws_hold_for_one_driver() {
    the_laws_hold(false);
}

#[test]
fn the_laws_hold_for_one_driver_where_output_is_folded() {
    the_laws_hold(true);
}

fn the_laws_hold(fold: bool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    laws::transport::all(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let inbox = inbox(far, WINDOW);
        let mut near = Some(near);
        let mut options = options(&Files::new());
        options.give_up_after = Some(Duration::from_millis(50));
        options.fold = fold;
        let connect = move || {
            let io = near.take();
            async move { io.ok_or_else(|| std::io::ErrorKind::NotFound.into()) }
        };
        let mut transport = reconnecting(connect, options);
        let mut context = Context::from_waker(Waker::noop());
        wait_until(|| transport.poll_ready(&mut context) == Poll::Ready(Ok(())));
        (transport, inbox)
    });
}

/// Where hosts and drivers of a test meet.
struct Place {
    dir: TempDir,
    files: Files,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), files: Files::new() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("job.sock")
    }

    fn transport(&self, options: ReconnectingOptions) -> ReconnectingTransport {
        let path = self.path();
        reconnecting(move || connect_local(path.clone()), options)
    }

    fn host(&self) -> Host<'_> {
        let transport = self.transport(options(&self.files));
        let mut sending = Options::default();
        (sending.held_bytes, sending.spill_after) = (0, Duration::ZERO);
        sending.read_back = Some(Arc::new(self.files.clone()));
        Host { sender: Sender::start(transport, sending), files: &self.files, at: [0; 4] }
    }

    /// A driver that comes and wants output from there.
    fn driver(&self, resume: Resume) -> Driver {
        let (handle, mut inbox) = shared_inbox(WINDOW);
        handle.resume_from(resume);
        let events = Arc::<Mutex<Vec<HostEvent>>>::default();
        let heard = Arc::clone(&events);
        inbox.listen(Box::new(move |said| {
            if let Heard::Host(HostMessage { event, .. }) = said {
                heard.lock().unwrap().push(event);
            }
        }));
        let listener = LocalListener::bind(&self.path()).unwrap();
        Driver { inbox, events, _listens: serve(listener, handle) }
    }
}

/// A host of four ranks that print numbered lines.
struct Host<'a> {
    sender: Sender,
    files: &'a Files,
    at: [u64; 4],
}

fn started(rank: u32) -> HostEvent {
    let (launch, capture, time) = (Launch(1), Capture::Terminal, Timestamp(1));
    HostEvent::Started { rank, launch, pid: None, capture, time }
}

fn exited(rank: u32) -> HostEvent {
    let (launch, exit, time) = (Launch(1), Exit::Code(0), Timestamp(2));
    HostEvent::Exited { rank, launch, exit, stopped: false, starts_again: false, time }
}

impl Host<'_> {
    fn start(&self) {
        self.sender.send_event(HostEvent::NotSynced { what: "index".into(), cause: "0".into() });
        for rank in 0..4 {
            self.sender.send_event(started(rank));
        }
    }

    fn print(&mut self, lines: u64) {
        for _ in 0..lines {
            for rank in 0..4 {
                let at = &mut self.at[rank as usize];
                let chunk = chunk(stdout(rank), *at, line(*at).as_bytes());
                *at = chunk.end().0;
                let message = Message::Data(chunk);
                self.files.file(&message);
                let _taken = self.sender.sink().accept(&message);
            }
        }
    }

    fn end(&self) {
        for rank in 0..4 {
            let at = Offset(self.at[rank as usize]);
            let _taken = self.sender.sink().accept(&Message::End { stream: stdout(rank), at });
            self.sender.send_event(exited(rank));
        }
        let read = StageReport::new(Stage::Eof, Duration::ZERO, false);
        self.sender.send_event(HostEvent::Stage(read));
    }

    /// What every driver is told of it up to its end, but for its last word.
    fn said(&self) -> Vec<HostEvent> {
        let mut said = vec![HostEvent::NotSynced { what: "index".into(), cause: "0".into() }];
        said.extend((0..4).map(started));
        said.extend((0..4).map(exited));
        said.push(HostEvent::Stage(StageReport::new(Stage::Eof, Duration::ZERO, false)));
        said
    }
}

/// The line at an offset: long enough that few fill the window.
fn line(at: u64) -> String {
    format!("{at:0>299}\n")
}

/// Listens until what it gives is dropped.
fn serve(listener: LocalListener, handle: InboxHandle) -> oneshot::Sender<()> {
    let (listens, mut until) = oneshot::channel::<()>();
    tokio::spawn(async move {
        tokio::select! {
            () = listener.serve(handle) => {}
            _ = &mut until => {}
        }
    });
    listens
}

struct Driver {
    inbox: FramedInbox,
    events: Arc<Mutex<Vec<HostEvent>>>,
    /// Dropped, nobody listens any more.
    _listens: oneshot::Sender<()>,
}

/// What came of one stream: what was skipped before it, its bytes, whether its end came.
#[derive(Debug, Default, PartialEq)]
struct Got {
    skipped: Vec<(Span, Cause)>,
    from: Option<u64>,
    through: u64,
    ended: bool,
}

impl Driver {
    /// Receives until `enough`; checks that every byte comes once, in order and as it was.
    async fn receive(&mut self, got: &mut [Got; 4], enough: impl Fn(&[Got; 4]) -> bool) {
        while !enough(got) {
            let next = tokio::time::timeout(PATIENCE, self.inbox.recv());
            match next.await.expect("output in time").expect("the driver is there") {
                Message::Data(chunk) => {
                    let got = &mut got[chunk.stream.rank as usize];
                    assert_eq!(chunk.start.0, got.through, "{}", chunk.stream);
                    got.from.get_or_insert(chunk.start.0);
                    for (byte, at) in chunk.bytes.iter().zip(chunk.start.0..) {
                        let of = at / 300 * 300;
                        let inside = usize::try_from(at - of).unwrap();
                        assert_eq!(*byte, line(of).as_bytes()[inside], "{}@{at}", chunk.stream);
                    }
                    got.through = chunk.end().0;
                }
                Message::Skip { stream, span, cause } => {
                    let got = &mut got[stream.rank as usize];
                    assert_eq!(span.from.0, got.through);
                    got.through = span.to.0;
                    got.skipped.push((span, cause));
                }
                Message::End { stream, at } => {
                    let got = &mut got[stream.rank as usize];
                    assert_eq!((got.through, got.ended), (at.0, false), "{stream}");
                    got.ended = true;
                }
                _ => {}
            }
        }
    }

    fn all_ended(got: &[Got; 4]) -> bool {
        got.iter().all(|got| got.ended)
    }

    async fn kill(self, place: &Place) {
        drop(self);
        until(|| !place.path().exists()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_comes_late_gets_everything() {
    let place = Place::new();
    let mut host = place.host();
    host.start();
    host.print(100);
    host.end();
    let (mut driver, mut got) = (place.driver(Resume::Start), Default::default());
    driver.receive(&mut got, Driver::all_ended).await;
    assert!(got.iter().all(|got| got.through == 30_000 && got.skipped.is_empty()), "{got:?}");
    until(|| *driver.events.lock().unwrap() == host.said()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_driver_gets_what_it_wants_of_what_the_first_one_had() {
    let seen: Vec<(StreamId, Offset)> =
        vec![(stdout(0), Offset(4_567)), (stdout(1), Offset(3_000))];
    for (resume, from) in [
        (Resume::Start, [Some(0); 4]),
        (Resume::After(seen), [Some(4_567), Some(3_000), Some(0), Some(0)]),
    ] {
        let place = Place::new();
        let mut host = place.host();
        host.start();
        host.print(50);
        let (mut first, mut got) = (place.driver(Resume::Start), Default::default());
        let some = |got: &[Got; 4]| got.iter().all(|got| got.through > 5_000);
        first.receive(&mut got, some).await;
        first.kill(&place).await;
        host.print(50);
        let (mut second, mut got) = (place.driver(resume), Default::default());
        second.receive(&mut got, |got| got.iter().all(|got| got.through >= 30_000)).await;
        host.print(10);
        host.end();
        second.receive(&mut got, Driver::all_ended).await;
        assert_eq!(got.each_ref().map(|got| got.from), from);
        for (got, from) in got.iter().zip(from) {
            let unwanted = Span::new(Offset::ZERO, Offset(from.unwrap()));
            let told = (!unwanted.is_empty())
                .then_some((unwanted, Cause::Withheld(Withheld::StreamingOff)));
            assert_eq!(got.skipped, Vec::from_iter(told));
        }
        until(|| *second.events.lock().unwrap() == host.said()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_only_what_comes_now_reads_nothing_again() {
    let place = Place::new();
    let mut host = place.host();
    host.start();
    host.print(100);
    let (mut driver, mut got) = (place.driver(Resume::Now), Default::default());
    driver.receive(&mut got, |got| got.iter().all(|got| got.through == 30_000)).await;
    host.print(1);
    host.end();
    driver.receive(&mut got, Driver::all_ended).await;
    let before = Span::new(Offset::ZERO, Offset(30_000));
    for got in &got {
        assert_eq!(got.skipped, [(before, Cause::Withheld(Withheld::StreamingOff))]);
        assert_eq!(got.from, Some(30_000));
    }
    // One piece may have been on its way from the file.
    let read: u64 = (0..4).map(|rank| place.files.read_bytes(stdout(rank))).sum();
    assert!(read <= 60_000, "{read} bytes were read for nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_again_is_told_with_its_cause() {
    let place = Place::new();
    let mut host = place.host();
    host.start();
    host.print(10);
    let (mut first, mut got) = (place.driver(Resume::Start), Default::default());
    first.receive(&mut got, |got| got.iter().all(|got| got.through == 3_000)).await;
    first.kill(&place).await;
    let gone = Span::new(Offset(300), Offset(900));
    place.files.lose(stdout(2), gone, "the disk was full");
    host.end();
    let (mut second, mut got) = (place.driver(Resume::Start), Default::default());
    second.receive(&mut got, Driver::all_ended).await;
    let told = got.each_ref().map(|got| got.skipped.clone());
    assert_eq!(told[2], [(gone, Cause::lost("the disk was full"))]);
    assert_eq!(told[0], []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_files_what_an_earlier_driver_had_is_declared() {
    let place = Place::new();
    let mut without_files = options(&place.files);
    without_files.read_back = None;
    let mut transport = place.transport(without_files);
    let mut first = place.driver(Resume::Start);
    let line = Message::Data(chunk(stdout(0), 0, line(0).as_bytes()));
    lastline_sender::send(&mut transport, line).await.unwrap();
    let mut got = Default::default();
    first.receive(&mut got, |got| got[0].through == 300).await;
    first.kill(&place).await;
    let (mut second, mut got) = (place.driver(Resume::Start), Default::default());
    second.receive(&mut got, |got: &[Got; 4]| got[0].through == 300).await;
    let cause = Cause::lost("it was sent to a driver that is gone, and is in no file");
    assert_eq!(got[0].skipped, [(Span::new(Offset::ZERO, Offset(300)), cause)]);
}

#[tokio::test(start_paused = true)]
async fn a_host_without_a_driver_ends_when_it_has_lingered() {
    let place = Place::new();
    let mut transport = place.transport(options(&place.files));
    let line = Message::Data(chunk(stdout(0), 0, line(0).as_bytes()));
    let refused = transport.try_send(line.clone()).unwrap_err();
    assert_eq!((refused.reason, refused.message), (Reason::Full, line));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let (host, time) = (HostId::HERE, Timestamp(0));
    let beat = Message::Heartbeat(Heartbeat { host, time, answers: None });
    assert_eq!(transport.try_send(beat).ok(), Some(()));
    let read = HostEvent::Stage(StageReport::new(Stage::Eof, Duration::ZERO, false));
    transport.try_send(Message::Host(HostMessage { host: HostId::HERE, event: read })).unwrap();
    let began = tokio::time::Instant::now();
    let closed = std::future::poll_fn(|context| transport.poll_ready(context)).await;
    assert!(closed.is_err());
    let lingered = began.elapsed();
    assert!((5.0..5.5).contains(&lingered.as_secs_f64()), "{lingered:?}");
    transport.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_dropped_is_delivered_to_the_next_driver() {
    let place = Place::new();
    let mut transport = place.transport(options(&place.files));
    let mut first = place.driver(Resume::Start);
    let line = Message::Data(chunk(stdout(0), 0, line(0).as_bytes()));
    place.files.file(&line);
    lastline_sender::send(&mut transport, line).await.unwrap();
    let mut got = Default::default();
    first.receive(&mut got, |got| got[0].through == 300).await;
    first.kill(&place).await;
    // What is given to one that is dying may die with it.
    until(|| transport.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending()).await;
    let down = HostMessage { host: HostId::HERE, event: HostEvent::Down };
    transport.try_send(Message::Host(down)).unwrap();
    let ended = transport.ended();
    drop(transport);
    let (mut second, mut got) = (place.driver(Resume::Start), Default::default());
    second.receive(&mut got, |got: &[Got; 4]| got[0].through == 300).await;
    until(|| *second.events.lock().unwrap() == [HostEvent::Down]).await;
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_driver_has_the_place_and_a_dead_one_leaves_it() {
    let place = Place::new();
    let first = place.driver(Resume::Start);
    let refused = LocalListener::bind(&place.path()).unwrap_err();
    assert!(matches!(refused, LocalError::Taken { .. }), "{refused}");
    first.kill(&place).await;
    assert!(!place.path().exists());
    // One that is killed removes nothing.
    drop(std::os::unix::net::UnixListener::bind(place.path()).unwrap());
    assert!(place.path().exists());
    let (handle, _inbox) = framed::shared_inbox(WINDOW);
    let second = LocalListener::bind(&place.path()).unwrap();
    let listens = serve(second, handle);
    connect_local(place.path()).await.unwrap();
    drop(listens);
    until(|| !place.path().exists()).await;
    std::fs::write(place.path(), "mine").unwrap();
    let refused = LocalListener::bind(&place.path()).unwrap_err();
    assert!(matches!(refused, LocalError::NoSocket { .. }), "{refused}");
    assert_eq!(std::fs::read(place.path()).unwrap(), b"mine");
}
