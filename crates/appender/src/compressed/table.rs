//! Which frame of a compressed file holds a position: the seek table of zstd's seekable format. Pure.
//!
//! A file is frames, each compressed by itself and holding [`FRAME_BYTES`] of content, the last one
//! maybe fewer, and then the table, which is a frame that zstd skips; integers are little-endian:
//!
//! | bytes | |
//! |---|---|
//! | 4 | `0x184D2A5E`, a frame to be skipped |
//! | 4 | the length of what follows |
//! | 8 for each frame | its length, and the length of its content |
//! | 4 | how many frames |
//! | 1 | what entries have beside that: 0, nothing |
//! | 4 | `0x8F92EAB1` |
//!
//! Source: version 0.1.0 of `contrib/seekable_format/zstd_seekable_compression_format.md` of
//! <https://github.com/facebook/zstd>. The format leaves lengths of contents free; that all are the same
//! here makes a damaged one seen before what is behind it is taken for something else.

/// What each frame holds, but for the last one. It bounds what is decoded to read one byte, and what an
/// open file keeps in memory. Four times as much makes logs of ever new lines no smaller, and those of a few
/// long tracebacks, again and again, less than half as large.
pub(super) const FRAME_BYTES: usize = 256 << 10;
/// What a frame takes at most: what cannot be compressed grows a little.
pub(super) const MAX_PACKED_BYTES: usize = FRAME_BYTES + FRAME_BYTES / 128 + 64;
/// How many frames there may be, as the format's own tools have it. That is 32 TiB.
pub(super) const MAX_FRAMES: usize = 1 << 27;
/// The end of the table, which says how long it is.
pub(super) const FOOTER_BYTES: usize = 9;

const HEADER_BYTES: usize = 8;
const ENTRY_BYTES: usize = 8;
const SKIPPED: u32 = 0x184D_2A5E;
const SEEKABLE: u32 = 0x8F92_EAB1;
/// These bits of the descriptor mean nothing to anybody.
const UNUSED_BITS: u8 = 0b11;

/// What is wrong with a table, in words.
pub(super) type Damage = &'static str;

/// Where the frames of a file are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Where each frame ends in the file.
    ends: Vec<u64>,
    /// What all hold together.
    content_bytes: u64,
}

/// Where the content of a position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) number: usize,
    /// Where it begins in the file, and how long it is there.
    pub(super) start: u64,
    pub(super) packed_bytes: usize,
    /// Where its content begins in that of the file, and how long that is.
    pub(super) content_start: u64,
    pub(super) content_bytes: usize,
}

impl Table {
    /// A frame more, which is the last one unless it holds [`FRAME_BYTES`].
    pub(super) fn push(&mut self, packed_bytes: usize, content_bytes: usize) {
        self.ends.push(self.frames_bytes() + packed_bytes as u64);
        self.content_bytes += content_bytes as u64;
    }

    /// What all frames take.
    fn frames_bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// What all frames hold.
    pub(super) fn content_bytes(&self) -> u64 {
        self.content_bytes
    }

    /// The frame that holds a position; none behind the end.
    pub(super) fn find(&self, position: u64) -> Option<Frame> {
        let number = usize::try_from(position / FRAME_BYTES as u64).ok()?;
        (position < self.content_bytes).then(|| self.frame(number))
    }

    fn frame(&self, number: usize) -> Frame {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let content_start = number as u64 * FRAME_BYTES as u64;
        let content_bytes = (self.content_bytes - content_start).min(FRAME_BYTES as u64);
        Frame {
            number,
            start,
            packed_bytes: (self.ends[number] - start) as usize,
            content_start,
            content_bytes: content_bytes as usize,
        }
    }

    /// The table as a frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = self.ends.len() * ENTRY_BYTES + FOOTER_BYTES;
        let mut out = Vec::with_capacity(HEADER_BYTES + length);
        let mut put = |number: usize| out.extend_from_slice(&(number as u32).to_le_bytes());
        put(SKIPPED as usize);
        put(length);
        for frame in (0..self.ends.len()).map(|number| self.frame(number)) {
            put(frame.packed_bytes);
            put(frame.content_bytes);
        }
        put(self.ends.len());
        out.push(0);
        out.extend_from_slice(&SEEKABLE.to_le_bytes());
        out
    }

    /// How long the table with this end is, in a file of so many bytes.
    pub(super) fn encoded_bytes(
        footer: &[u8; FOOTER_BYTES],
        file_bytes: u64,
    ) -> Result<usize, Damage> {
        if number(&footer[5..]) != SEEKABLE {
            return Err("it has no seek table at its end");
        }
        if footer[4] & !UNUSED_BITS != 0 {
            return Err("its seek table is of another kind");
        }
        let frames = number(footer) as usize;
        let bytes = HEADER_BYTES + frames * ENTRY_BYTES + FOOTER_BYTES;
        let fits = frames <= MAX_FRAMES && bytes as u64 <= file_bytes;
        fits.then_some(bytes).ok_or("its seek table is longer than it is")
    }

    /// Reads the table, which is all of these bytes, of a file of so many.
    pub(super) fn decode(bytes: &[u8], file_bytes: u64) -> Result<Self, Damage> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES).ok_or("its seek table is cut")?;
        if number(header) != SKIPPED || number(&header[4..]) as usize != rest.len() {
            return Err("its seek table has another length");
        }
        let entries = rest.len().checked_sub(FOOTER_BYTES).ok_or("its seek table is cut")?;
        let (entries, _) = rest[..entries].as_chunks::<ENTRY_BYTES>();
        let mut table = Self { ends: Vec::with_capacity(entries.len()), content_bytes: 0 };
        for (entry, left) in entries.iter().zip((0..entries.len()).rev()) {
            let (packed, content) = (number(entry) as usize, number(&entry[4..]) as usize);
            let is_whole = content == FRAME_BYTES || (left == 0 && content < FRAME_BYTES);
            if !is_whole || content == 0 || packed == 0 || packed > MAX_PACKED_BYTES {
                return Err("its seek table has a frame that cannot be");
            }
            table.push(packed, content);
        }
        let is_all = table.frames_bytes() + bytes.len() as u64 == file_bytes;
        is_all.then_some(table).ok_or("its seek table is not of this file")
    }
}

