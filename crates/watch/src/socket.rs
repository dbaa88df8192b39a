//! Where a running job is asked.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use lastline_jobs::{FoundJob, JobsPlace};
use rustix::process::geteuid;

/// Where the sockets of this user's jobs are: `$XDG_RUNTIME_DIR/lastline`, or a folder of the
/// user's own among the temporary files.
fn socket_dir() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match runtime {
        Some(dir) => PathBuf::from(dir).join("lastline"),
        None => std::env::temp_dir().join(format!("lastline-{}", geteuid().as_raw())),
    }
}

/// The control socket of a job of this user's place: an id is that of one job in each.
pub fn control_path(job: &str) -> PathBuf {
    socket_dir().join(control_name(JobsPlace::of_user().ok().as_ref(), job))
}

/// Where a job that is found on the disk is asked while it runs: as its `job.json` says, since it may
/// be of another place than this user's; at [`control_path`] where that says nothing, as those of hosts
/// do, whose driver is asked.
pub fn control_path_of(job: &FoundJob) -> PathBuf {
    job.info.control.clone().unwrap_or_else(|| control_path(&job.info.job))
}

/// The name of the control socket of a job: `ID.0badcafe.sock`, where the middle is the FNV-1a hash, of
/// 32 bits, of the path of its place (Fowler, Noll, Vo; <http://www.isthe.com/chongo/tech/comp/fnv/>);
/// `ID.sock` where there is no place.
pub fn control_name(place: Option<&JobsPlace>, job: &str) -> String {
    match place {
        Some(place) => format!("{job}.{:08x}.sock", hash(&place.dir_of(""))),
        None => format!("{job}.sock"),
    }
}

/// However many slashes there are between the parts of the path.
fn hash(path: &Path) -> u32 {
    let path: PathBuf = path.components().collect();
    let bytes = path.as_os_str().as_bytes().iter();
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(place: &str, job: &str) -> String {
        control_name(Some(&JobsPlace::at(place.into())), job)
    }

    #[test]
    fn a_job_is_asked_in_its_own_place() {
        assert_eq!(control_name(None, "a"), "a.sock");
        assert_ne!(name("/home/a/jobs", "a"), name("/home/b/jobs", "a"));
        assert_eq!(name("/home//a/jobs/", "a"), name("/home/a/jobs", "a"));
        // Others than Rust have to find it.
        assert_eq!(name("/a", "ci-7"), "ci-7.70d2182d.sock");
    }

    #[test]
    fn the_longest_id_is_a_name_that_a_socket_can_have() {
        let path = format!("/tmp/lastline-{}/{}", u32::MAX, name("/", &"x".repeat(64)));
        assert!(path.len() < 108, "{path}");
    }
}
