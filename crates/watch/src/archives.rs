//! The files of a job, wherever its ranks have theirs, as one archive.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use lastline_appender::{AppenderError, Archive, Extent, IndexState};
use lastline_jobs::FoundJob;
use lastline_line::{Gaps, Offset, ReadBack, ReadOutcome, StreamId, Timestamp};

/// The files of a job, wherever its ranks have theirs: one archive for each process that started
/// ranks of it; usually there is one.
#[derive(Debug, Default)]
pub struct Archives(RwLock<Vec<(PathBuf, Arc<Archive>)>>);

impl Archives {
    /// Opens all that there are.
    ///
    /// # Errors
    ///
    /// When a directory or an index cannot be read.
    pub fn open(job: &FoundJob) -> Result<Self, AppenderError> {
        let archives = Self::default();
        archives.add_new(job)?;
        Ok(archives)
    }

    /// Those whose process has come since.
    fn add_new(&self, job: &FoundJob) -> Result<(), AppenderError> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for dir in job.file_dirs() {
            if !known.iter().any(|(known, _)| known == dir) {
                known.push((dir.clone(), Arc::new(Archive::open(dir)?)));
            }
        }
        Ok(())
    }

    /// Looks again at what is there.
    ///
    /// # Errors
    ///
    /// When a directory or an index cannot be read.
    pub fn refresh(&self, job: &FoundJob) -> Result<(), AppenderError> {
        self.add_new(job)?;
        self.all().iter().try_for_each(|archive| archive.refresh())
    }

    /// As [`refresh`](Self::refresh), of what indexes say alone: opens no file of a rank.
    ///
    /// # Errors
    ///
    /// When a directory or an index cannot be read.
    pub fn refresh_recorded(&self, job: &FoundJob) -> Result<(), AppenderError> {
        self.add_new(job)?;
        self.all().iter().try_for_each(|archive| archive.refresh_recorded())
    }

    /// All streams that there are.
    pub fn streams(&self) -> Vec<StreamId> {
        let mut streams: Vec<StreamId> =
            self.all().iter().flat_map(|archive| archive.streams()).collect();
        streams.sort();
        streams
    }

    /// When the byte of a stream at `offset` was read, where that is known.
    pub fn time_of(&self, stream: StreamId, offset: Offset) -> Option<Timestamp> {
        self.of(stream)?.time_of(stream, offset)
    }

    /// Of these, the one that began last: of a rank that was started again, that of its last start.
    pub fn begun_last(&self, streams: impl IntoIterator<Item = StreamId>) -> Option<StreamId> {
        streams.into_iter().max_by_key(|stream| self.time_of(*stream, Offset::ZERO))
    }

    /// Where the first byte of a stream stands that had not arrived before `time`; its end where all
    /// had.
    pub fn arrived_since(&self, stream: StreamId, time: Timestamp) -> Offset {
        self.of(stream).map_or(Offset::ZERO, |archive| archive.arrived_since(stream, time))
    }

    /// What is missing of a stream.
    pub fn gaps(&self, stream: StreamId) -> Gaps {
        self.of(stream).map(|archive| archive.gaps(stream)).unwrap_or_default()
    }

    /// What each stream has after these places, in the order of arrival as far as it is known.
    pub fn extents_after(&self, given: &BTreeMap<StreamId, Offset>) -> Vec<Extent> {
        let all = self.all();
        merge(all.iter().map(|archive| archive.extents_after(given).into()).collect())
    }

    /// How the index is found of files that hold bytes of these streams behind what it knows, the first
    /// such; and whether it knows of any byte there.
    pub fn untimed(&self, is_wanted: impl Fn(StreamId) -> bool) -> Option<(IndexState, bool)> {
        self.all().iter().find_map(|archive| {
            let streams = archive.streams();
            let mut wanted = streams.iter().filter(|stream| is_wanted(**stream));
            let is_untimed =
                wanted.any(|stream| archive.recorded(*stream) < archive.filed(*stream));
            let knows_any = streams.iter().any(|stream| archive.recorded(*stream) > Offset::ZERO);
            is_untimed.then(|| (archive.index_state(), knows_any))
        })
    }

    fn all(&self) -> Vec<Arc<Archive>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(_, archive)| Arc::clone(archive)).collect()
    }

    fn of(&self, stream: StreamId) -> Option<Arc<Archive>> {
        let mut all = self.all();
        match all.len() {
            1 => all.pop(),
            _ => all.into_iter().find(|archive| archive.has(stream)),
        }
    }
}

impl ReadBack for Archives {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        match self.of(stream) {
            Some(archive) => archive.read_back(stream, from, buffer),
            None => Ok(ReadOutcome::NotYet),
        }
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.of(stream).map(|archive| archive.filed(stream)).unwrap_or_default()
    }
}

/// The earliest first; each queue stays in its order, and what has no time is the last of its queue.
fn merge(mut queues: Vec<VecDeque<Extent>>) -> Vec<Extent> {
    let mut merged = Vec::with_capacity(queues.iter().map(VecDeque::len).sum());
    let time = |queue: &VecDeque<Extent>| {
        queue.front().map(|extent| extent.time.unwrap_or(Timestamp(u64::MAX)))
    };
    while let Some((_, at)) =
        queues.iter().zip(0..).filter_map(|(queue, at)| Some((time(queue)?, at))).min()
    {
        merged.extend(queues[at].pop_front());
    }
    merged
}

#[cfg(test)]
mod tests {
    use lastline_line::Span;
    use lastline_testing::stdout;

    use super::*;

    #[test]
    fn the_parts_of_a_job_are_merged_by_time() {
        let extent = |rank, from, time: Option<u64>| Extent {
            stream: stdout(rank),
            span: Span::new(Offset(from), Offset(from + 1)),
            file: 0,
            position: from,
            time: time.map(Timestamp),
        };
        let one = [extent(0, 0, Some(1)), extent(0, 1, Some(5)), extent(0, 2, None)];
        let two = [extent(1, 0, Some(2)), extent(1, 1, Some(4)), extent(1, 2, Some(9))];
        let merged = merge(vec![one.into(), two.into()]);
        let order: Vec<(u32, u64)> =
            merged.iter().map(|extent| (extent.stream.rank, extent.span.from.0)).collect();
        assert_eq!(order, [(0, 0), (1, 0), (1, 1), (0, 1), (1, 2), (0, 2)]);
        assert_eq!(merge(Vec::new()).len(), 0);
    }
}
