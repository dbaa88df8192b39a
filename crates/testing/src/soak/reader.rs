//! Who reads what lastline prints.

use std::fs::File;
use std::io::{self, PipeReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

/// Who reads lastline's stdout, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As fast as it comes.
    Fast,
    /// A little at a time.
    Slow { bytes: usize, millis: u64 },
    /// Stops once, after so many bytes.
    Pauses { after: u64, millis: u64 },
    /// Another process, stopped by a signal for a while.
    Stopped { millis: u64 },
    /// Goes away after so many bytes.
    Closes { after: u64 },
    /// Reads nothing before lastline has ended.
    Never,
}

impl Reader {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        match rng.u8(0..20) {
            0..3 => Self::Slow { bytes: rng.usize(100..60_000), millis: rng.u64(1..10) },
            3..6 => Self::Pauses { after: rng.u64(0..100_000), millis: rng.u64(50..800) },
            6 => Self::Stopped { millis: rng.u64(50..600) },
            7 | 8 => Self::Closes { after: rng.u64(0..60_000) },
            9 => Self::Never,
            _ => Self::Fast,
        }
    }

    /// Whether it takes all there is, sooner or later.
    pub(crate) fn takes_all(self) -> bool {
        !matches!(self, Self::Closes { .. } | Self::Never)
    }
}

/// One of lastline's outputs, and who reads it.
pub(super) struct Output {
    shared: Arc<Mutex<Taken>>,
    over: Sender<()>,
    how: How,
}

enum How {
    Thread(JoinHandle<io::Result<()>>),
    Process { child: Child, file: std::path::PathBuf, driver: JoinHandle<()> },
}

#[derive(Default)]
struct Taken {
    bytes: Vec<u8>,
    pipe: Option<PipeReader>,
}

fn lock(shared: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pause(millis: u64) {
    std::thread::park_timeout(Duration::from_millis(millis));
}

impl Output {
    /// Reads `pipe` as `reader` says. `program` is a rank's, `file` where another process writes.
    pub(super) fn read(
        pipe: PipeReader,
        reader: Reader,
        program: &Path,
        file: &Path,
    ) -> io::Result<Self> {
        let (over, is_over) = channel();
        let shared = Arc::new(Mutex::new(Taken::default()));
        if let Reader::Stopped { millis } = reader {
            let how = process(pipe, program, file, millis)?;
            return Ok(Self { shared, over, how });
        }
        lock(&shared).pipe = Some(pipe);
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || take(&own, reader, &is_over));
        Ok(Self { shared, over, how: How::Thread(thread) })
    }

    /// Bytes that lastline has written by now, where that can be known.
    pub(super) fn delivered(&self) -> Option<u64> {
        let taken = lock(&self.shared);
        let waiting = rustix::io::ioctl_fionread(taken.pipe.as_ref()?).ok()?;
        Some(taken.bytes.len() as u64 + waiting)
    }

    /// Lastline has ended: everything that it has written.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        drop(self.over);
        match self.how {
            How::Thread(thread) => thread.join().expect("the reader panicked")?,
            How::Process { mut child, file, driver } => {
                driver.join().expect("the stopper panicked");
                child.wait()?;
                return std::fs::read(file);
            }
        }
        Ok(std::mem::take(&mut lock(&self.shared).bytes))
    }
}

/// Takes what comes until everybody has closed the pipe, or this side wants no more.
fn take(shared: &Mutex<Taken>, reader: Reader, over: &Receiver<()>) -> io::Result<()> {
    if reader == Reader::Never {
        // Comes back when the other side is dropped.
        over.recv().unwrap_or_default();
    }
    let mut paused = false;
    let most = match reader {
        Reader::Slow { bytes, .. } => bytes,
        _ => 64 << 10,
    };
    let mut some = vec![0; most];
    loop {
        let Some(length) = take_some(shared, &mut some)? else {
            return Ok(());
        };
        match reader {
            Reader::Slow { millis, .. } => pause(millis),
            Reader::Pauses { after, millis } if !paused && length >= after => {
                paused = true;
                pause(millis);
            }
            Reader::Closes { after } if length >= after => {
                lock(shared).pipe = None;
                return Ok(());
            }
            _ => {}
        }
    }
}

/// Reads once; how much there is by now, `None` at the end. What is taken from the pipe and what
/// is counted change in one step.
fn take_some(shared: &Mutex<Taken>, some: &mut [u8]) -> io::Result<Option<u64>> {
    let pipe = lock(shared).pipe.as_ref().expect("BUG: it is open").try_clone()?;
    poll(&mut [PollFd::new(&pipe, PollFlags::IN)], None)?;
    let mut taken = lock(shared);
    let count = (&pipe).read(some)?;
    taken.bytes.extend_from_slice(&some[..count]);
    Ok((count > 0).then_some(taken.bytes.len() as u64))
}

#[expect(clippy::disallowed_methods, reason = "the runner starts lastline and its readers")]
fn process(pipe: PipeReader, program: &Path, file: &Path, millis: u64) -> io::Result<How> {
    let child = Command::new(program)
        .arg("soak-copy")
        .stdin(pipe)
        .stdout(File::create(file)?)
        .stderr(Stdio::null())
        .spawn()?;
    let pid = Pid::from_child(&child);
    let driver = std::thread::spawn(move || {
        for signal in [Signal::STOP, Signal::CONT] {
            // It has not been waited for, so the number is its own; it may have ended.
            kill_process(pid, signal).unwrap_or_default();
            pause(millis);
        }
    });
    Ok(How::Process { child, file: file.into(), driver })
}
