//! Doubles of [`Sink`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lastline_line::{Accept, Chunk, Message, Sink};

/// A sink that keeps what it is given, and can be made full. Clones are handles to the same one.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    state: Arc<Mutex<SinkState>>,
}

#[derive(Debug, Default)]
struct SinkState {
    messages: Vec<Message>,
    offers: usize,
    full: bool,
    waiting: Vec<Waker>,
}

impl Recorder {
    /// An empty recorder that takes everything.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, SinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says `Full` to every offer while `full`; who waits is woken when it no longer is.
    pub fn set_full(&self, full: bool) {
        let waiting = {
            let mut state = self.state();
            state.full = full;
            if full { Vec::new() } else { std::mem::take(&mut state.waiting) }
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What it took, in order.
    pub fn messages(&self) -> Vec<Message> {
        self.state().messages.clone()
    }

    /// The chunks it took, in order.
    pub fn chunks(&self) -> Vec<Chunk> {
        let data = |message| match message {
            Message::Data(chunk) => Some(chunk),
            _ => None,
        };
        self.messages().into_iter().filter_map(data).collect()
    }

    /// The bytes it took, joined.
    pub fn bytes(&self) -> Vec<u8> {
        self.chunks().iter().flat_map(|chunk| chunk.bytes.to_vec()).collect()
    }

    /// How often it was offered something, taken or not.
    pub fn offers(&self) -> usize {
        self.state().offers
    }
}

impl Sink for Recorder {
    fn accept(&mut self, message: &Message) -> Accept {
        let mut state = self.state();
        state.offers += 1;
        if state.full {
            return Accept::Full;
        }
        state.messages.push(message.clone());
        Accept::Taken
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.full {
            return Poll::Ready(());
        }
        state.waiting.push(context.waker().clone());
        Poll::Pending
    }
}
