//! The words that Rillcast's programs share, and nothing else: what signaling, browsers and seed nodes must
//! agree on byte for byte.
//!
//! - [`id`]: who and what is spoken of
//! - [`coding`]: the bounded binary codec; every length is checked before anything is allocated
//! - [`dash`]: what tracks and segments of DASH are called
//! - [`digest`]: what a publisher signs about a segment
//! - [`ticket`]: who may take part, and who may no more
//! - [`nat`]: how a peer's network maps its addresses
//! - [`sealing`]: how what peers tell each other to connect is kept from those who carry it
//! - [`session`]: a WebRTC session description as its few essential fields
//! - [`settings`]: what a site allows its viewers
//! - [`signal`]: the messages between a peer and the signaling server
//!
//! Messages between *peers* are the engine's own (`peer-core`, `wire/message.rs`); signaling never sees them.

pub mod coding;
pub mod dash;
pub mod digest;
pub mod id;
pub mod nat;
pub mod receipt;
pub mod sealing;
pub mod session;
pub mod settings;
pub mod signal;
pub mod ticket;

/// Version of everything on the wire. Peers of version N and N-1 share a swarm.
pub const VERSION: u8 = 2;
/// The oldest version still spoken.
pub const OLDEST_VERSION: u8 = 1;
