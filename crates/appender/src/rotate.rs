//! Where one file ends and the next begins.

/// What to do with bytes when a file has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Write this many of them into this file, at least one.
    Take(usize),
    /// Begin the next file first.
    Rotate,
}

/// How much of `bytes` goes into a file that has `position` bytes and may have `limit`.
///
/// A file ends with a whole line where that is possible: never in the middle of a line that fits
/// into the next file.
pub(crate) fn cut(position: u64, limit: u64, bytes: &[u8]) -> Cut {
    let room = usize::try_from(limit.saturating_sub(position)).unwrap_or(usize::MAX);
    if bytes.len() <= room {
        return Cut::Take(bytes.len());
    }
    match memchr::memrchr(b'\n', &bytes[..room]) {
        Some(newline) => Cut::Take(newline + 1),
        None if position > 0 => Cut::Rotate,
        None => Cut::Take(room.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_ends_with_a_line_where_it_can() {
        let table: [(u64, u64, &[u8], Cut); 7] = [
            (0, 10, b"ab\ncd\n", Cut::Take(6)),
            (4, 10, b"ab\ncd\n", Cut::Take(6)),
            (5, 10, b"ab\ncd\n", Cut::Take(3)),
            (8, 10, b"ab\ncd\n", Cut::Rotate),
            (10, 10, b"a\n", Cut::Rotate),
            (0, 4, b"abcdefg\n", Cut::Take(4)),
            (0, 0, b"ab", Cut::Take(1)),
        ];
        for (position, limit, bytes, expected) in table {
            assert_eq!(cut(position, limit, bytes), expected, "{position} {limit} {bytes:?}");
        }
    }

    proptest! {
        /// Whatever is written in whatever pieces: no file passes its bound, every byte is in
        /// one, in order, and a file is only cut inside a line that is longer than a file.
        #[test]
        fn files_stay_within_their_bound(
            pieces in proptest::collection::vec(proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'x')], 1..40), 1..30),
            limit in 1_u64..60,
        ) {
            let mut files: Vec<Vec<u8>> = vec![Vec::new()];
            for piece in &pieces {
                let mut rest = &piece[..];
                while !rest.is_empty() {
                    let file = files.last_mut().unwrap();
                    match cut(file.len() as u64, limit, rest) {
                        Cut::Take(bytes) => {
                            file.extend_from_slice(&rest[..bytes]);
                            rest = &rest[bytes..];
                        }
                        Cut::Rotate => files.push(Vec::new()),
                    }
                }
            }
            prop_assert_eq!(files.concat(), pieces.concat());
            for file in &files {
                prop_assert!(file.len() as u64 <= limit);
            }
        }
    }
}
