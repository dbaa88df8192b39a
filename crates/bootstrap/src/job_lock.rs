//! The lock on `job.json` that says that a job runs.
//!
//! A lock of the open file, of the kind that `fcntl` makes: unlike with `flock`, others can look
//! whether it is held without taking it for a moment, in which a new job would be refused.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Takes the lock, for as long as `file`, which is open for writing, is open anywhere; false when
/// somebody has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match command(file, libc::F_OFD_SETLK) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether somebody has the lock. Takes none.
pub(crate) fn is_locked(file: &File) -> io::Result<bool> {
    Ok(command(file, libc::F_OFD_GETLK)? != libc::F_UNLCK)
}

/// Asks for the whole file, for writing; gives what kind of lock is in the way.
fn command(file: &File, command: i32) -> io::Result<i32> {
    let [kind, whence] = [libc::F_WRLCK, libc::SEEK_SET]
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
        assert!(try_lock(&one).unwrap(), "who only looked is not in the way");
        assert!(try_lock(&one).unwrap(), "whose it is may ask again");
        assert!(!try_lock(&other).unwrap() && is_locked(&reader).unwrap());
        drop(one);
        assert!(!is_locked(&reader).unwrap());
        assert!(try_lock(&other).unwrap());
    }
}
