//! A job of which every part is somebody else's: ranks that are threads, files in memory, a queue
//! for a link, a sink that counts, a fold that shouts, a printer that keeps what it printed.
//!
//! ```text
//! cargo run -p lastline-bootstrap --example swap
//! ```

#![expect(clippy::print_stdout, reason = "it is what the example is for")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lastline_appender::{Append, Storage};
use lastline_bootstrap::{Console, LoggingMesh, Output, Plan, Process, RankSpec, Spawned, Spawner};
use lastline_client::{Labels, PrintError, Printer};
use lastline_line::{
    Accept, Control, ControlSender, Emit, Entry, Exit, Fold, Heard, Inbox, Line, Listener, Message,
    Received, Sink, Timestamp,
};
use lastline_sender::{Closed, Reason, Refused, Transport};
use tokio::sync::watch;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs each rank on a thread, which writes to two pipes as a process would.
struct Threads;

/// A rank that is a thread. It cannot be killed, but it can be asked.
#[derive(Debug)]
struct Thread {
    stopped: Arc<AtomicBool>,
    exit: watch::Receiver<Option<Exit>>,
}

impl Spawner for Threads {
    fn spawn(&mut self, spec: RankSpec) -> io::Result<Spawned> {
        let ((stdout, mut out), (stderr, mut err)) = (io::pipe()?, io::pipe()?);
        let (stopped, (finished, exit)) = (Arc::<AtomicBool>::default(), watch::channel(None));
        let asked = Arc::clone(&stopped);
        std::thread::Builder::new().spawn(move || {
            let mut work = || -> io::Result<()> {
                for step in 1..=3 {
                    if !asked.load(Ordering::Acquire) {
                        writeln!(out, "step {step} of rank {}", spec.rank)?;
                    }
                }
                writeln!(err, "rank {} is done", spec.rank)
            };
            let code = i32::from(work().is_err());
            // Closed before its end is told, as a process does it.
            drop((out, err));
            finished.send_replace(Some(Exit::Code(code)));
        })?;
        let output = Output::Pipes { stdout: stdout.into(), stderr: stderr.into() };
        Ok(Spawned::new(Arc::new(Thread { stopped, exit }), output))
    }
}

impl Process for Thread {
    fn id(&self) -> Option<u32> {
        None
    }

    fn signal(&self, _signal: i32) {
        self.stopped.store(true, Ordering::Release);
    }

    fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        let mut exit = self.exit.clone();
        Box::pin(async move {
            let exit = exit.wait_for(Option::is_some).await;
            exit.ok().and_then(|exit| *exit).unwrap_or(Exit::Unknown)
        })
    }

    fn has_members(&self) -> bool {
        self.exit().is_none()
    }

    fn release(&self) {}
}

/// Files by name.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, File>>>);

#[derive(Clone, Default)]
struct File(Arc<Mutex<Vec<u8>>>);

impl Storage for Memory {
    fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let file = File::default();
        lock(&self.0).insert(name.to_owned(), file.clone());
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
        let file = lock(&self.0).get(name).cloned();
        file.map(|file| Arc::new(file) as Arc<dyn Append>).ok_or(io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0);
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }
}

