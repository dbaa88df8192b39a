//! Messages as bytes.
//!
//! A frame is its length (`u32`, little-endian, without these four bytes), the version byte, a
//! kind byte, and the kind's fields, integers little-endian. A stream is its launch (8 bytes),
//! rank (4) and descriptor (1; 3 for both). Data's bytes are the frame's rest, and are not copied when
//! decoded. An event of a host is rare, and is JSON. What several streams say alike may be one frame
//! ([`encode_folded`]), from which each one's bytes come out as they were written. A
//! frame of another version, or one that is malformed, ends the connection that it came from.

mod folded;

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    Cause, Chunk, Control, Heartbeat, HostId, Launch, Message, Offset, PingId, Resume, Span,
    Stream, StreamId, Timestamp, Version,
};

pub use self::folded::{MAX_FOLDED_BYTES, encode_output};

/// The version byte of every frame.
pub const WIRE_VERSION: u8 = 4;

/// The longest frame taken, in bytes: a chunk is never above 1 MiB.
pub const MAX_FRAME_BYTES: usize = 4 << 20;

/// Stands for all ranks where one is named.
const ALL_RANKS: u32 = u32::MAX;

/// Why bytes are not a frame. The connection that they came from cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Another version of the protocol.
    #[error("frame has version {found}, this side has {WIRE_VERSION}")]
    Version {
        /// The version byte found.
        found: u8,
    },
    /// A kind of message that this side does not know.
    #[error("frame has unknown kind {found}")]
    Kind {
        /// The kind byte found.
        found: u8,
    },
    /// The frame is longer than [`MAX_FRAME_BYTES`].
    #[error("frame of {bytes} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLong {
        /// Its stated length.
        bytes: usize,
    },
    /// The frame ends inside a field, or a field holds what it cannot.
    #[error("frame of kind {kind} is malformed")]
    Malformed {
        /// Its kind byte.
        kind: u8,
    },
}

mod kind {
    pub(super) const DATA: u8 = 1;
    pub(super) const FLUSH: u8 = 2;
    pub(super) const END: u8 = 3;
    pub(super) const SKIP: u8 = 4;
    pub(super) const HEARTBEAT: u8 = 5;
    pub(super) const HOST: u8 = 6;
    pub(super) const FOLDED: u8 = 7;
    pub(super) const ACKNOWLEDGE: u8 = 16;
    pub(super) const BARRIER: u8 = 17;
    pub(super) const SET_MODE: u8 = 18;
    pub(super) const PING: u8 = 19;
    pub(super) const STOP: u8 = 20;
    pub(super) const SIGNAL: u8 = 21;
    pub(super) const DISMISS: u8 = 22;
    pub(super) const REFUSE: u8 = 23;
    pub(super) const PAUSE: u8 = 24;
    pub(super) const CREDIT: u8 = 32;
    pub(super) const RESUME: u8 = 33;
    pub(super) const JOB: u8 = 34;
}

/// What a frame held.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Frame {
    /// From a host to the client.
    Message(Message),
    /// Output of several streams, from a host to the client; see [`encode_folded`].
    Folded(Vec<Chunk>),
    /// From the driver to a host.
    Control(Control),
    /// From the receiver of output to its sender: so many bytes more may be on the way. The first
    /// one of a connection is the receiver's whole window; nothing of a stream is sent before it.
    Credit {
        /// How many, as [`window_bytes`] counts them.
        bytes: u64,
    },
    /// From where the receiver wants output. It comes before the first credit; without it all is
    /// wanted.
    Resume(Resume),
    /// Of which job the receiver is, by its id. Where it is said it is its first frame, and a host of another
    /// job ends the connection.
    Job(String),
}

/// What a message of a stream costs of the window beside its payload, in bytes.
const MESSAGE_WINDOW_BYTES: usize = 64;

/// What a message takes of a receiver's window, in bytes, until the receiver is done with it.
/// Nothing, when it belongs to no stream.
pub fn window_bytes(message: &Message) -> usize {
    let payload = match message {
        Message::Host(_) | Message::Heartbeat(_) => return 0,
        Message::Skip { cause, .. } => cause.as_str().len(),
        other => other.payload_bytes(),
    };
    MESSAGE_WINDOW_BYTES + payload
}

