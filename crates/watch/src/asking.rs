//! What a running job is asked to do.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::connection::{Came, Connection, FIRST_WORDS, understand};
use crate::error::WatchError;
use crate::protocol::{FlushAnswer, Message, Refused, Request, STOPPING};

/// Asks the running job of a control socket for a barrier. Blocks until it has answered, which it does
/// within the job's own time for barriers. That is not known here, so that there is no end to it as
/// long as the job answers others; one that does not for 10 s is given up.
///
/// # Errors
///
/// When no job answers there: [`NotFound`](io::ErrorKind::NotFound) where none listens,
/// [`TimedOut`](io::ErrorKind::TimedOut) of one that says nothing.
pub fn request_flush(socket: &Path) -> io::Result<FlushAnswer> {
    flush(socket, FIRST_WORDS, FIRST_WORDS)
}

/// Looks after each `look_after` whether the job answers others, which may take `patience`.
fn flush(socket: &Path, look_after: Duration, patience: Duration) -> io::Result<FlushAnswer> {
    let mut connection = Connection::open(socket, &Request::Flush)?;
    loop {
        match answer(&mut connection, look_after) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                if !speaks(socket, patience)? {
                    return Err(error);
                }
            }
            line => {
                let answer = understand(&line?).map_err(io::Error::other)?;
                return answer.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Asks the running job of a control socket to end, as this signal would have it do. Blocks until it has
/// heard, for 10 s at most.
///
/// # Errors
///
/// When no job answers there, as [`request_flush`].
pub fn request_stop(socket: &Path, signal: i32) -> io::Result<()> {
    stop(socket, signal, FIRST_WORDS)
}

fn stop(socket: &Path, signal: i32, patience: Duration) -> io::Result<()> {
    let mut connection = Connection::open(socket, &Request::Stop(signal))?;
    let line = answer(&mut connection, patience)?;
    if line == STOPPING { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The line that answers.
fn answer(connection: &mut Connection, patience: Duration) -> io::Result<String> {
    match connection.next(patience).map_err(io::Error::other)? {
        Came::Line(line) => match understand(&line) {
            Ok(Some(Refused { refused })) => {
                Err(io::Error::other(WatchError::Refused { why: refused.why }))
            }
            _ => Ok(line),
        },
        Came::Closed => Err(io::ErrorKind::UnexpectedEof.into()),
        Came::TimedOut => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Whether the job says anything.
fn speaks(socket: &Path, patience: Duration) -> io::Result<bool> {
    let greeted =
        Connection::greet(socket, &Request::Watch, patience, |line| understand::<Message>(line));
    Ok(greeted.map_err(io::Error::other)?.is_some())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    use lastline_line::BarrierOutcome;
    use tempfile::TempDir;

    use super::*;
    use crate::protocol::Hello;

    /// How long one is waited for that says nothing.
    const SHORT: Duration = Duration::from_millis(20);

    fn listen() -> (TempDir, UnixListener) {
        let place = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(place.path().join("socket")).unwrap();
        (place, listener)
    }

    /// Takes who comes next, and what that asks.
    fn next(listener: &UnixListener) -> (UnixStream, String) {
        let (socket, _) = listener.accept().unwrap();
        let mut asked = String::new();
        BufReader::new(&socket).read_line(&mut asked).unwrap();
        (socket, asked)
    }

    #[test]
    fn a_job_that_says_nothing_is_given_up() {
        let (place, listener) = listen();
        let socket = place.path().join("socket");
        let given_up = flush(&socket, SHORT, SHORT).unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        let given_up = stop(&socket, 15, SHORT).unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        let asked: Vec<String> = (0..3).map(|_| next(&listener).1).collect();
        assert_eq!(asked, ["flush\n", "watch 1\n", "stop 15\n"]);
        drop(listener);
        let refused = flush(&socket, SHORT, SHORT).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_barrier_may_take_longer_as_long_as_the_job_answers_others() {
        let (place, listener) = listen();
        let job = std::thread::spawn(move || {
            let (mut asker, asked) = next(&listener);
            assert_eq!(asked, "flush\n");
            let said = r#"{"version":7,"verdict":"lost","missing":[],"unreachable":["b (silent for 60 s)"]}"#;
            for round in 0..3 {
                let (mut other, asked) = next(&listener);
                assert_eq!(asked, "watch 1\n");
                if round == 2 {
                    asker.write_all(format!("{said}\n").as_bytes()).unwrap();
                }
                other.write_all(&Message::Hello(Hello::new("a")).to_line()).unwrap();
            }
        });
        let answer = flush(&place.path().join("socket"), SHORT, FIRST_WORDS).unwrap();
        job.join().unwrap();
        assert_eq!((answer.version, answer.verdict), (7, BarrierOutcome::Lost));
        let shortfalls: Vec<String> = answer.shortfalls().collect();
        assert_eq!(shortfalls, ["host b (silent for 60 s) cannot be reached"]);
    }

    #[test]
    fn what_a_job_refuses_is_told_in_its_words() {
        let (place, listener) = listen();
        let job = std::thread::spawn(move || {
            let refused = "{\"refused\":{\"why\":\"not today\",\"versions\":[1]}}\n";
            next(&listener).0.write_all(refused.as_bytes()).unwrap();
        });
        let error = stop(&place.path().join("socket"), 2, FIRST_WORDS).unwrap_err();
        job.join().unwrap();
        assert_eq!(error.to_string(), "the job does not answer: not today");
    }
}
