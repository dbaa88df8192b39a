//! The files of a job, wherever its ranks have theirs, for many viewers at once.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use lastline_appender::{AppenderError, Archive, Extent};
use lastline_jobs::FoundJob;
use lastline_line::{Offset, ReadBack, ReadOutcome, Span, StreamId, Timestamp};

/// How often the index of a running job is read again, at most.
const INDEX_AGAIN: Duration = Duration::from_millis(50);
/// How often the sizes of its files are looked at, for what the index does not say yet.
const FILES_AGAIN: Duration = Duration::from_secs(1);

/// The files of one job.
pub(crate) struct JobFiles {
    /// One archive for each process that started ranks; usually there is one.
    archives: RwLock<Vec<(PathBuf, Archive)>>,
    /// When the index was read, and when files were looked at.
    looked: Mutex<(Instant, Instant)>,
}

impl JobFiles {
    /// Opens what is there. Blocks for the disk.
    pub(crate) fn open(job: &FoundJob) -> Result<Self, AppenderError> {
        let now = Instant::now();
        let files = Self { archives: RwLock::default(), looked: Mutex::new((now, now)) };
        files.add_new(job)?;
        Ok(files)
    }

    fn add_new(&self, job: &FoundJob) -> Result<(), AppenderError> {
        let is_known =
            |dir: &PathBuf, all: &[(PathBuf, Archive)]| all.iter().any(|(known, _)| known == dir);
        for dir in job.file_dirs() {
            let mut archives = self.archives.write().unwrap_or_else(PoisonError::into_inner);
            if !is_known(dir, &archives) {
                archives.push((dir.clone(), Archive::open(dir)?));
            }
        }
        Ok(())
    }

    /// Takes in what was written since, unless that was done a moment ago. Blocks for the disk.
    pub(crate) fn refresh(&self, job: &FoundJob) -> Result<(), AppenderError> {
        let (index, files) = {
            let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let due = (now - looked.0 >= INDEX_AGAIN, now - looked.1 >= FILES_AGAIN);
            looked.0 = if due.0 { now } else { looked.0 };
            looked.1 = if due.1 { now } else { looked.1 };
            due
        };
        if index || files {
            self.add_new(job)?;
        }
        let archives = self.archives.read().unwrap_or_else(PoisonError::into_inner);
        for (_, archive) in archives.iter() {
            match (files, index) {
                (true, _) => archive.refresh()?,
                (false, true) => archive.refresh_recorded()?,
                (false, false) => {}
            }
        }
        Ok(())
    }

    /// All streams that there are.
    pub(crate) fn streams(&self) -> Vec<StreamId> {
        let archives = self.archives.read().unwrap_or_else(PoisonError::into_inner);
        let all = archives.iter().flat_map(|(_, archive)| archive.streams());
        let mut streams: Vec<StreamId> = all.collect();
        streams.sort();
        streams
    }

    /// What is asked of the archive that has a stream.
    fn of<T>(&self, stream: StreamId, ask: impl FnOnce(&Archive) -> T) -> Option<T> {
        let archives = self.archives.read().unwrap_or_else(PoisonError::into_inner);
        match &archives[..] {
            [(_, one)] => Some(ask(one)),
            all => {
                let found = all.iter().find(|(_, archive)| archive.streams().contains(&stream));
                found.map(|(_, archive)| ask(archive))
            }
        }
    }

    /// All that can be read, in the order of arrival as far as it is known.
    pub(crate) fn extents(&self) -> Vec<Extent> {
        let archives = self.archives.read().unwrap_or_else(PoisonError::into_inner);
        let mut extents: Vec<Extent> =
            archives.iter().flat_map(|(_, archive)| archive.extents()).collect();
        if archives.len() > 1 {
            extents.sort_by_key(|extent| extent.time);
        }
        extents
    }

    /// When a byte arrived, if that is known.
    pub(crate) fn time_of(&self, stream: StreamId, offset: Offset) -> Option<Timestamp> {
        self.of(stream, |archive| archive.time_of(stream, offset)).flatten()
    }

    /// Where what has arrived since then begins.
    pub(crate) fn arrived_since(&self, stream: StreamId, time: Timestamp) -> Offset {
        self.of(stream, |archive| archive.arrived_since(stream, time)).unwrap_or_default()
    }
}

impl ReadBack for JobFiles {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        let read = self.of(stream, |archive| archive.read_back(stream, from, buffer));
        read.unwrap_or(Ok(ReadOutcome::NotYet))
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.of(stream, |archive| archive.filed(stream)).unwrap_or_default()
    }
}

/// A part of a stream, as it was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Bytes.
    Bytes(Offset, Vec<u8>),
    /// What no file has, and why.
    Gone(Span, String),
}

/// All of a span that can be read, in order; what follows where reading stops is not there yet. Blocks
/// for the disk.
pub(crate) fn read_span(
    files: &dyn ReadBack,
    stream: StreamId,
    span: Span,
) -> io::Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = span.from;
    let mut buffer = vec![0; usize::try_from(span.len()).unwrap_or(usize::MAX).min(1 << 20)];
    while at < span.to {
        let room = usize::try_from(span.to - at).unwrap_or(usize::MAX).min(buffer.len());
        match files.read_back(stream, at, &mut buffer[..room])? {
            ReadOutcome::Read(bytes) => {
                match parts.last_mut() {
                    Some(Part::Bytes(_, before)) => before.extend_from_slice(&buffer[..bytes]),
                    _ => parts.push(Part::Bytes(at, buffer[..bytes].to_vec())),
                }
                at += bytes as u64;
            }
            ReadOutcome::Gone { to, cause } if to > at => {
                let to = to.min(span.to);
                parts.push(Part::Gone(Span::new(at, to), cause));
                at = to;
            }
            _ => break,
        }
    }
    Ok(parts)
}
