//! What a host hears of its drivers and of other hosts, and says beside what it stores.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{HeaderMap, Message as NatsMessage, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::stream::{SelectAll, StreamExt, select_all};
use lastline_line::wire::{Frame, decode, encode_control, encode_message};
use lastline_line::{Control, HostId, Message, StopCause};
use tokio::time::{Instant, MissedTickBehavior};

use super::rows::{Failure, Link};
use crate::away::{Away, News};
use crate::error::NatsError;
use crate::publish::{Row, Unstored, last_message};
use crate::wire::{Wire, header, host_in, number_in};

/// How often it is looked whether the job still has its stream: who has nothing to store would not
/// notice otherwise.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// So many numbers of controls are remembered.
const REMEMBERED: usize = 1024;

/// The subjects that a host listens on, and what it has heard there.
#[derive(Debug)]
pub(super) struct Hearing {
    asked: SelectAll<Subscriber>,
    heard: Heard,
}

/// Which controls have come already.
#[derive(Debug)]
struct Heard {
    host: HostId,
    numbers: VecDeque<u64>,
    /// Another host has failed: that is said once, however many fail.
    failure: bool,
    /// The sequence of the last stop that counts no more: it was there before this host.
    old_stop: u64,
}

impl Heard {
    /// The control in a message, if it is for this host and has not come before.
    fn take(&mut self, headers: Option<&HeaderMap>, payload: &[u8]) -> Option<Control> {
        let from = host_in(headers);
        if from == Some(self.host) {
            return None;
        }
        if let Some(number) = number_in(headers, header::CONTROL) {
            if self.numbers.contains(&number) {
                return None;
            }
            self.numbers.push_back(number);
            if self.numbers.len() > REMEMBERED {
                self.numbers.pop_front();
            }
        }
        match decode(&mut BytesMut::from(payload)) {
            Ok(Some(Frame::Control(control))) => self.judge(from, control),
            other => {
                tracing::warn!("a control that this host does not understand: {other:?}");
                None
            }
        }
    }

    fn judge(&mut self, from: Option<HostId>, control: Control) -> Option<Control> {
        match control {
            // What is stored and when a host may go is between it and the broker.
            Control::Acknowledge { .. } | Control::Dismiss => None,
            // A second stop ends the grace: several hosts that fail are one failure.
            Control::Stop { cause: StopCause::Failure } if from.is_some() => {
                let first = !std::mem::replace(&mut self.failure, true);
                first.then_some(control)
            }
            control => Some(control),
        }
    }
}

impl Hearing {
    /// Listens from now on: what is sent when this has returned is heard.
    pub(super) async fn start(link: &Link) -> Result<Self, NatsError> {
        let shared = &link.publisher.shared;
        let (host, names, wire) = (link.publisher.host, &shared.names, &shared.control);
        let mut asked = Vec::new();
        for subject in [names.ask_all(), names.ask(host), names.stop()] {
            let failed = |why| NatsError::Request { subject: subject.clone(), why };
            let subscribed = wire.client.subscribe(subject.clone()).await;
            asked.push(subscribed.map_err(|error| failed(wire.words_for(&error)))?);
        }
        let failed = |why| NatsError::Request { subject: names.ask_all(), why };
        wire.client.flush().await.map_err(|error| failed(wire.words_for(&error)))?;
        let stop = shared.last_message(&names.stop()).await?;
        let old_stop = stop.map_or(0, |stop| stop.sequence);
        let heard = Heard { host, numbers: VecDeque::new(), failure: false, old_stop };
        Ok(Self { asked: select_all(asked), heard })
    }

    fn take(&mut self, link: &Link, message: NatsMessage) -> Option<NatsMessage> {
        if message.payload.is_empty() {
            // Somebody wants to know whether this host is alive.
            return Some(message);
        }
        if let Some(control) = self.heard.take(message.headers.as_ref(), &message.payload) {
            link.push_control(control);
        }
        None
    }

    /// A stop that came while the connection was broken.
    async fn look_for_stop(&mut self, link: &Link) {
        let shared = &link.publisher.shared;
        let subject = shared.names.stop();
        match last_message(shared, &shared.control, &subject).await {
            Ok(Some(stop)) if stop.sequence > self.heard.old_stop => {
                if let Some(control) = self.heard.take(Some(&stop.headers), &stop.payload) {
                    link.push_control(control);
                }
            }
            Ok(_) => {}
            Err(failure) => {
                tracing::debug!("the broker does not say whether to stop: {}", failure.why)
            }
        }
    }
}

