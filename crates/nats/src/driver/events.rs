//! Events, heartbeats and who takes part: all that must not wait for output.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use bytes::BytesMut;
use futures_util::StreamExt;
use lastline_line::wire::{Frame, decode};
use lastline_line::{HostEvent, HostId, HostMessage, Message};
use tokio::time::Instant;

use super::arrivals::Arrivals;
use super::attendance::Attendance;
use super::feed::{Feed, Stored, is_deleted};
use super::inbox::Asking;
use super::output::withheld_before;
use super::reading::Reading;
use crate::away::{Away, News};
use crate::broker::Shared;
use crate::claim::{Claim, Refusal};
use crate::ended::{self, StoredEnd};
use crate::names::{About, id_at_the_end, parse_id};
use crate::wire::{header, number_in};

/// How often to look for silent hosts, and whether all is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Hands on what is stored beside output.
pub(super) struct Events {
    shared: Arc<Shared>,
    arrivals: Arc<Arrivals>,
    asking: Asking,
    attendance: Attendance,
    /// Frames of hosts that go on in their next message.
    unfinished: HashMap<HostId, BytesMut>,
    /// All that was stored has been seen: ranks that are over may have been started again behind it.
    caught_up: bool,
    /// The job has begun anew: what comes now is of another one.
    begun_anew: bool,
    reading: Reading,
    away: Away,
    started: Instant,
}

