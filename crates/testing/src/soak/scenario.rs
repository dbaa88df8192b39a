//! What happens in a run, all of it made from a seed.

use fastrand::Rng;
use lastline_line::Stream;

use super::content::Shape;
use super::reader::Reader;
use super::surroundings::Surroundings;

/// How a rank ends when it has written what it has to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Exits with this code.
    Exit(u8),
    /// A signal that it sends to itself.
    Signal(i32),
    /// Closes its outputs, lives on for a moment, and exits with 0.
    Close,
    /// Leaves a process behind that holds its outputs and says nothing.
    HoldQuiet,
    /// Leaves one behind that writes the second half.
    HoldTalking,
    /// As quiet, in a group of its own: lastline is not to end it.
    Daemon,
    /// Waits to be stopped.
    Wait,
    /// Waits, and ignores the signals that can be ignored.
    Stubborn,
}

/// One rank.
#[derive(Clone, Debug)]
pub(crate) struct RankPlan {
    pub(crate) shape: Shape,
    /// Bytes for stdout and for stderr.
    pub(crate) bytes: [u64; 2],
    /// The largest single write.
    pub(crate) write_bytes: u64,
    /// Pauses while it writes, and how long each is, in milliseconds.
    pub(crate) pauses: u64,
    pub(crate) pause_millis: u64,
    pub(crate) end: End,
}

/// Where the files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// An ordinary directory.
    Kept,
    /// `--no-files`.
    Off,
    /// A file system of so many KiB; `freed_millis` after the start there is more room.
    Small { kib: u32, freed_millis: Option<u64> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// Text with the stream's name before each line, both outputs in one pipe.
    Merged,
    Json,
}

/// Somebody who asks for barriers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flusher {
    pub(crate) times: u32,
    pub(crate) pause_millis: u64,
    /// By `lastline flush`; otherwise on the socket.
    pub(crate) by_command: bool,
}

/// What happens while ranks run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The small disk has more room.
    RoomOnDisk,
    /// Lastline is sent this signal.
    Signal(i32),
    /// Lastline's time of day is so many seconds from the real one.
    Clock(i64),
    /// Lastline is stopped, and goes on.
    Stops,
    GoesOn,
}

/// Everything about a run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) ranks: Vec<RankPlan>,
    pub(crate) reader: Reader,
    pub(crate) stderr_closes: Option<u64>,
    pub(crate) format: Format,
    pub(crate) fold: &'static str,
    pub(crate) when_full: Option<&'static str>,
    pub(crate) buffer: u64,
    pub(crate) files: Files,
    /// Only the ranks below this one are printed.
    pub(crate) show_below: Option<u32>,
    pub(crate) on_failure: &'static str,
    pub(crate) fsync: &'static str,
    pub(crate) grace_millis: u64,
    pub(crate) drain_millis: u64,
    pub(crate) teardown_millis: u64,
    pub(crate) flush_timeout_millis: u64,
    pub(crate) strict: bool,
    /// Signals to lastline, each so many milliseconds after a rank runs.
    pub(crate) signals: Vec<(u64, i32)>,
    pub(crate) flushers: Vec<Flusher>,
    /// Ranks write to terminals, and nothing to stderr: a terminal has one stream.
    pub(crate) pty: bool,
    pub(crate) around: Surroundings,
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(0..n) == 0
}

fn choose<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

impl RankPlan {
    /// On a terminal there is one stream, and what a rank leaves behind is hung up when it ends, so
    /// that nobody knows how far it comes.
    fn use_terminal(&mut self) {
        self.bytes[1] = 0;
        if matches!(self.end, End::HoldQuiet | End::HoldTalking | End::Daemon) {
            self.end = End::Exit(0);
        }
    }
}

