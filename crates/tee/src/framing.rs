//! From reads to chunks of whole lines. Pure: no IO, no clock.

/// Where a read is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Up to here it goes now, as whole lines; the rest waits for its newline.
    Lines(usize),
    /// All of it goes now: it is as long as a chunk may be and holds no newline.
    Piece,
    /// All of it waits.
    Wait,
}

/// Decides how much of `bytes` goes now. `carried` of them were there before the read and hold no
/// newline; a chunk holds `chunk_bytes` at most.
pub(crate) fn cut(bytes: &[u8], carried: usize, chunk_bytes: usize) -> Cut {
    match memchr::memrchr(b'\n', &bytes[carried..]) {
        Some(at) => Cut::Lines(carried + at + 1),
        None if bytes.len() >= chunk_bytes => Cut::Piece,
        None => Cut::Wait,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any bytes, read in any pieces: what goes out is what came in; only the end of a long
        /// line's piece and the very last bytes stand without a newline.
        #[test]
        fn any_reading_of_any_bytes_gives_its_lines(
            bytes in prop::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..400),
            reads in prop::collection::vec(1_usize..50, 1..40),
            chunk_bytes in 8_usize..64,
        ) {
            let (mut out, mut carry): (Vec<Vec<u8>>, Vec<u8>) = (Vec::new(), Vec::new());
            let (mut rest, mut reads) = (&bytes[..], reads.into_iter().cycle());
            while !rest.is_empty() {
                let most = reads.next().unwrap().min(rest.len()).min(chunk_bytes - carry.len());
                let (now, later) = rest.split_at(most);
                let carried = carry.len();
                carry.extend_from_slice(now);
                rest = later;
                match cut(&carry, carried, chunk_bytes) {
                    Cut::Lines(at) => {
                        let tail = carry.split_off(at);
                        out.push(std::mem::replace(&mut carry, tail));
                    }
                    Cut::Piece => out.push(std::mem::take(&mut carry)),
                    Cut::Wait => {}
                }
                prop_assert!(!carry.contains(&b'\n'));
                prop_assert!(carry.len() < chunk_bytes);
            }
            for chunk in &out {
                prop_assert!(chunk.ends_with(b"\n") || chunk.len() == chunk_bytes);
            }
            out.push(carry);
            prop_assert_eq!(out.concat(), bytes);
        }
    }
}
