//! Ranks here and their driver elsewhere: where the two meet, and either side of it.

pub(crate) mod args;
pub(crate) mod attach;
mod hosting;
mod mirrored;
mod rendezvous;
mod seen;
mod silent;
pub(crate) mod stop;
mod trimmed;

pub(crate) use hosting::run;
pub(crate) use rendezvous::Url;
