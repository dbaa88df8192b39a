//! From a line to its statement: which words stay, what varies.

mod class;
pub(crate) mod hash;
pub(crate) mod plain;
mod run;
pub(crate) mod scan;
pub(crate) mod words;
