//! Which start of each rank is its last one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use lastline_line::{Launch, Stream, StreamId};

/// One start of a rank.
#[derive(Clone, Copy, Debug)]
struct Start {
    launch: Launch,
    streams: &'static [Stream],
}

impl Start {
    fn ids(self, rank: u32) -> impl Iterator<Item = StreamId> {
        self.streams.iter().map(move |stream| StreamId::new(self.launch, rank, *stream))
    }
}

/// Which start of each rank is its last one, and which streams that writes, as far as somebody tells it,
/// before output of it comes. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Starts(Arc<Mutex<HashMap<u32, Start>>>);

impl Starts {
    /// A rank was started, and writes these streams.
    pub fn begin(&self, rank: u32, launch: Launch, streams: &'static [Stream]) {
        let mut starts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        starts.insert(rank, Start { launch, streams });
    }

    fn of(&self, rank: u32) -> Option<Start> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&rank).copied()
    }

    /// Whether a rank says nothing more, of which `stream` has just ended: it is of its last start, and all of
    /// that have ended.
    pub(crate) fn is_last_word(
        &self,
        stream: StreamId,
        has_ended: impl Fn(&StreamId) -> bool,
    ) -> bool {
        // Nobody tells of its starts: there is one.
        let streams: &[Stream] =
            if stream.stream == Stream::Merged { &[Stream::Merged] } else { &Stream::SEPARATE };
        let untold = Start { launch: stream.launch, streams };
        let start = self.of(stream.rank).unwrap_or(untold);
        start.launch == stream.launch && start.ids(stream.rank).all(|id| has_ended(&id))
    }

    /// Whether a rank says nothing more: all streams of its last start have ended. `None` where nobody tells.
    pub(crate) fn is_over(&self, rank: u32, has_ended: impl Fn(&StreamId) -> bool) -> Option<bool> {
        self.of(rank).map(|start| start.ids(rank).all(|id| has_ended(&id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(launch: u64, stream: Stream) -> StreamId {
        StreamId::new(Launch(launch), 3, stream)
    }

    #[test]
    fn a_rank_has_said_its_last_when_all_streams_of_its_last_start_have_ended() {
        let ended = [id(9, Stream::Stdout), id(9, Stream::Stderr), id(4, Stream::Stdout)];
        let has_ended = |id: &StreamId| ended.contains(id);
        let starts = Starts::default();
        assert!(starts.is_last_word(id(9, Stream::Stderr), has_ended), "nobody tells of others");
        assert!(!starts.is_last_word(id(4, Stream::Stdout), has_ended));
        assert_eq!(starts.is_over(3, has_ended), None);
        starts.begin(3, Launch(9), &Stream::SEPARATE);
        assert_eq!(starts.is_over(3, has_ended), Some(true));
        starts.begin(3, Launch(4), &Stream::SEPARATE);
        assert!(!starts.is_last_word(id(9, Stream::Stderr), has_ended), "it was started again");
        assert_eq!(starts.is_over(3, has_ended), Some(false));
        starts.begin(3, Launch(4), &[Stream::Stdout]);
        assert!(starts.is_last_word(id(4, Stream::Stdout), has_ended), "it has no other stream");
    }
}
