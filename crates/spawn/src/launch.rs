//! Starting a program without copying this process.
//!
//! A fork copies the tables of all memory, and for a while every thread faults on each page that it
//! writes to: for a thousand ranks that is more than all else together. `posix_spawn` copies nothing,
//! but leaves no room for what a rank has to do before its program. So this is what `posix_spawn` does
//! inside: `clone` with `CLONE_VM | CLONE_VFORK` on a stack of its own, while the calling thread waits
//! until the program has been executed. The child makes system calls on memory that was made before,
//! and nothing else.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use crate::files_limit::FilesLimit;
use crate::orphans;
use crate::process_limit::explain_process_limit;

/// What the child's own calls need, beside what the C library needs for a script without `#!`: one
/// more word for each argument.
const STACK_BYTES: usize = 64 << 10;

/// What a program is started with.
pub(crate) struct Program<'a> {
    /// Its file.
    pub(crate) file: &'a OsStr,
    /// The name that it is called by, and its arguments.
    pub(crate) command: &'a [OsString],
    /// What is different from the variables of this process; `None` takes one away.
    pub(crate) env: &'a [(OsString, Option<OsString>)],
    pub(crate) workdir: Option<&'a Path>,
    /// What becomes of its stdin, stdout and stderr. None of them may be one of these here, which the
    /// runtime of Rust sees to: it opens all three.
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// The limit of open files that it is given, when not ours.
    pub(crate) files_limit: Option<FilesLimit>,
}

/// Starts `program` after the child has done `prepare`, with its outputs in place. Gives its id, and
/// what becomes readable when it exits. On an error nothing runs, and nothing is left to reap.
///
/// `prepare` runs in the memory of this process while the calling thread stands still: it may only make
/// system calls.
pub(crate) fn launch(
    program: &Program<'_>,
    prepare: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<(Pid, OwnedFd)> {
    let argv = c_strings(program.command.iter().map(|word| word.clone().into_vec()))?;
    let envp = c_strings(variables(program.env))?;
    let mut child = Child {
        file: c_string(program.file.as_bytes().to_vec())?,
        argv: pointers(&argv),
        envp: pointers(&envp),
        workdir: program
            .workdir
            .map(|dir| c_string(dir.as_os_str().as_bytes().to_vec()))
            .transpose()?,
        stdio: program.stdio.map(|fd| fd.as_raw_fd()),
        files_limit: program.files_limit,
        is_lost: false,
        prepare,
    };
    let stack_bytes = STACK_BYTES + size_of_val(&child.argv[..]);
    let launched = execute(stack_bytes, &mut || child.become_program());
    match program.workdir.filter(|_| child.is_lost) {
        Some(dir) => launched.map_err(|error| cannot_enter(dir, &error)),
        None => launched,
    }
}

/// Runs `child` in a process of its own, which shares this memory, on a stack of so many bytes, until
/// it executes a program. Returns after that. On an error nothing runs, and nothing is left to reap.
pub(crate) fn execute(
    stack_bytes: usize,
    child: &mut dyn FnMut() -> io::Result<Infallible>,
) -> io::Result<(Pid, OwnedFd)> {
    let mut run = Run { child, error: 0 };
    let (pid, pidfd) = orphans::start(|| clone(stack_bytes, &mut run))?;
    if run.error == 0 {
        return Ok((pid, pidfd));
    }
    reap(pid, &pidfd);
    Err(explain_process_limit(io::Error::from_raw_os_error(run.error)))
}

/// The system's words alone, "no such file or directory", would be taken for the program's.
fn cannot_enter(dir: &Path, error: &io::Error) -> io::Error {
    let text = format!("cannot enter the directory {}: {error}", dir.display());
    io::Error::new(io::ErrorKind::NotADirectory, text)
}

/// Waits for a child that is ending. It may be nobody's already, where SIGCHLD is ignored.
pub(crate) fn reap(pid: Pid, pidfd: &OwnedFd) {
    let wait = || rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    let waited = orphans::reap(pid, || Some(rustix::io::retry_on_intr(wait)));
    if let Some(Err(error)) = waited {
        tracing::debug!(%error, "a child was reaped by somebody else");
    }
}

/// The variables of this process, with what is different.
fn variables(changes: &[(OsString, Option<OsString>)]) -> impl Iterator<Item = Vec<u8>> {
    let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    for (name, value) in changes {
        match value {
            Some(value) => drop(variables.insert(name.clone(), value.clone())),
            None => drop(variables.remove(name)),
        }
    }
    variables.into_iter().map(|(name, value)| {
        let mut variable = name.into_vec();
        variable.push(b'=');
        variable.extend(value.into_vec());
        variable
    })
}

fn c_string(bytes: Vec<u8>) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

fn c_strings(words: impl Iterator<Item = Vec<u8>>) -> io::Result<Vec<CString>> {
    words.map(c_string).collect()
}

/// As C has lists of strings.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}

/// What the child reads, made before it is there.
struct Child<'a> {
    file: CString,
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
    workdir: Option<CString>,
    stdio: [RawFd; 3],
    files_limit: Option<FilesLimit>,
    /// It cannot enter the directory that it is to run in.
    is_lost: bool,
    prepare: &'a mut dyn FnMut() -> io::Result<()>,
}