/// Serves a transport until it was dropped, and what it took is stored.
pub(super) async fn attend(link: &Arc<Link>, mut hearing: Hearing) {
    let wire = &link.publisher.shared.control;
    let mut times = wire.link.borrow().times;
    let mut looks = tokio::time::interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut away, began) = (Away::default(), Instant::now());
    loop {
        say(link, wire).await;
        let state = {
            let state = link.lock();
            (state.dropped, state.gone)
        };
        match state {
            (_, true) => return,
            (true, _) => break,
            (false, false) => {}
        }
        tokio::select! {
            asked = hearing.asked.next() => match asked {
                Some(asked) => {
                    if let Some(question) = hearing.take(link, asked) {
                        answer(wire, question).await;
                    }
                }
                None => break,
            },
            () = link.work.notified() => {}
            () = wire.made_again(times) => {
                times = wire.link.borrow().times;
                hearing.look_for_stop(link).await;
            }
            _ = looks.tick() => {
                match away.look(wire.link.borrow().up, began.elapsed()) {
                    Some(News::Away) => tracing::warn!("the broker is away; the ranks go on without it"),
                    Some(News::Back) => tracing::warn!("the broker is back"),
                    None => {}
                }
                if link.publisher.shared.is_surely_gone().await {
                    link.lose(&Unstored::Gone);
                }
            }
        }
    }
    let finished = finish(link);
    let linger = link.publisher.shared.options.linger;
    if tokio::time::timeout(linger, finished).await.is_err() {
        tracing::warn!("the broker did not take the last output within {linger:?}");
        link.give_up();
    }
}

impl Link {
    /// What is not stored now will not be.
    fn give_up(&self) {
        self.lose(&Unstored::Closed);
    }
}

async fn answer(wire: &Wire, question: NatsMessage) {
    if let Some(reply) = question.reply
        && let Err(error) = wire.client.publish(reply, Bytes::new()).await
    {
        tracing::debug!("a question could not be answered: {error}");
    }
}

/// Says what is not stored: heartbeats, and that a rank has failed.
async fn say(link: &Arc<Link>, wire: &Wire) {
    let (beats, failure) = {
        let mut state = link.lock();
        let failure = state.failure == Failure::Untold;
        if failure {
            state.failure = Failure::Telling;
        }
        (std::mem::take(&mut state.beats), failure)
    };
    // One that could not be sent at its time is worth nothing.
    for beat in beats.into_iter().filter(|_| wire.link.borrow().up) {
        let mut frame = BytesMut::new();
        encode_message(&Message::Heartbeat(beat), &mut frame);
        let subject = link.publisher.shared.names.live(link.publisher.host);
        if let Err(error) = wire.client.publish(subject, frame.freeze()).await {
            tracing::debug!("a heartbeat could not be sent: {error}");
        }
    }
    if failure {
        // It may take as long as the broker is away.
        let link = Arc::clone(link);
        link.runtime.clone().spawn(async move {
            tell_failure(&link).await;
            link.lock().failure = Failure::Told;
            link.idle.notify_one();
        });
    }
}

/// Stops the other hosts. It is stored, so that one which is cut off now hears it later.
async fn tell_failure(link: &Link) {
    let mut frame = BytesMut::new();
    encode_control(&Control::Stop { cause: StopCause::Failure }, &mut frame);
    let shared = &link.publisher.shared;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTROL, fastrand::u64(..).to_string());
    let mut row = Row::of_events(shared.names.stop());
    let told = tokio::select! {
        told = link.publisher.store(&shared.control, &mut row, frame.freeze(), headers) => told,
        () = link.lost() => return,
    };
    if let Err(why) = told {
        tracing::warn!("the other hosts could not be told of a failure: {why}");
    }
}

/// Waits until all is stored, and says that the host has left.
async fn finish(link: &Arc<Link>) {
    loop {
        say(link, &link.publisher.shared.control).await;
        let (idle, gone) = {
            let state = link.lock();
            (state.queues.is_idle() && state.failure.is_settled(), state.gone)
        };
        if gone {
            return;
        }
        if idle {
            break;
        }
        link.idle.notified().await;
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::LEFT, link.lock().last_output.to_string());
    let mut row = link.events.lock().await;
    let wire = &link.publisher.shared.control;
    if let Err(why) = link.publisher.store(wire, &mut row, Bytes::new(), headers).await {
        tracing::debug!("it is not stored that the host has left: {why}");
    }
}