impl Append for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = lock(&self.0);
        let at = usize::try_from(position).unwrap_or(usize::MAX).min(bytes.len());
        let read = buffer.len().min(bytes.len() - at);
        buffer[..read].copy_from_slice(&bytes[at..at + read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// How many messages wait in the queue.
const ROOM: usize = 64;

/// A queue of messages, one of controls, and a lane for what hosts say.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    controls: VecDeque<Control>,
    said: Vec<Heard>,
    listener: Option<Listener>,
    /// One side is gone.
    closed: bool,
    wakers: Vec<Waker>,
}

impl State {
    fn say(&mut self, heard: Heard) {
        match &mut self.listener {
            Some(listener) => listener(heard),
            None => self.said.push(heard),
        }
    }

    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

struct Near(Arc<Queue>);

struct Far(Arc<Queue>);

fn queue() -> (Near, Far) {
    let queue = Arc::new(Queue::default());
    (Near(Arc::clone(&queue)), Far(queue))
}

impl Transport for Near {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        let mut state = lock(&self.0.state);
        let reason = match message {
            _ if state.closed => Reason::Closed,
            Message::Host(said) => {
                state.say(Heard::Host(said));
                return Ok(());
            }
            _ if state.messages.len() >= ROOM => Reason::Full,
            message => {
                state.messages.push_back(message);
                self.0.arrived.notify_one();
                return Ok(());
            }
        };
        Err(Box::new(Refused { message, reason }))
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = lock(&self.0.state);
        match (state.closed, state.messages.len() < ROOM) {
            (true, _) => Poll::Ready(Err(Closed)),
            (false, true) => Poll::Ready(Ok(())),
            (false, false) => {
                state.wakers.push(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        let mut state = lock(&self.0.state);
        match state.controls.pop_front() {
            Some(control) => Poll::Ready(Ok(control)),
            None if state.closed => Poll::Ready(Err(Closed)),
            None => {
                state.wakers.push(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn stores_on_send(&self) -> bool {
        true
    }
}

impl Drop for Near {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        state.say(Heard::Closed);
        self.0.arrived.notify_one();
    }
}

impl Inbox for Far {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        let deadline = wait.map(|wait| Instant::now() + wait);
        let mut state = lock(&self.0.state);
        loop {
            if let Some(message) = state.messages.pop_front() {
                state.wake();
                return Received::Message(message);
            }
            if state.closed {
                return Received::Closed;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Received::TimedOut;
            }
            let left = left.unwrap_or(Duration::MAX);
            let waited = self.0.arrived.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn control_sender(&self) -> ControlSender {
        let queue = Arc::clone(&self.0);
        ControlSender::new(move |control| {
            let mut state = lock(&queue.state);
            state.controls.push_back(control);
            state.wake();
        })
    }

    fn listen(&mut self, mut listener: Listener) {
        let mut state = lock(&self.0.state);
        state.said.drain(..).for_each(&mut listener);
        state.listener = Some(listener);
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.closed = true;
        state.wake();
    }
}

/// Counts the bytes of a stream.
struct Count(Arc<AtomicU64>);

impl Sink for Count {
    fn accept(&mut self, message: &Message) -> Accept {
        self.0.fetch_add(message.payload_bytes() as u64, Ordering::Relaxed);
        Accept::Taken
    }
}

/// Gives every line out at once, in capitals.
struct Shout;

impl Fold for Shout {
    fn push(&mut self, line: &Line<'_>, _now: Timestamp, emit: &mut Emit<'_>) {
        let text = line.text.to_ascii_uppercase();
        emit(Entry::Line(Line { text: &text, ..*line }));
    }

    fn due(&mut self, _now: Timestamp, _emit: &mut Emit<'_>) -> Option<Timestamp> {
        None
    }

    fn finish(&mut self, _emit: &mut Emit<'_>) {}
}

/// Keeps what it printed.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Vec<String>>>);

impl Printer for Keep {
    fn print(&mut self, entry: &Entry<'_>) -> Result<(), PrintError> {
        let (rank, text) = match entry {
            Entry::Line(line) => (line.stream.rank.to_string(), line.text),
            Entry::Folded(folded) => (folded.ranks.to_string(), folded.text),
        };
        lock(&self.0).push(format!("{rank}: {}", String::from_utf8_lossy(text)));
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PrintError> {
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (files, printed, counted) = (Memory::default(), Keep::default(), Arc::default());
    let count = Arc::clone(&counted);
    let mut plan = Plan::new("swap", vec!["true".into()]);
    plan.procs = 4;
    let (near, far) = queue();
    let console = Console {
        fold: Box::new(Shout),
        printer: Box::new(printed.clone()),
        labels: Labels::default(),
        raw_partials: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mesh = LoggingMesh::builder(plan)
            .storage(Arc::new(files.clone()))
            .spawner(Box::new(Threads))
            .link(near, far)
            .sink(move |_stream| Some(Box::new(Count(Arc::clone(&count))) as _))
            .console(console)
            .spawn()?;
        mesh.wait().await
    })?;

    let mut lines = lock(&printed.0).clone();
    lines.sort();
    lines.iter().for_each(|line| println!("{line}"));
    let filed: usize = lock(&files.0)
        .iter()
        .filter(|(name, _)| name.ends_with("stdout.log") || name.ends_with("stderr.log"))
        .map(|(_, file)| lock(&file.0).len())
        .sum();
    let totals = report.totals();
    println!("{} lines, {} bytes read", totals.lines, totals.bytes);
    println!("{filed} bytes filed, {} bytes counted", counted.load(Ordering::Relaxed));
    println!("{} ranks, balanced: {}", report.ranks.len(), report.balanced);
    Ok(())
}
