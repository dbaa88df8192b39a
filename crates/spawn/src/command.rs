//! Finding the program to run, before anything is started.
//!
//! A file that the kernel cannot execute and that names no interpreter is run by `sh`, as `execvp`
//! has it, and `env` and `xargs` with it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// Why a command cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// No program was named.
    #[error("no command given")]
    Empty,
    /// There is no such program.
    #[error("command not found: {}", name.display())]
    NotFound {
        /// The name as given.
        name: PathBuf,
    },
    /// There is one that may not be executed.
    #[error("cannot execute {}: {reason}", path.display())]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
}

impl CommandError {
    /// What kind of error of the system it is.
    pub fn kind(&self) -> std::io::ErrorKind {
        match self {
            Self::NotExecutable { .. } => std::io::ErrorKind::PermissionDenied,
            _ => std::io::ErrorKind::NotFound,
        }
    }

    /// The exit code that shells use for it: 127 for not found, 126 for not executable.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotExecutable { .. } => 126,
            _ => 127,
        }
    }
}

/// The program of a command: what its first word means in `workdir` with the `PATH` that `env`
/// leaves of this process's own; `None` takes a variable away.
///
/// # Errors
///
/// When there is none, or it may not be executed.
pub fn find_program(
    command: &[OsString],
    workdir: Option<&Path>,
    env: &[(OsString, Option<OsString>)],
) -> Result<OsString, CommandError> {
    let name = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let search = match env.iter().rev().find(|(key, _)| key == "PATH") {
        Some((_, asked)) => asked.clone(),
        None => std::env::var_os("PATH"),
    };
    resolve(name, workdir, search.as_deref())
}

/// The program that `name` means: a path when it holds a slash (seen from `workdir`), otherwise
/// the first executable file of that name in the directories of `search`, as `PATH` lists them
/// (`/usr/local/bin`, `/usr/bin` and `/bin` when `None`).
///
/// # Errors
///
/// When there is none, or it may not be executed.
pub fn resolve(
    name: &OsStr,
    workdir: Option<&Path>,
    search: Option<&OsStr>,
) -> Result<OsString, CommandError> {
    if name.is_empty() {
        return Err(CommandError::Empty);
    }
    if name.as_bytes().contains(&b'/') {
        let path = workdir.unwrap_or(Path::new("")).join(name);
        check(&path)?;
        let path = std::path::absolute(&path).unwrap_or(path);
        return Ok(path.into_os_string());
    }
    let default = OsStr::new("/usr/local/bin:/usr/bin:/bin");
    let mut refused = None;
    for directory in std::env::split_paths(search.unwrap_or(default)) {
        let path = directory.join(name);
        match check(&path) {
            Ok(()) => return Ok(path.into_os_string()),
            Err(error @ CommandError::NotExecutable { .. }) => refused = refused.or(Some(error)),
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(|| CommandError::NotFound { name: name.into() }))
}

fn check(path: &Path) -> Result<(), CommandError> {
    let refuse = |reason| CommandError::NotExecutable { path: path.into(), reason };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(refuse("permission denied"));
        }
        Err(_) => return Err(CommandError::NotFound { name: path.into() }),
        Ok(metadata) if metadata.is_dir() => return Err(refuse("is a directory")),
        Ok(_) => {}
    }
    rustix::fs::access(path, Access::EXEC_OK).map_err(|_| refuse("no execute permission"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_program_is_found_as_a_shell_would() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode| {
            let path = dir.path().join(name);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (good, plain) = (file("good", 0o755), file("plain", 0o644));
        let search = dir.path().as_os_str();
        let find = |name: &str| resolve(OsStr::new(name), Some(dir.path()), Some(search));
        assert_eq!(find("good"), Ok(good.clone().into_os_string()));
        assert_eq!(find("./good").map(|p| std::fs::canonicalize(p).unwrap()), Ok(good));
        let no = |name: &str| find(name).unwrap_err().exit_code();
        assert_eq!(
            (no("plain"), no("./plain"), no("./none"), no("none"), no("/")),
            (126, 126, 127, 127, 126)
        );
        assert!(find("plain").unwrap_err().to_string().contains(plain.to_str().unwrap()));
        assert_eq!(find(""), Err(CommandError::Empty));
    }
}
