//! Storing what waits: for each subject one task while there is something.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use async_nats::HeaderMap;
use bytes::Bytes;
use lastline_line::{Control, Heartbeat};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use super::queues::{Batch, FRAME_BYTES, LaneKey, Queues};
use crate::ended;
use crate::publish::{Publisher, Row, Unstored};
use crate::wire::header;

/// What a message's headers take, at most, in bytes.
const HEADER_BYTES: usize = 1024;

/// Events that are stored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StoredEvents {
    /// How many.
    pub(super) number: u64,
    /// The sequence of the last one in the stream.
    pub(super) sequence: u64,
}

/// What a transport and its tasks share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) publisher: Publisher,
    pub(super) runtime: Handle,
    /// Where events are stored.
    pub(super) events: tokio::sync::Mutex<Row>,
    state: Mutex<State>,
    stored_events: watch::Sender<StoredEvents>,
    /// Nothing can be stored any more.
    gone: watch::Sender<bool>,
    /// Something is to be done beside storing; or the transport was dropped.
    pub(super) work: Notify,
    /// A subject has nothing more to store.
    pub(super) idle: Notify,
    /// What is gathered to be folded is not to wait any longer.
    pub(super) gathered: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) queues: Queues,
    /// Heartbeats that were not sent yet.
    pub(super) beats: Vec<Heartbeat>,
    /// What the other hosts know of a failure here.
    pub(super) failure: Failure,
    /// What the host was asked, and has not looked at yet.
    pub(super) controls: VecDeque<Control>,
    pub(super) ready: Option<Waker>,
    pub(super) control: Option<Waker>,
    /// The transport was dropped.
    pub(super) dropped: bool,
    /// The far side is gone.
    pub(super) gone: bool,
    /// The sequence of the last output that was stored.
    pub(super) last_output: u64,
}

/// Whether a rank of this host has failed by itself, and who knows. It is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Failure {
    #[default]
    None,
    Untold,
    Telling,
    Told,
}

impl Failure {
    /// Nothing is to be told, or all has been.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Self::None | Self::Told)
    }
}

impl Link {
    /// For a host whose first rank is `first_rank`.
    pub(super) fn new(publisher: Publisher, first_rank: u32) -> Self {
        let folds = publisher.shared.options.fold_after.is_some();
        let queues = if folds { Queues::folded(first_rank) } else { Queues::default() };
        let events = Row::of_events(publisher.shared.names.host(publisher.host));
        Self {
            runtime: Handle::current(),
            events: tokio::sync::Mutex::new(events),
            publisher,
            state: Mutex::new(State { queues, ..State::default() }),
            stored_events: watch::Sender::new(StoredEvents::default()),
            gone: watch::Sender::new(false),
            work: Notify::new(),
            idle: Notify::new(),
            gathered: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands on a control.
    pub(super) fn push_control(&self, control: Control) {
        let waker = {
            let mut state = self.lock();
            state.controls.push_back(control);
            state.control.take()
        };
        wake(waker);
    }

    /// The far side is gone for good.
    pub(super) fn lose(&self, why: &Unstored) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.gone, true) {
            tracing::warn!("nothing more is stored at the broker: {why}");
        }
        state.queues.clear();
        let wakers = [state.ready.take(), state.control.take()];
        drop(state);
        self.gone.send_replace(true);
        self.work.notify_one();
        self.idle.notify_one();
        wakers.into_iter().for_each(wake);
    }

    /// Waits until nothing can be stored any more.
    pub(super) async fn lost(&self) {
        let mut gone = self.gone.subscribe();
        let ended = gone.wait_for(|gone| *gone).await;
        drop(ended);
    }

    /// Waits while output is gathered to be folded. Cancel-safe.
    async fn gather(&self) {
        if let Some(after) = self.publisher.shared.options.fold_after {
            tokio::select! {
                () = tokio::time::sleep(after) => {}
                () = self.gathered.notified() => {}
            }
        }
    }

