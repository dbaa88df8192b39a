//! The jobs of a user, as they are found on the disk.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lastline_line::Timestamp;

use crate::clock::now;
use crate::job_dir::{
    JOB_FILE, JobDirError, JobInfo, LATEST, REPORT_FILE, check_job_id, failed, job_files,
};
use crate::job_lock::{Locked, is_locked};
use crate::open_dir::OpenDir;
use crate::parts;
use crate::report::Report;

/// How long what may become a job is left alone.
const REMAINS_STAY: Duration = Duration::from_secs(24 * 3600);

/// How a job is doing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum JobState {
    /// It runs.
    Running,
    /// It is over, and this is its report.
    Finished(Box<Report>),
    /// It was interrupted: nobody runs it, and there is no report.
    Broken,
}

/// A job as it is found on the disk.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FoundJob {
    /// Its directory.
    pub dir: PathBuf,
    /// What `job.json` says.
    pub info: JobInfo,
    /// How it is doing.
    pub state: JobState,
    /// `dir` is a link to a directory elsewhere.
    pub linked: bool,
    /// Where its files are, in the order of ranks, when several processes started those; none when they
    /// are in `dir` itself.
    pub parts: Vec<PathBuf>,
}

impl FoundJob {
    /// Reads the job in `dir`, whole or in parts.
    ///
    /// # Errors
    ///
    /// When there is no readable `job.json`, nor a report.
    pub fn open(dir: &Path) -> Result<Self, JobDirError> {
        if dir.join(JOB_FILE).exists() { Self::open_whole(dir) } else { parts::open(dir) }
    }

    /// Reads the job, or the part of one, whose files are in `dir` itself.
    pub(crate) fn open_whole(dir: &Path) -> Result<Self, JobDirError> {
        let file = dir.join(JOB_FILE);
        let mut lock = File::open(&file).map_err(failed("read", &file))?;
        let running = is_locked(&lock).map_err(failed("look at", &file))?;
        let mut text = String::new();
        lock.read_to_string(&mut text).map_err(failed("read", &file))?;
        let info = serde_json::from_str(&text).map_err(io::Error::from);
        let info = info.map_err(failed("understand", &file))?;
        let state = if running {
            JobState::Running
        } else {
            let report = fs::read_to_string(dir.join(REPORT_FILE)).ok();
            let report = report.and_then(|text| serde_json::from_str(&text).ok());
            report.map_or(JobState::Broken, |report| JobState::Finished(Box::new(report)))
        };
        let linked = fs::symlink_metadata(dir).is_ok_and(|found| found.is_symlink());
        Ok(Self { dir: dir.to_owned(), info, state, linked, parts: Vec::new() })
    }
}

