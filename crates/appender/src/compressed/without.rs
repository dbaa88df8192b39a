//! Without the feature `zstd`: nothing is compressed, and what is cannot be read.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::state::AppenderState;
use crate::{Append, Storage};

/// Compresses nothing.
#[derive(Default)]
pub(crate) struct Compressor {}

impl Compressor {
    pub(crate) fn wake(&self, _shared: &Arc<AppenderState>) {}

    pub(crate) fn stop(&self) {}

    pub(crate) fn wait(&self, _within: Duration) {}
}

/// Says of a compressed file that it is one.
pub(super) fn open_compressed(storage: &dyn Storage, name: &str) -> io::Result<Arc<dyn Append>> {
    storage.open(name)?;
    let why = format!("{name} is compressed, which this was built without (feature `zstd`)");
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DirStorage;

    #[test]
    fn a_compressed_file_is_an_error_that_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let storage = DirStorage::new(dir.path()).unwrap();
        let error = |name| crate::compressed::open(&storage, name).map(drop).unwrap_err();
        assert_eq!(error("rank-0.0001.log").kind(), io::ErrorKind::NotFound);
        storage.create("rank-0.0001.log.zst").map(drop).unwrap();
        let error = error("rank-0.0001.log");
        assert!(error.to_string().starts_with("rank-0.0001.log.zst is compressed"), "{error}");
        assert!(crate::compressed::is_unreadable(&error));
    }
}
