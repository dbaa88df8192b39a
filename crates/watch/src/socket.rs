//! Where a running job is asked.

use std::path::PathBuf;

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

/// The control socket of a job.
pub fn control_path(job: &str) -> PathBuf {
    socket_dir().join(format!("{job}.sock"))
}
