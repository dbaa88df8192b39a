//! The lock on `job.json` that says that a job runs.
//!
//! A lock of the open file, of the kind that `fcntl` makes: unlike with `flock`, others can look
//! whether it is held without taking it for a moment, in which a new job would be refused.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A file whose lock this process has.
#[derive(Debug)]
pub(crate) struct Locked(pub(crate) File);

impl Locked {
    /// Takes the lock of `file`, which is open for writing; `None` when somebody has it.
    pub(crate) fn try_new(file: File) -> io::Result<Option<Self>> {
        match command(&file, libc::F_OFD_SETLK, libc::F_WRLCK) {
            Ok(_) => Ok(Some(Self(file))),
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Locked {
    /// Takes a share of the lock of `file`, which others may have, too; `None` when somebody has it alone.
    pub(crate) fn try_shared(file: File) -> io::Result<Option<Self>> {
        match command(&file, libc::F_OFD_SETLK, libc::F_RDLCK) {
            Ok(_) => Ok(Some(Self(file))),
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets others have it, too, who ask for a share.
    pub(crate) fn share(&self) -> io::Result<()> {
        command(&self.0, libc::F_OFD_SETLK, libc::F_RDLCK).map(drop)
    }

    /// Whether nobody else has a share of it; then nobody gets one any more.
    pub(crate) fn is_alone(&self) -> bool {
        command(&self.0, libc::F_OFD_SETLK, libc::F_WRLCK).is_ok()
    }

    /// Lets go of the lock; whoever comes then may take it.
    pub(crate) fn let_go(&self) {
        if let Err(error) = command(&self.0, libc::F_OFD_SETLK, libc::F_UNLCK) {
            tracing::debug!(%error, "the lock of a job goes when its file is closed everywhere");
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES))
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Closing alone would leave it to a child that has not executed its program yet.
        self.let_go();
    }
}

/// Whether somebody has the lock. Takes none.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    Ok(command(file, libc::F_OFD_GETLK, libc::F_WRLCK)? != libc::F_UNLCK)
}

/// Asks for a kind of lock of the whole file; gives what kind is in the way.
fn command(file: &File, command: i32, kind: i32) -> io::Result<i32> {
    let [kind, whence] = [kind, libc::SEEK_SET]
        .map(|number| i16::try_from(number).expect("BUG: the system's constants are small"));
    let mut lock = libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    #[expect(unsafe_code, reason = "rustix has no locks of open files")]
    // SAFETY: both commands read and write one `flock`, which this is.
    let done = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(lock.l_type.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_by_others_and_looking_takes_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || File::options().read(true).write(true).open(file.path()).unwrap();
        let (one, other, reader) = (open(), open(), File::open(file.path()).unwrap());
        assert!(!is_locked(&reader).unwrap() && !is_locked(&other).unwrap());
        let copy = one.try_clone().unwrap();
        let one = Locked::try_new(one).unwrap();
        assert!(one.is_some(), "who only looked is not in the way");
        assert!(Locked::try_new(other).unwrap().is_none() && is_locked(&reader).unwrap());
        drop(one);
        assert!(!is_locked(&reader).unwrap(), "a copy that is still open has no lock");
        assert!(Locked::try_new(open()).unwrap().is_some());
        drop(copy);
    }
}
