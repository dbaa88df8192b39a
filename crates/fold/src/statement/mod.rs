//! From a line to its statement: which words stay, what varies.

mod class;
mod drawn;
pub(crate) mod hash;
mod json;
mod look;
pub(crate) mod part;
pub(crate) mod parts;
mod run;
pub(crate) mod scan;
pub(crate) mod words;

pub(crate) use drawn::is_bar;
