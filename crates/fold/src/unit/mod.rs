//! Units: lines of one stream that say one thing together, held until the unit is closed.

mod shape;
mod stream;

pub(crate) use shape::{Match, Part, Shape};
pub(crate) use stream::{Meta, Said, Units};
