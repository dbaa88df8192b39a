//! Real ranks in a mesh that is used as a library.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail as the test itself does")]
#![expect(clippy::disallowed_methods, reason = "tests start programs as others would")]

mod barrier;
mod examples;
mod far;
mod halves;
mod handle;
mod hosts;
mod mesh;
mod support;
mod via;
