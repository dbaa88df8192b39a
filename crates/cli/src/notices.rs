//! Lastline's own words: on stderr, each line beginning with `lastline: `.
//!
//! A thread of its own writes them, in order: whoever says something does not wait for a console
//! that takes nothing. Ranks' output goes to the same stderr from elsewhere; words never stand in
//! the middle of a line that was not ended.

use std::fmt;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lastline_client::Area;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that says how much is told: `error`, `warn` (the default), `info`, `debug`,
/// `trace`.
const LEVEL_VARIABLE: &str = "LASTLINE_LOG";
/// So many words wait for a console that takes nothing; more are not said.
const WAITING_WORDS: usize = 1024;

enum Word {
    Said(Vec<u8>),
    /// What is drawn is wiped, until something is drawn or said again.
    Wipe,
    /// Everything before this has been written.
    Over(SyncSender<()>),
}

static QUEUE: OnceLock<SyncSender<Word>> = OnceLock::new();
/// What was last written to stderr did not end its line.
static MID_LINE: LazyLock<Arc<Mutex<bool>>> = LazyLock::new(Arc::default);
/// What is drawn below the lines, where stderr is a terminal on which something is.
static AREA: OnceLock<Area> = OnceLock::new();
/// What is said while somebody else has the terminal.
static HELD: Mutex<Option<Vec<u8>>> = Mutex::new(None);
/// So much of that is kept, in bytes; what comes beyond it is not said.
const HELD_BYTES: usize = 64 << 10;
/// How long a terminal may take to have what is drawn wiped.
const WIPING: Duration = Duration::from_millis(200);

/// Sends diagnostics to stderr.
pub(crate) fn init() {
    let (queue, words) = sync_channel(WAITING_WORDS);
    let thread = std::thread::Builder::new().name("lastline-words".into());
    if thread.spawn(move || write_words(&words)).is_ok() {
        // It is set once, here.
        QUEUE.set(queue).unwrap_or_default();
    }
    wipe_before_panics();
    let level: Option<tracing::Level> =
        std::env::var(LEVEL_VARIABLE).ok().and_then(|level| level.parse().ok());
    let asked = level.is_some();
    // What a library says of what fails is said again, in words, by who uses it.
    let ours = move |about: &Metadata<'_>| asked || about.target().starts_with("lastline");
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(|| Said)
        // It would tell stderr that stderr is gone, and panic.
        .log_internal_errors(false)
        .event_format(Notice)
        .finish()
        .with(filter_fn(ours))
        .init();
}

fn write_words(words: &Receiver<Word>) {
    for word in words {
        match word {
            Word::Said(text) => write(&text),
            Word::Wipe => wipe_now(),
            // Whoever waited may have gone.
            Word::Over(done) => done.try_send(()).unwrap_or_default(),
        }
    }
}

/// Keeps what is said until [`release`]: somebody else has the terminal.
pub(crate) fn hold() {
    HELD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
}

/// Says what was held, and from now on everything at once.
pub(crate) fn release() {
    let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(held) = held.filter(|held| !held.is_empty()) {
        put(held);
    }
}

/// Writes on a line of its own.
fn write(text: &[u8]) {
    if let Some(held) = &mut *HELD.lock().unwrap_or_else(PoisonError::into_inner) {
        if held.len() + text.len() <= HELD_BYTES {
            held.extend_from_slice(text);
        }
        return;
    }
    let mut mid_line = MID_LINE.lock().unwrap_or_else(PoisonError::into_inner);
    let newline: &[u8] = if std::mem::take(&mut *mid_line) { b"\n" } else { b"" };
    let text = [newline, text].concat();
    let text = AREA.get().map_or_else(|| text.clone(), |area| area.around(&text));
    // Where stderr is gone there is nobody to tell.
    io::stderr().write_all(&text).unwrap_or_default();
}

/// Whatever is drawn in `area` on stderr's terminal makes way for words, and comes again below them.
pub(crate) fn share(area: Area) {
    // There is one printer.
    AREA.set(area).unwrap_or_default();
}

/// Nothing is drawn any more: what comes now are the last words.
pub(crate) fn end_drawing() {
    if let Some(area) = AREA.get() {
        area.close();
        wipe();
    }
}

/// Wipes what is drawn, and waits for that, as long as a terminal takes that takes anything.
pub(crate) fn wipe() {
    if AREA.get().is_some_and(Area::stands)
        && QUEUE.get().is_some_and(|queue| queue.try_send(Word::Wipe).is_ok())
    {
        finish(WIPING);
    }
}

fn wipe_now() {
    if let Some(area) = AREA.get().filter(|area| area.stands()) {
        io::stderr().write_all(&area.wiped(b"")).unwrap_or_default();
    }
}

/// A panic is told on stderr without asking anybody.
fn wipe_before_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        wipe_now();
        tell(panic);
    }));
}

/// Says one line.
pub(crate) fn say(text: &str) {
    put(format!("lastline: {text}\n").into_bytes());
}

/// Says whole lines. Does not block; a console that takes nothing misses them.
pub(crate) fn put(text: Vec<u8>) {
    match QUEUE.get() {
        Some(queue) => drop(queue.try_send(Word::Said(text))),
        None => write(&text),
    }
}

/// Waits until everything said is written, for `within` at most.
pub(crate) fn finish(within: Duration) {
    let (done, is_done) = sync_channel(1);
    if QUEUE.get().is_some_and(|queue| queue.try_send(Word::Over(done)).is_ok()) {
        // Otherwise the console takes nothing.
        is_done.recv_timeout(within).unwrap_or_default();
    }
}

/// A writer to stderr, or to what is the same, that words do not interrupt in a line.
pub(crate) struct Lines<W>(pub(crate) W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut mid_line = MID_LINE.lock().unwrap_or_else(PoisonError::into_inner);
        // All of it: it may be taken in pieces, between which no words may stand.
        self.0.write_all(bytes)?;
        if let Some(last) = bytes.last() {
            // What is drawn ends with a return, at a place for new lines.
            *mid_line = *last != b'\n' && !(*last == b'\r' && AREA.get().is_some());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

struct Said;

impl Write for Said {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        put(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Notice;

impl<S, N> FormatEvent<S, N> for Notice
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "lastline: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
