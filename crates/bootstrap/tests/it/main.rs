//! Real ranks in a mesh that is used as a library.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]

mod barrier;
mod mesh;
mod support;
