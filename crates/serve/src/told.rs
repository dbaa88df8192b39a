//! What a viewer is told as it happens: server-sent events, of which at most one waits.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// How often a viewer is told something, so that both sides know that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What waits for a viewer. Whoever tells it something waits until what was told before is being
/// written: a viewer that takes nothing stops who tells it, and holds no more than one event.
pub(crate) struct Told {
    events: Receiver<Event>,
    /// Its place among those that there may be.
    _place: OwnedSemaphorePermit,
}

/// Who tells a viewer.
#[derive(Clone, Debug)]
pub(crate) struct Teller(Sender<Event>);

impl Teller {
    fn event(name: &'static str, data: &impl Serialize) -> Event {
        let event = Event::default().event(name);
        event.json_data(data).unwrap_or_else(|_| Event::default().event("failed"))
    }

    /// Tells something; false when the viewer is gone. Waits until it has been taken.
    pub(crate) async fn tell(&self, name: &'static str, data: &impl Serialize) -> bool {
        self.0.send(Self::event(name, data)).await.is_ok()
    }

    /// As [`tell`](Self::tell), from a thread that may block.
    pub(crate) fn tell_blocking(&self, name: &'static str, data: &impl Serialize) -> bool {
        self.0.blocking_send(Self::event(name, data)).is_ok()
    }

    /// Whether the viewer is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }

    /// Comes back when the viewer is gone.
    pub(crate) async fn gone(&self) {
        self.0.closed().await;
    }
}

/// A viewer, and who tells it.
pub(crate) fn viewer(place: OwnedSemaphorePermit) -> (Teller, Response) {
    let (teller, events) = channel(1);
    let told = Told { events, _place: place };
    let response = Sse::new(told).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    (Teller(teller), response.into_response())
}

impl Stream for Told {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(cx).map(|event| event.map(Ok))
    }
}
