//! What stands in the index.
//!
//! A header of 16 bytes, then records of 40 bytes, integers little-endian:
//!
//! | bytes | a stream | bytes that were filed | bytes that are missing |
//! |---|---|---|---|
//! | 0 | 1 | 2 | 3 |
//! | 1 | 1 stdout, 2 stderr | 0 | 0 |
//! | 2..4 | check | check | check |
//! | 4..8 | its number in this index | stream | stream |
//! | 8..16 | launch | offset of the first byte | offset of the first byte |
//! | 16..24 | 0 | when it was read, in µs | when it was read, in µs |
//! | 24..32 | 0 | position in the file | length |
//! | 32..36 | rank | length | 0 |
//! | 36..40 | 0 | number of the file | reason |

use lastline_line::{Launch, Offset, Span, Stream, StreamId, Timestamp};

use crate::Reason;

/// What the index begins with: its name and, in the last byte, its version.
pub(crate) const HEADER: [u8; 16] = *b"lastline-index\0\x01";

/// How long each record is.
pub(crate) const RECORD_BYTES: usize = 40;

/// The most that one record of filed bytes covers.
pub(crate) const MAX_EXTENT_BYTES: u64 = 1 << 31;

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Gives a stream the number that the records after it call it by.
    Stream { number: u32, id: StreamId },
    /// Bytes that were filed.
    Filed { stream: u32, start: Offset, bytes: u32, file: u32, position: u64, time: Timestamp },
    /// Bytes that are missing.
    Missing { stream: u32, span: Span, reason: Reason, time: Timestamp },
}

impl Record {
    /// The record as bytes.
    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let (kind, detail, fields) = match *self {
            Self::Stream { number, id } => {
                let detail = id.stream as u8 + 1;
                (1, detail, (number, id.launch.0, 0, 0, id.rank, 0))
            }
            Self::Filed { stream, start, bytes, file, position, time } => {
                (2, 0, (stream, start.0, time.0, position, bytes, file))
            }
            Self::Missing { stream, span, reason, time } => {
                (3, 0, (stream, span.from.0, time.0, span.len(), 0, reason.code()))
            }
        };
        let (number, first, second, third, fourth, fifth) = fields;
        let mut out = [0; RECORD_BYTES];
        out[0] = kind;
        out[1] = detail;
        out[4..8].copy_from_slice(&u32::to_le_bytes(number));
        out[8..16].copy_from_slice(&u64::to_le_bytes(first));
        out[16..24].copy_from_slice(&u64::to_le_bytes(second));
        out[24..32].copy_from_slice(&u64::to_le_bytes(third));
        out[32..36].copy_from_slice(&u32::to_le_bytes(fourth));
        out[36..40].copy_from_slice(&u32::to_le_bytes(fifth));
        let check = check(&out);
        out[2..4].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// The record of these bytes; `None` when they are none, whole and of a known kind.
    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let mut plain = *bytes;
        plain[2..4].fill(0);
        if check(&plain).to_le_bytes() != bytes[2..4] {
            return None;
        }
        let narrow = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("BUG"));
        let wide = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().expect("BUG"));
        let (number, start, time) = (narrow(4), Offset(wide(8)), Timestamp(wide(16)));
        match (bytes[0], bytes[1]) {
            (1, which @ 1..=3) => {
                let stream = Stream::ALL[usize::from(which) - 1];
                Some(Self::Stream {
                    number,
                    id: StreamId::new(Launch(wide(8)), narrow(32), stream),
                })
            }
            (2, _) => Some(Self::Filed {
                stream: number,
                start,
                bytes: narrow(32),
                file: narrow(36),
                position: wide(24),
                time,
            }),
            (3, _) => {
                let span = Span::new(start, Offset(start.0.checked_add(wide(24))?));
                let reason = Reason::from_code(narrow(36));
                Some(Self::Missing { stream: number, span, reason, time })
            }
            _ => None,
        }
    }
}

/// FNV-1a over 64-bit words, folded; tells a torn or zeroed record from a whole one.
fn check(bytes: &[u8; RECORD_BYTES]) -> u16 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for word in bytes.as_chunks::<8>().0 {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 32;
    }
    (hash ^ (hash >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> impl Strategy<Value = Record> {
        let stream = prop::sample::select(&Stream::ALL[..]);
        prop_oneof![
            (any::<u32>(), any::<u64>(), any::<u32>(), stream).prop_map(
                |(number, launch, rank, stream)| Record::Stream {
                    number,
                    id: StreamId::new(Launch(launch), rank, stream),
                }
            ),
            any::<(u32, u64, u32, u32, u64, u64)>().prop_map(
                |(stream, start, bytes, file, position, time)| Record::Filed {
                    stream,
                    start: Offset(start),
                    bytes,
                    file,
                    position,
                    time: Timestamp(time),
                }
            ),
            (any::<u32>(), 0..u64::MAX / 2, 0..u64::MAX / 2, 0..65_535_i32, any::<u64>()).prop_map(
                |(stream, from, bytes, number, time)| Record::Missing {
                    stream,
                    span: Span::new(Offset(from), Offset(from + bytes)),
                    reason: Reason::Os(number),
                    time: Timestamp(time),
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn a_record_reads_back_as_it_was_written(record in record()) {
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        /// One wrong bit is always seen.
        #[test]
        fn a_damaged_record_is_none(record in record(), bit in 0..RECORD_BYTES * 8) {
            let mut bytes = record.encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(Record::decode(&bytes), Some(record));
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Record::decode(&[0; RECORD_BYTES]), None);
    }

    #[test]
    fn the_header_names_its_version() {
        assert_eq!((&HEADER[..14], HEADER[15]), (&b"lastline-index"[..], 1));
    }
}
