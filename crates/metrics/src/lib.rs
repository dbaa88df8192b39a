//! A running job's counters in Prometheus' text format, over HTTP.
//!
//! [`render`] makes the text of what [`lastline_watch`] knows of a job, a [`Snapshot`] and a [`Tally`]; a
//! [`Server`] answers `GET /metrics` with it, on a thread of its own.
//!
//! ```
//! use lastline_line::Timestamp;
//! use lastline_metrics::render;
//! use lastline_watch::{Snapshot, Tally};
//!
//! let mut seen = Snapshot::default();
//! seen.job.id = "ci-7".into();
//! seen.job.world_size = 8;
//! let text = render(&seen, &Tally::default(), Timestamp(0));
//! assert!(text.contains("lastline_job_world_size{job=\"ci-7\"} 8\n"));
//! ```
//!
//! # Theory of operation
//!
//! The text is the [exposition format](https://prometheus.io/docs/instrumenting/exposition_formats/) of
//! version 0.0.4, which Prometheus and all that reads like it understand; names and units follow
//! [its advice](https://prometheus.io/docs/practices/naming/). It is made when somebody asks, and again at
//! most four times a second, so that nobody who asks more often costs the job more.
//!
//! A scraper that takes nothing holds its own connection alone, for 30 s; eight may ask at once, others
//! wait. Nothing of the job waits for any of them.
//!
//! # Laws
//!
//! 1. **One family, one place.** Each family has its `# HELP`, its `# TYPE` and all of its samples once,
//!    together, and no two samples have the same labels.
//! 2. **Counters never decrease.** A sample of a counter is a sum over all starts of a rank: what only grows
//!    in the [`Tally`] only grows in the text.
//! 3. **Any label.** Whatever text a label has, it is read as that text.
//! 4. **Bounded.** The text grows with the ranks, some 2.5 KiB for each, and not with what they say.
//!
//! # What it does not do
//!
//! It asks nobody for a password and encrypts nothing; no line of a rank is in the text, nor the command.
//!
//! [`Snapshot`]: lastline_watch::Snapshot
//! [`Tally`]: lastline_watch::Tally

mod listen;
mod render;
mod server;
mod text;

pub use render::render;
pub use server::{CONTENT_TYPE, Server};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
