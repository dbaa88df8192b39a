//! What is to be sent to one peer.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use lastline_line::wire::{encode_control, encode_credit, encode_job, encode_resume};
use lastline_line::{Control, Offset, Resume, StreamId};
use tokio::sync::Notify;

/// What each peer of an inbox is told first.
#[derive(Clone, Debug, Default)]
pub(super) struct Greeting {
    /// Of which job the inbox is.
    pub(super) job: Option<String>,
    /// From where it is to send.
    pub(super) resume: Option<Resume>,
}

/// One peer of an inbox.
#[derive(Debug)]
pub(super) struct Peer {
    window: u64,
    state: Mutex<PeerState>,
    /// Something is to be sent, or the inbox is gone.
    pub(super) work: Notify,
}

#[derive(Debug, Default)]
struct PeerState {
    /// Its output that nobody has taken yet, in bytes of the window.
    queued: u64,
    /// What it is told first, while it was not.
    greeting: Greeting,
    /// Bytes of the window to be given back.
    owed: u64,
    controls: VecDeque<Control>,
    /// Acknowledgements that were not sent yet; only the last one of a stream matters.
    acknowledged: BTreeMap<StreamId, Offset>,
    /// The streams that came from it.
    streams: HashSet<StreamId>,
}

impl Peer {
    /// A peer that is greeted first, and given its window.
    pub(super) fn new(window: usize, greeting: Greeting) -> Self {
        let window = window.max(1) as u64;
        let state = PeerState { owed: window, greeting, ..PeerState::default() };
        Self { window, state: Mutex::new(state), work: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, PeerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many bytes of `stream` have come; false when the peer had no leave to send them.
    pub(super) fn arrive(&self, stream: StreamId, bytes: usize) -> bool {
        let mut state = self.lock();
        let bytes = bytes as u64;
        if state.queued > 0 && state.queued + bytes > self.window {
            return false;
        }
        state.queued += bytes;
        state.streams.insert(stream);
        true
    }

    /// So many bytes have been taken. They are credited when it is worth a frame.
    pub(super) fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.queued -= bytes as u64;
        state.owed += bytes as u64;
        if state.is_credit_due(self.window) {
            self.work.notify_one();
        }
    }

    pub(super) fn send(&self, control: Control) {
        let mut state = self.lock();
        match control {
            Control::Acknowledge { stream, through } => {
                // Of other peers' streams it knows nothing.
                if !state.streams.contains(&stream) {
                    return;
                }
                let last = state.acknowledged.entry(stream).or_default();
                *last = through.max(*last);
            }
            control => state.controls.push_back(control),
        }
        self.work.notify_one();
    }

    /// Encodes all that is to be sent.
    pub(super) fn encode(&self, out: &mut BytesMut) {
        let mut state = self.lock();
        if let Some(job) = state.greeting.job.take() {
            encode_job(&job, out);
        }
        if let Some(resume) = state.greeting.resume.take() {
            encode_resume(&resume, out);
        }
        if state.is_credit_due(self.window) {
            encode_credit(std::mem::take(&mut state.owed), out);
        }
        for control in state.controls.drain(..) {
            encode_control(&control, out);
        }
        while let Some((stream, through)) = state.acknowledged.pop_first() {
            encode_control(&Control::Acknowledge { stream, through }, out);
        }
    }
}

impl PeerState {
    /// Credits go out in eighths of the window, and all of them when nothing is left to be taken.
    fn is_credit_due(&self, window: u64) -> bool {
        self.owed > 0 && (self.queued == 0 || self.owed >= window / 8)
    }
}
