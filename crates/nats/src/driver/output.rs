//! Output, as fast as it is taken.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use lastline_line::wire::{Frame, decode};
use lastline_line::{Cause, Message, Offset, Span, StreamId, Withheld};

use super::arrivals::Arrivals;
use super::feed::{Feed, Stored, is_deleted};
use crate::broker::Shared;
use crate::wire::{header, number_in};

/// How often to look whether an event that is waited for was deleted.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after the word of it a stream's end may still be on its way.
const END_COMES_WITHIN: Duration = Duration::from_millis(250);

/// Hands on what ranks have written.
pub(super) struct Output {
    shared: Arc<Shared>,
    arrivals: Arc<Arrivals>,
    /// What was stored before this driver's place is not for it: streams begin where they are.
    seen: Option<HashSet<StreamId>>,
    /// How many streams had ended before it at the last look, and were not told of.
    known_to_have_ended: usize,
}

impl Output {
    pub(super) fn new(shared: &Arc<Shared>, arrivals: &Arc<Arrivals>, from_start: bool) -> Self {
        let seen = (!from_start).then(HashSet::new);
        let (shared, arrivals) = (Arc::clone(shared), Arc::clone(arrivals));
        Self { shared, arrivals, seen, known_to_have_ended: 0 }
    }

    /// Until nobody wants more, or the stream is gone.
    pub(super) async fn run(mut self, mut feed: Feed) {
        let arrivals = Arc::clone(&self.arrivals);
        tokio::select! {
            () = arrivals.over() => {}
            () = async {
                self.take_all(&mut feed).await;
                arrivals.end();
            } => {}
        }
    }

    async fn take_all(&mut self, feed: &mut Feed) {
        let mut look = tokio::time::interval(END_COMES_WITHIN);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        look.reset();
        loop {
            tokio::select! {
                stored = feed.next() => match stored {
                    Some(stored) => self.take(stored).await,
                    None => return,
                },
                _ = look.tick() => self.end_what_had_ended().await,
            }
        }
    }

    /// Ends streams that had ended before this driver's place, and of which nothing has come since the
    /// last look.
    async fn end_what_had_ended(&mut self) {
        let known = std::mem::take(&mut self.known_to_have_ended);
        let ended = self.arrivals.take_ended_before(known);
        self.known_to_have_ended = self.arrivals.count_ended_before();
        if ended.is_empty() {
            return;
        }
        let mut messages = Vec::new();
        for (stream, at) in ended {
            let end = Message::End { stream, at };
            if self.seen.as_ref().is_some_and(|seen| !seen.contains(&stream)) {
                self.add(end, &mut messages);
            }
        }
        let passed = *self.arrivals.output_passed.borrow();
        self.arrivals.push(messages, passed).await;
    }

    async fn take(&mut self, stored: Stored) {
        if let Some(event) = number_in(stored.headers.as_ref(), header::AFTER) {
            self.wait_for_event(event).await;
        }
        let mut messages = Vec::new();
        let mut frames = BytesMut::from(stored.payload);
        loop {
            match decode(&mut frames) {
                Ok(Some(Frame::Message(message))) => self.add(message, &mut messages),
                Ok(Some(Frame::Folded(chunks))) => {
                    let said = chunks.into_iter().map(Message::Data);
                    said.for_each(|message| self.add(message, &mut messages));
                }
                Ok(Some(other)) => tracing::warn!("no output: {other:?}"),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!("output on {} that cannot be read: {error}", stored.subject);
                    break;
                }
            }
        }
        self.arrivals.push(messages, stored.sequence).await;
    }

    fn add(&mut self, message: Message, messages: &mut Vec<Message>) {
        messages.extend(self.skip_before(&message));
        messages.push(message);
    }

    /// Events that the host had said before it sent this come before it.
    async fn wait_for_event(&self, sequence: u64) {
        let mut passed = self.arrivals.events_passed.subscribe();
        loop {
            let waited = passed.wait_for(|passed| *passed >= sequence);
            let has_passed = tokio::time::timeout(LOOK_EVERY, waited).await.is_ok();
            if has_passed || is_deleted(&self.shared, sequence).await {
                return;
            }
        }
    }

    /// What a stream had written before this driver's place.
    fn skip_before(&mut self, message: &Message) -> Option<Message> {
        let seen = self.seen.as_mut()?;
        let stream = message.stream()?;
        if !seen.insert(stream) {
            return None;
        }
        let from = match message {
            Message::Data(chunk) => chunk.start,
            Message::Flush { mark, .. } => *mark,
            Message::End { at, .. } => *at,
            Message::Skip { span, .. } => span.from,
            _ => return None,
        };
        let span = Span::new(Offset::ZERO, from);
        let cause = Cause::Withheld(Withheld::StreamingOff);
        (!span.is_empty()).then_some(Message::Skip { stream, span, cause })
    }
}
