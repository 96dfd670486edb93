//! The servers beside the origin, as child processes: where they run, how they are started, that they end.

mod admin;
mod place;
mod rillcast;
mod server;
mod tracker;

pub use place::Place;
pub use rillcast::{Rillcast, SITE, content, program};
pub use server::Server;
pub use tracker::Tracker;
