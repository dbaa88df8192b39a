//! Lines and entries for whoever wants them beside the console.
//!
//! A subscriber has a queue bounded in bytes. The client never waits for it: what finds no room is
//! counted, stream by stream, and the sums stand in the queue where the lines would have stood.

mod offered;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use lastline_line::{Entry, Offset, StreamId, Timestamp};

use self::offered::{BlockLines, OneEntry, OneLine};
use crate::entry::OwnedEntry;
use crate::printer::Block;
use crate::queue::{Amount, Item, Queue, Queues};

/// How a subscriber is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscribeOptions {
    /// How many bytes wait for the subscriber; what comes beyond that is left out, and counted. One
    /// item above it passes alone. Default: 1 MiB.
    pub bytes: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { bytes: 1 << 20 }
    }
}

/// A line as its rank printed it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscribedLine {
    /// Whose line.
    pub stream: StreamId,
    /// Where it starts in its stream.
    pub start: Offset,
    /// When its end arrived.
    pub time: Timestamp,
    /// Its bytes, without the newline.
    pub bytes: Bytes,
    /// It goes on with what came before: its start was given already, or before the subscription.
    pub continuation: bool,
    /// No newline follows: the line goes on, or its stream has ended, or bytes after it are missing.
    pub partial: bool,
}

/// What a [`LineStream`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subscribed {
    /// A line.
    Line(SubscribedLine),
    /// Here lines are missing, for which there was no room.
    LeftOut {
        /// Whose lines.
        stream: StreamId,
        /// How many bytes of the stream.
        bytes: u64,
        /// How many lines, or pieces of lines.
        lines: u64,
    },
}

/// What an [`EntryStream`] gives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SubscribedEntry {
    /// A line or a folded entry.
    Entry(OwnedEntry),
    /// Here entries are missing, for which there was no room.
    LeftOut {
        /// Whose lines.
        stream: StreamId,
        /// How many bytes of the stream.
        bytes: u64,
        /// How many lines of the stream.
        lines: u64,
    },
}

impl Item for Subscribed {
    fn left_out(Amount { stream, bytes, lines }: Amount) -> Self {
        Self::LeftOut { stream, bytes, lines }
    }
}

impl Item for SubscribedEntry {
    fn left_out(Amount { stream, bytes, lines }: Amount) -> Self {
        Self::LeftOut { stream, bytes, lines }
    }
}

/// All subscribers of a client.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    lines: Queues<Subscribed>,
    entries: Queues<SubscribedEntry>,
}

impl Subscribers {
    pub(crate) fn lines(&self, options: &SubscribeOptions) -> LineStream {
        LineStream(self.lines.add(options))
    }

    pub(crate) fn entries(&self, options: &SubscribeOptions) -> EntryStream {
        EntryStream(self.entries.add(options))
    }

    pub(crate) fn want_lines(&self) -> bool {
        self.lines.is_wanted()
    }

    pub(crate) fn want_entries(&self) -> bool {
        self.entries.is_wanted()
    }

    pub(crate) fn offer_line(&self, line: &SubscribedLine) {
        self.lines.offer(&mut OneLine { line, given: false });
    }

    pub(crate) fn offer_entry(&self, entry: &Entry<'_>) {
        self.entries.offer(&mut OneEntry { entry, made: None, given: false });
    }

    /// The lines of a block, each an entry.
    pub(crate) fn offer_block(&self, block: &Block<'_>) {
        self.entries.offer(&mut BlockLines { block: *block, rest: block.bytes, next: None });
    }

    /// No entry comes any more.
    pub(crate) fn end_entries(&self) {
        self.entries.end();
    }

    /// Nothing comes any more.
    pub(crate) fn end(&self) {
        self.lines.end();
        self.entries.end();
    }
}

/// Every line that arrives, before the fold; see [`Client::subscribe`](crate::Client::subscribe).
#[derive(Debug)]
pub struct LineStream(Arc<Queue<Subscribed>>);

/// Every entry that is printed; see [`Client::entries`](crate::Client::entries).
#[derive(Debug)]
pub struct EntryStream(Arc<Queue<SubscribedEntry>>);

impl LineStream {
    /// The next line; `None` when no more will come. Cancel-safe.
    pub async fn next(&mut self) -> Option<Subscribed> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }
}

impl EntryStream {
    /// How many entries those were, all together, that were given as left out: an entry of several
    /// streams is left out of each.
    pub fn left_out(&self) -> u64 {
        self.0.told_left_out()
    }

    /// The next entry; `None` when no more will come. Cancel-safe.
    pub async fn next(&mut self) -> Option<SubscribedEntry> {
        std::future::poll_fn(|context| self.0.poll_next(context)).await
    }
}

impl Stream for LineStream {
    type Item = Subscribed;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Subscribed>> {
        self.0.poll_next(context)
    }
}

impl Stream for EntryStream {
    type Item = SubscribedEntry;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<SubscribedEntry>> {
        self.0.poll_next(context)
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        self.0.drop_rest();
    }
}

impl Drop for EntryStream {
    fn drop(&mut self) {
        self.0.drop_rest();
    }
}