    /// How many bytes one message may have, without its headers.
    fn message_bytes(&self) -> usize {
        let shared = &self.publisher.shared;
        let server = shared.data.client.max_payload().saturating_sub(HEADER_BYTES);
        shared.options.max_message_bytes.min(server).max(4 * FRAME_BYTES)
    }
}

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// Stores what a lane has until it has nothing.
pub(super) async fn store_lane(link: Arc<Link>, key: LaneKey) {
    let stored = tokio::select! {
        stored = store_all_of(&link, key) => stored,
        () = link.lost() => return,
    };
    if let Err(why) = stored {
        link.lose(&why);
    }
}

async fn store_all_of(link: &Arc<Link>, key: LaneKey) -> Result<(), Unstored> {
    let names = &link.publisher.shared.names;
    let (rank, stream) = key;
    let make = || Row::of_output(names.output(rank, stream), rank);
    let mut row = Some(link.lock().queues.lend_row(key, make));
    loop {
        link.gather().await;
        let limit = link.message_bytes();
        let Some(batch) = link.lock().queues.next_batch(key, &mut row, limit) else {
            link.idle.notify_one();
            return Ok(());
        };
        let row = row.as_mut().expect("BUG: it is given back with the last batch");
        let sequence = store_batch(link, row, &batch).await?;
        let (waker, begin) = {
            let mut state = link.lock();
            let begin = state.queues.stored(&batch, sequence);
            state.last_output = state.last_output.max(sequence);
            (state.ready.take(), begin)
        };
        wake(waker);
        if begin {
            link.runtime.spawn(store_events(Arc::clone(link)));
        }
        for (stream, through) in batch.settled {
            link.push_control(Control::Acknowledge { stream, through });
        }
    }
}

async fn store_batch(link: &Link, row: &mut Row, batch: &Batch) -> Result<u64, Unstored> {
    let mut events = link.stored_events.subscribe();
    let before = events.wait_for(|events| events.number >= batch.events_before).await;
    let after = before.map_err(|_| Unstored::Closed)?.sequence;
    let mut headers = HeaderMap::new();
    headers.insert(header::AFTER, after.to_string());
    let wire = &link.publisher.shared.data;
    link.publisher.store(wire, row, batch.payload.clone(), headers).await
}

/// Stores events, and where ends are stored, until there are none.
pub(super) async fn store_events(link: Arc<Link>) {
    let stored = tokio::select! {
        stored = store_all_events(&link) => stored,
        () = link.lost() => return,
    };
    if let Err(why) = stored {
        link.lose(&why);
    }
}

async fn store_all_events(link: &Link) -> Result<(), Unstored> {
    let mut row = link.events.lock().await;
    loop {
        let limit = link.message_bytes();
        let (events, ends) = {
            let queues = &mut link.lock().queues;
            match queues.next_events(limit) {
                Some(events) => (Some(events), Vec::new()),
                None => (None, queues.next_ends()),
            }
        };
        let Some(batch) = events else {
            if ends.is_empty() {
                link.idle.notify_one();
                return Ok(());
            }
            let mut headers = HeaderMap::new();
            headers.insert(header::ENDED, ends.len().to_string());
            let wire = &link.publisher.shared.control;
            link.publisher.store(wire, &mut row, ended::encode(&ends).into(), headers).await?;
            continue;
        };
        let sequence = store_in_pieces(link, &mut row, batch.payload, limit).await?;
        link.stored_events.send_modify(|stored| {
            *stored = StoredEvents { number: stored.number + batch.events, sequence };
        });
        if batch.has_down {
            // The broker has all that the host said: it may go.
            link.push_control(Control::Dismiss);
        }
    }
}

/// Stores events that may be longer than a message: all but the last piece say that more comes.
async fn store_in_pieces(
    link: &Link,
    row: &mut Row,
    mut payload: Bytes,
    limit: usize,
) -> Result<u64, Unstored> {
    let wire = &link.publisher.shared.control;
    while payload.len() > limit {
        let mut headers = HeaderMap::new();
        headers.insert(header::MORE, "1");
        let piece = payload.split_to(limit);
        link.publisher.store(wire, row, piece, headers).await?;
    }
    link.publisher.store(wire, row, payload, HeaderMap::new()).await
}
