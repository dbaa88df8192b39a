//! The appender from outside: its laws, real files, faults, a model, reading afterwards.

#![expect(clippy::unwrap_used, reason = "a test panics when something is wrong")]

mod archive;
#[cfg(feature = "zstd")]
mod compressed;
mod faults;
mod filed_to;
mod files;
mod laws;
mod model;
mod outages;
mod support;
