//! Why bytes are not in a file.

use std::borrow::Cow;
use std::io;

/// Why bytes are not in a file. The index holds it as a number, the ledger in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The system said so, with this error number.
    Os(i32),
    /// The storage failed without an error number.
    Failed,
    /// Less than the minimum was free.
    MinFree,
    /// Somebody removed the file that they stood in.
    Removed,
    /// Somebody cut the file that they stood in.
    Truncated,
    /// They were filed, and their file was removed to stay within the bound on all files.
    Pruned,
    /// Nobody handed them to the appender.
    NotOffered,
    /// The writer hung and was given up.
    Abandoned,
    /// They came after the appender was closed.
    Closed,
    /// Somebody gave the file that they stand in another name.
    Renamed,
}

/// Codes from here on are not error numbers of the system.
const OWN: u32 = 1 << 16;

impl Reason {
    /// Those that have a code of their own, which is their place here.
    const OWN_CODES: [Self; 9] = [
        Self::Failed,
        Self::MinFree,
        Self::Removed,
        Self::Truncated,
        Self::Pruned,
        Self::NotOffered,
        Self::Abandoned,
        Self::Closed,
        Self::Renamed,
    ];

    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Os(number) => number.unsigned_abs().min(OWN - 1),
            own => {
                let place = Self::OWN_CODES.iter().position(|known| *known == own);
                OWN + place.expect("BUG: a reason without a code") as u32
            }
        }
    }

    /// The reason of a code; an unknown one is [`Reason::Failed`].
    pub(crate) fn from_code(code: u32) -> Self {
        match code.checked_sub(OWN) {
            None => Self::Os(i32::try_from(code).unwrap_or_default()),
            Some(own) => Self::OWN_CODES.get(own as usize).copied().unwrap_or(Self::Failed),
        }
    }

    /// The reason in words, as the ledger has it.
    pub fn words(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Os(number) => return Cow::Owned(os_words(number)),
            Self::Failed => "the storage failed",
            Self::MinFree => "less than the minimum of free space was left",
            Self::Removed => "the file was removed",
            Self::Truncated => "the file was cut",
            Self::Pruned => "removed to keep within the maximum size",
            Self::NotOffered => "never handed to the appender",
            Self::Abandoned => "the writer hung and was given up",
            Self::Closed => "came after the files were closed",
            Self::Renamed => "the file was renamed; what it held is under its other name",
        })
    }

    /// Whether the bytes were in a file until lastline itself removed that.
    pub(crate) fn was_filed(self) -> bool {
        self == Self::Pruned
    }
}

/// The system's own words, in lower case: `no space left on device`.
fn os_words(number: i32) -> String {
    let full = io::Error::from_raw_os_error(number).to_string();
    let words = full.rsplit_once(" (os error").map_or(&*full, |(words, _)| words);
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        error.raw_os_error().map_or(Self::Failed, Self::Os)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_back_from_its_code() {
        let os = [1, 5, 28, 122].map(Reason::Os);
        for reason in os.into_iter().chain(Reason::OWN_CODES) {
            assert_eq!(Reason::from_code(reason.code()), reason);
        }
        assert_eq!(Reason::from_code(OWN + 1000), Reason::Failed);
    }

    #[test]
    fn the_system_s_words_are_a_fragment() {
        assert_eq!(Reason::Os(28).words(), "no space left on device");
        assert_eq!(Reason::Os(5).words(), "input/output error");
    }
}
