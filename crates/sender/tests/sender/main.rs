//! The sender over the in-process transport: order, spooling, policies, the lost route.

mod close;
mod common;
mod control;
mod hangs;
mod policy;
mod property;
mod route;
