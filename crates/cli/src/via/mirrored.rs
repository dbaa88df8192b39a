//! The way of a host to a driver elsewhere, and to the client here that makes the host's own report.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use lastline_line::{Control, HostEvent, Message, Offset, StreamId};
use lastline_sender::{ChannelTransport, Closed, Reason, Refused, Transport};

/// Why a host was refused, once it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefusedWhy(Arc<Mutex<Option<String>>>);

impl RefusedWhy {
    fn set(&self, why: &str) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert_with(|| why.to_owned());
    }

    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Output goes far, events go both ways. When nobody is met far away any more, output goes nowhere:
/// files have it.
pub(crate) struct Mirrored {
    far: Option<Box<dyn Transport>>,
    near: ChannelTransport,
    refused: RefusedWhy,
    /// Up to where each stream was taken to be sent.
    taken: BTreeMap<StreamId, Offset>,
    /// What nobody far away will acknowledge any more.
    settled: VecDeque<Control>,
}

impl Mirrored {
    pub(crate) fn new(
        far: Box<dyn Transport>,
        near: ChannelTransport,
        refused: RefusedWhy,
    ) -> Self {
        let (taken, settled) = (BTreeMap::new(), VecDeque::new());
        Self { far: Some(far), near, refused, taken, settled }
    }

    /// Nobody is met any more.
    fn lose_far(&mut self) {
        tracing::debug!("no driver is waited for any more; files have what none has seen");
        self.far = None;
        let taken = std::mem::take(&mut self.taken).into_iter();
        let settled = taken.map(|(stream, through)| Control::Acknowledge { stream, through });
        self.settled.extend(settled);
    }

    fn tell_near(&mut self, message: &Message) -> Result<(), Box<Refused>> {
        let Message::Host(said) = message else {
            return Ok(());
        };
        if let HostEvent::Refused { why } = &said.event {
            self.refused.set(why);
        }
        self.near.try_send(message.clone())
    }

    /// What is asked here and is not the driver's far away to decide.
    fn poll_near(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        loop {
            match self.near.poll_control(context) {
                Poll::Ready(Ok(control)) if self.is_for_host(&control) => {
                    return Poll::Ready(Ok(control));
                }
                Poll::Ready(Ok(_)) => {}
                other => return other,
            }
        }
    }

    fn is_for_host(&self, control: &Control) -> bool {
        match control {
            Control::Acknowledge { .. } | Control::SetMode { .. } | Control::Ping { .. } => false,
            // Who is far away has not heard all yet.
            Control::Dismiss => self.far.is_none(),
            _ => true,
        }
    }
}

impl Transport for Mirrored {
    fn try_send(&mut self, message: Message) -> Result<(), Box<Refused>> {
        self.tell_near(&message)?;
        let end = message.settles();
        let Some(far) = &mut self.far else {
            return Ok(());
        };
        match far.try_send(message) {
            Ok(()) => {
                if let Some((stream, end)) = end {
                    let taken = self.taken.entry(stream).or_default();
                    *taken = end.max(*taken);
                }
                Ok(())
            }
            Err(refused) if refused.reason == Reason::Closed => {
                self.lose_far();
                Ok(())
            }
            refused => refused,
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        match self.far.as_mut().map(|far| far.poll_ready(context)) {
            Some(Poll::Ready(Err(Closed))) => {
                self.lose_far();
                Poll::Ready(Ok(()))
            }
            Some(ready) => ready,
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_control(&mut self, context: &mut Context<'_>) -> Poll<Result<Control, Closed>> {
        if let Some(far) = &mut self.far {
            match far.poll_control(context) {
                Poll::Ready(Ok(control)) => return Poll::Ready(Ok(control)),
                Poll::Ready(Err(Closed)) => self.lose_far(),
                Poll::Pending => {}
            }
        }
        match self.settled.pop_front() {
            Some(control) => Poll::Ready(Ok(control)),
            None => self.poll_near(context),
        }
    }

    fn stores_on_send(&self) -> bool {
        self.far.is_none()
    }

    fn unwanted_below(&self, stream: StreamId) -> Offset {
        self.far.as_ref().map_or(Offset(u64::MAX), |far| far.unwanted_below(stream))
    }
}
