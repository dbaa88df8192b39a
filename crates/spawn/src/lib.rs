//! Starts processes that lead groups, and a guardian that ends them when their starter dies.

#![warn(missing_debug_implementations)]

mod command;
mod environment;
mod files_limit;
mod guardian;
mod launch;
mod local;
mod memory_tally;
mod memory_watch;
mod process;
mod processes;
mod spawner;
mod stdin;
mod terminal;

pub use command::{CommandError, find_program, resolve};
pub use environment::{Environment, free_port};
pub use files_limit::{FilesLimit, FilesLimitError, check_files_limit, raise_files_limit};
pub use lastline_line::{Exit, Holder, MemoryKills};
pub use memory_tally::MemoryTally;
pub use memory_watch::MemoryWatch;
pub use process::{ExitFuture, Process, attach, own_sigchld};
pub use processes::{Held, has_members_of, holders, kill_until_empty, live_groups};
pub use spawner::{Output, ProcessOptions, ProcessSpawner, RankSpec, Spawned, Spawner};
pub use stdin::{StdinMode, open_stdin};
pub use terminal::TerminalSize;