/// What the child does.
struct Run<'a> {
    child: &'a mut dyn FnMut() -> io::Result<Infallible>,
    /// Why there is no program, by the system's number; zero when there is one.
    error: c_int,
}

/// Does `run` in a process of its own, which shares this memory until it executes its program or ends.
/// Returns after that.
#[expect(unsafe_code, reason = "neither std nor rustix has clone")]
fn clone(stack_bytes: usize, run: &mut Run<'_>) -> io::Result<(Pid, OwnedFd)> {
    let mut stack: Vec<u128> = Vec::new();
    stack.reserve_exact(stack_bytes.div_ceil(size_of::<u128>()));
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mut pidfd: c_int = -1;
    // A handler must not run in the child: it would run in our memory.
    let signals = Blocked::all()?;
    // SAFETY: the stack is the child's alone, grows down from its aligned end, and lives until `clone`
    // returns, which `CLONE_VFORK` delays until the child has left this memory. `run` is its alone
    // for as long.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(begin, top.cast(), flags, (&raw mut *run).cast(), &raw mut pidfd)
    };
    let failed = io::Error::last_os_error();
    drop(signals);
    // Below zero nothing was started; what is no id may not even be asked about.
    let pid = (pid > 0).then(|| Pid::from_raw(pid)).flatten();
    match pid {
        // SAFETY: `CLONE_PIDFD` has made it, for us.
        Some(pid) => Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) })),
        None => Err(explain_process_limit(failed)),
    }
}

/// Where the child begins.
extern "C" fn begin(run: *mut c_void) -> c_int {
    #[expect(unsafe_code, reason = "this is what `clone` calls")]
    // SAFETY: it is what `clone` was given, and nobody else uses it meanwhile. Exit handlers belong to
    // the process whose memory this is.
    unsafe {
        let run = &mut *run.cast::<Run<'_>>();
        let Err(error) = (run.child)();
        run.error = error.raw_os_error().unwrap_or(libc::EIO);
        libc::_exit(127)
    }
}

impl Child<'_> {
    /// System calls only: this runs in the memory of the parent.
    #[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
    fn become_program(&mut self) -> io::Result<Infallible> {
        // SAFETY: plain calls on memory that is valid until the program is executed.
        unsafe {
            forget_handlers();
            for (target, source) in (0..).zip(self.stdio) {
                check(libc::dup2(source, target))?;
            }
            if let Some(workdir) = &self.workdir {
                self.is_lost = true;
                check(libc::chdir(workdir.as_ptr()))?;
                self.is_lost = false;
            }
            if let Some(limit) = self.files_limit {
                limit.set()?;
            }
            (self.prepare)()?;
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            check(libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()))?;
            // With a slash in the file's name nothing is searched for; a script without `#!` is given
            // to the shell.
            libc::execvpe(self.file.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr());
        }
        Err(io::Error::last_os_error())
    }
}

