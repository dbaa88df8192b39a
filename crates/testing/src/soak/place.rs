//! Where a run takes place: its directory, its small disk, its processes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::child::LEASH;
use super::scenario::Files;

/// The directory of one run.
pub(super) struct Place {
    dir: TempDir,
    leash: Option<File>,
    disk: Option<PathBuf>,
}

impl Place {
    pub(super) fn new() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("soak").tempdir()?;
        fs::create_dir(dir.path().join("run"))?;
        let leash = File::create(dir.path().join(LEASH))?;
        leash.lock()?;
        Ok(Self { dir, leash: Some(leash), disk: None })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the job's files go.
    pub(super) fn logs(&self) -> PathBuf {
        self.disk.as_deref().unwrap_or(self.path()).join("logs")
    }

    /// The file that shifts lastline's time of day.
    pub(super) fn clock(&self) -> PathBuf {
        self.path().join("clock")
    }

    /// Makes the disk that `files` wants.
    pub(super) fn prepare(&mut self, files: Files) -> io::Result<()> {
        let Files::Small { kib, .. } = files else {
            return Ok(());
        };
        let at = self.path().join("disk");
        fs::create_dir(&at)?;
        self.mount(&at, kib, false)?;
        self.disk = Some(at);
        Ok(())
    }

    /// Gives the disk more room.
    pub(super) fn free(&self) -> io::Result<()> {
        match &self.disk {
            Some(at) => self.mount(at, 64 << 10, true),
            None => Ok(()),
        }
    }

    fn mount(&self, at: &Path, kib: u32, again: bool) -> io::Result<()> {
        let size = std::ffi::CString::new(format!("size={kib}k,mode=700"))?;
        let done = if again {
            rustix::mount::mount_remount(at, rustix::mount::MountFlags::empty(), &*size)
        } else {
            rustix::mount::mount(c"soak", at, c"tmpfs", rustix::mount::MountFlags::empty(), &*size)
        };
        Ok(done?)
    }

    /// Lets those go that wait for the run's end.
    pub(super) fn release(&mut self) {
        self.leash = None;
    }

    /// Leaves everything there to be looked at, but the mount.
    pub(super) fn keep(mut self) -> io::Result<PathBuf> {
        if let Some(disk) = &self.disk {
            copy_files(disk, &self.path().join("disk-was"))?;
        }
        self.dir.disable_cleanup(true);
        Ok(self.path().to_owned())
    }

    /// Processes that have to do with this run, as `pid command`.
    pub(super) fn processes(&self) -> Vec<String> {
        let mark = self.path().as_os_str().as_encoded_bytes();
        let own = std::process::id().to_string();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == own || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // It may have ended meanwhile.
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if command.windows(mark.len()).any(|part| part == mark) {
                let words = String::from_utf8_lossy(&command).replace('\0', " ");
                found.push(format!("{name} {words}"));
            }
        }
        found
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(disk) = &self.disk
            && let Err(error) = rustix::mount::unmount(disk, rustix::mount::UnmountFlags::DETACH)
        {
            tracing::warn!(%error, disk = %disk.display(), "a disk stays mounted");
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)?.flatten() {
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