impl FoundJob {
    /// What its files take, in bytes.
    pub fn bytes(&self) -> u64 {
        let dirs = self.parts.iter().chain([&self.dir]);
        let files = dirs.flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
        let files = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// The directories that hold its ranks' files.
    pub fn file_dirs(&self) -> &[PathBuf] {
        if self.parts.is_empty() { std::slice::from_ref(&self.dir) } else { &self.parts }
    }

    /// How long ago it started.
    fn age(&self) -> Duration {
        let started: Result<jiff::Timestamp, _> = self.info.started.parse();
        let micros = started.ok().and_then(|at| u64::try_from(at.as_microsecond()).ok());
        micros.map_or(Duration::ZERO, |at| now().since(lastline_line::Timestamp(at)))
    }
}

/// The place where jobs are, each in a folder of its own or behind a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobsPlace(PathBuf);

impl JobsPlace {
    /// `$XDG_STATE_HOME/lastline/jobs`, or `~/.local/state/lastline/jobs`.
    ///
    /// # Errors
    ///
    /// When neither variable is set.
    pub fn of_user() -> Result<Self, JobDirError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let state = set("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/state")));
        Ok(Self(state.ok_or(JobDirError::NoHome)?.join("lastline/jobs")))
    }

    /// Jobs in `dir`.
    pub fn at(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// Where a job of this id has its folder.
    pub fn dir_of(&self, job: &str) -> PathBuf {
        self.0.join(job)
    }

    /// Points `latest` at a job, and, when its directory is elsewhere, its id too.
    ///
    /// # Errors
    ///
    /// When the place cannot be written.
    pub fn register(&self, job: &str, dir: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let own = self.dir_of(job);
        if own != dir {
            point(&own, dir)?;
        }
        point(&self.0.join(LATEST), Path::new(job))
    }

    /// The job that `name` means: an id, `latest` when `None`, or a directory.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub fn find(&self, name: Option<&str>) -> Result<FoundJob, JobDirError> {
        let name = name.unwrap_or(LATEST);
        let is_id = name == LATEST || check_job_id(name).is_ok();
        if is_id && fs::symlink_metadata(self.0.join(name)).is_ok() {
            return self.known(name);
        }
        let dir = PathBuf::from(name);
        if parts::holds_job(&dir) {
            return FoundJob::open(&fs::canonicalize(&dir).map_err(failed("find", &dir))?);
        }
        // A folder may have been given another name.
        let listed = self.list().into_iter().find(|job| job.info.job == name);
        listed.ok_or_else(|| JobDirError::NoSuchJob { name: name.into(), place: self.0.clone() })
    }

    /// The job of an entry that there is.
    fn known(&self, name: &str) -> Result<FoundJob, JobDirError> {
        let mut entry = self.0.join(name);
        let mut id = name.to_owned();
        if name == LATEST
            && let Ok(target) = fs::read_link(&entry)
            && let Some(newest) = target.to_str().filter(|id| check_job_id(id).is_ok())
        {
            (entry, id) = (self.0.join(newest), newest.to_owned());
        }
        let gone = |by| {
            let dir = fs::read_link(&entry).map_or_else(|_| entry.clone(), |dir| self.0.join(dir));
            JobDirError::Gone { id: id.clone(), dir, by }
        };
        if !parts::holds_job(&entry) {
            return Err(gone(None));
        }
        let found = FoundJob::open(&fs::canonicalize(&entry).map_err(failed("find", &entry))?)?;
        let is_another = found.info.job != id && id != LATEST;
        if is_another { Err(gone(Some(found.info.job))) } else { Ok(found) }
    }

    /// All jobs, oldest first. What cannot be read is left out. A directory is one job, that which
    /// was there last, however many links lead to it.
    pub fn list(&self) -> Vec<FoundJob> {
        let mut found: Vec<FoundJob> =
            self.entries().filter_map(|dir| FoundJob::open(&dir).ok()).collect();
        // A folder comes before the links to it.
        found.sort_by_key(|job| job.linked);
        let mut seen = HashSet::new();
        found.retain(|job| {
            let is_named = job.dir.file_name().is_some_and(|name| name == job.info.job.as_str());
            (!job.linked || is_named) && identity(&job.dir).is_some_and(|dir| seen.insert(dir))
        });
        // As times, not as text: trailing zeros of a fraction are not written.
        let started = |job: &FoundJob| job.info.started.parse::<jiff::Timestamp>().ok();
        found.sort_by(|a, b| (started(a), &a.info.job).cmp(&(started(b), &b.info.job)));
        found
    }

    /// What may be a job: neither `latest` nor a link that is just being made has a job's id.
    fn entries(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let is_id =
            |name: &std::ffi::OsStr| name.to_str().is_some_and(|id| check_job_id(id).is_ok());
        entries.filter(move |entry| is_id(&entry.file_name())).map(|entry| entry.path())
    }
}

/// By what a directory is known, whatever its name.
fn identity(dir: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(dir).ok()?;
    Some((found.dev(), found.ino()))
}

/// How many finished jobs stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// At most so many.
    pub max_jobs: Option<usize>,
    /// None that started longer ago.
    pub max_age: Option<Duration>,
    /// At most so many bytes together.
    pub max_bytes: Option<u64>,
}

impl Retention {
    /// What the default place keeps: 100 jobs, 30 days, 10 GiB.
    pub const DEFAULT: Self = Self {
        max_jobs: Some(100),
        max_age: Some(Duration::from_secs(30 * 24 * 3600)),
        max_bytes: Some(10 << 30),
    };

    /// Which jobs go, of these, given newest first by their age and size: all from the first one
    /// on that is too many.
    fn split(&self, jobs: &[(Duration, u64)]) -> usize {
        let mut bytes = 0;
        let over = |(at, &(age, size)): (usize, &(Duration, u64))| {
            bytes += size;
            self.max_jobs.is_some_and(|most| at >= most)
                || self.max_age.is_some_and(|most| age > most)
                || self.max_bytes.is_some_and(|most| bytes > most)
        };
        jobs.iter().enumerate().position(over).unwrap_or(jobs.len())
    }
}

