//! Finding the program to run, before anything is started.
//!
//! A file that the kernel cannot execute and that names no interpreter is run by `sh`, as `execvp`
//! has it, and `env` and `xargs` with it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// So much of a file the kernel looks at to find who is to run it (`BINPRM_BUF_SIZE`).
const SCRIPT_START: u64 = 256;

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
    /// There is one that names a program to run it, and there is none such.
    #[error("cannot run {}: there is no interpreter {interpreter:?}", path.display())]
    NoInterpreter {
        /// The file.
        path: PathBuf,
        /// What stands behind its `#!`.
        interpreter: PathBuf,
    },
}

impl CommandError {
    /// What kind of error of the system it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotExecutable { .. } => ErrorKind::PermissionDenied,
            _ => ErrorKind::NotFound,
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
        check(&path, workdir)?;
        let path = std::path::absolute(&path).unwrap_or(path);
        return Ok(path.into_os_string());
    }
    let default = OsStr::new("/usr/local/bin:/usr/bin:/bin");
    let mut refused = None;
    for directory in std::env::split_paths(search.unwrap_or(default)) {
        let path = directory.join(name);
        match check(&path, workdir) {
            Ok(()) => return Ok(path.into_os_string()),
            Err(CommandError::NotFound { .. }) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| CommandError::NotFound { name: name.into() }))
}

fn check(path: &Path, workdir: Option<&Path>) -> Result<(), CommandError> {
    let refuse = |reason| CommandError::NotExecutable { path: path.into(), reason };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(refuse("permission denied"));
        }
        Err(_) => return Err(CommandError::NotFound { name: path.into() }),
        Ok(metadata) if metadata.is_dir() => return Err(refuse("is a directory")),
        Ok(_) => {}
    }
    rustix::fs::access(path, Access::EXEC_OK).map_err(|_| refuse("no execute permission"))?;
    // The system would say of the file itself that it does not exist.
    let interpreter = interpreter(path).filter(|program| {
        let found = std::fs::metadata(workdir.unwrap_or(Path::new("")).join(program));
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
    });
    match interpreter {
        Some(interpreter) => Err(CommandError::NoInterpreter { path: path.into(), interpreter }),
        None => Ok(()),
    }
}

/// What a script says behind its `#!`, as the kernel reads it. Nothing where it cannot be read: a
/// program need not be readable.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|of| of.is_file()))?;
    file.take(SCRIPT_START).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
    let program = words.find(|word| !word.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(program)))
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

    #[test]
    fn a_script_whose_interpreter_is_missing_is_not_run_and_the_interpreter_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let find = |script: &[u8]| {
            let path = dir.path().join("script");
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            resolve(OsStr::new("script"), Some(dir.path()), Some(dir.path().as_os_str()))
        };
        for (script, named) in [
            (&b"#!/no/such\n"[..], "\"/no/such\""),
            (b"#! \t/no/such -x\necho", "\"/no/such\""),
            (b"#!/bin/sh\r\n", r#""/bin/sh\r""#),
            (b"#!none", "\"none\""),
        ] {
            let error = find(script).unwrap_err();
            assert_eq!((error.exit_code(), error.kind()), (127, ErrorKind::NotFound));
            assert!(error.to_string().ends_with(&format!("no interpreter {named}")), "{error}");
        }
        // One that is given relatively is seen from where the script runs.
        std::fs::write(dir.path().join("none"), "").unwrap();
        for script in
            [&b"#!none"[..], b"#!/bin/sh -e\n", b"#!\n", b"#!  ", b"", b"\x7fELF", b"echo x"]
        {
            find(script).unwrap();
        }
    }
}
