//! Hashes and signatures.
//!
//! Ed25519 is done here and not by WebCrypto: it is one signature per segment, WebCrypto is missing on plain-http
//! pages and in older browsers, and a fallback would have to be downloaded anyway.

use ed25519_compact::{PublicKey, Signature};
use rillcast_core::engine::Check;
use rillcast_core::payload::Payload;

use crate::payload::JsBytes;

/// Whether it holds. `scratch` takes the one copy of a block that hashing needs.
pub(crate) fn verify(what: &Check<JsBytes>, scratch: &mut Vec<u8>) -> bool {
    match what {
        Check::Block { payload, hash } => {
            scratch.resize(payload.len(), 0);
            payload.view().copy_to(scratch);
            blake3::hash(scratch).as_bytes() == hash
        }
        Check::Signature { key, message, signature } => signed_by(&key.0, message, signature),
    }
}

fn signed_by(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    PublicKey::new(*key).verify(message, &Signature::new(*signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8032, section 7.1, test 2.
    const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
    }

    #[test]
    fn a_signature_holds_for_its_message_and_no_other() {
        assert!(signed_by(&hex(KEY), &[0x72], &hex(SIGNATURE)));
        assert!(!signed_by(&hex(KEY), &[0x73], &hex(SIGNATURE)));
        assert!(!signed_by(&[0; 32], &[0x72], &hex(SIGNATURE)));
    }
}
