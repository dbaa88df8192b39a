//! Whose message is next.
//!
//! A stream that is far ahead of others, as the fold says, waits for them: what comes of it is kept
//! back, in its order, and when that becomes much its host is asked to pause it. Nothing is kept for
//! more than half a second or without room, nor when somebody waits for it: what stands before a
//! barrier's mark is given out with the mark. What is kept back is copied, so that it holds no memory that
//! ranks are read into.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use lastline_line::{Control, ControlSender, Fold, Inbox, Message, Received, StreamId};

/// So long a message is kept back at most: as long as an entry waits for more ranks.
const PATIENCE: Duration = Duration::from_millis(500);
/// A chunk is given to a fold in pieces of about this, in bytes: between them another stream may be
/// the one that is behind.
const PIECE_BYTES: usize = 16 << 10;
/// A stream of which so much is kept back pauses, in bytes, until half of it is given out.
const PAUSE_BYTES: usize = 64 << 10;

/// An inbox, and what was received of streams that wait.
pub(crate) struct Turns {
    inbox: Box<dyn Inbox>,
    controls: ControlSender,
    /// In the order in which they came to wait.
    lanes: VecDeque<Lane>,
    /// What all of them hold, in bytes, and how much they may.
    bytes: usize,
    max_bytes: usize,
    patience: Duration,
}

/// What is kept back of a stream, never nothing.
struct Lane {
    stream: StreamId,
    kept: VecDeque<Kept>,
    bytes: usize,
    /// When its host was asked to pause it, if it was.
    paused: Option<Instant>,
    /// So many of them, from the first, are waited for.
    wanted: usize,
}

struct Kept {
    message: Message,
    since: Instant,
}

impl Turns {
    /// Keeps back `max_bytes` at most, and one message more.
    pub(crate) fn new(inbox: Box<dyn Inbox>, max_bytes: usize) -> Self {
        let (controls, lanes) = (inbox.control_sender(), VecDeque::new());
        Self { inbox, controls, lanes, bytes: 0, max_bytes, patience: PATIENCE }
    }

    /// As [`Inbox::next`], but `TimedOut` may come before the time is over. Where no `fold` is given,
    /// nobody waits.
    pub(crate) fn next(&mut self, wait: Option<Duration>, fold: Option<&dyn Fold>) -> Received {
        let patience = match self.lanes.is_empty() {
            true => None,
            false => {
                let now = Instant::now();
                if let Some(message) = self.turn(fold, now) {
                    return Received::Message(message);
                }
                self.lanes.iter().map(|lane| lane.patience(self.patience, now)).min()
            }
        };
        let wait = wait.into_iter().chain(patience).min();
        match (self.inbox.next(wait), fold) {
            (Received::Message(message), Some(fold)) => self.take(message, fold),
            (Received::Closed, _) if !self.lanes.is_empty() => Received::Message(self.give(0)),
            (received, _) => received,
        }
    }

    /// What has just come: it is next, unless its stream waits.
    fn take(&mut self, message: Message, fold: &dyn Fold) -> Received {
        let Some(stream) = message.stream() else {
            return Received::Message(message);
        };
        let lane = match self.lanes.iter_mut().position(|lane| lane.stream == stream) {
            Some(at) => &mut self.lanes[at],
            None if message.payload_bytes() == 0 || fold.is_transparent() => {
                return Received::Message(message);
            }
            None => self.lanes.push_back_mut(Lane::new(stream)),
        };
        if let Message::Flush { .. } = message {
            lane.wanted = lane.kept.len() + 1;
        }
        let (bytes, mut message) = (message.payload_bytes(), message);
        lane.bytes += bytes;
        self.bytes += bytes;
        if let Message::Data(chunk) = &mut message
            && fold.ahead(stream) > 0
        {
            chunk.bytes = Bytes::copy_from_slice(&chunk.bytes);
            if lane.bytes > PAUSE_BYTES {
                lane.pause(&self.controls);
            }
        }
        let now = Instant::now();
        lane.kept.push_back(Kept { message, since: now });
        self.turn(Some(fold), now).map_or(Received::TimedOut, Received::Message)
    }

    /// The next message of those that are kept back, unless all of them are to wait on.
    fn turn(&mut self, fold: Option<&dyn Fold>, now: Instant) -> Option<Message> {
        let lead = |lane: &Lane| match fold {
            Some(fold) if lane.wanted == 0 && !lane.patience(self.patience, now).is_zero() => {
                fold.ahead(lane.stream)
            }
            _ => 0,
        };
        let (at, lead) = self.lanes.iter().map(lead).enumerate().min_by_key(|&(_, lead)| lead)?;
        (lead == 0 || self.bytes > self.max_bytes).then(|| self.give(at))
    }

    /// The first message of a lane, or a piece of it.
    fn give(&mut self, at: usize) -> Message {
        let lane = &mut self.lanes[at];
        let message = lane.pop();
        self.bytes -= message.payload_bytes();
        if lane.bytes <= PAUSE_BYTES / 2 {
            lane.go_on(&self.controls);
        }
        if lane.kept.is_empty() {
            self.lanes.remove(at);
        }
        message
    }
}

impl Lane {
    fn new(stream: StreamId) -> Self {
        Self { stream, kept: VecDeque::new(), bytes: 0, paused: None, wanted: 0 }
    }

    /// Asks for a pause, unless one lasts.
    fn pause(&mut self, controls: &ControlSender) {
        if self.paused.is_none_or(|paused| paused.elapsed() >= PATIENCE) {
            self.paused = Some(Instant::now());
            controls.send(Control::Pause { stream: self.stream, lasts: PATIENCE });
        }
    }

    fn go_on(&mut self, controls: &ControlSender) {
        if self.paused.take().is_some() {
            controls.send(Control::Pause { stream: self.stream, lasts: Duration::ZERO });
        }
    }

    /// How long its first message may still be kept back.
    fn patience(&self, patience: Duration, now: Instant) -> Duration {
        let since = self.kept.front().map(|kept| now.saturating_duration_since(kept.since));
        patience.saturating_sub(since.unwrap_or(patience))
    }

    fn pop(&mut self) -> Message {
        let mut first = self.kept.pop_front().expect("BUG: a lane without messages waits");
        if let Message::Data(chunk) = &mut first.message
            && let Some(rest) = chunk.split_after_line(PIECE_BYTES)
        {
            self.kept.push_front(Kept { message: Message::Data(rest), ..first });
        } else {
            self.wanted = self.wanted.saturating_sub(1);
        }
        self.bytes -= first.message.payload_bytes();
        first.message
    }
}

#[cfg(test)]
mod tests;
