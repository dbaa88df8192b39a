//! Tees of everything that can be read.

mod readers;
mod support;
mod terminals;
