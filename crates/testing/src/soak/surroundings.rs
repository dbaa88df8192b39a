//! What lastline finds where it is started, and what happens around it while it runs.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use fastrand::Rng;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Where the library for `LD_PRELOAD` that shifts the time of day finds by how much, in
/// nanoseconds: a file of eight bytes in this machine's order.
const CLOCK_VARIABLE: &str = "SHIFTED_CLOCK";

/// Lastline's table of descriptors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    /// How many there may be, soft and hard.
    pub(crate) limit: u64,
    /// How many are somebody else's already.
    pub(crate) taken: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// It is the first process of a PID namespace, as in a container.
    pub(crate) first_process: bool,
    /// Who starts it has SIGCHLD ignored.
    pub(crate) sigchld_ignored: bool,
    /// The time of day jumps: so many milliseconds after a rank runs it is so many seconds from the
    /// real one.
    pub(crate) clock: Vec<(u64, i64)>,
    pub(crate) descriptors: Option<Descriptors>,
    /// It is stopped at this time, for so long, in milliseconds.
    pub(crate) stands: Option<(u64, u64)>,
}

impl Surroundings {
    pub(super) fn random(rng: &mut Rng, ranks: u32) -> Self {
        let one_in = |rng: &mut Rng, n| rng.u32(0..n) == 0;
        let mut clock = Vec::new();
        if one_in(rng, 5) {
            let mut at = 0;
            for _ in 0..rng.u32(1..6) {
                at += rng.u64(0..150);
                clock.push((at, rng.i64(-100_000..100_000)));
            }
        }
        let descriptors = one_in(rng, 4).then(|| {
            // About what lastline asks for, and a little less or more.
            let limit = rng.u64(100..160) + 5 * u64::from(ranks);
            Descriptors { limit, taken: if rng.bool() { 0 } else { rng.u64(0..limit - 10) } }
        });
        Self {
            first_process: one_in(rng, 5),
            sigchld_ignored: one_in(rng, 5),
            clock,
            descriptors,
            stands: one_in(rng, 5).then(|| (rng.u64(0..300), rng.u64(50..900))),
        }
    }

    /// Starts `command` in them. `clock` is the file of [`set_clock`], `library` shifts the time.
    pub(super) fn start(
        &self,
        mut command: Command,
        clock: &Path,
        library: &Path,
    ) -> io::Result<Child> {
        if !self.clock.is_empty() {
            set_clock(clock, 0)?;
            command.env("LD_PRELOAD", library).env(CLOCK_VARIABLE, clock);
        }
        let own = self.clone();
        #[expect(unsafe_code, reason = "what a process inherits is made between fork and exec")]
        // SAFETY: it makes system calls only.
        unsafe {
            command.pre_exec(move || own.enter());
        }
        if !self.first_process {
            return spawn(&mut command);
        }
        // The namespace is for the children of one thread, and its first one is this.
        let start = || {
            #[expect(unsafe_code, reason = "rustix calls every unshare unsafe, for file tables")]
            // SAFETY: no table of files is unshared.
            unsafe {
                unshare_unsafe(UnshareFlags::NEWPID)?;
            }
            spawn(&mut command)
        };
        std::thread::scope(|scope| scope.spawn(start).join().expect("the starter panicked"))
    }

    /// In the new process, between fork and exec.
    fn enter(&self) -> io::Result<()> {
        if self.first_process {
            own_proc()?;
        }
        let ignored = if self.sigchld_ignored { libc::SIG_IGN } else { libc::SIG_DFL };
        #[expect(unsafe_code, reason = "std knows no signals")]
        // SAFETY: no handler is set.
        unsafe {
            libc::signal(libc::SIGCHLD, ignored);
            // Who runs this may have ignored them, as a shell does for what is in the background.
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                libc::signal(signal, libc::SIG_DFL);
            }
        }
        let Some(Descriptors { limit, taken }) = self.descriptors else {
            return Ok(());
        };
        for _ in 0..taken {
            // Not closed by exec.
            let held = rustix::io::dup(rustix::stdio::stdin())?;
            std::mem::forget(held);
        }
        Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: Some(limit) })?)
    }
}

/// A `/proc` of the namespace, as every container has one.
fn own_proc() -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix calls every unshare unsafe, for file tables")]
    // SAFETY: no table of files is unshared.
    unsafe {
        unshare_unsafe(UnshareFlags::NEWNS)?;
    }
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    Ok(mount(c"proc", c"/proc", c"proc", MountFlags::empty(), None)?)
}

#[expect(clippy::disallowed_methods, reason = "the runner starts lastline")]
fn spawn(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

/// The time of day is so many seconds from the real one for who was started with this file.
pub(super) fn set_clock(file: &Path, seconds: i64) -> io::Result<()> {
    let shift = seconds.saturating_mul(1_000_000_000).to_ne_bytes();
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(file)?;
    file.write_all_at(&shift, 0)
}

/// The library that shifts the time, beside the rank's program.
pub(super) fn clock_library(rank: &Path) -> PathBuf {
    rank.with_file_name("libshifted_clock.so")
}
