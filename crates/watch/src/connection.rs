//! One request to a running job, and the lines of its answer.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::error::WatchError;
use crate::protocol::{Refused, Request, parse};

/// How long a job may take to say its first words.
pub(crate) const FIRST_WORDS: Duration = Duration::from_secs(10);
/// How often it is looked whether a job that has ended is gone.
pub(crate) const LOOK_FOR_END: Duration = Duration::from_millis(20);
/// How long that may take, once it has said that it is over or has closed its socket.
pub(crate) const END_PATIENCE: Duration = Duration::from_secs(2);
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
    /// Asks a job.
    pub(crate) fn open(path: &Path, request: &Request) -> io::Result<Self> {
        let mut socket = UnixStream::connect(path)?;
        socket.write_all(format!("{request}\n").as_bytes())?;
        Ok(Self { socket: BufReader::with_capacity(64 << 10, socket), line: Vec::new() })
    }

    /// Asks a job, and waits for the first line in which `find` finds something. None when no job
    /// listens there, or it does not say that within `patience`.
    pub(crate) fn greet<T>(
        path: &Path,
        request: &Request,
        patience: Duration,
        find: impl Fn(&str) -> Result<Option<T>, WatchError>,
    ) -> Result<Option<(Self, T)>, WatchError> {
        let mut connection = match Self::open(path, request) {
            Ok(connection) => connection,
            Err(error) if is_gone(error.kind()) => return Ok(None),
            Err(source) => return Err(WatchError::Connection { source }),
        };
        let deadline = Instant::now() + patience;
        loop {
            let line = match connection.next(deadline.saturating_duration_since(Instant::now()))? {
                Came::Line(line) => line,
                Came::TimedOut | Came::Closed => return Ok(None),
            };
            if let Some(found) = find(&line)? {
                return Ok(Some((connection, found)));
            }
            if let Some(Refused { refused }) = understand(&line)? {
                return Err(WatchError::Refused { why: refused.why });
            }
        }
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

/// Whether a job that is asked is not there, or has ended meanwhile.
fn is_gone(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionRefused, NotFound};
    matches!(kind, NotFound | ConnectionRefused | BrokenPipe)
}

/// What a line says; none when it is of a kind that is not known here.
pub(crate) fn understand<'a, T: Deserialize<'a>>(line: &'a str) -> Result<Option<T>, WatchError> {
    parse(line).map_err(|source| WatchError::Foreign { source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::protocol::Hello;

    /// Asks whoever says these words to one that comes; what was found, once `find` finds it.
    fn greet(says: &str) -> Result<Option<String>, WatchError> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let says = says.to_owned();
        let job = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut asked = String::new();
            BufReader::new(&socket).read_line(&mut asked).unwrap();
            socket.write_all(says.as_bytes()).unwrap();
            asked
        });
        let found = Connection::greet(&path, &Request::Watch, FIRST_WORDS, |line| {
            #[derive(Deserialize)]
            struct Said {
                hello: Hello,
            }
            Ok(understand(line)?.map(|said: Said| said.hello.job))
        });
        assert_eq!(job.join().unwrap(), "watch 1\n");
        Ok(found?.map(|(_, job)| job))
    }

    #[test]
    fn the_first_words_are_what_is_looked_for_or_a_refusal() {
        let hello = r#"{"hello":{"version":1,"job":"a"}}"#;
        let later = format!("{{\"weather\":1}}\n{hello}\n");
        assert_eq!(greet(&later).unwrap().as_deref(), Some("a"));
        let refused = greet("{\"refused\":{\"why\":\"no\",\"versions\":[1]}}\n");
        assert!(matches!(refused, Err(WatchError::Refused { why }) if why == "no"));
        assert!(matches!(greet("nothing\n"), Err(WatchError::Foreign { .. })));
        assert_eq!(greet("{\"hello\":").unwrap(), None, "it was gone before it had said it");
        assert!(
            Connection::greet(Path::new("/nowhere"), &Request::Watch, FIRST_WORDS, |_| Ok(
                Some(())
            ))
            .unwrap()
            .is_none()
        );
    }
}
