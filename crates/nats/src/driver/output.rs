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

/// Hands on what ranks have written.
pub(super) struct Output {
    shared: Arc<Shared>,
    arrivals: Arc<Arrivals>,
    /// What was stored before this driver's place is not for it: streams begin where they are.
    seen: Option<HashSet<StreamId>>,
}

impl Output {
    pub(super) fn new(shared: &Arc<Shared>, arrivals: &Arc<Arrivals>, from_start: bool) -> Self {
        let seen = (!from_start).then(HashSet::new);
        let (shared, arrivals) = (Arc::clone(shared), Arc::clone(arrivals));
        Self { shared, arrivals, seen }
    }

    /// Until nobody wants more, or the stream is gone.
    pub(super) async fn run(mut self, mut feed: Feed) {
        let arrivals = Arc::clone(&self.arrivals);
        tokio::select! {
            () = arrivals.over() => {}
            () = async {
                while let Some(stored) = feed.next().await {
                    self.take(stored).await;
                }
                arrivals.end();
            } => {}
        }
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
        withheld_before(stream, from)
    }
}

/// Says that a stream is shown from an offset on, unless that is its start.
pub(super) fn withheld_before(stream: StreamId, from: Offset) -> Option<Message> {
    let span = Span::new(Offset::ZERO, from);
    let cause = Cause::Withheld(Withheld::StreamingOff);
    (!span.is_empty()).then_some(Message::Skip { stream, span, cause })
}
