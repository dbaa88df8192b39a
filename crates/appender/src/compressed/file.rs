//! Reading a compressed file as if it were the plain one.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::table::{Damage, FOOTER_BYTES, FRAME_BYTES, Frame, Table};
use crate::reader::read_full;
use crate::{Append, Attributes, Storage};

/// Opens the compressed file of this name as what the plain one held. Blocks for the disk.
pub(super) fn open_compressed(storage: &dyn Storage, name: &str) -> io::Result<Arc<dyn Append>> {
    let file = storage.open(name)?;
    Ok(Arc::new(CompressedFile::new(name.to_owned(), file)?))
}

/// What a compressed file holds, read by position: the frame of the last one is kept decoded.
pub(super) struct CompressedFile {
    name: String,
    file: Arc<dyn Append>,
    table: Table,
    decoded: Mutex<Decoded>,
}

/// A frame's content.
#[derive(Default)]
struct Decoded {
    /// Which frame's; none before the first one, and after one that could not be decoded.
    frame: Option<usize>,
    content: Vec<u8>,
}

impl CompressedFile {
    /// Reads its table. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// Of kind `InvalidData` when it has none that can be, and `Unsupported` of a storage that does
    /// not know how long files are.
    pub(super) fn new(name: String, file: Arc<dyn Append>) -> io::Result<Self> {
        let bytes = file.attributes()?.bytes;
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        match read_table(&*file, bytes)? {
            Ok(table) => Ok(Self { name, file, table, decoded: Mutex::default() }),
            Err(why) => Err(damaged(&name, why)),
        }
    }

    /// What it holds, in bytes.
    pub(super) fn content_bytes(&self) -> u64 {
        self.table.content_bytes()
    }

    fn decode(&self, frame: &Frame, content: &mut Vec<u8>) -> io::Result<()> {
        let mut packed = vec![0; frame.packed_bytes];
        if read_full(&*self.file, frame.start, &mut packed)? < packed.len() {
            return Err(damaged(&self.name, "it was cut"));
        }
        content.clear();
        content.reserve_exact(FRAME_BYTES);
        let decoded = zstd::bulk::Decompressor::new()?.decompress_to_buffer(&packed, content);
        let bytes = decoded.map_err(|error| damaged(&self.name, error.to_string()))?;
        let is_whole = bytes == frame.content_bytes;
        is_whole.then_some(()).ok_or_else(|| damaged(&self.name, "a frame has another length"))
    }
}

fn read_table(file: &dyn Append, file_bytes: u64) -> io::Result<Result<Table, Damage>> {
    const NONE: Damage = "it has no seek table";
    let mut footer = [0; FOOTER_BYTES];
    let Some(at) = file_bytes.checked_sub(FOOTER_BYTES as u64) else { return Ok(Err(NONE)) };
    if read_full(file, at, &mut footer)? < FOOTER_BYTES {
        return Ok(Err(NONE));
    }
    let bytes = match Table::encoded_bytes(&footer, file_bytes) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Err(why)),
    };
    let mut encoded = vec![0; bytes];
    let read = read_full(file, file_bytes - bytes as u64, &mut encoded)?;
    Ok(Table::decode(&encoded[..read], file_bytes))
}

fn damaged(name: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name} is damaged: {why}"))
}

impl Append for CompressedFile {
    fn append(&self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(frame) = self.table.find(position) else { return Ok(0) };
        let mut decoded = self.decoded.lock().unwrap_or_else(PoisonError::into_inner);
        if decoded.frame != Some(frame.number) {
            decoded.frame = None;
            self.decode(&frame, &mut decoded.content)?;
            decoded.frame = Some(frame.number);
        }
        let there = &decoded.content[(position - frame.content_start) as usize..];
        let bytes = there.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&there[..bytes]);
        Ok(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Those of the compressed file, with the length of what it holds.
    fn attributes(&self) -> io::Result<Attributes> {
        Ok(Attributes { bytes: Some(self.content_bytes()), ..self.file.attributes()? })
    }
}
