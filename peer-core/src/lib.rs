//! The Rillcast engine: sans-IO and deterministic. No clock, socket, thread, async, global or OS randomness.
//!
//! Rooms, each using only those before it: [`time`], [`payload`], [`switches`], [`media`], [`wire`], [`trust`], [`index`], [`overlay`],
//! [`transfer`], [`schedule`], [`engine`].

#![forbid(unsafe_code)]

pub mod engine;
pub mod index;
pub mod map;
pub mod media;
pub mod overlay;
pub mod payload;
pub mod rng;
pub mod schedule;
pub mod switches;
pub mod time;
pub mod transfer;
pub mod trust;
pub mod wire;

pub use rillcast_protocol as protocol;
