//! How signals between two peers are sealed, so that whoever carries them, a neighbour or the server, reads no addresses (H4).
//!
//! Each peer has an X25519 key for its visit, which its ticket binds to it. For each direction there is a key of its own: HKDF-SHA-256 of what
//! the two agree on, without salt, [`INFO`], the sender's public key and the receiver's being its info. With it a
//! [`SessionSignal`](crate::session::SessionSignal) is encrypted by AES-256-GCM:
//!
//! ```text
//! kind, 1 byte │ nonce, 12 bytes, random │ ciphertext │ tag, 16 bytes
//! ```
//!
//! The kind is the signal's own first byte, which is in the clear, and covered by the tag: a call that comes early is told from other signals
//! by it.
//!
//! Between two who both have such keys nothing else counts; where one has none (a browser without X25519, a page that isn't a secure context),
//! signals go as they are.

use crate::id::SealingKey;

/// First part of HKDF's info.
pub const INFO: &[u8] = b"rillcast signal v1\0";
/// Bytes of the nonce behind the kind.
pub const NONCE: usize = 12;
/// Bytes of the tag that stands last.
pub const TAG: usize = 16;

/// The kind of what opens an attempt.
pub const OFFER: u8 = 0;

/// HKDF's info for one direction.
pub fn info(from: &SealingKey, to: &SealingKey) -> Vec<u8> {
    [INFO, &from.0, &to.0].concat()
}