fn check(returned: c_int) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Every signal that has a handler does again what it does by default, and so do SIGPIPE, which Rust
/// ignores, and SIGCHLD: a program that finds it ignored does not learn how its children end.
#[expect(unsafe_code, reason = "between clone and exec there are only system calls")]
fn forget_handlers() {
    // SAFETY: plain calls on memory of this function. The table of handlers is the child's own.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let mut action: libc::sigaction = std::mem::zeroed();
            let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
            let kept = [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
            if known && (!kept || [libc::SIGPIPE, libc::SIGCHLD].contains(&signal)) {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
    }
}

/// Signals that this thread does not take while this lives.
struct Blocked(libc::sigset_t);

impl Blocked {
    #[expect(unsafe_code, reason = "std does not know of signals' masks")]
    fn all() -> io::Result<Self> {
        // SAFETY: plain calls on memory of this function.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) {
                0 => Ok(Self(before)),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for Blocked {
    #[expect(unsafe_code, reason = "std does not know of signals' masks")]
    fn drop(&mut self) {
        // SAFETY: a plain call on memory of this value; it cannot fail with a mask that was there.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use super::*;

    fn output_of(file: &str, command: &[&str], env: &[(&str, Option<&str>)]) -> io::Result<String> {
        let (mut read, write) = io::pipe()?;
        let null = File::open("/dev/null")?;
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let env: Vec<_> =
            env.iter().map(|(name, value)| (name.into(), value.map(OsString::from))).collect();
        let program = Program {
            file: file.as_ref(),
            command: &command,
            env: &env,
            workdir: Some(Path::new("/")),
            stdio: [null.as_fd(), write.as_fd(), null.as_fd()],
            files_limit: None,
        };
        let (_pid, pidfd) = launch(&program, &mut || Ok(()))?;
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text)?;
        rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?;
        Ok(text)
    }

    #[test]
    fn a_program_gets_its_arguments_variables_and_place() {
        let script = "echo $0 $1 $GIVEN ${HOME-none} $PWD; read line || echo null";
        let env = [("GIVEN", Some("first")), ("HOME", None), ("GIVEN", Some("last"))];
        let text = output_of("/bin/sh", &["sh", "-c", script, "name", "x"], &env).unwrap();
        assert_eq!(text, "name x last none /\nnull\n");
    }

    #[test]
    fn signals_do_what_they_do_by_default_and_none_is_blocked() {
        let script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status";
        let text = output_of("/bin/sh", &["sh", "-c", script], &[]).unwrap();
        let masks: Vec<u64> = text
            .lines()
            .map(|line| {
                u64::from_str_radix(line.split_ascii_whitespace().nth(1).unwrap(), 16).unwrap()
            })
            .collect();
        let reset = 1 << (libc::SIGPIPE - 1) | 1 << (libc::SIGCHLD - 1);
        assert_eq!((masks[0], masks[1] & reset), (0, 0), "{text}");
    }

    #[test]
    fn why_there_is_no_program_is_the_systems_own_error() {
        let error = |file: &str| output_of(file, &["x"], &[]).unwrap_err().raw_os_error();
        assert_eq!(error("/no/such/program"), Some(libc::ENOENT));
        assert_eq!(error("/"), Some(libc::EACCES));
        assert_eq!(
            output_of("/bin/sh", &["a\0b"], &[]).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_script_without_a_first_line_for_it_is_given_to_the_shell() {
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("script");
        // Another process writes it: a child that another test starts meanwhile would inherit it open
        // for writing, and nobody could execute it.
        let write = r#"echo 'echo $# arguments' >"$0" && chmod 755 "$0""#;
        output_of("/bin/sh", &["sh", "-c", write, script.to_str().unwrap()], &[]).unwrap();
        let many = vec!["word"; 20_000];
        let text = output_of(script.to_str().unwrap(), &many, &[]).unwrap();
        assert_eq!(text, "19999 arguments\n");
    }
}
