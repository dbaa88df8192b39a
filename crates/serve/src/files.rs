//! The files of a job, wherever its ranks have theirs, for many viewers at once.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lastline_appender::AppenderError;
use lastline_jobs::FoundJob;
use lastline_line::{Offset, ReadBack, ReadOutcome, Span, StreamId};
use lastline_watch::Archives;

/// How often the index of a running job is read again, at most.
const INDEX_AGAIN: Duration = Duration::from_millis(50);
/// How often the sizes of its files are looked at, for what the index does not say yet.
const FILES_AGAIN: Duration = Duration::from_secs(1);

/// The files of one job.
pub(crate) struct JobFiles {
    archives: Archives,
    /// When the index was read, and when files were looked at.
    looked: Mutex<(Instant, Instant)>,
}

impl JobFiles {
    /// Opens what is there. Blocks for the disk.
    pub(crate) fn open(job: &FoundJob) -> Result<Self, AppenderError> {
        let now = Instant::now();
        let archives = Archives::open(job)?;
        Ok(Self { archives, looked: Mutex::new((now, now)) })
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
        if !index && !files {
            return Ok(());
        }
        if files { self.archives.refresh(job) } else { self.archives.refresh_recorded(job) }
    }

    /// All that there is, to be asked.
    pub(crate) fn archives(&self) -> &Archives {
        &self.archives
    }
}

impl ReadBack for JobFiles {
    fn read_back(
        &self,
        stream: StreamId,
        from: Offset,
        buffer: &mut [u8],
    ) -> io::Result<ReadOutcome> {
        self.archives().read_back(stream, from, buffer)
    }

    fn filed(&self, stream: StreamId) -> Offset {
        self.archives().filed(stream)
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
