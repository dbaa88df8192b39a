//! All streams of a job, from its index and its files.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use lastline_line::{Launch, Span, Stream, StreamId};

use super::IndexState;
use super::log::Log;
use super::open_files::{OpenFiles, is_too_many};
use crate::layout::{Piece, Place};
use crate::names::{FamilyId, INDEX_NAME, parse};
use crate::reader::read_full;
use crate::record::{HEADER, RECORD_BYTES, Record};
use crate::{Append, AppenderError, Storage, compressed};

/// How much of the index is read at once: whole records.
const READ_BYTES: usize = RECORD_BYTES * 2048;

/// All streams of a job.
#[derive(Default)]
pub(super) struct Catalogue {
    pub(super) logs: BTreeMap<StreamId, Log>,
    pub(super) index_state: IndexState,
    index: Option<Arc<dyn Append>>,
    /// Up to where the index has been read.
    read_bytes: u64,
    /// What the index calls the streams.
    numbers: HashMap<u32, StreamId>,
    /// The streams of each family.
    families: BTreeMap<FamilyId, Vec<StreamId>>,
    /// The number of each family's newest file, whose name does not have it.
    newest: BTreeMap<FamilyId, u32>,
    open: OpenFiles,
}

fn family_of(stream: StreamId) -> FamilyId {
    FamilyId { rank: stream.rank, stream: stream.stream }
}

impl Catalogue {
    /// Takes in what is new: of the index, and where `tails` are wanted of files behind it.
    pub(super) fn refresh(
        &mut self,
        storage: &dyn Storage,
        tails: bool,
    ) -> Result<(), AppenderError> {
        // Files first: what the index then says of them may only be more.
        let mut names = storage.names();
        if names.as_ref().is_err_and(is_too_many) && self.open.close_all() {
            names = storage.names();
        }
        let names = match names {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Vec::new(),
            Err(source) => return Err(AppenderError::List { source }),
        };
        self.read_index(storage).map_err(|source| AppenderError::Index { source })?;
        self.logs.values_mut().for_each(|log| log.tail.clear());
        let mut families: BTreeMap<FamilyId, BTreeSet<Option<u32>>> = BTreeMap::new();
        for (family, number) in names.iter().filter_map(|name| parse(name)) {
            families.entry(family).or_default().insert(number);
        }
        for (family, numbers) in families {
            self.find_newest(family, &numbers);
            if tails {
                let added = self.add_files(storage, family, &numbers);
                added.map_err(|source| AppenderError::List { source })?;
            }
        }
        Ok(())
    }

