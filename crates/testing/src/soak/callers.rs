//! Those who ask a running job for barriers, and remember the answers.

use std::io::{self, BufRead as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::diary::{self, Said};
use super::reader::Output;
use super::scenario::Flusher;

/// What one caller was told, and what held before and after.
#[derive(Debug)]
pub(super) struct Answer {
    /// `reached`, or another word; `None` when the job ended instead.
    pub(super) verdict: Option<String>,
    /// What each rank had said before the question.
    pub(super) before: Vec<Option<[Said; 2]>>,
    /// How much stood on lastline's outputs after the answer.
    pub(super) delivered: [Option<u64>; 2],
    pub(super) took: Duration,
}

/// What all callers of a run share.
pub(super) struct Calls {
    pub(super) lastline: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) job: String,
    pub(super) ranks: u32,
    pub(super) outputs: Vec<Arc<Output>>,
    pub(super) answer_timeout: Duration,
    /// Lastline has ended.
    pub(super) over: AtomicBool,
}

/// Where the job listens, once it does.
pub(super) fn socket(dir: &Path, job: &str) -> Option<PathBuf> {
    let sockets = std::fs::read_dir(dir.join("run/lastline")).ok()?;
    let is_its = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.split('.').next() == Some(job))
    };
    sockets.flatten().map(|socket| socket.path()).find(is_its)
}

impl Calls {
    /// Asks as often as `flusher` says.
    pub(super) fn make(&self, flusher: Flusher) -> Vec<Answer> {
        let mut answers = Vec::new();
        while socket(&self.dir, &self.job).is_none() {
            if self.over.load(Ordering::Acquire) {
                return answers;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        for _ in 0..flusher.times {
            if self.over.load(Ordering::Acquire) {
                break;
            }
            answers.push(self.ask(flusher.by_command));
            std::thread::park_timeout(Duration::from_millis(flusher.pause_millis));
        }
        answers
    }

    fn ask(&self, by_command: bool) -> Answer {
        let before = (0..self.ranks).map(|rank| diary::read(&self.dir, rank)).collect();
        let asked = Instant::now();
        let answer = if by_command { self.command() } else { self.request() };
        let delivered = [0, 1].map(|at| self.outputs.get(at).and_then(|out| out.delivered()));
        let verdict = answer.unwrap_or_else(|error| match error.kind() {
            // It ended while it was asked.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Some("no answer".into()),
            _ => None,
        });
        Answer { verdict, before, delivered, took: asked.elapsed() }
    }

    fn request(&self) -> io::Result<Option<String>> {
        let socket = socket(&self.dir, &self.job).ok_or(io::ErrorKind::NotFound)?;
        let mut socket = UnixStream::connect(socket)?;
        socket.set_read_timeout(Some(self.answer_timeout))?;
        socket.write_all(b"flush\n")?;
        let mut line = String::new();
        io::BufReader::new(socket).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        let answer: Value = serde_json::from_str(&line)?;
        Ok(answer["verdict"].as_str().map(str::to_owned))
    }

    #[expect(clippy::disallowed_methods, reason = "the runner starts lastline")]
    fn command(&self) -> io::Result<Option<String>> {
        let output = Command::new(&self.lastline)
            .args(["flush", &self.job])
            .env("XDG_STATE_HOME", self.dir.join("state"))
            .env("XDG_RUNTIME_DIR", self.dir.join("run"))
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let verdict = text.lines().next().map(str::to_owned);
        if verdict
            .as_deref()
            .is_some_and(|verdict| (verdict == "reached") != output.status.success())
        {
            return Ok(Some(format!("{verdict:?} with {}", output.status)));
        }
        Ok(verdict)
    }
}
