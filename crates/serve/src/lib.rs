//! x
mod files;
mod guard;
mod listen;
mod rows;
mod search;
mod token;
mod window;
