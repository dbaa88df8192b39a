//! Reading what a broker has stored of a job, by somebody who takes no part in it.

mod tail;
mod told;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lastline_line::{Inbox, Listener, Message, Received, Stream, StreamSet};
use lastline_nats::{Broker, NatsError, NatsInbox, Positions};

use self::tail::{Tail, Window};
use self::told::Told;
use super::{ViaError, nats};

/// How many of the last messages are looked at for the last lines; where they hold too few, so many times
/// as many, and so on.
const FIRST_LOOK: u64 = 256;
const LOOK_FURTHER: u64 = 16;

/// What is read of a job that a broker has stored.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Reading {
    /// The streams of ranks. Default: all.
    pub streams: Option<StreamSet>,
    /// The stream. Default: both.
    pub stream: Option<Stream>,
    /// Only so many of the last lines that are stored now. Default: all.
    pub tail: Option<u64>,
    /// Whether to go on until the job is over. Default: no, what is stored now is all.
    pub follow: bool,
}

/// A job as a broker has it, for who takes no part in it: no host and no driver notices. Used with the
/// feature `nats` alone.
#[derive(Clone, Debug)]
pub struct StoredJob {
    broker: Broker,
    world_size: Option<u32>,
}

impl StoredJob {
    /// Finds a job at the broker that a [`Url`](super::Url) names. Must be called on a tokio runtime, where
    /// the connections stay.
    ///
    /// # Errors
    ///
    /// [`ViaError::NoSuchJob`] when the broker knows none of this id; or when the broker cannot be used.
    pub async fn find(url: &str, job: &str) -> Result<Self, ViaError> {
        let broker = match nats::without_making_one(url, job).await {
            Err(NatsError::NoStream { .. }) => {
                return Err(ViaError::NoSuchJob { job: job.to_owned() });
            }
            found => found?,
        };
        let world_size = broker.world_size().await?;
        Ok(Self { broker, world_size })
    }

    /// How many ranks the job has; `None` when no host has come yet, or the broker has forgotten it.
    pub fn world_size(&self) -> Option<u32> {
        self.world_size
    }

    /// Reads it. What the broker does not have is told as lost, where it would stand, unless it is before
    /// the first line of a [`tail`](Reading::tail).
    ///
    /// # Errors
    ///
    /// When the broker cannot be used.
    pub async fn read(&self, reading: Reading) -> Result<StoredInbox, ViaError> {
        let mut asked = lastline_nats::Reading::default();
        let stored = self.broker.last_stored().await?;
        let told = match reading.tail {
            None => Told::from_the_start(reading.streams).of(reading.stream),
            Some(lines) => {
                let tail = self.find_tail(asked, stored, lines, &reading).await?;
                asked.after = tail.after;
                Told::from_places(reading.streams, tail.places).of(reading.stream)
            }
        };
        asked.until = (!reading.follow).then_some(stored);
        Ok(StoredInbox { inbox: self.broker.read(asked).await?, told })
    }

    /// Whether the broker says that it has nothing of the job any more.
    pub async fn is_gone(&self) -> bool {
        self.broker.is_gone().await
    }

    /// Where the last lines are of what is stored.
    async fn find_tail(
        &self,
        mut asked: lastline_nats::Reading,
        stored: Positions,
        lines: u64,
        reading: &Reading,
    ) -> Result<Tail, NatsError> {
        asked.until = Some(stored);
        let mut look = FIRST_LOOK;
        loop {
            asked.after.output = stored.output.saturating_sub(look);
            let tail = self.tail_of(asked, stored, lines, reading).await?;
            if tail.is_whole || asked.after.output == 0 {
                return Ok(tail);
            }
            look = look.saturating_mul(LOOK_FURTHER);
        }
    }

    async fn tail_of(
        &self,
        asked: lastline_nats::Reading,
        stored: Positions,
        lines: u64,
        reading: &Reading,
    ) -> Result<Tail, NatsError> {
        let mut inbox = self.broker.read(asked).await?;
        let (position, mut window) = (inbox.position(), Window::new(lines));
        let told = Told::from_places(reading.streams.clone(), BTreeMap::new());
        let mut told = told.of(reading.stream);
        while let Some(message) = inbox.recv().await {
            told.take(message);
            while let Some(message) = told.next() {
                if let Message::Data(chunk) = message {
                    window.push(&chunk, position.get());
                }
            }
        }
        Ok(window.tail(stored))
    }
}

/// What is read of a job; see [`StoredJob::read`]. It closes when all that was stored has been given out, or
/// with [`follow`](Reading::follow) when the job is over; in either case when the broker has nothing of the
/// job any more. A broker that is away is waited for. Marks of barriers are left out, and controls go
/// nowhere.
#[derive(Debug)]
pub struct StoredInbox {
    inbox: NatsInbox,
    told: Told,
}

impl Inbox for StoredInbox {
    fn next(&mut self, wait: Option<Duration>) -> Received {
        let deadline = wait.map(|wait| Instant::now() + wait);
        loop {
            if let Some(message) = self.told.next() {
                return Received::Message(message);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.inbox.next(left) {
                Received::Message(message) => self.told.take(message),
                Received::Closed if self.told.finish() => {}
                other => return other,
            }
            // What is not wanted may come all the time.
            if left == Some(Duration::ZERO) && self.told.is_empty() {
                return Received::TimedOut;
            }
        }
    }

    fn listen(&mut self, listener: Listener) {
        self.inbox.listen(listener);
    }
}
