//! A real file system that fails and hangs as it is told to: files in memory behind `/dev/fuse`.

mod content;
mod request;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};

use content::Content;
use request::{
    BATCH_FORGET, CREATE, FORGET, FSYNC, FSYNCDIR, INTERRUPT, MAX_WRITE, RENAME, RENAME2, Request,
    UNLINK, WRITE,
};

/// How a disk hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// Requests are not even taken: SIGKILL ends who waits.
    Untaken,
    /// They are taken and not answered: nothing ends who waits.
    Unanswered,
}

/// A mounted file system: one directory, whose files are in memory. It is unmounted, and whoever
/// waits for it gets an error, when this is dropped.
pub struct Disk {
    at: PathBuf,
    shared: Arc<SharedDisk>,
    server: Option<JoinHandle<()>>,
}

struct SharedDisk {
    fuse: File,
    state: Mutex<DiskState>,
    changed: Condvar,
}

#[derive(Default)]
struct DiskState {
    content: Content,
    failing: Option<i32>,
    failing_syncs: Option<i32>,
    refusals: usize,
    hang: Option<Hang>,
    /// Whether somebody waits for it.
    is_waited_for: bool,
    /// Requests that were taken and not answered.
    taken: Vec<Vec<u8>>,
}

impl Disk {
    /// Mounts one at `at`.
    ///
    /// # Errors
    ///
    /// Where the system has no FUSE, or this user may not mount.
    pub fn mount(at: &Path) -> io::Result<Self> {
        let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=40700,user_id=0,group_id=0", fuse.as_raw_fd());
        let options = std::ffi::CString::new(options).expect("BUG: no NUL in numbers");
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount(c"lastline-testing", at, c"fuse", flags, &*options)?;
        let shared =
            Arc::new(SharedDisk { fuse, state: Mutex::default(), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        let server = std::thread::spawn(move || served.serve());
        Ok(Self { at: at.to_owned(), shared, server: Some(server) })
    }

    /// From now on everything that would change a file fails with this error number of the
    /// system, or nothing does.
    pub fn fail(&self, number: Option<i32>) {
        self.shared.state().failing = number;
    }

    /// From now on nothing can be forced to disk, with this error number, or everything can.
    pub fn fail_syncs(&self, number: Option<i32>) {
        self.shared.state().failing_syncs = number;
    }

    /// How many requests have failed as they were told to.
    pub fn refusals(&self) -> usize {
        self.shared.state().refusals
    }

    /// From now on nothing is answered.
    pub fn hang(&self, hang: Hang) {
        self.shared.state().hang = Some(hang);
    }

    /// Answers what hangs, and goes on.
    pub fn release(&self) {
        let mut state = self.shared.state();
        state.hang = None;
        state.is_waited_for = false;
        for request in std::mem::take(&mut state.taken) {
            self.shared.answer(&mut state, &request);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Whether somebody waits for an answer.
    pub fn is_waited_for(&self) -> bool {
        self.shared.state().is_waited_for
    }

    /// Waits until somebody waits for an answer. Blocks.
    pub fn wait_until_hanging(&self) {
        let mut state = self.shared.state();
        while !state.is_waited_for {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What a file holds; nothing when there is none. Asks no file system.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        self.shared.state().content.bytes(name).unwrap_or_default().to_vec()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // By force: who waits for an answer gets an error.
        let flags = UnmountFlags::FORCE | UnmountFlags::DETACH;
        if let Err(error) = rustix::mount::unmount(&self.at, flags) {
            tracing::warn!(%error, at = %self.at.display(), "the disk stays mounted");
        }
        self.shared.state().hang = None;
        self.shared.changed.notify_all();
        // A panic of the server has been told.
        drop(self.server.take().map(JoinHandle::join));
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("at", &self.at).finish_non_exhaustive()
    }
}

impl SharedDisk {
    fn state(&self) -> MutexGuard<'_, DiskState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers until the file system is unmounted.
    fn serve(&self) {
        let mut buffer = vec![0; MAX_WRITE + (8 << 10)];
        loop {
            let mut fds = [PollFd::new(&self.fuse, PollFlags::IN)];
            let polled = rustix::event::poll(&mut fds, None);
            self.wait_while_untaken();
            match polled.and_then(|_| rustix::io::read(&self.fuse, &mut *buffer)) {
                Ok(bytes) => self.take(&buffer[..bytes]),
                // Who asked has gone.
                Err(Errno::INTR | Errno::AGAIN | Errno::NOENT) => {}
                Err(_) => return,
            }
        }
    }

    /// A request waits to be taken.
    fn wait_while_untaken(&self) {
        let mut state = self.state();
        while state.hang == Some(Hang::Untaken) {
            state.is_waited_for = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn take(&self, request: &[u8]) {
        let mut state = self.state();
        // One that was on its way when requests stopped being taken has been taken: nothing but an
        // answer would end who waits for it.
        if state.hang == Some(Hang::Unanswered) {
            state.is_waited_for = true;
            state.taken.push(request.to_vec());
            self.changed.notify_all();
        } else {
            self.answer(&mut state, request);
        }
    }

    fn answer(&self, state: &mut DiskState, bytes: &[u8]) {
        let request = Request::parse(bytes);
        if [FORGET, BATCH_FORGET, INTERRUPT].contains(&request.opcode) {
            return;
        }
        let failing = match request.opcode {
            WRITE | CREATE | RENAME | RENAME2 | UNLINK => state.failing,
            FSYNC | FSYNCDIR => state.failing_syncs,
            _ => None,
        };
        state.refusals += usize::from(failing.is_some());
        let answer = match failing {
            Some(number) => Err(number),
            None => state.content.answer(&request),
        };
        if let Err(error) = rustix::io::write(&self.fuse, &request.answer(answer)) {
            tracing::trace!(%error, "who asked has gone");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::process::ExitCode;

    use super::*;

    #[test]
    fn files_are_files_until_it_fails() -> ExitCode {
        let dir = tempfile::tempdir().unwrap();
        let disk = match Disk::mount(dir.path()) {
            Ok(disk) => disk,
            Err(error) => {
                eprintln!("not run: a file system cannot be mounted here: {error}");
                return ExitCode::SUCCESS;
            }
        };
        let path = |name: &str| dir.path().join(name);
        let mut file = File::create(path("one")).unwrap();
        file.write_all(&vec![7; 300_000]).unwrap();
        file.sync_all().unwrap();
        fs::write(path("two"), "text").unwrap();
        fs::rename(path("two"), path("three")).unwrap();
        fs::write(path("three"), "less").unwrap();
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["one", "three"]);
        assert_eq!((disk.bytes("one").len(), &*disk.bytes("three")), (300_000, &b"less"[..]));
        assert_eq!(fs::read(path("one")).unwrap(), disk.bytes("one"));
        disk.fail(Some(libc::EDQUOT));
        disk.fail_syncs(Some(libc::EIO));
        assert_eq!(file.write_all(b"x").unwrap_err().raw_os_error(), Some(libc::EDQUOT));
        assert_eq!(file.sync_all().unwrap_err().raw_os_error(), Some(libc::EIO));
        disk.fail(None);
        disk.hang(Hang::Unanswered);
        let writer = std::thread::spawn(move || file.write_all(b"late"));
        disk.wait_until_hanging();
        disk.release();
        writer.join().unwrap().unwrap();
        fs::remove_file(path("one")).unwrap();
        assert!(fs::metadata(path("one")).is_err());
        ExitCode::SUCCESS
    }
}