    /// Reads the records that were not read yet.
    fn read_index(&mut self, storage: &dyn Storage) -> io::Result<()> {
        let is_removed = |file: &Arc<dyn Append>| file.attributes().is_ok_and(|a| a.removed);
        if self.index.as_ref().is_some_and(is_removed) && storage.open(INDEX_NAME).is_ok() {
            // Another one was begun, which says everything again.
            *self = Self::default();
        }
        let index = match &self.index {
            Some(index) => Arc::clone(index),
            None => match storage.open(INDEX_NAME) {
                Ok(index) => Arc::clone(self.index.insert(index)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        if self.read_bytes == 0 {
            let mut header = [0; HEADER.len()];
            let bytes = read_full(&*index, 0, &mut header)?;
            if header != HEADER {
                let torn = HEADER.starts_with(&header[..bytes]);
                self.index_state = if torn { IndexState::Torn } else { IndexState::Foreign };
                return Ok(());
            }
            self.read_bytes = HEADER.len() as u64;
        }
        self.read_records(&*index)
    }

    fn read_records(&mut self, index: &dyn Append) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let bytes = read_full(index, self.read_bytes, &mut buffer)?;
            let (records, rest) = buffer[..bytes].as_chunks::<RECORD_BYTES>();
            for record in records {
                let Some(record) = Record::decode(record) else {
                    self.index_state = IndexState::Torn;
                    return Ok(());
                };
                self.replay(record);
                self.read_bytes += RECORD_BYTES as u64;
            }
            if bytes < buffer.len() {
                let whole = rest.is_empty();
                self.index_state = if whole { IndexState::Whole } else { IndexState::Torn };
                return Ok(());
            }
        }
    }

    fn replay(&mut self, record: Record) {
        let (stream, piece, time) = match record {
            Record::Stream { number, id } => {
                self.numbers.insert(number, id);
                self.log(id);
                return;
            }
            Record::Filed { stream, start, bytes, file, position, time } => {
                let span = Span::new(start, start + u64::from(bytes));
                (stream, Piece { span, place: Place::Filed { file, position } }, time)
            }
            Record::Missing { stream, span, reason, time } => {
                (stream, Piece { span, place: Place::Missing(reason) }, time)
            }
        };
        if let Some(id) = self.numbers.get(&stream) {
            self.log(*id).replay(piece, time);
        }
    }

    /// The log of a stream, new or known.
    fn log(&mut self, id: StreamId) -> &mut Log {
        self.logs.entry(id).or_insert_with(|| {
            self.families.entry(family_of(id)).or_default().push(id);
            Log::default()
        })
    }

    /// The logs of a family.
    fn family(&self, family: FamilyId) -> impl Iterator<Item = (StreamId, &Log)> {
        let streams = self.families.get(&family).into_iter().flatten();
        streams.filter_map(|id| self.logs.get(id).map(|log| (*id, log)))
    }

    /// Which number the newest of a family's files has.
    fn find_newest(&mut self, family: FamilyId, numbers: &BTreeSet<Option<u32>>) {
        let highest = numbers.iter().flatten().max().copied().unwrap_or(0);
        let last = |log: &Log| log.last_file + u32::from(log.is_last_lost);
        let recorded = self.family(family).map(|(_, log)| last(log)).max();
        self.newest.insert(family, recorded.unwrap_or(0).max(highest + 1));
    }

    /// Puts what the files of a family hold behind what the index knows of them.
    fn add_files(
        &mut self,
        storage: &dyn Storage,
        family: FamilyId,
        numbers: &BTreeSet<Option<u32>>,
    ) -> io::Result<()> {
        let owner = self.newest_stream(family);
        let first = self.logs.get(&owner).map_or(0, |log| log.last_file);
        for number in numbers.iter().flatten().filter(|number| **number >= first) {
            self.add_tail(storage, owner, *number)?;
        }
        if let (true, Some(newest)) = (numbers.contains(&None), self.newest.get(&family)) {
            self.add_tail(storage, owner, *newest)?;
        }
        Ok(())
    }

    fn add_tail(&mut self, storage: &dyn Storage, owner: StreamId, number: u32) -> io::Result<()> {
        let handle = match self.file(storage, owner, number) {
            // What cannot be looked at for want of descriptors, or decoded, may hold anything.
            Err(error) if is_too_many(&error) || compressed::is_unreadable(&error) => {
                return Err(error);
            }
            // It is gone by now, or no file of a job.
            Err(_) => return Ok(()),
            Ok(handle) => handle,
        };
        let bytes = handle.attributes().ok().and_then(|attributes| attributes.bytes).unwrap_or(0);
        let known = self.family(family_of(owner)).map(|(_, log)| log.recorded_in(number)).max();
        let known = known.unwrap_or(0);
        if bytes > known {
            self.log(owner).append_tail(number, known, bytes - known);
        }
        Ok(())
    }

    /// The stream that wrote a family's newest file, as far as that is known.
    fn newest_stream(&self, family: FamilyId) -> StreamId {
        let last = |log: &Log| (log.last_file, log.recorded_in(log.last_file));
        let newest = self.family(family).max_by_key(|(_, log)| last(log));
        newest.map(|(id, _)| id).unwrap_or_else(|| {
            let of_rank = |stream| self.family(FamilyId { stream, ..family }).map(|(id, _)| id);
            let known = Stream::ALL.into_iter().flat_map(of_rank).next();
            let launch = known.map_or(Launch(0), |id| id.launch);
            StreamId::new(launch, family.rank, family.stream)
        })
    }

    /// The file of a stream that has this number.
    pub(super) fn file(
        &mut self,
        storage: &dyn Storage,
        stream: StreamId,
        number: u32,
    ) -> io::Result<Arc<dyn Append>> {
        let family = family_of(stream);
        if let Some(handle) = self.open.get(family, number) {
            return Ok(handle);
        }
        let handle = match self.open.open_rotated(storage, &family.rotated_name(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.newest_file(storage, family, number)?
            }
            opened => opened?,
        };
        self.open.put(family, number, Arc::clone(&handle));
        Ok(handle)
    }

    /// Opens the newest file of a family, which should have this number. It may be rotated at
    /// any moment: when the rotated name is there afterwards, that is the file; when it is not,
    /// the newest records say whether it came and went meanwhile.
    fn newest_file(
        &mut self,
        storage: &dyn Storage,
        family: FamilyId,
        number: u32,
    ) -> io::Result<Arc<dyn Append>> {
        if self.newest.get(&family) != Some(&number) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let newest = self.open.open(storage, &family.newest_name())?;
        match self.open.open_rotated(storage, &family.rotated_name(number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.read_index(storage)?;
                Ok(newest)
            }
            opened => opened,
        }
    }
}