impl Scenario {
    /// The run of this seed.
    pub(crate) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let signals = signals(rng);
        let on_failure = choose(rng, &["stop", "continue"]);
        let mut ranks = ranks(rng, !signals.is_empty());
        let count = ranks.len() as u32;
        let (mut reader, files) = (Reader::random(rng), files(rng));
        let when_full = choose(rng, &[None, Some("spool"), Some("block"), Some("drop")]);
        let waits =
            when_full == Some("block") || (files != Files::Kept && when_full != Some("drop"));
        if reader == Reader::Never && waits && signals.is_empty() {
            // The ranks would wait for it for ever, as they are told to.
            reader = Reader::Fast;
        }
        let hurried = reader == Reader::Never;
        // Drawn apart, so that other draws are what they would be without it.
        let pty = one_in(&mut Rng::with_seed(!seed), 6);
        if pty {
            ranks.iter_mut().for_each(RankPlan::use_terminal);
        }
        Self {
            seed,
            pty,
            around: Surroundings::random(&mut Rng::with_seed(seed.rotate_right(7)), count),
            reader,
            stderr_closes: one_in(rng, 12).then(|| rng.u64(0..20_000)),
            format: format(rng, count),
            fold: choose(rng, &["off", "off", "off", "ranks", "similar"]),
            when_full,
            buffer: choose(rng, &[1, 4 << 10, 64 << 10, 1 << 20, 8 << 20, 8 << 20]),
            files,
            show_below: one_in(rng, 8).then(|| rng.u32(0..=count)),
            on_failure,
            fsync: choose(rng, &["never", "never", "end", "0.05"]),
            grace_millis: choose(rng, &[50, 200, 500]),
            drain_millis: choose(rng, &[30, 100, 200]),
            teardown_millis: if hurried { 300 } else { 20_000 },
            flush_timeout_millis: choose(rng, &[100, 5000, 20_000]),
            strict: one_in(rng, 3),
            signals,
            flushers: flushers(rng),
            ranks,
        }
    }

    /// Who reads what is printed of a stream.
    pub(crate) fn reader_of(&self, stream: Stream) -> Reader {
        match self.stderr_closes {
            Some(after) if self.format == Format::Text && stream == Stream::Stderr => {
                Reader::Closes { after }
            }
            None if self.format == Format::Text && stream == Stream::Stderr => Reader::Fast,
            _ => self.reader,
        }
    }

    /// What happens so many milliseconds after a rank runs, in its order.
    pub(crate) fn events(&self) -> Vec<(u64, Event)> {
        let signals = self.signals.iter().map(|(at, signal)| (*at, Event::Signal(*signal)));
        let clock = self.around.clock.iter().map(|(at, seconds)| (*at, Event::Clock(*seconds)));
        let mut events: Vec<_> = signals.chain(clock).collect();
        if let Files::Small { freed_millis: Some(at), .. } = self.files {
            events.push((at, Event::RoomOnDisk));
        }
        if let Some((at, millis)) = self.around.stands {
            events.extend([(at, Event::Stops), (at + millis, Event::GoesOn)]);
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }

    /// Whether it takes rights that root alone has.
    pub(crate) fn takes_root(&self) -> bool {
        matches!(self.files, Files::Small { .. }) || self.around.first_process
    }

    /// Whether the files take everything.
    pub(crate) fn files_kept(&self) -> bool {
        self.files == Files::Kept
    }

    /// Whether lastline itself is killed.
    pub(crate) fn is_killed(&self) -> bool {
        self.signals.iter().any(|(_, signal)| *signal == libc::SIGKILL)
    }
}

fn format(rng: &mut Rng, ranks: u32) -> Format {
    match choose(rng, &[Format::Text, Format::Text, Format::Merged, Format::Json]) {
        // One rank alone has the console: its streams mix there as they do without lastline.
        Format::Merged if ranks == 1 => Format::Text,
        other => other,
    }
}

fn signals(rng: &mut Rng) -> Vec<(u64, i32)> {
    let kinds = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT];
    let count = match rng.u8(0..20) {
        0..3 => 1,
        3 | 4 => 2,
        5 => 3,
        6 | 7 => return vec![(rng.u64(0..300), libc::SIGKILL)],
        _ => 0,
    };
    let mut at = rng.u64(0..300);
    let mut next = |rng: &mut Rng| {
        at += rng.u64(0..100);
        (at, choose(rng, &kinds))
    };
    (0..count).map(|_| next(rng)).collect()
}

fn ranks(rng: &mut Rng, stopped: bool) -> Vec<RankPlan> {
    let count = match rng.u8(0..10) {
        0..3 => 1,
        3..8 => rng.u32(2..8),
        _ => rng.u32(8..=24),
    };
    // All of a run together stay below a few MB.
    let most = [200, 4000, 60_000, 400_000, 2_000_000][rng.usize(0..5)] / u64::from(count);
    let shape = rng.bool().then(|| Shape::random(rng));
    (0..count).map(|_| rank(rng, most.max(1), shape, stopped)).collect()
}

fn rank(rng: &mut Rng, most: u64, shape: Option<Shape>, stopped: bool) -> RankPlan {
    let end = match rng.u8(0..30) {
        0 => End::Exit(rng.u8(1..=255)),
        1 => End::Signal(choose(rng, &[libc::SIGKILL, libc::SIGUSR1, libc::SIGTERM])),
        2 => End::Close,
        3 => End::HoldQuiet,
        4 => End::HoldTalking,
        5 => End::Daemon,
        6..12 if stopped => End::Wait,
        12 if stopped => End::Stubborn,
        _ => End::Exit(0),
    };
    let shape = shape.unwrap_or_else(|| Shape::random(rng));
    let err = if rng.bool() { 0 } else { rng.u64(0..=most / 4) };
    let write_bytes = choose(rng, &[most / 200 + 1, 4000, 64 << 10]);
    let pauses = if one_in(rng, 3) { rng.u64(1..4) } else { 0 };
    let bytes = [rng.u64(0..=most), err];
    RankPlan { shape, bytes, write_bytes, pauses, pause_millis: rng.u64(1..150), end }
}

fn files(rng: &mut Rng) -> Files {
    match rng.u8(0..10) {
        0 | 1 => Files::Off,
        2 | 3 => Files::Small {
            kib: rng.u32(16..600),
            freed_millis: rng.bool().then(|| rng.u64(0..400)),
        },
        _ => Files::Kept,
    }
}

fn flushers(rng: &mut Rng) -> Vec<Flusher> {
    let count = if one_in(rng, 2) { rng.usize(1..4) } else { 0 };
    let mut next = || Flusher {
        times: rng.u32(1..12),
        pause_millis: rng.u64(0..60),
        by_command: one_in(rng, 4),
    };
    (0..count).map(|_| next()).collect()
}
