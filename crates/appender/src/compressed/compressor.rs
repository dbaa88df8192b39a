//! The thread that compresses rotated files, beside the writers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::one::compress;
use super::packer::{Packer, Stop};
use crate::files::{Files, Segment};
use crate::form::Form;
use crate::state::AppenderState;
use crate::{Note, Reason};

/// The thread's nice value (`nice(2)`), the lowest priority: what it does can wait for whatever else there is.
const NICE: i32 = 19;
/// After a storage took nothing, the next try is after so many times what the writers wait, 5 s by default:
/// a try writes a whole file, and nobody waits for it.
const LATER: u32 = 50;
/// And after so many times that at most, five minutes by default.
const MOST_LATER: u32 = 60 * LATER;

/// Compresses rotated files, the oldest first, on a thread that starts with the first one.
#[derive(Default)]
pub(crate) struct Compressor {
    state: Mutex<State>,
    changed: Condvar,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    is_running: bool,
    /// It was told of one that cannot be compressed.
    is_noted: bool,
}

impl Compressor {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    /// A file was rotated: it is compressed, where that is wanted. Waits for nothing.
    pub(crate) fn wake(&self, shared: &Arc<AppenderState>) {
        if shared.options.compress.is_none() || self.is_stopped() {
            return;
        }
        let mut state = self.state();
        // A thread that is not to be had now may be at the next file.
        state.is_running = state.is_running || start(shared).is_ok();
        drop(state);
        self.changed.notify_all();
    }

    /// Nothing is compressed from here on; what is being compressed stays plain.
    pub(crate) fn stop(&self) {
        let held = self.state();
        self.is_stopped.store(true, Ordering::Release);
        drop(held);
        self.changed.notify_all();
    }

    /// Waits until the thread has ended, for so long at most.
    pub(crate) fn wait(&self, within: Duration) {
        let runs = |state: &mut State| state.is_running;
        let waited = self.changed.wait_timeout_while(self.state(), within, runs);
        drop(waited);
    }

    /// The next file, when there is one; none once this is stopped.
    fn next(&self, files: &Files) -> Option<Arc<Segment>> {
        let mut state = self.state();
        loop {
            if self.is_stopped() {
                return None;
            }
            // What comes after this look wakes it.
            if let Some(segment) = files.next_plain() {
                return Some(segment);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for so long, unless it is stopped.
    fn pause(&self, time: Duration) {
        let goes_on = |_: &mut State| !self.is_stopped();
        let waited = self.changed.wait_timeout_while(self.state(), time, goes_on);
        drop(waited);
    }

    /// Tells, once, that a file cannot be compressed.
    fn tell(&self, shared: &AppenderState, segment: &Segment, reason: Reason) {
        if !std::mem::replace(&mut self.state().is_noted, true) {
            shared.note([Note::NotCompressed { name: segment.rotated_name(), reason }]);
        }
    }
}

fn start(shared: &Arc<AppenderState>) -> std::io::Result<()> {
    let shared = Arc::clone(shared);
    let thread = Builder::new().name(String::from("lastline-zstd"));
    thread.spawn(move || run(&shared)).map(drop)
}

/// Says that the thread has ended, however it does.
struct Running<'a>(&'a Compressor);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state().is_running = false;
        self.0.changed.notify_all();
    }
}

fn run(shared: &AppenderState) {
    let compressor = &shared.compressor;
    let _running = Running(compressor);
    // On Linux that is of this thread alone; where it may not be, it works as the others do.
    let _is_low = rustix::process::setpriority_process(None, NICE);
    // Without memory for it all stays plain.
    let Ok(mut packer) = Packer::new() else { return };
    let first = (shared.options.retry_after * LATER).max(Duration::from_millis(1));
    let mut later = first;
    while let Some(segment) = compressor.next(&shared.files) {
        match compress(shared, &segment, &mut packer) {
            Ok(()) => later = first,
            Err(Stop::Over) => {}
            Err(Stop::Stays(reason)) => {
                segment.form.change(Form::Plain, Form::Stays);
                if let Some(reason) = reason {
                    compressor.tell(shared, &segment, reason);
                }
            }
            Err(Stop::Later(reason)) => {
                compressor.tell(shared, &segment, reason);
                compressor.pause(later);
                later = (2 * later).min(first * (MOST_LATER / LATER));
            }
        }
    }
}
