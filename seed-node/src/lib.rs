//! The native shell around the Rillcast engine: a seed node.
//!
//! - [`rtc`]: WebRTC with every peer on one UDP port
//! - [`payload`]: the bytes that the engine moves here

pub mod payload;
pub mod rtc;
