//! One request to a running job, and the lines of its answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::WatchError;
use crate::protocol::Request;

/// The shortest time-out that a socket can be given.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// The answer to one request, line by line. Blocks no longer than it is told to.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: BufReader<UnixStream>,
    /// What has come of a line.
    line: Vec<u8>,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Line(String),
    TimedOut,
    /// Nothing more comes.
    Closed,
}

impl Connection {
    /// Asks a job; none when no job listens there.
    pub(crate) fn open(path: &Path, request: &Request) -> Result<Option<Self>, WatchError> {
        let failed = |source| WatchError::Connection { source };
        let mut socket = match UnixStream::connect(path) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            other => other.map_err(failed)?,
        };
        match socket.write_all(format!("{request}\n").as_bytes()) {
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
            other => other.map_err(failed)?,
        }
        Ok(Some(Self { socket: BufReader::with_capacity(64 << 10, socket), line: Vec::new() }))
    }

    /// Whether a whole line is here already.
    pub(crate) fn is_ready(&self) -> bool {
        self.socket.buffer().contains(&b'\n')
    }

    /// The next line, without its newline, waiting for `wait` at most. What has come of a line by
    /// then is kept.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Came, WatchError> {
        let deadline = Instant::now() + wait;
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(LEAST_WAIT);
            let read = self
                .socket
                .get_ref()
                .set_read_timeout(Some(left))
                .and_then(|()| self.socket.read_until(b'\n', &mut self.line));
            match read {
                Ok(_) if self.line.ends_with(b"\n") => {
                    self.line.pop();
                    let line = String::from_utf8_lossy(&self.line).into_owned();
                    self.line.clear();
                    return Ok(Came::Line(line));
                }
                // What a job began to say when it ended is nothing.
                Ok(_) => return Ok(Came::Closed),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if Instant::now() >= deadline {
                            return Ok(Came::TimedOut);
                        }
                    }
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                        return Ok(Came::Closed);
                    }
                    _ => return Err(WatchError::Connection { source: error }),
                },
            }
        }
    }
}
