//! The side of a driver.

mod arrivals;
mod attendance;
mod events;
mod feed;
mod inbox;
mod output;

pub use inbox::{From, NatsInbox, Position, Positions};
