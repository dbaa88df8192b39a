//! What comes to a view, and from where.

use std::io;
use std::sync::mpsc::SyncSender;

use crossterm::event::{KeyEvent, MouseEvent};
use lastline_line::{Stream, Timestamp};
use lastline_watch::protocol::{EntryMessage, Message};

use crate::own_log::Window;

/// What happens to a view.
#[derive(Debug)]
#[non_exhaustive]
pub enum Happening {
    /// Something is seen of the job.
    Seen(Message),
    /// The console shows something.
    Entry(EntryMessage),
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// The terminal has another size.
    Resized,
    /// It is this late.
    Now(Timestamp),
    /// A part of a rank's own log was read.
    Read(Window),
    /// Nothing more is seen of the job, and why when that is not its end.
    Over(Option<String>),
    /// The view is to end: a signal says so.
    Stop,
}

/// Where what is seen of a job comes from.
pub trait Feed: Send {
    /// Tells everything until the job is over or nobody listens. Called on a thread of its own.
    fn tell(&mut self, to: &SyncSender<Happening>);
}

/// A part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// So many bytes are in the buffer; none at the end.
    Bytes(usize),
    /// Bytes are missing up to there, and why.
    Missing {
        /// The first byte that is there again.
        to: u64,
        /// Why, in words.
        cause: String,
    },
}

/// The files of a job's ranks.
pub trait OwnLogs: Send {
    /// How many bytes of a stream there are by now.
    fn length(&mut self, rank: u32, stream: Stream) -> u64;

    /// Reads from this byte on.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    fn read(&mut self, rank: u32, stream: Stream, from: u64, buffer: &mut [u8])
    -> io::Result<Part>;

    /// The stream that is shown where this one is wanted: where a rank writes both as one, that. Default: the
    /// one that is wanted.
    fn shown(&mut self, _rank: u32, stream: Stream) -> Stream {
        stream
    }
}
