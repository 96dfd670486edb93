//! The servers beside the origin, as child processes: where they run, how they are started, that they end.

mod admin;
mod agent;
mod http;
mod ingest;
mod place;
mod rillcast;
mod server;
mod tracker;
mod turn;

pub use agent::{Agent, Brought};
pub use ingest::{Ingest, SEGMENT_S, push, tape};
pub use place::Place;
pub use rillcast::{Rillcast, SITE, Setup, content, program};
pub use server::Server;
pub use tracker::Tracker;
pub use turn::Turn;
