//! The limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files a process may have open; `None` is without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilesLimit {
    /// What holds.
    pub soft: Option<u64>,
    /// What it may be raised to.
    pub hard: Option<u64>,
}

impl FilesLimit {
    /// That of this process.
    pub fn own() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        Self { soft: current, hard: maximum }
    }

    /// Makes it that of the calling process. A system call, and nothing else.
    pub(crate) fn set(self) -> std::io::Result<()> {
        let limit = Rlimit { current: self.soft, maximum: self.hard };
        Ok(setrlimit(Resource::Nofile, limit)?)
    }
}

/// Why so many files cannot be open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesLimitError {
    /// It is more than this user may have.
    #[error("{needed} open files are needed, and the limit is {limit}: raise it (`ulimit -n`)")]
    TooFew {
        /// How many are needed.
        needed: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The system refuses to raise the limit.
    #[error("the limit of open files cannot be raised")]
    Refused(#[source] std::io::Error),
}

/// Whether `needed` files can be open at once, with a raised limit if need be.
///
/// # Errors
///
/// When there cannot be so many.
pub fn check_files_limit(needed: u64) -> Result<(), FilesLimitError> {
    match FilesLimit::own().hard.filter(|&hard| hard < needed) {
        Some(limit) => Err(FilesLimitError::TooFew { needed, limit }),
        None => Ok(()),
    }
}

/// Raises the limit of this process to `needed` open files; gives the old one where it was raised,
/// for the processes that are started from here.
///
/// # Errors
///
/// When there cannot be so many, or the system refuses.
pub fn raise_files_limit(needed: u64) -> Result<Option<FilesLimit>, FilesLimitError> {
    check_files_limit(needed)?;
    let old = FilesLimit::own();
    if old.soft.is_none_or(|soft| soft >= needed) {
        return Ok(None);
    }
    let new = FilesLimit { soft: Some(needed), ..old };
    new.set().map_err(FilesLimitError::Refused)?;
    Ok(Some(old))
}
