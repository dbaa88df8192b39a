//! A directory that is opened once, and the names in it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The random part of a file's name while it is being written, in bytes.
const RANDOM_BYTES: usize = 8;
/// What such a name ends with.
const UNFINISHED: &str = ".unfinished";
/// What the system puts behind the path of a directory that is removed (`proc(5)`).
const REMOVED: &[u8] = b" (deleted)";

/// A directory that was opened once. It is the same one when it is moved while it is open.
///
/// When it was removed, and one of the same owner stands at its path again, that one is used.
#[derive(Debug)]
pub struct OpenDir {
    path: PathBuf,
    dir: OwnedFd,
    /// Where the system had it when it was opened.
    first_at: Option<PathBuf>,
}

impl OpenDir {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    ///
    /// When there is none, or the system refuses.
    pub fn new(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open(path.into(), DIR_FLAGS)
    }

    /// As [`new`](Self::new), but no link.
    pub(crate) fn no_link(path: impl Into<PathBuf>) -> io::Result<Self> {
        Self::open(path.into(), DIR_FLAGS | OFlags::NOFOLLOW)
    }

    fn open(path: PathBuf, flags: OFlags) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let dir = openat(CWD, &path, flags, Mode::empty())?;
        let first_at = found_at(&dir);
        Ok(Self { path, dir, first_at })
    }

    /// Where it was when it was opened, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is now: the path by which it was opened, unless it was moved since. Asks no disk.
    pub fn current_path(&self) -> PathBuf {
        let now = found_at(&self.dir).filter(|_| self.first_at.is_some());
        let is_removed = |at: &Path| at.as_os_str().as_bytes().ends_with(REMOVED);
        let moved = now.filter(|now| Some(now) != self.first_at.as_ref() && !is_removed(now));
        moved.unwrap_or_else(|| self.path.clone())
    }

    /// Writes the file `name`, whole or not at all, mode 0600, in the place of what has the name
    /// so far. Blocks for the disk.
    ///
    /// # Errors
    ///
    /// When the system refuses; what had the name is as it was then.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match replace_at(&self.dir, OsStr::new(name), bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_removed() => {
                replace_at(&self.next()?, OsStr::new(name), bytes)
            }
            other => other,
        }
    }

    /// The one that stands at its path now that it is removed.
    fn next(&self) -> io::Result<OwnedFd> {
        let next = openat(CWD, &self.path, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
        if fstat(&next)?.st_uid != fstat(&self.dir)?.st_uid {
            return Err(Errno::ACCESS.into());
        }
        Ok(next)
    }

    fn is_removed(&self) -> bool {
        fstat(&self.dir).is_ok_and(|stat| stat.st_nlink == 0)
    }

    /// Opens the file `name` for reading and writing, and makes it where there is none. Follows no
    /// link.
    pub(crate) fn open_file(&self, name: &str, make: bool) -> io::Result<File> {
        let make = if make { OFlags::CREATE } else { OFlags::empty() };
        let flags = OFlags::RDWR | make | FILE_FLAGS;
        Ok(openat(&self.dir, name, flags, FILE_MODE)?.into())
    }

    /// Whether `file` is what has the name.
    pub(crate) fn has(&self, name: &str, file: &File) -> bool {
        let there = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let [there, ours] = [there, fstat(file)].map(|stat| stat.map(|it| (it.st_dev, it.st_ino)));
        there.is_ok() && there == ours
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.dir, name, AtFlags::empty())?)
    }

    /// All names, without `.` and `..`; of one that is not text, what can be read of it.
    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            names.extend(Some(name).filter(|name| name != "." && name != "..").map(Into::into));
        }
        Ok(names)
    }

    /// Removes the directory itself, when it is empty and still where it was opened.
    pub(crate) fn remove_itself(&self) -> io::Result<()> {
        let (ours, there) = (fstat(&self.dir)?, rustix::fs::lstat(&self.path)?);
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino) {
            return Err(io::ErrorKind::NotFound.into());
        }
        std::fs::remove_dir(&self.path)
    }
}

/// Opens a file for reading. What is none, a FIFO perhaps, is not waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(openat(CWD, path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
    }
}

/// Where the system has an open directory.
fn found_at(dir: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).ok()
}

