//! The limit of open files.

use std::fs;

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
    #[error(
        "{more} open files are needed beside {open} that are, and the limit is {limit}: raise it (`ulimit -n`)"
    )]
    TooFew {
        /// How many are needed beside those that are open.
        more: u64,
        /// How many are.
        open: u64,
        /// The hard limit.
        limit: u64,
    },
    /// The system refuses to raise the limit.
    #[error("the limit of open files cannot be raised")]
    Refused(#[source] std::io::Error),
}

/// Whether `more` files can be open at once beside those that are, with a raised limit if need be.
///
/// # Errors
///
/// When there cannot be so many.
pub fn check_files_limit(more: u64) -> Result<(), FilesLimitError> {
    check(more, open_files())
}

fn check(more: u64, open: u64) -> Result<(), FilesLimitError> {
    match FilesLimit::own().hard.filter(|&hard| hard < more + open) {
        Some(limit) => Err(FilesLimitError::TooFew { more, open, limit }),
        None => Ok(()),
    }
}

/// Raises the limit of this process so that `more` files can be open beside those that are; gives
/// the old one where it was raised, for the processes that are started from here.
///
/// # Errors
///
/// When there cannot be so many, or the system refuses.
pub fn raise_files_limit(more: u64) -> Result<Option<FilesLimit>, FilesLimitError> {
    let open = open_files();
    check(more, open)?;
    let needed = more + open;
    let old = FilesLimit::own();
    if old.soft.is_none_or(|soft| soft >= needed) {
        return Ok(None);
    }
    let new = FilesLimit { soft: Some(needed), ..old };
    new.set().map_err(FilesLimitError::Refused)?;
    Ok(Some(old))
}

/// How many files this process has open; it may have been given any number when it was started.
fn open_files() -> u64 {
    match fs::read_dir("/proc/self/fd") {
        // One is the directory itself.
        Ok(open) => open.count().saturating_sub(1) as u64,
        // The directory cannot be opened where the table is full, or there is no /proc.
        Err(_) => (0..LOOKED_AT).filter(|file| is_open(*file)).count() as u64,
    }
}

/// How far descriptors are looked at one by one: what Linux lets a process have when nobody has
/// set another limit.
const LOOKED_AT: libc::c_int = 1024;

fn is_open(file: libc::c_int) -> bool {
    #[expect(unsafe_code, reason = "rustix asks for a descriptor that is known to be open")]
    // SAFETY: it asks for flags, of whatever this number is.
    let flags = unsafe { libc::fcntl(file, libc::F_GETFD) };
    flags >= 0
}