impl Events {
    pub(super) fn new(
        shared: &Arc<Shared>,
        arrivals: &Arc<Arrivals>,
        asking: Asking,
        reading: Reading,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            arrivals: Arc::clone(arrivals),
            asking,
            attendance: Attendance::default(),
            unfinished: HashMap::new(),
            caught_up: false,
            begun_anew: false,
            reading,
            away: Away::default(),
            started: Instant::now(),
        }
    }

    /// Until all is over, or nobody wants to know.
    pub(super) async fn run(mut self, mut feed: Feed, mut live: Subscriber) {
        let arrivals = Arc::clone(&self.arrivals);
        let mut output_passed = arrivals.output_passed.subscribe();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.begun_anew || self.is_over(*output_passed.borrow_and_update()) {
                return arrivals.end();
            }
            tokio::select! {
                () = arrivals.over() => return,
                event = feed.next() => match event {
                    Some(event) => self.take(&event),
                    None => return arrivals.end(),
                },
                beat = live.next() => match beat {
                    Some(beat) => self.beat(&beat),
                    None => return arrivals.end(),
                },
                changed = output_passed.changed() => {
                    changed.expect("BUG: arrivals outlive this");
                }
                _ = look.tick() => self.look().await,
            }
        }
    }

    fn is_over(&self, output_passed: u64) -> bool {
        self.over_behind().is_some_and(|last| output_passed >= last)
    }

    /// The sequence of the output that has to be here for all to be over; `None` when it is not.
    fn over_behind(&self) -> Option<u64> {
        match self.reading.until {
            Some(until) => Some(until.output),
            None => {
                let over = self.attendance.over_behind().or_else(|| self.deserted_behind());
                over.filter(|_| self.caught_up)
            }
        }
    }

    /// Who only reads waits for nobody who does not come; a driver decides that by itself.
    fn deserted_behind(&self) -> Option<u64> {
        let after = self.shared.options.lost_after.filter(|_| self.asking.is_nobody_s())?;
        self.attendance.deserted_behind(after, self.started.elapsed())
    }

    fn take(&mut self, stored: &Stored) {
        self.caught_up = stored.pending == 0;
        match self.shared.names.about(&stored.subject) {
            Some(About::Host(host)) => self.take_of_host(host, stored),
            Some(About::Claim(rank)) => match Claim::parse(&stored.payload) {
                Some(claim) => self.claimed(rank, &claim),
                None => tracing::warn!("a claim of rank {rank} that cannot be read"),
            },
            Some(About::Refused) => match serde_json::from_slice::<Refusal>(&stored.payload) {
                Ok(refusal) => self.refused(refusal),
                Err(error) => tracing::warn!("a refusal that cannot be read: {error}"),
            },
            // Whoever was not there before has missed nothing.
            Some(About::Anew) => self.begun_anew = self.attendance.has_heard_any(),
            Some(About::World) | None => {}
        }
        self.arrivals.events_passed.send_replace(stored.sequence);
    }

    fn claimed(&mut self, rank: u32, claim: &Claim) {
        let holder = claim.holder();
        if let Some(lost) = self.attendance.claimed(rank, holder, claim.world_size) {
            let why = format!("it was silent, and {} has taken over rank {rank}", claim.host);
            self.lose(lost, why);
        }
        if let Some(holder) = holder {
            self.heard(holder);
        }
    }

    /// Something was heard of a host. One that is new is told what the others know.
    fn heard(&mut self, host: HostId) {
        if self.attendance.heard(host, self.started.elapsed()) {
            self.asking.greet(host, self.arrivals.mode());
        }
    }

    fn lose(&self, host: HostId, why: String) {
        let event = HostEvent::Lost { why };
        self.arrivals.events.deliver(HostMessage { host, event });
    }

    fn refused(&self, refusal: Refusal) {
        let Refusal { id, host, pid, why } = refusal;
        let why = format!("{host}, process {pid}: {why}");
        match parse_id(&id) {
            Some(host) => {
                let event = HostEvent::Refused { why };
                self.arrivals.events.deliver(HostMessage { host, event });
            }
            None => tracing::warn!("a host without an id was refused: {why}"),
        }
    }

    fn take_of_host(&mut self, host: HostId, stored: &Stored) {
        let headers = stored.headers.as_ref();
        self.heard(host);
        if let Some(last_output) = number_in(headers, header::LEFT) {
            return self.attendance.left(host, last_output);
        }
        if headers.is_some_and(|headers| headers.get(header::ENDED).is_some()) {
            return self.ended(&stored.payload);
        }
        let mut frames = self.unfinished.remove(&host).unwrap_or_default();
        frames.extend_from_slice(&stored.payload);
        if headers.is_some_and(|headers| headers.get(header::MORE).is_some()) {
            self.unfinished.insert(host, frames);
            return;
        }
        loop {
            match decode(&mut frames) {
                Ok(Some(Frame::Message(Message::Host(message)))) => {
                    self.arrivals.events.deliver(message);
                }
                Ok(Some(other)) => tracing::warn!("no event of a host: {other:?}"),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!("events of a host that cannot be read: {error}");
                    return;
                }
            }
        }
    }

    /// Streams whose end is stored: of those that ended before this driver's place nothing comes.
    fn ended(&self, payload: &[u8]) {
        let ends = match ended::decode(payload) {
            Ok(ends) => ends,
            Err(error) => return tracing::warn!("ends of streams that cannot be read: {error}"),
        };
        let before = ends.into_iter().filter(|end| end.sequence <= self.reading.after.output);
        self.arrivals.push_ended(before.flat_map(|StoredEnd { stream, at, .. }| {
            withheld_before(stream, at).into_iter().chain([Message::End { stream, at }])
        }));
    }

    fn beat(&mut self, beat: &async_nats::Message) {
        let mut frame = BytesMut::from(&beat.payload[..]);
        if let Ok(Some(Frame::Message(Message::Heartbeat(heartbeat)))) = decode(&mut frame) {
            if let Some(host) = id_at_the_end(&beat.subject) {
                self.heard(host);
            }
            self.arrivals.beat(heartbeat);
        }
    }

    /// Finds hosts that are silent, and whether the last output has been deleted, so that nobody should
    /// wait for it.
    async fn look(&mut self) {
        let now = self.started.elapsed();
        match self.away.look(self.shared.control.link.borrow().up, now) {
            Some(News::Away) => tracing::warn!("the broker is away; it is waited for"),
            Some(News::Back) => tracing::warn!("the broker is back"),
            None => {}
        }
        if !self.shared.control.link.borrow().up {
            // Whoever else gives up hosts that are silent must not do so either.
            self.arrivals.events.deaf();
            return self.attendance.excuse(now);
        }
        if let Some(after) = self.shared.options.lost_after {
            for host in self.attendance.lose_silent(after, now) {
                self.lose(host, format!("silent for {} s", after.as_secs()));
            }
        }
        if let Some(last) = self.over_behind()
            && *self.arrivals.output_passed.borrow() < last
            && is_deleted(&self.shared, last).await
        {
            self.arrivals.output_passed.send_modify(|passed| *passed = last.max(*passed));
        }
    }
}
