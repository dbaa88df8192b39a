//! The real binary with real children.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

mod advice;
mod bounds;
mod chosen;
mod clocks;
mod codes;
mod compressed;
mod console;
mod containers;
mod content;
mod disks;
mod environment;
#[cfg(feature = "export")]
mod export;
mod failures;
mod filter;
mod folding;
mod guardian;
mod holders;
mod ids;
mod jobs;
mod logs;
mod memory;
mod merged;
#[cfg(feature = "metrics")]
mod metrics;
mod one_failure;
mod options;
mod progress;
mod pty;
mod read_back;
mod restarts;
mod rotated_by_others;
mod scarce;
mod serve;
mod signals;
mod standstill;
mod stdin;
mod stopping;
mod stuck;
mod support;
mod timeout;
mod top;
mod typed;
mod typing;
mod usage;
mod via;
mod watch;
mod words;