impl JobsPlace {
    /// Removes finished and broken jobs, oldest first, until the rest is within `retention`; their
    /// ids. Of a job behind a link, which has its directory elsewhere, only the link goes, and so do
    /// links to what is gone, which were no jobs any more. A job that runs stays, and so does one with a
    /// file among its own that is no job's. What was left of a job that had not begun, or was being
    /// removed, when its program ended goes after a day.
    pub fn prune(&self, retention: &Retention) -> Vec<String> {
        let mut over: Vec<FoundJob> = self.list();
        over.retain(|job| job.state != JobState::Running);
        over.reverse();
        let facts: Vec<(Duration, u64)> =
            over.iter().map(|job| (job.age(), if job.linked { 0 } else { job.bytes() })).collect();
        let gone = over.split_off(retention.split(&facts));
        let removed = gone.into_iter().filter(|job| is_done(remove(job), &job.dir));
        let removed = removed.map(|job| job.info.job).collect();
        for entry in self.entries().filter(|entry| FoundJob::open(entry).is_err()) {
            if remove_remains(&entry).is_ok() {
                tracing::debug!(dir = %entry.display(), "what was left of a job is gone");
            }
        }
        for link in self.entries().chain([self.0.join(LATEST)]).filter(|link| is_stale(link)) {
            is_done(fs::remove_file(&link), &link);
        }
        removed
    }
}

fn is_done(removed: io::Result<()>, what: &Path) -> bool {
    if let Err(error) = &removed {
        tracing::debug!(%error, what = %what.display(), "not pruned");
    }
    removed.is_ok()
}

/// Whether a link leads to no job any more, or to another one than it is named after.
fn is_stale(link: &Path) -> bool {
    let is_link = fs::symlink_metadata(link).is_ok_and(|found| found.is_symlink());
    let is_gone = |file: &Path| {
        let none = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        fs::metadata(file).is_err_and(|error| none.contains(&error.kind()))
    };
    let is_another = || {
        let name = link.file_name().filter(|name| *name != LATEST);
        let found = FoundJob::open(link).ok();
        name.zip(found).is_some_and(|(name, found)| name != found.info.job.as_str())
    };
    is_link && (is_gone(&link.join(JOB_FILE)) && !parts::holds_job(link) || is_another())
}

fn remove(job: &FoundJob) -> io::Result<()> {
    if job.linked {
        return fs::remove_file(&job.dir);
    }
    if job.parts.is_empty() && job.dir.join(JOB_FILE).exists() {
        return remove_whole(job);
    }
    for part in &job.parts {
        let part = FoundJob::open_whole(part).map_err(io::Error::other)?;
        remove_whole(&part)?;
    }
    let dir = OpenDir::no_link(&job.dir)?;
    remove_files(&dir)?;
    dir.remove_itself()
}

