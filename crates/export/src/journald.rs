//! The systemd journal, by its native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).

use std::io::{self, IoSlice, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use lastline_line::Stream;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr,
};

use crate::destination::{Destination, ExportError, Refused};
use crate::record::Record;

/// Where the journal of the system listens.
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Sends each line as an entry of the journal.
///
/// An entry has `MESSAGE`, the line's bytes; `PRIORITY`, 6 (info) for stdout and both streams in one, 4
/// (warning) for stderr; `SYSLOG_IDENTIFIER=lastline`; and the line's address: `LASTLINE_JOB`,
/// `LASTLINE_RANK`, `LASTLINE_LAUNCH`, `LASTLINE_STREAM`, `LASTLINE_OFFSET`. `LASTLINE_TIME` is when it was
/// read, in microseconds since the Unix epoch; `LASTLINE_PARTIAL=1` where it has no newline.
///
/// The journal acknowledges nothing: a line that its socket has taken counts as exported.
#[derive(Debug)]
pub struct Journald {
    job: String,
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

impl Journald {
    /// Sends lines of this job to the socket at `path`, usually [`JOURNAL_SOCKET`].
    pub fn new(job: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { job: job.into(), path: path.into(), socket: None }
    }

    fn send(&mut self, entry: &[u8], within: Duration) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(UnixDatagram::unbound()?),
        };
        // One that is full is waited for. A time of zero would be for ever.
        socket.set_write_timeout(Some(within.max(Duration::from_millis(1))))?;
        match socket.send_to(entry, &self.path) {
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                self.send_in_memory(entry)
            }
            sent => sent.map(drop),
        }
    }

    /// What no datagram has room for goes as a sealed file in memory.
    fn send_in_memory(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = std::fs::File::from(memfd_create("lastline-entry", flags)?);
        file.write_all(entry)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        let files = [file.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fits = control.push(SendAncillaryMessage::ScmRights(&files));
        debug_assert!(fits, "there is room for one descriptor");
        let Some(socket) = &self.socket else { return Err(io::ErrorKind::NotConnected.into()) };
        let address = SocketAddrUnix::new(&self.path)?;
        let nothing: [IoSlice<'_>; 0] = [];
        sendmsg_addr(socket, &address, &nothing, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Destination for Journald {
    fn export(&mut self, batch: &[Record], within: Duration) -> Result<Refused, ExportError> {
        let until = std::time::Instant::now() + within;
        for (taken, record) in batch.iter().enumerate() {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let entry = entry(&self.job, record);
            if let Err(error) = self.send(&entry, left) {
                // Another may listen there by the next time.
                self.socket = None;
                let why = match error.kind() {
                    io::ErrorKind::WouldBlock => String::from("its socket is full"),
                    _ => format!("{}: {error}", self.path.display()),
                };
                return Err(ExportError::Later { taken, after: None, why });
            }
        }
        Ok(Refused::default())
    }
}

/// A line as an entry.
fn entry(job: &str, record: &Record) -> Vec<u8> {
    let Record { stream, span, time, text, partial } = record;
    let priority = match stream.stream {
        Stream::Stderr => 4,
        Stream::Stdout | Stream::Merged => 6,
    };
    let mut entry = Vec::with_capacity(text.len() + 256);
    let fields = [
        ("PRIORITY", priority.to_string()),
        ("SYSLOG_IDENTIFIER", "lastline".into()),
        ("LASTLINE_JOB", job.into()),
        ("LASTLINE_RANK", stream.rank.to_string()),
        ("LASTLINE_LAUNCH", stream.launch.to_string()),
        ("LASTLINE_STREAM", stream.stream.name().into()),
        ("LASTLINE_OFFSET", span.from.0.to_string()),
    ];
    fields.iter().for_each(|(name, value)| put(&mut entry, name, value.as_bytes()));
    if time.0 > 0 {
        put(&mut entry, "LASTLINE_TIME", time.0.to_string().as_bytes());
    }
    if *partial {
        put(&mut entry, "LASTLINE_PARTIAL", b"1");
    }
    put(&mut entry, "MESSAGE", text);
    entry
}

/// A field, with its length before its value: whatever bytes that has.
fn put(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;
    use std::os::fd::OwnedFd;

    use lastline_line::{Launch, Offset, StreamId, Timestamp};
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    fn record(stream: Stream, text: &[u8], partial: bool) -> Record {
        let id = StreamId::new(Launch(0xab), 3, stream);
        Record::new(id, Offset(120), Timestamp(7), text.to_vec(), partial)
    }

    /// The fields of an entry, as the journal reads them.
    fn fields(mut entry: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !entry.is_empty() {
            let end = memchr::memchr(b'\n', entry).unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            let len = u64::from_le_bytes(entry[end + 1..end + 9].try_into().unwrap()) as usize;
            let value = entry[end + 9..end + 9 + len].to_vec();
            assert_eq!(entry[end + 9 + len], b'\n');
            assert!(fields.insert(name, value).is_none());
            entry = &entry[end + 10 + len..];
        }
        fields
    }

    /// What the socket is sent next: in a datagram, or in a file.
    fn receive(socket: &UnixDatagram) -> Vec<u8> {
        let mut bytes = vec![0; 1 << 20];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [io::IoSliceMut::new(&mut bytes)];
        let received = recvmsg(socket, &mut slices, &mut control, RecvFlags::empty()).unwrap();
        let files = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => Some(files.collect::<Vec<OwnedFd>>()),
            _ => None,
        });
        if let Some(file) = files.flatten().next() {
            use std::io::Seek as _;
            let (mut file, mut content) = (std::fs::File::from(file), Vec::new());
            file.rewind().unwrap();
            file.read_to_end(&mut content).unwrap();
            file.write_all(b"more").expect_err("it is sealed");
            return content;
        }
        bytes.truncate(received.bytes);
        bytes
    }

    #[test]
    fn entries_are_the_lines_with_their_address_whatever_bytes_they_have() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut destination = Journald::new("ci-7", &path);
        let long = vec![0xff; 4 << 20];
        let batch = [
            record(Stream::Stdout, b"a\0\xff=\n\nb", false),
            record(Stream::Stderr, &long, true),
            record(Stream::Merged, b"", false),
        ];
        destination.export(&batch, Duration::from_secs(60)).unwrap();
        let entries: Vec<_> = batch.iter().map(|_| fields(&receive(&journal))).collect();
        assert_eq!(entries[0]["MESSAGE"], b"a\0\xff=\n\nb");
        assert_eq!(entries[1]["MESSAGE"], long);
        assert_eq!(entries[2]["MESSAGE"], b"");
        let expected = [
            ("LASTLINE_JOB", "ci-7"),
            ("LASTLINE_LAUNCH", "00000000000000ab"),
            ("LASTLINE_OFFSET", "120"),
            ("LASTLINE_RANK", "3"),
            ("LASTLINE_STREAM", "stdout"),
            ("LASTLINE_TIME", "7"),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "lastline"),
        ];
        for (name, value) in expected {
            assert_eq!(entries[0][name], value.as_bytes(), "{name}");
        }
        assert!(!entries[0].contains_key("LASTLINE_PARTIAL"));
        assert_eq!(
            (&entries[1]["PRIORITY"][..], &entries[1]["LASTLINE_PARTIAL"][..]),
            (&b"4"[..], &b"1"[..])
        );
        assert_eq!(entries[2]["PRIORITY"], b"6");
    }

    #[test]
    fn a_journal_that_is_full_or_gone_may_take_it_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let mut destination = Journald::new("j", &path);
        let batch: Vec<Record> = (0..5000).map(|_| record(Stream::Stdout, b"x", false)).collect();
        let error = destination.export(&batch, Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, ExportError::Later { taken: 0, .. }), "{error:?}");
        let journal = UnixDatagram::bind(&path).unwrap();
        let error = destination.export(&batch, Duration::from_millis(10)).unwrap_err();
        let ExportError::Later { taken, why, .. } = error else { panic!("{error:?}") };
        assert!(taken > 0 && why == "its socket is full", "{taken} {why}");
        (0..taken).for_each(|_| drop(receive(&journal)));
        journal.set_nonblocking(true).unwrap();
        journal.recv(&mut [0; 10]).expect_err("no more than it said were taken");
    }
}
