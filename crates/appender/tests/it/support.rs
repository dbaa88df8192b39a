//! What the tests share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lastline_appender::{Appender, Note, Options, Storage, Written};
use lastline_line::{Message, Offset, ReadBack, ReadOutcome, StreamId};
use lastline_testing::laws::sink::offer;

/// Long enough for everything that does not hang.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Options that keep no minimum of free space and try again at once.
pub(crate) fn eager() -> Options {
    let mut options = Options::default();
    options.min_free_bytes = Some(0);
    options.retry_after = Duration::ZERO;
    options
}

/// Notes, as they come.
#[derive(Clone, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    /// Options that write notes down here.
    pub(crate) fn of(&self, options: Options) -> Options {
        let notes = self.clone();
        options.on_note(move |note| notes.0.lock().unwrap().push(note))
    }

    /// What was noted until now.
    pub(crate) fn all(&self) -> Vec<Note> {
        self.0.lock().unwrap().clone()
    }
}

/// Feeds one stream of an appender.
pub(crate) struct Feed {
    sink: lastline_appender::FileSink,
    pub(crate) stream: StreamId,
    pub(crate) at: u64,
}

impl Feed {
    pub(crate) fn new(appender: &Appender, stream: StreamId) -> Self {
        Self { sink: appender.sink(stream), stream, at: 0 }
    }

    /// The stream's next bytes; their time is their offset.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let chunk = lastline_testing::chunk(self.stream, self.at, bytes);
            offer(&mut self.sink, &Message::Data(chunk));
            self.at += bytes.len() as u64;
        }
    }

    pub(crate) fn end(mut self) {
        let message = Message::End { stream: self.stream, at: Offset(self.at) };
        offer(&mut self.sink, &message);
    }
}

/// A real file system of a megabyte at `dir`, where the system lets us have one, and the file of so many bytes
/// that takes their room until it is removed.
#[expect(clippy::print_stderr, reason = "a test tells who reads its output")]
pub(crate) fn small_disk(dir: &Path, taken_bytes: usize) -> Option<(Mount, PathBuf)> {
    match Mount::tmpfs(dir) {
        Ok(mount) => {
            let ballast = dir.join("ballast");
            fs::write(&ballast, vec![0; taken_bytes]).unwrap();
            Some((mount, ballast))
        }
        Err(error) => {
            eprintln!("not run: a file system cannot be mounted here: {error}");
            None
        }
    }
}

/// An appender over this storage.
pub(crate) fn appender(storage: impl Storage + 'static, options: Options) -> Appender {
    Appender::start(Arc::new(storage), options).unwrap()
}

pub(crate) fn close(appender: &Appender) -> Written {
    appender.close(DEADLINE)
}

/// Waits for something that another thread does.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::yield_now();
    }
}

/// Everything of a stream that can be read back, `None` for each byte that is gone.
pub(crate) fn read_all(
    reader: &(impl ReadBack + ?Sized),
    stream: StreamId,
    most: usize,
) -> Vec<Option<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; most]);
    loop {
        match reader.read_back(stream, Offset(all.len() as u64), &mut buffer).unwrap() {
            ReadOutcome::Read(bytes) => all.extend(buffer[..bytes].iter().copied().map(Some)),
            ReadOutcome::Gone { to, .. } => {
                assert!(to.0 > all.len() as u64, "a gap of nothing");
                all.resize(usize::try_from(to.0).unwrap(), None);
            }
            ReadOutcome::NotYet => return all,
        }
    }
}

/// The bytes of a stream of which nothing is missing.
pub(crate) fn read_whole(reader: &(impl ReadBack + ?Sized), stream: StreamId) -> Vec<u8> {
    let all = read_all(reader, stream, 4096);
    all.into_iter().map(|byte| byte.expect("a gap in what should be whole")).collect()
}

/// A mounted file system of 1 MiB, until it is dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn tmpfs(at: &Path) -> std::io::Result<Self> {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", at, "tmpfs", flags, Some(c"size=1m"))?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}
