//! A job in the browser: a page that is live while the job runs, and the same as one file afterwards.
//!
//! [`Server`] answers on an address of its own; whoever opens the address that it names, with a token,
//! sees who runs, who is silent, who failed first, what they said and what the others said then.
//!
//! # Theory of operation
//!
//! **Who may see it.** The address holds a random token, which the first answer takes out of it: the
//! browser gets a cookie in its place. A request that comes from another page, or under a name that
//! somebody else can give to this address, is refused, whatever it knows. Nothing is changed but by a
//! `POST` of the page's own script, and then only where a [`Control`] was handed in.
//!
//! **What is told.** A viewer of a running job has a connection to that job's control socket through this
//! server, which adds nothing to it but what files say of the past: what a viewer does not take is not
//! read from the job, which then says less to it, in words. So a viewer that never reads holds one event
//! here, and is left after 30 s. Lines are read from files by offset, a window at a time.
//!
//! **What is text.** All that ranks say travels as JSON and becomes text of the page, never markup.
//!
//! # What it does not do
//!
//! It encrypts nothing, and writes nothing to a disk but the file of a [`picture`].

mod answer;
mod around;
mod assets;
mod files;
mod finding;
mod guard;
mod lines;
mod listen;
mod live;
mod past;
mod picture;
mod routes;
mod rows;
mod search;
mod server;
mod state;
mod token;
mod told;
mod window;

pub use picture::{Picture, picture};
pub use server::{Control, Options, Server};

// The program of the README runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
