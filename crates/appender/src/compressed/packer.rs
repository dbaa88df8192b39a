//! Compressing what a file holds, frame by frame.

use std::io;

use super::table::{FRAME_BYTES, MAX_FRAMES, MAX_PACKED_BYTES, Table};
use crate::reader::read_full;
use crate::{Append, Reason};

/// zstd's own default: several times as fast as disks write, and what a higher one gains on logs is little.
const LEVEL: i32 = 3;

/// Why a file is not compressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is not wanted any more.
    Over,
    /// It stays plain for good; told where there is a reason that somebody should know.
    Stays(Option<Reason>),
    /// The storage takes nothing now.
    Later(Reason),
}

impl Stop {
    fn stays(error: &io::Error) -> Self {
        Self::Stays(Some(Reason::from(error)))
    }

    pub(super) fn later(error: &io::Error) -> Self {
        Self::Later(Reason::from(error))
    }
}

/// Compresses files, one after the other.
pub(super) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    content: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        // A frame that is damaged on a disk is no other content.
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true))?;
        let packed = Vec::with_capacity(MAX_PACKED_BYTES);
        Ok(Self { compressor, content: vec![0; FRAME_BYTES], packed })
    }

    /// Puts the first `bytes` bytes of `plain` at the end of `into`, compressed, and the table. Each write is
    /// asked for before, with its length. Blocks for the disk.
    pub(super) fn pack(
        &mut self,
        plain: &dyn Append,
        bytes: u64,
        into: &dyn Append,
        mut may_write: impl FnMut(u64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (mut table, mut at) = (Table::default(), 0);
        if bytes.div_ceil(FRAME_BYTES as u64) > MAX_FRAMES as u64 {
            return Err(Stop::Stays(None));
        }
        while at < bytes {
            let most = usize::try_from(bytes - at).unwrap_or(FRAME_BYTES).min(FRAME_BYTES);
            let content = &mut self.content[..most];
            let read = read_full(plain, at, content).map_err(|error| Stop::stays(&error))?;
            if read < most {
                // Somebody has cut it.
                return Err(Stop::Stays(None));
            }
            self.packed.clear();
            let packed = self.compressor.compress_to_buffer(content, &mut self.packed);
            let packed = packed.map_err(|error| Stop::stays(&error))?;
            may_write(packed as u64)?;
            write_all(into, &self.packed)?;
            table.push(packed, most);
            at += most as u64;
        }
        let table = table.encode();
        may_write(table.len() as u64)?;
        write_all(into, &table)
    }
}