/// Appends `message` as one frame.
pub fn encode_message(message: &Message, out: &mut BytesMut) {
    framed(out, |out| match message {
        Message::Data(chunk) => {
            out.put_u8(kind::DATA);
            put_stream(out, chunk.stream);
            out.put_u64_le(chunk.start.0);
            out.put_u64_le(chunk.time.0);
            out.put_u8(u8::from(chunk.unterminated));
            out.put_slice(&chunk.bytes);
        }
        Message::Flush { stream, version, mark } => {
            out.put_u8(kind::FLUSH);
            put_stream(out, *stream);
            out.put_u64_le(version.0);
            out.put_u64_le(mark.0);
        }
        Message::End { stream, at } => {
            out.put_u8(kind::END);
            put_stream(out, *stream);
            out.put_u64_le(at.0);
        }
        Message::Skip { stream, span, cause } => {
            out.put_u8(kind::SKIP);
            put_stream(out, *stream);
            out.put_u64_le(span.from.0);
            out.put_u64_le(span.to.0);
            out.put_slice(cause.as_str().as_bytes());
        }
        Message::Heartbeat(Heartbeat { host, time, answers }) => {
            out.put_u8(kind::HEARTBEAT);
            out.put_u64_le(host.0);
            out.put_u64_le(time.0);
            put_ping(out, *answers);
        }
        Message::Host(event) => {
            out.put_u8(kind::HOST);
            let text = serde_json::to_vec(event).expect("BUG: an event becomes JSON");
            out.put_slice(&text);
        }
    });
}

/// Appends `chunks` as one frame, in which lines of theirs that are the same, or differ in numbers alone,
/// are written once. They are decoded as they were, one by one and in their order. Together they take
/// [`MAX_FOLDED_BYTES`] at most.
pub fn encode_folded(chunks: &[Chunk], out: &mut BytesMut) {
    framed(out, |out| {
        out.put_u8(kind::FOLDED);
        folded::put(out, chunks);
    });
}

/// Appends a credit of `bytes` as one frame.
pub fn encode_credit(bytes: u64, out: &mut BytesMut) {
    framed(out, |out| {
        out.put_u8(kind::CREDIT);
        out.put_u64_le(bytes);
    });
}

/// Appends where output is wanted from as one frame.
pub fn encode_resume(resume: &Resume, out: &mut BytesMut) {
    framed(out, |out| {
        out.put_u8(kind::RESUME);
        let text = serde_json::to_vec(resume).expect("BUG: places become JSON");
        out.put_slice(&text);
    });
}

/// Appends the id of the receiver's job as one frame.
pub fn encode_job(job: &str, out: &mut BytesMut) {
    framed(out, |out| {
        out.put_u8(kind::JOB);
        out.put_slice(job.as_bytes());
    });
}

/// Appends `control` as one frame.
pub fn encode_control(control: &Control, out: &mut BytesMut) {
    framed(out, |out| match control {
        Control::Acknowledge { stream, through } => {
            out.put_u8(kind::ACKNOWLEDGE);
            put_stream(out, *stream);
            out.put_u64_le(through.0);
        }
        Control::Flush { version } => {
            out.put_u8(kind::BARRIER);
            out.put_u64_le(version.0);
        }
        Control::SetMode { stream_to_client } => {
            out.put_u8(kind::SET_MODE);
            out.put_u8(u8::from(*stream_to_client));
        }
        Control::Pause { stream, lasts } => {
            out.put_u8(kind::PAUSE);
            put_stream(out, *stream);
            out.put_u32_le(u32::try_from(lasts.as_millis()).unwrap_or(u32::MAX));
        }
        Control::Ping { id } => {
            out.put_u8(kind::PING);
            put_ping(out, *id);
        }
        Control::Stop { cause } => {
            out.put_u8(kind::STOP);
            out.put_slice(cause.to_string().as_bytes());
        }
        Control::Signal { rank, signal } => {
            out.put_u8(kind::SIGNAL);
            out.put_u32_le(rank.unwrap_or(ALL_RANKS));
            out.put_i32_le(*signal);
        }
        Control::Dismiss => out.put_u8(kind::DISMISS),
        Control::Refuse { host, why } => {
            out.put_u8(kind::REFUSE);
            out.put_u64_le(host.0);
            out.put_slice(why.as_bytes());
        }
    });
}

/// Takes one frame from the front of `input`; `None` when it is not all there yet.
pub fn decode(input: &mut BytesMut) -> Result<Option<Frame>, WireError> {
    let Some(head) = input.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*head) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(WireError::TooLong { bytes: length });
    }
    if input.len() < 4 + length {
        input.reserve(4 + length - input.len());
        return Ok(None);
    }
    input.advance(4);
    let mut body = Reader { kind: 0, rest: input.split_to(length).freeze() };
    let found = body.u8()?;
    if found != WIRE_VERSION {
        return Err(WireError::Version { found });
    }
    body.kind = body.u8()?;
    decode_body(body).map(Some)
}

