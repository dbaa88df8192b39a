//! What an exporter's thread does.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lastline_jobs::FoundJob;
use lastline_line::{Inbox as _, Message, Offset, Received, StreamId};
use lastline_watch::{ArchiveInbox, Archives, Wanted, WatchError};

use crate::backoff::Backoff;
use crate::destination::{Destination, ExportError};
use crate::exporter::{Say, Shared};
use crate::lines::Lines;
use crate::record::Record;

/// A batch has at most so many records, and so many bytes of text and one record more.
const MAX_BATCH_RECORDS: usize = 1024;
const MAX_BATCH_BYTES: usize = 512 << 10;
/// How long more lines are waited for, until those that are there go.
const LOOK: Duration = Duration::from_millis(200);
/// How long a destination may take for one batch.
const MAX_REQUEST: Duration = Duration::from_secs(10);
/// After how long files are looked at again that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// The longest own pause once the job is over.
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// No time is left.
struct TimeIsOver;

pub(crate) struct Exporting {
    shared: Arc<Shared>,
    destination: Box<dyn Destination>,
    say: Say,
    lines: Lines,
    batch: Vec<Record>,
    /// Bytes of its texts.
    batch_bytes: usize,
    /// Up to where streams were read.
    read_to: BTreeMap<StreamId, Offset>,
    backoff: Backoff,
    /// So many records are not too many for the destination.
    most_records: usize,
    /// Why lines were refused last.
    refusal: Option<String>,
}

impl Exporting {
    pub(crate) fn new(shared: Arc<Shared>, destination: Box<dyn Destination>, say: Say) -> Self {
        let (lines, backoff) = (Lines::default(), Backoff::default());
        let (batch, read_to) = (Vec::new(), BTreeMap::new());
        let most_records = MAX_BATCH_RECORDS;
        Self {
            shared,
            destination,
            say,
            lines,
            batch,
            batch_bytes: 0,
            read_to,
            backoff,
            most_records,
            refusal: None,
        }
    }

    /// Follows the job while it runs, and then reads what is left. What cannot be read while it runs is looked
    /// at again.
    pub(crate) fn run(&mut self, dir: &Path) -> Result<(), WatchError> {
        loop {
            let follow = self.shared.ends_at().is_none();
            let read = match self.open(dir, follow) {
                Ok(mut inbox) => match self.drain(&mut inbox, follow) {
                    Ok(()) => inbox.unreadable().take().map_or(Ok(()), Err),
                    Err(TimeIsOver) => return Ok(()),
                },
                Err(error) => Err(error),
            };
            match read {
                _ if !follow => return read,
                Ok(()) => {}
                Err(error) => {
                    self.in_trouble(&format!("the job's files cannot be read: {error}"));
                }
            }
            if self.shared.ends_at().is_none() {
                self.shared.pause(READ_AGAIN);
            }
        }
    }

    /// What of the job was not read yet.
    fn open(&self, dir: &Path, follow: bool) -> Result<ArchiveInbox, WatchError> {
        let job = FoundJob::open(dir)?;
        let wanted = Wanted { follow, from: self.read_to.clone(), ..Wanted::default() };
        ArchiveInbox::new(Archives::open(&job)?, job, wanted)
    }

    /// Exports what an inbox gives: all of it, or what comes until the job is over.
    fn drain(&mut self, inbox: &mut ArchiveInbox, follow: bool) -> Result<(), TimeIsOver> {
        loop {
            let until = self.shared.ends_at();
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(TimeIsOver);
            }
            if follow && until.is_some() {
                return Ok(());
            }
            match inbox.next(Some(LOOK)) {
                Received::Message(message) => self.take(message)?,
                Received::TimedOut => self.send()?,
                Received::Closed => return self.send(),
            }
        }
    }

    fn take(&mut self, message: Message) -> Result<(), TimeIsOver> {
        let mut records = Vec::new();
        match message {
            Message::Data(chunk) => {
                self.read_to.insert(chunk.stream, chunk.end());
                self.lines.push(&chunk, &mut records);
            }
            Message::End { stream, .. } => self.lines.end(stream, &mut records),
            Message::Skip { stream, span, cause } => {
                self.lines.end(stream, &mut records);
                self.add(records)?;
                // What came before it is told first.
                self.send()?;
                self.read_to.insert(stream, span.to);
                self.shared.lock().progress.miss(stream, span, cause.as_str());
                return Ok(());
            }
            _ => {}
        }
        self.add(records)
    }

    fn add(&mut self, records: Vec<Record>) -> Result<(), TimeIsOver> {
        for record in records {
            self.batch_bytes += record.text.len();
            self.batch.push(record);
            if self.batch.len() >= MAX_BATCH_RECORDS || self.batch_bytes >= MAX_BATCH_BYTES {
                self.send()?;
            }
        }
        Ok(())
    }

    /// Gives the batch to the destination, as often as it takes.
    fn send(&mut self) -> Result<(), TimeIsOver> {
        while !self.batch.is_empty() {
            let until = self.shared.ends_at();
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(TimeIsOver);
            }
            let within = left.map_or(MAX_REQUEST, |left| left.min(MAX_REQUEST));
            let most = self.batch.len().min(self.most_records);
            match self.destination.export(&self.batch[..most], within) {
                Ok(refused) => {
                    self.taken(most);
                    if refused.lines > 0 {
                        self.shared.lock().progress.refuse(refused.lines, refused.why);
                    }
                }
                Err(ExportError::TooLarge { .. }) if most > 1 => self.most_records = most / 2,
                Err(ExportError::TooLarge { why }) => self.refused(1, &why),
                Err(ExportError::Never { taken, refused, why }) => {
                    self.taken(taken);
                    self.refused(refused.max(1), &why);
                }
                Err(ExportError::Later { taken, after, why }) => {
                    self.taken(taken);
                    self.in_trouble(&why);
                    let mut pause = self.backoff.pause(after);
                    if until.is_some() && after.is_none() {
                        pause = pause.min(LAST_PAUSE);
                    }
                    if !self.shared.pause(pause) {
                        return Err(TimeIsOver);
                    }
                }
            }
        }
        self.batch_bytes = 0;
        Ok(())
    }

    /// The first records of the batch were taken.
    fn taken(&mut self, records: usize) {
        let records = records.min(self.batch.len());
        if records == 0 {
            return;
        }
        self.backoff.reset();
        let mut state = self.shared.lock();
        self.batch.drain(..records).for_each(|record| state.progress.take(&record));
        if state.trouble.take().is_some() {
            drop(state);
            (self.say)(&format!("{} takes lines again", self.shared.name));
        }
    }

    /// The first records of the batch are refused for good.
    fn refused(&mut self, records: usize, why: &str) {
        let records = records.min(self.batch.len());
        let mut state = self.shared.lock();
        for record in self.batch.drain(..records) {
            state.progress.miss(record.stream, record.span, why);
        }
        drop(state);
        // Whoever refuses lines refuses many, for one reason.
        if self.refusal.replace(why.to_owned()).as_deref() != Some(why) {
            (self.say)(&format!("{} refuses lines: {why}", self.shared.name));
        }
    }

    /// Says so once, until it takes something again.
    fn in_trouble(&mut self, why: &str) {
        let before = self.shared.lock().trouble.replace(why.to_owned());
        if before.is_none() {
            let name = &self.shared.name;
            (self.say)(&format!(
                "{name} takes nothing: {why}; lines wait in the job's files, and it is tried again"
            ));
        }
    }
}