/// The number at the start of these bytes, of which there are at least four.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |number| u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A table of frames of these lengths, of which the last one holds `last`.
    fn table(packed: &[usize], last: usize) -> Table {
        let mut table = Table::default();
        for (at, bytes) in packed.iter().enumerate() {
            let is_last = at + 1 == packed.len();
            table.push(*bytes, if is_last { last } else { FRAME_BYTES });
        }
        table
    }

    fn read(encoded: &[u8], file_bytes: u64) -> Result<Table, Damage> {
        let footer = encoded.last_chunk().ok_or("too short")?;
        let bytes = Table::encoded_bytes(footer, file_bytes)?;
        let from = encoded.len().checked_sub(bytes).ok_or("too short")?;
        Table::decode(&encoded[from..], file_bytes)
    }

    #[test]
    fn a_table_is_what_the_format_says() {
        let encoded = table(&[300, 7], 5).encode();
        let expected = [
            &[0x5E, 0x2A, 0x4D, 0x18, 25, 0, 0, 0][..],
            &[44, 1, 0, 0, 0, 0, 4, 0],
            &[7, 0, 0, 0, 5, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0xB1, 0xEA, 0x92, 0x8F],
        ];
        assert_eq!(encoded, expected.concat());
    }

    #[test]
    fn a_position_is_in_one_frame_and_the_end_in_none() {
        let table = table(&[300, 20, 7], 5);
        let whole = FRAME_BYTES as u64;
        let frame = Frame {
            number: 1,
            start: 300,
            packed_bytes: 20,
            content_start: whole,
            content_bytes: FRAME_BYTES,
        };
        assert_eq!(table.find(whole), Some(frame));
        assert_eq!(table.find(2 * whole - 1), Some(frame));
        let last = table.find(2 * whole + 4).unwrap();
        assert_eq!(
            (last.number, last.start, last.packed_bytes, last.content_bytes),
            (2, 320, 7, 5)
        );
        assert_eq!((table.find(2 * whole + 5), table.find(u64::MAX)), (None, None));
        assert_eq!(Table::default().find(0), None);
    }

    #[test]
    fn what_a_frame_may_take_is_what_it_takes_at_most() {
        assert!(MAX_PACKED_BYTES >= zstd::zstd_safe::compress_bound(FRAME_BYTES) + 8);
    }

    proptest! {
        #[test]
        fn a_table_reads_back_and_a_damaged_one_is_an_error_or_has_the_same_frames(
            packed in proptest::collection::vec(1..MAX_PACKED_BYTES, 0..40),
            last in 1..=FRAME_BYTES,
            at in any::<proptest::sample::Index>(),
            flip in 1_u8..,
            cut in any::<proptest::sample::Index>(),
        ) {
            let table = table(&packed, last);
            let mut encoded = table.encode();
            let file_bytes = (packed.iter().sum::<usize>() + encoded.len()) as u64;
            prop_assert_eq!(read(&encoded, file_bytes), Ok(table.clone()));
            let cut = cut.index(encoded.len());
            let lost = (encoded.len() - cut) as u64;
            prop_assert!(read(&encoded[..cut], file_bytes - lost).is_err());
            let at = at.index(encoded.len());
            encoded[at] ^= flip;
            if let Ok(damaged) = read(&encoded, file_bytes) {
                // Only the length of the last one's content, which its decoding tells.
                prop_assert_eq!(damaged.ends, table.ends);
            }
        }

        #[test]
        fn any_bytes_are_an_error_or_a_table_of_that_file(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            file_bytes in any::<u64>(),
        ) {
            if let Ok(table) = Table::decode(&bytes, file_bytes) {
                prop_assert_eq!(table.frames_bytes() + bytes.len() as u64, file_bytes);
            }
        }
    }
}
