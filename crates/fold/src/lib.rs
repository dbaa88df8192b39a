//! x
mod edit;
mod entry;
mod field;
mod generations;
mod miner;
mod nearest;
mod number;
mod options;
mod range;
mod ranks;
mod read;
mod similar;
mod skeleton;
mod statement;
mod summary;
mod unit;
mod wander;
mod window;

pub use edit::{EditDistance, EditDistanceOptions};
pub use lastline_line::Off;
pub use miner::{GroupId, Miner, MinerOptions, Place, Statement};
pub use nearest::{MAX_SHARE, Nearest};
pub use options::Bounds;
pub use ranks::{Ranks, RanksOptions};
pub use similar::{Similar, SimilarOptions};
pub use summary::{same_statement, units};
