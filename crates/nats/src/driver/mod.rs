//! The side of a driver.

mod arrivals;
mod attendance;
mod events;
mod feed;
mod inbox;
mod output;
mod reading;

pub use inbox::{From, NatsInbox, PendingStop, Position, Positions};
pub use reading::Reading;