fn decode_body(mut body: Reader) -> Result<Frame, WireError> {
    let message = match body.kind {
        kind::DATA => Message::Data(Chunk {
            stream: body.stream()?,
            start: Offset(body.u64()?),
            time: Timestamp(body.u64()?),
            unterminated: body.u8()? != 0,
            bytes: body.rest()?,
        }),
        kind::FLUSH => Message::Flush {
            stream: body.stream()?,
            version: Version(body.u64()?),
            mark: Offset(body.u64()?),
        },
        kind::END => Message::End { stream: body.stream()?, at: Offset(body.u64()?) },
        kind::SKIP => Message::Skip {
            stream: body.stream()?,
            span: Span::new(Offset(body.u64()?), Offset(body.u64()?)),
            cause: Cause::parse(&body.text()?),
        },
        kind::HEARTBEAT => Message::Heartbeat(Heartbeat {
            host: HostId(body.u64()?),
            time: Timestamp(body.u64()?),
            answers: body.ping()?,
        }),
        kind::HOST => {
            let event = serde_json::from_slice(&body.rest()?).map_err(|_| body.malformed())?;
            Message::Host(event)
        }
        kind::RESUME => {
            let places = serde_json::from_slice(&body.rest()?).map_err(|_| body.malformed())?;
            return Ok(Frame::Resume(places));
        }
        kind::JOB => return Ok(Frame::Job(body.text()?)),
        kind::FOLDED => return folded::take(body).map(Frame::Folded),
        kind::CREDIT => return Ok(Frame::Credit { bytes: body.u64()? }),
        _ => return decode_control(body).map(Frame::Control),
    };
    Ok(Frame::Message(message))
}

fn decode_control(mut body: Reader) -> Result<Control, WireError> {
    match body.kind {
        kind::ACKNOWLEDGE => {
            Ok(Control::Acknowledge { stream: body.stream()?, through: Offset(body.u64()?) })
        }
        kind::BARRIER => Ok(Control::Flush { version: Version(body.u64()?) }),
        kind::SET_MODE => Ok(Control::SetMode { stream_to_client: body.u8()? != 0 }),
        kind::PAUSE => {
            let (stream, millis) = (body.stream()?, body.u32()?);
            Ok(Control::Pause { stream, lasts: Duration::from_millis(millis.into()) })
        }
        kind::PING => Ok(Control::Ping { id: body.ping()? }),
        kind::STOP => {
            let cause = body.text()?.parse().map_err(|_| body.malformed())?;
            Ok(Control::Stop { cause })
        }
        kind::SIGNAL => {
            let rank = Some(body.u32()?).filter(|rank| *rank != ALL_RANKS);
            let signal = body.u32()?.cast_signed();
            Ok(Control::Signal { rank, signal })
        }
        kind::DISMISS => Ok(Control::Dismiss),
        kind::REFUSE => Ok(Control::Refuse { host: HostId(body.u64()?), why: body.text()? }),
        found => Err(WireError::Kind { found }),
    }
}

fn framed(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32_le(0);
    out.put_u8(WIRE_VERSION);
    body(out);
    let length = u32::try_from(out.len() - at - 4).expect("BUG: a frame is far below 4 GiB");
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

fn put_stream(out: &mut BytesMut, id: StreamId) {
    out.put_u64_le(id.launch.0);
    out.put_u32_le(id.rank);
    out.put_u8(match id.stream {
        Stream::Stdout => 1,
        Stream::Stderr => 2,
        Stream::Merged => 3,
    });
}

/// Nothing is where nobody looks for an answer.
fn put_ping(out: &mut BytesMut, id: Option<PingId>) {
    if let Some(id) = id {
        out.put_u64_le(id.0);
    }
}

/// Takes fields from the front of a frame.
struct Reader {
    kind: u8,
    rest: Bytes,
}

impl Reader {
    fn malformed(&self) -> WireError {
        WireError::Malformed { kind: self.kind }
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        self.rest.try_get_u8().map_err(|_| self.malformed())
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        self.rest.try_get_u32_le().map_err(|_| self.malformed())
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        self.rest.try_get_u64_le().map_err(|_| self.malformed())
    }

    fn stream(&mut self) -> Result<StreamId, WireError> {
        let (launch, rank) = (Launch(self.u64()?), self.u32()?);
        let stream = match self.u8()? {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Merged,
            _ => return Err(self.malformed()),
        };
        Ok(StreamId { launch, rank, stream })
    }

    /// The last field of its frame, where there is one.
    fn ping(&mut self) -> Result<Option<PingId>, WireError> {
        if self.rest.is_empty() { Ok(None) } else { self.u64().map(PingId).map(Some) }
    }

    /// What is left, which must be something.
    fn rest(&mut self) -> Result<Bytes, WireError> {
        let rest = std::mem::take(&mut self.rest);
        if rest.is_empty() { Err(self.malformed()) } else { Ok(rest) }
    }

    fn text(&mut self) -> Result<String, WireError> {
        String::from_utf8(self.rest()?.to_vec()).map_err(|_| self.malformed())
    }
}
