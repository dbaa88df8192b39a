//! Ranks here and their driver elsewhere: where the two meet, and either side of it.

pub(crate) mod args;
pub(crate) mod attach;
mod hosting;
mod mirrored;
mod seen;
mod silent;
pub(crate) mod stop;

pub(crate) use hosting::{placement, run};
pub(crate) use lastline_bootstrap::Url;
