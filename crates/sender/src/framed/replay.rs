//! What has been given to drivers of each stream, and what one that comes later is still owed. Pure.

use std::collections::{BTreeMap, VecDeque};

use lastline_line::{
    Cause, Chunk, HostEvent, Message, Offset, Resume, Span, StreamId, Timestamp, Withheld,
};

use crate::forwarder::Fetched;

/// How far one stream has come.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Up to here it was taken, for whichever driver there was.
    taken: Offset,
    /// Its end was taken, too.
    ended: Option<Offset>,
    /// What the driver that is there now does not want.
    unwanted: Offset,
}

/// How far all streams have come.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<StreamId, Place>);

impl Places {
    /// A host says something: the streams of a rank that has started are known from then on.
    pub(super) fn heard(&mut self, event: &HostEvent) {
        if let HostEvent::Started { rank, launch, capture, .. } = event {
            for stream in capture.streams() {
                self.0.entry(StreamId::new(*launch, *rank, *stream)).or_default();
            }
        }
    }

    /// A message was taken to be sent. What is to be sent of it: nothing of what is not wanted.
    pub(super) fn take(&mut self, message: Message) -> Option<Message> {
        let place = self.0.entry(message.stream()?).or_default();
        match message {
            Message::Data(chunk) => {
                place.taken = place.taken.max(chunk.end());
                chunk.trim_before(place.unwanted).map(Message::Data)
            }
            Message::Skip { stream, span, cause } => {
                place.taken = place.taken.max(span.to);
                let span = Span::new(span.from.max(place.unwanted), span.to);
                (!span.is_empty()).then_some(Message::Skip { stream, span, cause })
            }
            Message::End { stream, at } => {
                place.ended = Some(at);
                Some(Message::End { stream, at })
            }
            message => Some(message),
        }
    }

    /// Below here the driver does not want `stream`.
    pub(super) fn unwanted(&self, stream: StreamId) -> Offset {
        self.0.get(&stream).map(|place| place.unwanted).unwrap_or_default()
    }

    /// A driver has come that wants output from there on. What it is owed of what was taken before;
    /// `filed` says up to where there is more in files.
    pub(super) fn resume(&mut self, resume: &Resume, filed: impl Fn(StreamId) -> Offset) -> Replay {
        let mut replay = Replay::default();
        for (&stream, place) in &mut self.0 {
            place.unwanted = resume.of(stream, place.taken.max(filed(stream)));
            let cause = Cause::Withheld(Withheld::StreamingOff);
            let span = Span::new(Offset::ZERO, place.unwanted);
            if !span.is_empty() {
                replay.ready.push_back(Message::Skip { stream, span, cause });
            }
            let span = Span::new(place.unwanted, place.taken);
            let end = place.ended.map(|at| Message::End { stream, at });
            if span.is_empty() {
                replay.ready.extend(end);
            } else {
                replay.lanes.push_back(Lane { stream, span, end });
            }
        }
        replay
    }
}

/// What is read again of a stream.
#[derive(Debug)]
struct Lane {
    stream: StreamId,
    span: Span,
    /// What follows.
    end: Option<Message>,
}

/// What is owed to a driver of what was sent before it came. Streams take turns, a piece each.
#[derive(Debug, Default)]
pub(super) struct Replay {
    lanes: VecDeque<Lane>,
    ready: VecDeque<Message>,
}

impl Replay {
    /// All of it was given.
    pub(super) fn is_over(&self) -> bool {
        self.ready.is_empty() && self.lanes.is_empty()
    }

    /// The next message.
    pub(super) fn pop(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    /// What is to be read next.
    pub(super) fn wanted(&self) -> Option<(StreamId, Span)> {
        self.lanes.front().map(|lane| (lane.stream, lane.span))
    }

    /// What was [`wanted`](Self::wanted) has been read, at `time`; `None` when no file has it yet.
    pub(super) fn read(&mut self, fetched: Option<Fetched>, time: Timestamp) {
        let Some(mut lane) = self.lanes.pop_front() else {
            return;
        };
        let Lane { stream, span, .. } = lane;
        let next = match fetched {
            None => span.from,
            Some(Ok(bytes)) => {
                let chunk = Chunk::new(stream, span.from, time, bytes.into());
                let end = chunk.end();
                self.ready.push_back(Message::Data(chunk));
                end
            }
            Some(Err((to, cause))) => {
                let (gone, cause) = (Span::new(span.from, to.min(span.to)), Cause::lost(cause));
                self.ready.push_back(Message::Skip { stream, span: gone, cause });
                gone.to
            }
        };
        lane.span = Span::new(next, span.to);
        if lane.span.is_empty() {
            self.ready.extend(lane.end);
        } else {
            self.lanes.push_back(lane);
        }
    }
}

#[cfg(test)]
mod tests;
