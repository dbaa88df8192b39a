//! Controls from the driver, and what passes beside output.

use std::task::{Context, Poll};

use lastline_line::{Control, HostEvent, HostMessage, Message};

use super::Forwarder;
use crate::transport::Closed;

impl Forwarder {
    pub(crate) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(route) = &mut self.route else {
            return Poll::Ready(());
        };
        match route.poll_ready(context) {
            Poll::Ready(Err(Closed)) => {
                self.lose_route();
                Poll::Ready(())
            }
            ready => ready.map(|_| ()),
        }
    }

    /// The next control, its own part of it done already; `None` when the far side is gone.
    pub(crate) fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Option<Control>> {
        let Some(route) = self.route.as_mut().filter(|_| !self.closed) else {
            return Poll::Pending;
        };
        match route.poll_control(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(Closed)) => {
                self.lose_route();
                Poll::Ready(None)
            }
            Poll::Ready(Ok(control)) => {
                self.handle_control(&control);
                Poll::Ready(Some(control))
            }
        }
    }

    pub(super) fn handle_control(&mut self, control: &Control) {
        match control {
            Control::Acknowledge { stream, through } => {
                if let Some(sent) = self.streams.get_mut(stream) {
                    sent.stored.raise(*through);
                    self.progress += 1;
                }
            }
            Control::SetMode { stream_to_client } => self.set_mode(*stream_to_client),
            // The owner's business.
            _ => {}
        }
    }

    pub(crate) fn set_mode(&mut self, stream_to_client: bool) {
        self.stream_to_client = stream_to_client;
    }

    /// Sends an event, which does not wait behind output; false when nobody can be reached.
    pub(crate) fn send_event(&mut self, event: HostEvent) -> bool {
        let host = self.options.host;
        let message = Message::Host(HostMessage { host, event });
        let route = self.route.as_mut().filter(|_| !self.closed);
        route.is_some_and(|route| route.try_send(message).is_ok())
    }

    /// Sends a heartbeat, when there is room for it at once.
    pub(crate) fn beat(&mut self, message: Message) {
        let Some(route) = self.route.as_mut().filter(|_| !self.closed) else {
            return;
        };
        if route.try_send(message).is_err() {
            tracing::trace!("no room for a heartbeat");
        }
    }
}
