//! The crate on a real server, which each test starts for itself.

mod claims;
mod controls;
mod faults;
mod job;
mod jwt;
mod laws;
mod proxy;
mod reading;
mod security;
mod server;
mod silent;
mod spool;
