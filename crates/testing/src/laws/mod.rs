//! The laws of each trait, numbered as in the trait's own documentation.

pub mod field;
pub mod fold;
pub mod printer;
pub mod sink;
pub mod spawner;
pub mod storage;
pub mod transport;
