//! The Rillcast engine: sans-IO and deterministic. No clock, socket, thread, async, global or OS randomness.
//!
//! Rooms, each using only those before it: [`time`], [`payload`], `media`, `wire`, `trust`, `index`, `overlay`,
//! `transfer`, `schedule`, [`engine`].

#![forbid(unsafe_code)]

pub mod engine;
pub mod payload;
pub mod time;

pub use rillcast_protocol as protocol;
