//! Texts as integers, flush right.

/// Up to as many bytes of text as it has, flush right.
pub(super) trait Key:
    Copy
    + Ord
    + Default
    + std::ops::BitAnd<Output = Self>
    + std::ops::BitOr<Output = Self>
    + std::ops::BitXor<Output = Self>
    + std::ops::Shr<u32, Output = Self>
{
    const BYTES: usize;
    /// 0x01 in every byte.
    const LOW: Self;
    /// 0x7f in every byte.
    const SEVENS: Self;
    /// 0x80 in every byte.
    const HIGH: Self;

    /// The last bytes of sixteen.
    fn of_bytes(bytes: &[u8; 16]) -> Self;
    /// What stands in a slot.
    fn read(rows: &[u8], at: usize, width: usize) -> Self;
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
    fn nine_times(self) -> Self;
    /// The lowest bits set.
    fn low(bits: u32) -> Self;
    /// Without the lowest bits.
    fn drop(self, bits: u32) -> Self;
    /// How many bytes of text it holds.
    fn length(self) -> usize;
    /// All bits of these set.
    fn mask(self) -> Self;
    /// A byte, counted from the last one.
    fn byte(self, at: usize) -> u8;

    /// A text of so many bytes at most.
    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 16];
        bytes[16 - text.len().min(16)..].copy_from_slice(&text[..text.len().min(16)]);
        Self::of_bytes(&bytes)
    }

    /// The text.
    fn bytes(self) -> Vec<u8> {
        (0..self.length()).rev().map(|at| self.byte(at)).collect()
    }
}

macro_rules! key {
    ($type:ty, $bytes:literal) => {
        impl Key for $type {
            const BYTES: usize = $bytes;
            const LOW: Self = <$type>::MAX / 0xff;
            const SEVENS: Self = <$type>::MAX / 0xff * 0x7f;
            const HIGH: Self = <$type>::MAX / 0xff * 0x80;

            fn of_bytes(bytes: &[u8; 16]) -> Self {
                u128::from_be_bytes(*bytes) as Self
            }
            #[inline]
            fn read(rows: &[u8], at: usize, width: usize) -> Self {
                let word = match rows.get(at..at + $bytes) {
                    Some(bytes) => Self::from_be_bytes(bytes.try_into().unwrap_or_default()),
                    None => {
                        let mut padded = [0; $bytes];
                        let rest = rows.get(at..).unwrap_or_default();
                        padded[..rest.len()].copy_from_slice(rest);
                        Self::from_be_bytes(padded)
                    }
                };
                // The bytes after the slot, and those after the value, are not part of it.
                let value = word >> (8 * ($bytes - width) as u32);
                value >> (value.trailing_zeros().min(8 * $bytes - 8) & !7)
            }
            #[inline]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline]
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline]
            fn nine_times(self) -> Self {
                self.wrapping_mul(9)
            }
            #[inline]
            fn low(bits: u32) -> Self {
                !Self::MAX.checked_shl(bits).unwrap_or(0)
            }
            #[inline]
            fn drop(self, bits: u32) -> Self {
                self.checked_shr(bits).unwrap_or(0)
            }
            #[inline]
            fn length(self) -> usize {
                $bytes - (self.leading_zeros() / 8) as usize
            }
            #[inline]
            fn mask(self) -> Self {
                Self::MAX.checked_shr(self.leading_zeros() & !7).unwrap_or(0)
            }
            #[inline]
            fn byte(self, at: usize) -> u8 {
                (self >> (8 * at as u32)) as u8
            }
        }
    };
}

key!(u64, 8);
key!(u128, 16);
