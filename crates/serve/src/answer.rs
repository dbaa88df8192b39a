//! What a running job answers on its control socket, line by line.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use lastline_line::{Offset, StreamId};
use lastline_watch::Snapshot;
use lastline_watch::protocol::{EntryMessage, Message, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// How much is given at once, in bytes, unless one line is longer.
const BATCH_BYTES: usize = 128 << 10;

/// One answer of the job's control socket.
pub(crate) struct Answer(BufReader<UnixStream>);

impl Answer {
    pub(crate) async fn ask(socket: &Path, request: &Request) -> io::Result<Self> {
        let mut socket = UnixStream::connect(socket).await?;
        socket.write_all(format!("{request}\n").as_bytes()).await?;
        Ok(Self(BufReader::with_capacity(64 << 10, socket)))
    }

    /// Reads the next line. Cancel-safe: what has come of it is in `line`, and the next call goes on.
    pub(crate) async fn next(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        self.0.read_until(b'\n', line).await?;
        if line.ends_with(b"\n") { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Lines that follow at once, without waiting, as many as make a batch.
    pub(crate) async fn batch(&mut self, first: &mut Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        let (mut bytes, mut lines) = (first.len(), vec![std::mem::take(first)]);
        while bytes < BATCH_BYTES && self.0.buffer().contains(&b'\n') {
            let mut line = Vec::new();
            self.next(&mut line).await?;
            bytes += line.len();
            lines.push(line);
        }
        Ok(lines)
    }

    /// The next message that is understood.
    async fn message<T>(
        &mut self,
        parse: impl Fn(&str) -> serde_json::Result<Option<T>>,
    ) -> io::Result<T> {
        loop {
            let mut line = Vec::new();
            self.next(&mut line).await?;
            if let Some(message) = parse(&String::from_utf8_lossy(&line))? {
                return Ok(message);
            }
        }
    }
}

pub(crate) fn refused(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}

pub(crate) async fn snapshot_of(watch: &mut Answer) -> io::Result<Snapshot> {
    loop {
        match watch.message(Message::parse).await? {
            Message::Hello(_) => {}
            Message::Snapshot(snapshot) => return Ok(*snapshot),
            Message::Refused(refusal) => return Err(refused(&refusal.why)),
            _ => return Err(refused("it does not begin with a snapshot")),
        }
    }
}

pub(crate) async fn places_of(entries: &mut Answer) -> io::Result<BTreeMap<StreamId, Offset>> {
    loop {
        match entries.message(EntryMessage::parse).await? {
            EntryMessage::Hello(_) => {}
            EntryMessage::From(places) => {
                return Ok(places.iter().map(|shown| (shown.stream, shown.offset)).collect());
            }
            EntryMessage::Refused(refusal) => return Err(refused(&refusal.why)),
            _ => return Err(refused("it does not begin with places")),
        }
    }
}

/// The next line of an answer, where there is one.
pub(crate) async fn next_of(answer: &mut Option<Answer>, line: &mut Vec<u8>) -> io::Result<()> {
    match answer {
        Some(answer) => answer.next(line).await,
        None => std::future::pending().await,
    }
}
