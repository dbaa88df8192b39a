//! Starts processes that lead groups, reports how they end, and ends what they leave behind, also when
//! this process is killed.
//!
//! A [`Spawner`] starts a rank from a [`RankSpec`] and gives a [`Process`], which is signalled and
//! waited for, and where its output is read. [`ProcessSpawner`] starts real processes; [`attach`] makes
//! a [`Process`] of one that somebody else started.
//!
//! ```
//! use std::io::Read;
//! use lastline_spawn::{Exit, Output, ProcessOptions, ProcessSpawner, RankSpec, Spawner};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut spawner = ProcessSpawner::new(ProcessOptions::default())?;
//! let mut spec = RankSpec::new(0, ["sh", "-c", "echo $GREETING; exit 3"].map(Into::into).into());
//! spec.env.push(("GREETING".into(), Some("hello".into())));
//! let rank = spawner.spawn(spec)?;
//! assert_eq!(rank.process.wait().await, Exit::Code(3));
//! let Output::Pipes { stdout, .. } = rank.output else { unreachable!("no terminal was asked for") };
//! let mut text = String::new();
//! std::fs::File::from(stdout).read_to_string(&mut text)?;
//! assert_eq!(text, "hello\n");
//! rank.process.release();
//! spawner.dismiss();
//! # Ok::<_, std::io::Error>(()) })?;
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # Theory of operation
//!
//! A rank is started as `posix_spawn` does it inside: by a child that shares the memory of this process
//! until it executes the program, so that a large process starts ranks as fast as a small one. Before it
//! does, it makes a group of its own, or with a terminal a session, and writes its number to the
//! guardian's pipe. So there is no moment in which it runs and nobody would end it.
//!
//! The guardian is a process that holds the other end of that pipe. When the pipe closes without a
//! farewell, this process was killed: the guardian sends SIGTERM to every group that was not released,
//! and SIGKILL after [`ProcessOptions::grace`]. It is a program of some three hundred bytes that is
//! written to a file in memory and executed there: it takes no file on disk, shares no memory with this
//! process, and has a few pages of its own. On other machines than x86_64, or where a file in memory
//! may not be executed, it is a fork.
//!
//! A process is waited for by a pidfd. It stays a zombie until [`Process::release`], so that the number
//! of its group cannot become somebody else's while signals are sent to it. What is left in a group is
//! seen in `/proc` ([`live_groups`]), where zombies do not count; [`kill_until_empty`] ends it, whoever
//! is started meanwhile included.
//!
//! Where another part of this process reaps every child, or SIGCHLD is ignored, that a process has ended
//! is seen all the same, and how is [`Exit::Unknown`]. A program that owns its process calls
//! [`own_sigchld`] when it starts.
//!
//! # Laws
//!
//! Those of [`Spawner`] and [`Process`]; `lastline_testing::laws::spawner` runs them on any
//! implementation.
//!
//! # How to write your own
//!
//! 1. Implement [`Process`] for what you have: an id on another host, a container, a thread. Only
//!    [`id`](Process::id) and [`group`](Process::group) speak of this host; leave them `None` otherwise.
//! 2. Remember the end: `exit` and `wait` go on saying what they have said once.
//! 3. After `release`, signal nobody.
//! 4. Implement [`Spawner::spawn`]; give the read ends of pipes, or a terminal, and keep no write end.
//! 5. Run `laws::spawner::process` on your processes, and `laws::spawner::all` on a spawner that runs
//!    programs of this host.
//!
//! # What it does not do
//!
//! It reads no output: that is for whoever gets the pipes. It starts nothing again, and limits nothing
//! but open files. It knows Linux only, 5.4 and later.

#![warn(missing_debug_implementations)]

mod command;
mod environment;
mod files_limit;
mod guardian;
mod launch;
mod local;
mod memory_tally;
mod memory_watch;
mod orphans;
mod placement;
mod process;
mod process_limit;
mod processes;
mod spawner;
mod stdin;
mod terminal;
mod typist;

pub use command::{CommandError, find_program, resolve};
pub use environment::{Environment, free_port};
pub use files_limit::{FilesLimit, FilesLimitError, check_files_limit, raise_files_limit};
pub use lastline_line::{Exit, Holder, MemoryKills};
pub use memory_tally::MemoryTally;
pub use memory_watch::MemoryWatch;
pub use orphans::{Orphan, inherits_orphans, reap_orphans};
pub use placement::{Placement, PlacementError, PlacementFlags, Variables};
pub use process::{ExitFuture, Process, attach, own_sigchld};
pub use process_limit::explain_process_limit;
pub use processes::{Held, has_members_of, holders, kill_until_empty, live_groups};
pub use spawner::{Output, ProcessOptions, ProcessSpawner, RankSpec, Spawned, Spawner};
pub use stdin::{StdinMode, open_stdin};
pub use terminal::{Echo, TerminalSize};
pub use typist::{OnEcho, Typist};

/// The programs of the README are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
