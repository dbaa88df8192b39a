//! Writing a report wherever somebody wants it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, openat, statfs};

use crate::open_dir::replace_at;
use crate::report::Report;

/// As many links are followed as the system follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A report as it stands in its file.
pub fn report_text(report: &Report) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(report).expect("BUG: a report becomes JSON");
    text.push(b'\n');
    text
}

/// Writes a report's text to `path`. Blocks, for a disk, for the reader of a FIFO.
///
/// A file is written whole or not at all, mode 0600; where `path` is a link, the file that it leads
/// to. A device, a FIFO or an open descriptor (`/dev/fd/3`) is written to and stays what it is.
///
/// # Errors
///
/// When the system refuses.
pub fn write_report(text: &[u8], path: &Path) -> io::Result<()> {
    let mut special = match Target::find(path)? {
        Target::File { dir, name } => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = openat(CWD, &dir, flags, Mode::empty())?;
            return replace_at(&dir, &name, text);
        }
        Target::Special(path) => {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
            File::from(openat(CWD, &path, flags, Mode::empty())?)
        }
        Target::Descriptor(number) => File::from(duplicate(number)?),
    };
    special.write_all(text)
}

/// Whether a report for `path` goes into a file, which nobody has to read: unlike that for a FIFO, it is
/// written as fast as its disk is. Blocks for a disk.
///
/// # Errors
///
/// When the system refuses.
pub fn goes_into_file(path: &Path) -> io::Result<bool> {
    let found = match Target::find(path)? {
        Target::File { .. } => return Ok(true),
        Target::Special(path) => fs::metadata(path)?,
        Target::Descriptor(number) => File::from(duplicate(number)?).metadata()?,
    };
    Ok(found.is_file())
}

/// What a path leads to.
#[derive(Debug, PartialEq)]
enum Target {
    /// A regular file, or one that is to be made.
    File { dir: PathBuf, name: OsString },
    /// A device, a FIFO, or what only the system can open.
    Special(PathBuf),
    /// A descriptor of this process: what is written goes on from where others are.
    Descriptor(RawFd),
}

impl Target {
    fn find(path: &Path) -> io::Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            let Some(name) = path.file_name().map(OsStr::to_owned) else {
                return Ok(Self::Special(path));
            };
            let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
            let dir = fs::canonicalize(dir.unwrap_or(Path::new(".")))?;
            if let Some(number) = own_descriptor(&dir, &name) {
                return Ok(Self::Descriptor(number));
            }
            path = dir.join(&name);
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    // What such a link says is no path.
                    if statfs(&dir)?.f_type == PROC_SUPER_MAGIC {
                        return Ok(Self::Special(path));
                    }
                    path = dir.join(fs::read_link(&path)?);
                }
                Ok(found) if !found.is_file() => return Ok(Self::Special(path)),
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => return Ok(Self::File { dir, name }),
            }
        }
        Err(rustix::io::Errno::LOOP.into())
    }
}

/// The descriptor of this process that `name` in `dir` is, which `/dev/fd` and `/proc/self/fd`
/// lead to.
fn own_descriptor(dir: &Path, name: &OsStr) -> Option<RawFd> {
    let own = PathBuf::from(format!("/proc/{}", std::process::id()));
    let is_own = dir.starts_with(&own) && dir.ends_with("fd");
    name.to_str().filter(|_| is_own)?.parse().ok()
}

fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "the number comes from outside, and may mean nothing")]
    // SAFETY: the call takes any number, and what it gives is nobody else's.
    unsafe {
        match libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 0) {
            -1 => Err(io::Error::last_os_error()),
            copy => Ok(OwnedFd::from_raw_fd(copy)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::{FileTypeExt as _, symlink};

    use rustix::fs::{FileType, mknodat};

    use super::*;

    #[test]
    fn links_are_followed_and_stay() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("dir")).unwrap();
        fs::write(at("dir/file"), "old").unwrap();
        symlink("dir/file", at("one")).unwrap();
        symlink("one", at("two")).unwrap();
        symlink("dir/none", at("dangling")).unwrap();
        symlink("circle", at("circle")).unwrap();
        write_report(b"new", &at("two")).unwrap();
        write_report(b"made", &at("dangling")).unwrap();
        write_report(b"", &at("circle")).unwrap_err();
        assert_eq!(fs::read(at("dir/file")).unwrap(), b"new");
        assert_eq!(fs::read(at("dir/none")).unwrap(), b"made");
        for link in ["one", "two", "dangling"] {
            assert!(at(link).is_symlink(), "{link}");
        }
        assert_eq!(fs::read_dir(at("dir")).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_looks_unfinished_and_is_not_ours_stays() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("r.json.new"), "mine").unwrap();
        write_report(b"text", &root.path().join("r.json")).unwrap();
        assert_eq!(fs::read(root.path().join("r.json.new")).unwrap(), b"mine");
        write_report(b"text", &root.path().join("no/r.json")).unwrap_err();
    }

    #[test]
    fn a_fifo_and_a_link_to_it_are_written_to() {
        let root = tempfile::tempdir().unwrap();
        let fifo = root.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink("fifo", root.path().join("link")).unwrap();
        for name in ["fifo", "link"] {
            let mut read = String::new();
            std::thread::scope(|scope| {
                scope.spawn(|| write_report(b"text", &root.path().join(name)).unwrap());
                File::open(&fifo).unwrap().read_to_string(&mut read).unwrap();
            });
            assert_eq!(read, "text", "{name}");
            assert!(!goes_into_file(&root.path().join(name)).unwrap(), "{name}");
        }
        assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    }

    #[test]
    fn a_device_is_written_to() {
        let root = tempfile::tempdir().unwrap();
        let full = root.path().join("full");
        // `/dev/full` of this test's own.
        let device = rustix::fs::makedev(1, 7);
        let made = mknodat(CWD, &full, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, device);
        let error = match made {
            Ok(()) => write_report(b"text", &full).unwrap_err(),
            Err(error) => return println!("not run: no device can be made here: {error}"),
        };
        if error.kind() == io::ErrorKind::PermissionDenied {
            return println!("not run: no device can be opened here: {error}");
        }
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(fs::symlink_metadata(&full).unwrap().file_type().is_char_device());
    }

    #[test]
    fn a_descriptor_is_written_to_where_others_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut open = file.reopen().unwrap();
        open.write_all(b"a rank's line\n").unwrap();
        let link = tempfile::tempdir().unwrap();
        let number = open.as_raw_fd();
        symlink(format!("/proc/self/fd/{number}"), link.path().join("stdout")).unwrap();
        assert!(goes_into_file(&link.path().join("stdout")).unwrap());
        write_report(b"one\n", &link.path().join("stdout")).unwrap();
        write_report(b"two\n", Path::new(&format!("/proc/self/fd/{number}"))).unwrap();
        open.write_all(b"last\n").unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"a rank's line\none\ntwo\nlast\n");
        write_report(b"", Path::new("/proc/self/fd/1000000")).unwrap_err();
    }
}
