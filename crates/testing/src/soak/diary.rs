//! What a rank says that it wrote, where the runner finds it however the rank ended.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use lastline_line::Stream;

/// A rank's file of numbers, each written in place.
#[derive(Debug)]
pub(super) struct Diary(File);

/// What a diary says of one stream, in bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// What it was about to have written.
    pub(super) meant: u64,
    /// What had been written when it said so.
    pub(super) written: u64,
    /// What had been written when the rank itself ended, and others still held the stream.
    pub(super) left: u64,
}

fn path(dir: &Path, rank: u32) -> PathBuf {
    dir.join(format!("diary-{rank}"))
}

const WORDS: u64 = 3;

fn at(stream: Stream, word: u64) -> u64 {
    8 * (word + WORDS * u64::from(stream == Stream::Stderr))
}

impl Diary {
    pub(super) fn open(dir: &Path, rank: u32) -> io::Result<Self> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(path(dir, rank));
        file.map(Self)
    }

    fn put(&self, stream: Stream, word: u64, value: u64) -> io::Result<()> {
        self.0.write_all_at(&value.to_ne_bytes(), at(stream, word))
    }

    pub(super) fn means(&self, stream: Stream, through: u64) -> io::Result<()> {
        self.put(stream, 0, through)
    }

    pub(super) fn wrote(&self, stream: Stream, through: u64) -> io::Result<()> {
        self.put(stream, 1, through)
    }

    pub(super) fn leaves(&self, stream: Stream, through: u64) -> io::Result<()> {
        self.put(stream, 2, through)
    }
}

/// What rank `rank` said; `None` when it never ran.
pub(super) fn read(dir: &Path, rank: u32) -> Option<[Said; 2]> {
    let file = File::open(path(dir, rank)).ok()?;
    let word = |stream, word| {
        let mut bytes = [0; 8];
        // What was not written yet is zero.
        let read = file.read_exact_at(&mut bytes, at(stream, word));
        read.map_or(0, |()| u64::from_ne_bytes(bytes))
    };
    Some(Stream::SEPARATE.map(|stream| Said {
        written: word(stream, 1),
        meant: word(stream, 0),
        left: word(stream, 2),
    }))
}
