//! Hashes and signatures.
//!
//! Blocks are hashed here. Signatures, one per segment, are the host's: browsers know Ed25519, and what stands in
//! where they don't is a tenth of the size in JavaScript.

use rillcast_core::payload::Payload;
use rillcast_protocol::digest::BlockHash;

use crate::payload::JsBytes;

/// Whether the payload's BLAKE3 is `hash`. `scratch` takes the one copy of a block that hashing needs.
pub(crate) fn block(payload: &JsBytes, hash: &BlockHash, scratch: &mut Vec<u8>) -> bool {
    scratch.resize(payload.len(), 0);
    payload.read(scratch);
    blake3::hash(scratch).as_bytes() == hash
}
