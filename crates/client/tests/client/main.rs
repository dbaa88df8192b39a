//! The client over the in-process transport: what is printed, what is answered, what is counted.

mod account;
mod barrier;
mod common;
mod failure;
mod long_line;
mod marks;
mod panics;
mod printing;
mod property;
mod subscribe;