/// Removes a job, or the part of one, whose files are in its directory itself.
fn remove_whole(job: &FoundJob) -> io::Result<()> {
    let dir = OpenDir::no_link(&job.dir)?;
    let lock = dir.open_file(JOB_FILE, false)?;
    // Somebody may have begun a job there meanwhile, or be through with it.
    let lock = Locked::try_new(lock)?.ok_or(io::ErrorKind::ResourceBusy)?;
    if !FoundJob::open(&job.dir).is_ok_and(|found| found.info == job.info) {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    remove_files(&dir)?;
    drop(lock);
    dir.remove_itself()
}

/// Removes a job's files, `job.json` last: one that is removed in part is on the list still. Where
/// something else is among them all stay, for the directory would, and be on no list.
fn remove_files(dir: &OpenDir) -> io::Result<()> {
    let files = job_files(dir)?;
    if dir.names()?.iter().any(|name| name != JOB_FILE && !files.contains(name)) {
        return Err(io::ErrorKind::DirectoryNotEmpty.into());
    }
    files.iter().try_for_each(|name| dir.remove(name))?;
    match dir.remove(JOB_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Removes what is left of a directory whose job had not begun, or was being removed, when its program
/// ended: there is no `job.json`, or an empty one. It is left alone for a day, in which it may become one.
fn remove_remains(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let age = now().since(Timestamp::from_system(found.modified()?));
    if !found.is_dir() || age < REMAINS_STAY {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let dir = OpenDir::no_link(path)?;
    let lock = match dir.open_file(JOB_FILE, false) {
        Ok(file) if file.metadata()?.len() == 0 => Locked::try_new(file)?,
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return remove_files(&dir).and_then(|()| dir.remove_itself());
        }
        Err(error) => return Err(error),
    };
    let lock = lock.ok_or(io::ErrorKind::ResourceBusy)?;
    remove_files(&dir)?;
    drop(lock);
    dir.remove_itself()
}

/// Makes `link` a link to `target`, whatever link was there before; a real folder stays.
fn point(link: &Path, target: &Path) -> io::Result<()> {
    if fs::symlink_metadata(link).is_ok_and(|found| !found.is_symlink()) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(12).collect();
    let new = link.with_extension(format!("new-{random}"));
    std::os::unix::fs::symlink(target, &new)?;
    fs::rename(&new, link).inspect_err(|_| {
        // Nobody else can know of it.
        is_done(fs::remove_file(&new), &new);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobDir;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn the_newest_jobs_stay_within_every_bound() {
        let jobs: Vec<(Duration, u64)> = (0..200).map(|at| (DAY / 10 * at, 1 << 20)).collect();
        assert_eq!(Retention::DEFAULT.split(&jobs), 100);
        assert_eq!(Retention::default().split(&jobs), 200);
        let age = Retention { max_age: Some(DAY), ..Retention::default() };
        assert_eq!(age.split(&jobs), 11);
        let size = Retention { max_bytes: Some(10 << 20), ..Retention::default() };
        assert_eq!(size.split(&jobs), 10);
    }

    #[test]
    fn pruning_removes_jobs_and_links_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        let elsewhere = root.path().join("elsewhere");
        let start = |id: &str, dir: &Path| {
            let job = JobDir::create(dir, false, &JobInfo::new(id, vec![], 1)).unwrap();
            place.register(id, job.path()).unwrap();
            fs::write(dir.join("rank-0.stdout.log"), "text").unwrap();
            job
        };
        drop(start("a", &place.dir_of("a")));
        drop(start("b", &elsewhere));
        drop(start("c", &place.dir_of("c")));
        fs::write(place.dir_of("c").join("precious"), "mine").unwrap();
        let running = start("d", &place.dir_of("d"));
        let none = Retention { max_jobs: Some(0), ..Retention::default() };
        let mut removed = place.prune(&none);
        removed.sort();
        assert_eq!(removed, ["a", "b"]);
        assert!(elsewhere.join("rank-0.stdout.log").exists());
        assert!(place.dir_of("c").join("precious").exists());
        assert!(place.dir_of("c").join("rank-0.stdout.log").exists(), "it stays whole");
        assert_eq!(ids(&place), ["c", "d"]);
        assert!(running.path().join("rank-0.stdout.log").exists());
        assert!(!place.dir_of("a").exists() && !place.dir_of("b").exists());
    }

    #[test]
    fn what_is_left_of_a_job_goes_after_a_day_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        let yesterday = std::time::SystemTime::UNIX_EPOCH;
        let make = |id: &str, names: &[&str], aged: bool| {
            fs::create_dir_all(place.dir_of(id)).unwrap();
            names.iter().for_each(|name| fs::write(place.dir_of(id).join(name), "").unwrap());
            if aged {
                File::open(place.dir_of(id)).unwrap().set_modified(yesterday).unwrap();
            }
        };
        let unfinished = ".report.json.0123456789abcdef.unfinished";
        make("empty", &[], true);
        make("broken", &[JOB_FILE, "rank-0.stdout.log", unfinished], true);
        make("removed", &["rank-0.stdout.log"], true);
        make("fresh", &[JOB_FILE], false);
        make("foreign", &["rank-0.stdout.log", "report.json.new"], true);
        make("unknown", &["notes"], true);
        job(&place, "a", &place.dir_of("a"));
        fs::write(place.dir_of("a").join(unfinished), "").unwrap();
        assert_eq!(place.prune(&Retention::default()), [""; 0]);
        let mut left: Vec<_> = place.entries().collect();
        left.sort();
        assert_eq!(left, ["a", "foreign", "fresh", "unknown"].map(|id| place.dir_of(id)));
        assert!(place.dir_of("foreign").join("rank-0.stdout.log").exists());
        assert_eq!(place.prune(&keep(0)), ["a"]);
        assert!(!place.dir_of("a").exists());
    }

    /// A report that was being written when the program ended, under the name of another version's.
    #[test]
    fn a_job_with_a_file_that_is_not_its_own_stays_whole_and_on_the_list() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        job(&place, "a", &place.dir_of("a"));
        fs::write(place.dir_of("a").join("report.json.new"), "").unwrap();
        assert_eq!(place.prune(&keep(0)), [""; 0]);
        assert_eq!(ids(&place), ["a"]);
        assert!(place.dir_of("a").join("rank-0.stdout.log").exists());
        fs::remove_file(place.dir_of("a").join("report.json.new")).unwrap();
        assert_eq!(place.prune(&keep(0)), ["a"]);
    }

    /// A job that is over, on the list, with files in `dir`.
    fn job(place: &JobsPlace, id: &str, dir: &Path) {
        let job = JobDir::create(dir, true, &JobInfo::new(id, vec![], 1)).unwrap();
        place.register(id, job.path()).unwrap();
        fs::write(dir.join("rank-0.stdout.log"), id).unwrap();
        let report = crate::report_text(&Report::new(id, vec![], 1));
        fs::write(dir.join(REPORT_FILE), report).unwrap();
    }

    fn ids(place: &JobsPlace) -> Vec<String> {
        place.list().into_iter().map(|job| job.info.job).collect()
    }

    fn keep(jobs: usize) -> Retention {
        Retention { max_jobs: Some(jobs), ..Retention::default() }
    }

    #[test]
    fn a_directory_is_one_job_however_often_it_was_used() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        let reused = root.path().join("logs");
        job(&place, "a", &place.dir_of("a"));
        job(&place, "b", &place.dir_of("b"));
        (0..4).for_each(|at| job(&place, &format!("l{at}"), &reused));
        assert_eq!(ids(&place), ["a", "b", "l3"]);
        let gone = place.find(Some("l0")).unwrap_err().to_string();
        let of = format!("{} is the directory of job `l3` now", reused.display());
        assert_eq!(gone, format!("the job `l0` is gone: {of}"));
        assert_eq!(place.find(None).unwrap().info.job, "l3");
        assert_eq!(place.prune(&keep(3)), Vec::<String>::new());
        assert_eq!(ids(&place), ["a", "b", "l3"]);
        assert!(fs::symlink_metadata(place.dir_of("l0")).is_err(), "a link to what is gone");
        assert!(place.find(Some("l3")).is_ok());
        assert_eq!(place.prune(&keep(1)), ["b", "a"]);
        assert_eq!(fs::read(reused.join("rank-0.stdout.log")).unwrap(), b"l3");
    }

    #[test]
    fn a_folder_among_the_jobs_that_another_job_took_is_that_job() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        job(&place, "a", &place.dir_of("a"));
        job(&place, "b", &place.dir_of("a"));
        assert_eq!(ids(&place), ["b"]);
        assert!(
            matches!(place.find(Some("a")), Err(JobDirError::Gone { by: Some(by), .. }) if by == "b")
        );
        assert!(place.find(Some("b")).is_ok());
        assert_eq!(place.prune(&keep(0)), ["b"]);
        assert_eq!(fs::read_dir(root.path().join("jobs")).unwrap().count(), 0, "links and all");
    }

    #[test]
    fn links_to_nothing_go() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        let elsewhere = root.path().join("logs");
        job(&place, "a", &elsewhere);
        fs::remove_dir_all(&elsewhere).unwrap();
        let gone = format!("the job `a` is gone: {} holds no job any more", elsewhere.display());
        assert_eq!(place.find(Some("a")).unwrap_err().to_string(), gone);
        assert_eq!(place.find(None).unwrap_err().to_string(), gone);
        std::os::unix::fs::symlink("nowhere", root.path().join("jobs/not.an.id")).unwrap();
        assert_eq!(place.prune(&Retention::default()), Vec::<String>::new());
        let left: Vec<_> = fs::read_dir(root.path().join("jobs")).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "what is not ours stays: {left:?}");
    }

    #[test]
    fn a_folder_that_was_renamed_is_found_by_its_job() {
        let root = tempfile::tempdir().unwrap();
        let place = JobsPlace::at(root.path().join("jobs"));
        job(&place, "a", &place.dir_of("a"));
        fs::rename(place.dir_of("a"), place.dir_of("kept")).unwrap();
        assert_eq!(
            place.find(Some("a")).unwrap().dir,
            fs::canonicalize(place.dir_of("kept")).unwrap()
        );
        assert!(matches!(place.find(Some("none")), Err(JobDirError::NoSuchJob { .. })));
    }

    #[test]
    fn jobs_are_listed_once_by_time() {
        let place = tempfile::tempdir().unwrap();
        let jobs = JobsPlace::at(place.path().join("jobs"));
        let starts = ["2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.57Z", "2026-01-01T00:00:01Z"];
        for (at, started) in starts.into_iter().enumerate() {
            let job = format!("j{}", 9 - at);
            let mut info = JobInfo::new(&job, vec!["true".into()], 1);
            info.started = started.into();
            let dir = JobDir::create(&jobs.dir_of(&job), false, &info).unwrap();
            jobs.register(&job, dir.path()).unwrap();
        }
        // What `register` makes before it gives it its name.
        point(&jobs.dir_of("latest.new-7"), Path::new("j9")).unwrap();
        let found: Vec<String> = jobs.list().into_iter().map(|job| job.info.job).collect();
        assert_eq!(found, ["j9", "j8", "j7"]);
    }
}
