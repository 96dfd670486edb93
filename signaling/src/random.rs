//! Randomness: the system's for whatever others must not guess, a small generator for choices among peers.

use rillcast_protocol::id::PeerId;
pub use rillcast_relay::random::{Choice, fresh};

/// A new peer's name.
pub fn peer_id() -> PeerId {
    PeerId(fresh())
}

/// A new peer's place in elections.
pub fn nonce() -> u64 {
    u64::from_be_bytes(fresh())
}
