//! The side of a host.

mod hearing;
mod queues;
mod rows;
mod transport;

pub use transport::NatsTransport;