fn write_all(into: &dyn Append, mut bytes: &[u8]) -> Result<(), Stop> {
    while !bytes.is_empty() {
        match into.append(bytes) {
            Ok(0) => return Err(Stop::later(&io::ErrorKind::WriteZero.into())),
            Ok(taken) => bytes = &bytes[taken..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Stop::later(&error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::{DirStorage, Storage, compressed};

    const NAME: &str = "rank-0.stdout.0001.log";

    /// Lines that compress well, or bytes that do not.
    fn content(bytes: usize, seed: u64) -> Vec<u8> {
        if seed.is_multiple_of(3) {
            let mut state = seed | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            };
            return (0..bytes).map(|_| next()).collect();
        }
        let lines =
            (0..).map(|line| format!("rank {seed} step {line} loss {}\n", line * 7919 % 1000));
        lines.flat_map(String::into_bytes).take(bytes).collect()
    }

    /// A place for files.
    struct Place(TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn storage(&self) -> DirStorage {
            DirStorage::new(self.0.path()).unwrap()
        }

        /// Puts this content there, compressed; the compressed bytes.
        fn pack(&self, content: &[u8]) -> Vec<u8> {
            let path = self.0.path();
            fs::write(path.join("plain"), content).unwrap();
            let storage = self.storage();
            let (plain, name) = (storage.open("plain").unwrap(), format!("{NAME}.zst"));
            let into = storage.create(&name).unwrap();
            let mut asked = 0;
            let may = |bytes| {
                asked += bytes;
                Ok(())
            };
            Packer::new().unwrap().pack(&*plain, content.len() as u64, &*into, may).unwrap();
            let packed = fs::read(path.join(name)).unwrap();
            assert_eq!(asked, packed.len() as u64);
            packed
        }

        /// Opens what these bytes hold.
        fn open(&self, packed: &[u8]) -> io::Result<Arc<dyn Append>> {
            fs::write(self.0.path().join(format!("{NAME}.zst")), packed).unwrap();
            compressed::open(&self.storage(), NAME)
        }
    }

    fn read_all(file: &dyn Append) -> io::Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 100_000]);
        loop {
            match file.read_at(all.len() as u64, &mut buffer)? {
                0 => return Ok(all),
                bytes => all.extend_from_slice(&buffer[..bytes]),
            }
        }
    }

    #[test]
    fn what_does_not_fill_frames_and_what_does_reads_back() {
        for bytes in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES] {
            for seed in [1, 3] {
                let content = content(bytes, seed);
                let place = Place::new();
                let packed = place.pack(&content);
                let file = place.open(&packed).unwrap();
                assert!(read_all(&*file).unwrap() == content, "{bytes} {seed}");
                assert_eq!(file.attributes().unwrap().bytes, Some(bytes as u64));
                // Any zstd reads it, and skips the table.
                assert!(
                    zstd::stream::decode_all(&packed[..]).unwrap() == content,
                    "{bytes} {seed}"
                );
            }
        }
    }

    #[test]
    fn one_that_was_cut_stays_plain_and_one_that_must_not_be_written_is_not() {
        let place = Place::new();
        let storage = place.storage();
        let (plain, into) = (storage.create("plain").unwrap(), storage.create("into").unwrap());
        plain.append(b"0123456789").unwrap();
        let mut packer = Packer::new().unwrap();
        assert_eq!(packer.pack(&*plain, 11, &*into, |_| Ok(())), Err(Stop::Stays(None)));
        assert_eq!(packer.pack(&*plain, 10, &*into, |_| Err(Stop::Over)), Err(Stop::Over));
        assert_eq!(into.attributes().unwrap().bytes, Some(0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn any_part_reads_as_it_was(
            bytes in 0..3 * FRAME_BYTES,
            seed in 0_u64..100,
            reads in proptest::collection::vec((any::<proptest::sample::Index>(), 1_usize..400_000), 1..20),
        ) {
            let content = content(bytes, seed);
            let place = Place::new();
            let packed = place.pack(&content);
            let file = place.open(&packed).unwrap();
            for (at, most) in reads {
                let (at, mut buffer) = (at.index(bytes + 1), vec![0; most]);
                let read = file.read_at(at as u64, &mut buffer).unwrap();
                prop_assert_eq!(read == 0, at == bytes);
                prop_assert!(buffer[..read] == content[at..at + read]);
            }
        }

        /// A byte that is another, and bytes that are not there: what is read is an error, or what it was.
        #[test]
        fn a_damaged_file_is_an_error_and_no_other_bytes(
            bytes in 1..3 * FRAME_BYTES,
            seed in 0_u64..100,
            at in any::<proptest::sample::Index>(),
            flip in 1_u8..,
            reads in proptest::collection::vec(any::<proptest::sample::Index>(), 1..6),
        ) {
            let content = content(bytes, seed);
            let place = Place::new();
            let mut packed = place.pack(&content);
            let at = at.index(packed.len());
            let cut = place.open(&packed[..at]).map(drop).unwrap_err();
            prop_assert!(compressed::is_unreadable(&cut), "{}", cut);
            packed[at] ^= flip;
            let Ok(file) = place.open(&packed) else { return Ok(()) };
            for from in reads {
                let (from, mut buffer) = (from.index(bytes), [0; 1000]);
                match file.read_at(from as u64, &mut buffer) {
                    Ok(read) => prop_assert!(buffer[..read] == content[from..from + read]),
                    Err(error) => prop_assert!(compressed::is_unreadable(&error), "{}", error),
                }
            }
        }

        #[test]
        fn any_bytes_are_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Place::new().open(&bytes).is_err());
        }
    }
}
