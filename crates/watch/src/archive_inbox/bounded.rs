//! A job that runs is given out up to where its console was, and not beyond.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lastline_appender::Extent;
use lastline_line::{Offset, ReadBack as _, StreamId};

use super::{ArchiveInbox, LOOK_AGAIN, Until};
use crate::clock::pause;

/// How long files may take until they have what the console had: usually it is the other way round.
const FILES_PATIENCE: Duration = Duration::from_secs(5);

/// Up to where it is given out now.
#[derive(Debug)]
pub(super) struct Bound {
    until: Until,
    asked: Instant,
}

impl Bound {
    fn of(&self, stream: StreamId) -> Offset {
        self.until.offsets.get(&stream).copied().unwrap_or_default()
    }

    /// As much of an extent as is given out.
    pub(super) fn clip(&self, mut extent: Extent) -> Option<Extent> {
        extent.span.to = extent.span.to.min(self.of(extent.stream));
        (extent.span.from < extent.span.to).then_some(extent)
    }
}

impl ArchiveInbox {
    /// Queues what is to be given out next, when all before it was; false when that has not come
    /// within `wait`.
    pub(super) fn go_on_until(&mut self, wait: Option<Duration>) -> bool {
        let reached = match &self.until {
            Some(bound) => {
                let late = bound.asked.elapsed() >= FILES_PATIENCE;
                late || bound.until.offsets.iter().all(|(id, end)| self.has_reached(*id, *end))
            }
            None => true,
        };
        if reached {
            self.ask_again();
            return true;
        }
        let until_look = LOOK_AGAIN.saturating_sub(self.looked.elapsed());
        pause(wait.map_or(until_look, |wait| wait.min(until_look)));
        if self.looked.elapsed() < LOOK_AGAIN {
            return false;
        }
        self.look_within_bound();
        true
    }

    /// Whether a stream was given out so far, or what is missing of it is in no file.
    fn has_reached(&self, stream: StreamId, end: Offset) -> bool {
        let wanted = (self.wanted.streams)(stream);
        let given = self.given.get(&stream).copied().unwrap_or_default();
        !wanted || given >= end || self.archive.filed(stream) >= end
    }

    fn ask_again(&mut self) {
        if self.until.as_ref().is_some_and(|bound| bound.until.last) {
            (self.wanted.until, self.over) = (None, true);
            return;
        }
        let given: &BTreeMap<StreamId, Offset> = &self.given;
        match self.wanted.until.as_mut().and_then(|asked| asked.ask(given)) {
            Some(until) => {
                self.until = Some(Bound { until, asked: Instant::now() });
                self.look_within_bound();
            }
            // From now on it is a job that is over.
            None => (self.wanted.until, self.until) = (None, None),
        }
    }

    fn look_within_bound(&mut self) {
        let runs = self.job_runs();
        if let Err(error) = self.look(runs, true) {
            self.unreadable.set(error);
            (self.wanted.until, self.over) = (None, true);
        }
    }
}
