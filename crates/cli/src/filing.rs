//! What is told of the files while they are written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lastline_appender::{DirStorage, Note, Reason, Space, Storage as _};

use crate::units::bytes;

/// Whether every line is in the files, as far as is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filing {
    /// Something was not filed, or was removed again.
    incomplete: Arc<AtomicBool>,
}

impl Filing {
    /// Tells of a note about the files in `dir`, of which so much was asked to stay free.
    pub(crate) fn tell(&self, note: &Note, dir: &Path, min_free: Option<u64>) {
        if matches!(note, Note::Stopped { .. } | Note::Pruned { .. }) {
            self.incomplete.store(true, Ordering::Relaxed);
        }
        let why = is_short(note).then(|| shortage(dir, min_free)).flatten().unwrap_or_default();
        tracing::warn!("{note}{why}");
    }

    /// Where every line is.
    pub(crate) fn place(&self, dir: &Path) -> String {
        let dir = dir.display();
        match self.incomplete.load(Ordering::Relaxed) {
            false => format!("every line is in {dir}"),
            true => format!("not every line is in {dir}, --fold off shows all"),
        }
    }
}

/// Whether it says that too little is free.
fn is_short(note: &Note) -> bool {
    let short = Reason::MinFree;
    matches!(note, Note::Stopped { reason, .. } | Note::IndexStopped { reason } if *reason == short)
}

fn shortage(dir: &Path, min_free: Option<u64>) -> Option<String> {
    let space = DirStorage::existing(dir).ok()?.space().ok()??;
    Some(of_which(space, min_free))
}

fn of_which(space: Space, min_free: Option<u64>) -> String {
    let (free, limit) = (bytes(space.free_bytes), bytes(space.min_free_bytes(min_free)));
    format!(" ({free} free, --min-free {limit})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_and_what_has_to_be_is_told() {
        let space = Space { free_bytes: 3_000_000_000, total_bytes: 100_000_000_000 };
        assert_eq!(of_which(space, Some(5_000_000_000_000)), " (3.0 GB free, --min-free 5.0 TB)");
        assert_eq!(of_which(space, None), " (3.0 GB free, --min-free 1.1 GB)");
    }
}
