//! What `Ranks` prints.

mod alignment;
mod console;
mod held;
mod members;
mod text;
mod values;