/// Writes `bytes` to a file of another name in `dir` that nobody can have foreseen, and gives it
/// this one then.
pub(crate) fn replace_at(dir: &OwnedFd, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
    let mut random = [0; RANDOM_BYTES];
    getrandom(&mut random[..], GetRandomFlags::empty())?;
    let random = u64::from_ne_bytes(random);
    let mut unfinished = OsString::from(".");
    unfinished.push(shortened(name));
    unfinished.push(format!(".{random:016x}{UNFINISHED}"));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | FILE_FLAGS;
    let mut file = File::from(openat(dir, &unfinished, flags, FILE_MODE)?);
    let made = fstat(&file)?;
    let written = file.write_all(bytes);
    written.and_then(|()| Ok(renameat(dir, &unfinished, dir, name)?)).inspect_err(|_| {
        let there = statat(dir, &unfinished, AtFlags::SYMLINK_NOFOLLOW);
        let is_ours = there.is_ok_and(|it| (it.st_dev, it.st_ino) == (made.st_dev, made.st_ino));
        if is_ours && let Err(error) = unlinkat(dir, &unfinished, AtFlags::empty()) {
            tracing::debug!(%error, name = %unfinished.display(), "an unfinished file is left");
        }
    })
}

/// As much of a name as leaves room for what is put around it.
fn shortened(name: &OsStr) -> &OsStr {
    let bytes = name.as_bytes();
    OsStr::from_bytes(&bytes[..bytes.len().min(200)])
}

/// Whether a file of this name was being written to become `name`, as [`replace_at`] does.
pub(crate) fn is_unfinished(found: &str, name: &str) -> bool {
    let random = found.strip_prefix('.').and_then(|rest| rest.strip_prefix(name));
    let random = random.and_then(|rest| rest.strip_prefix('.')?.strip_suffix(UNFINISHED));
    random.is_some_and(|random| {
        random.len() == 2 * RANDOM_BYTES && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names = OpenDir::new(dir).unwrap().names().unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let dir = OpenDir::new(root.path()).unwrap();
        fs::write(root.path().join("elsewhere"), "old").unwrap();
        symlink("elsewhere", root.path().join("link")).unwrap();
        dir.replace("link", b"new").unwrap();
        dir.replace("file", b"1").unwrap();
        dir.replace("file", b"2").unwrap();
        assert_eq!(fs::read(root.path().join("elsewhere")).unwrap(), b"old");
        assert_eq!(fs::read(root.path().join("link")).unwrap(), b"new");
        assert_eq!(fs::read(root.path().join("file")).unwrap(), b"2");
        let mode = fs::metadata(root.path().join("file")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::create_dir(root.path().join("folder")).unwrap();
        dir.replace("folder", b"3").unwrap_err();
        assert_eq!(names(root.path()), ["elsewhere", "file", "folder", "link"]);
    }

    #[test]
    fn it_goes_where_it_is_moved_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        let (old, new) = (root.path().join("old"), root.path().join("new"));
        fs::create_dir(&old).unwrap();
        symlink("old", root.path().join("link")).unwrap();
        let dir = OpenDir::new(root.path().join("link")).unwrap();
        assert_eq!(dir.current_path(), root.path().join("link"), "as it was called");
        fs::rename(&old, &new).unwrap();
        fs::create_dir(&old).unwrap();
        dir.replace("file", b"x").unwrap();
        assert_eq!((names(&old), names(&new)), (vec![], vec!["file".to_owned()]));
        assert_eq!(dir.current_path(), fs::canonicalize(&new).unwrap());
        dir.remove_itself().unwrap_err();
        assert!(old.exists());
    }

    #[test]
    fn one_that_stands_in_the_place_of_a_removed_one_is_used() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("dir");
        fs::create_dir(&path).unwrap();
        let dir = OpenDir::new(&path).unwrap();
        fs::remove_dir(&path).unwrap();
        assert_eq!(dir.replace("file", b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(dir.current_path(), path);
        fs::create_dir(&path).unwrap();
        dir.replace("file", b"x").unwrap();
        assert_eq!(names(&path), ["file"]);
    }

    #[test]
    fn what_is_unfinished_is_known_by_its_name() {
        assert!(is_unfinished(".report.json.0123456789abcdef.unfinished", "report.json"));
        for other in
            ["report.json", ".report.json.0123.unfinished", ".r.0123456789abcdef.unfinished"]
        {
            assert!(!is_unfinished(other, "report.json"), "{other}");
        }
    }
}
