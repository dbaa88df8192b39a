//! What all folds have in common.

use crate::unit::Said;

/// How much a fold holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many entries are open at most: 32,768. That is more than a rank has in what is read of it at
    /// once: ranks that only copy files are as far apart as that. When half of them are open, who is
    /// [ahead](lastline_line::Fold::ahead) may wait.
    pub max_entries: usize,
    /// How many bytes they take at most, with their text, and with who said them and what each rank
    /// had in them: 24 MiB. That is enough for 4,096 lines with eight numbers each, said by 64 ranks.
    pub max_bytes: usize,
    /// Longer lines pass unfolded: 8 KiB.
    pub max_line_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_entries: 32 << 10, max_bytes: 24 << 20, max_line_bytes: 8 << 10 }
    }
}

impl Bounds {
    /// Whether what was said may be folded at all: it is whole, and no line of it is too long.
    pub(crate) fn may_fold(&self, said: Said<'_>) -> bool {
        let fits = |len: usize| len <= self.max_line_bytes;
        said.lines.iter().all(|meta| meta.whole && fits(meta.len))
    }
}
