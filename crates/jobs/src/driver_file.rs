//! A driver shows a job here whose ranks others run, and says so: their files may be on other machines.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::job_dir::{FileAction, JobDirError, JobInfo, REPORT_FILE, failed};
use crate::job_lock::{Locked, is_locked};
use crate::open_dir::{OpenDir, open_regular};

/// The file that says what a driver knows of its job, locked while it shows that.
pub(crate) const DRIVER_FILE: &str = "driver.json";

/// The directory of a job that a driver in this process shows: who looks for the job finds it there until
/// this is dropped. Several drivers may show one job; what is said of it is what the first of them knows.
#[derive(Debug)]
pub struct DrivenDir {
    dir: OpenDir,
    lock: Locked,
    is_first: bool,
}

impl DrivenDir {
    /// Says in `dir` that the job is shown from here.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn create(dir: &Path, info: &JobInfo) -> Result<Self, JobDirError> {
        let path = dir.join(DRIVER_FILE);
        let dir = OpenDir::new(dir).map_err(failed(FileAction::Open, dir))?;
        let open = || dir.open_file(DRIVER_FILE, true).map_err(failed(FileAction::Write, &path));
        let alone = Locked::try_new(open()?).map_err(failed(FileAction::Lock, &path))?;
        if let Some(lock) = alone {
            write(&lock.0, info).map_err(failed(FileAction::Write, &path))?;
            lock.share().map_err(failed(FileAction::Lock, &path))?;
            return Ok(Self { dir, lock, is_first: true });
        }
        let shared = Locked::try_shared(open()?).map_err(failed(FileAction::Lock, &path))?;
        let running = || JobDirError::Running { dir: dir.path().to_owned() };
        let lock = shared.ok_or_else(running)?;
        Ok(Self { dir, lock, is_first: false })
    }

    /// More is known of the job now than when this was created.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn learn(&self, info: &JobInfo) -> Result<(), JobDirError> {
        let path = self.dir.path().join(DRIVER_FILE);
        if !self.is_first {
            return Ok(());
        }
        write(&self.lock.0, info).map_err(failed(FileAction::Write, &path))
    }
}

impl Drop for DrivenDir {
    fn drop(&mut self) {
        // Of a job of which nothing came nothing is kept.
        let has_report = self.dir.path().join(REPORT_FILE).exists();
        if !has_report && self.lock.is_alone() {
            drop(self.dir.remove(DRIVER_FILE).inspect_err(|error| {
                tracing::debug!(%error, "what the driver said of its job is left");
            }));
        }
    }
}

/// In place: a file of another name would not be the one that is locked.
fn write(file: &File, info: &JobInfo) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(info).expect("BUG: a job's facts become JSON");
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)
}

/// What a driver has said of a job in `dir`.
pub(crate) struct Driven {
    pub(crate) info: JobInfo,
    /// One shows it now.
    pub(crate) is_shown: bool,
}

impl Driven {
    /// None where no driver was, or one is just about to say it.
    pub(crate) fn open(dir: &Path) -> Option<Self> {
        let mut file = open_regular(&dir.join(DRIVER_FILE)).ok()?;
        let is_shown = is_locked(&file).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        Some(Self { info: serde_json::from_str(&text).ok()?, is_shown })
    }

    /// Whether a driver shows a job in `dir` now.
    pub(crate) fn is_in(dir: &Path) -> bool {
        Self::open(dir).is_some_and(|driven| driven.is_shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FoundJob, JobDir, JobState, JobsPlace, Report};

    #[test]
    fn a_job_is_found_by_its_driver_alone_as_long_as_one_shows_it() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().to_owned());
        let dir = place.dir_of("j");
        std::fs::create_dir(&dir).unwrap();
        let mut info = JobInfo::new("j", Vec::new(), 0);
        let first = DrivenDir::create(&dir, &info).unwrap();
        let second = DrivenDir::create(&dir, &JobInfo::new("j", Vec::new(), 7)).unwrap();
        info.world_size = 4;
        info.via = Some("nats://broker:4222".into());
        first.learn(&info).unwrap();
        let running = |job: &FoundJob| (job.state == JobState::Running).then_some(job.info.clone());
        let found = place.find(Some("j")).unwrap();
        assert_eq!(running(&found), Some(info.clone()));
        assert_eq!(found.elsewhere.to_string(), "0-3");
        assert_eq!(place.list(), [found]);
        let other = JobDir::create(&dir, true, &JobInfo::new("j", Vec::new(), 1));
        assert!(matches!(other, Err(JobDirError::Running { .. })), "{other:?}");
        drop(first);
        assert!(running(&place.find(Some("j")).unwrap()).is_some(), "another one shows it still");
        std::fs::write(dir.join(REPORT_FILE), crate::report_text(&Report::new("j", Vec::new(), 4)))
            .unwrap();
        drop(second);
        let found = place.find(Some("j")).unwrap();
        assert!(matches!(found.state, JobState::Finished(_)));
        assert_eq!((found.info.via, found.elsewhere.len()), (info.via, 4));
    }

    #[test]
    fn nothing_is_left_of_a_job_of_which_nothing_came() {
        let dir = tempfile::tempdir().unwrap();
        drop(DrivenDir::create(dir.path(), &JobInfo::new("j", Vec::new(), 0)).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
