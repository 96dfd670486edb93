//! Answers the engine's requests to verify.

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_core::engine::Check;

use crate::payload::Media;

/// Whether it holds. A block takes 10 to 20 microseconds, a signature about 50: no work for another thread.
pub fn holds(check: &Check<Media>) -> bool {
    match check {
        Check::Block { payload, hash } => blake3::hash(&payload.0) == *hash,
        Check::Signature { key, message, signature } => VerifyingKey::from_bytes(key)
            .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};

    #[test]
    fn a_block_must_match_its_hash() {
        let payload = Media(bytes::Bytes::from_static(b"a block"));
        let hash = *blake3::hash(b"a block").as_bytes();
        assert!(holds(&Check::Block { payload: payload.clone(), hash }));
        assert!(!holds(&Check::Block { payload, hash: [0; 32] }));
    }

    #[test]
    fn a_signature_must_match_key_and_message() {
        let signer = SigningKey::from_bytes(&[3; 32]);
        let check = |message: &[u8], key: [u8; 32]| {
            holds(&Check::Signature {
                key,
                message: message.to_vec(),
                signature: signer.sign(b"digest").to_bytes(),
            })
        };
        let key = signer.verifying_key().to_bytes();
        assert!(check(b"digest", key));
        assert!(!check(b"other", key));
        assert!(!check(b"digest", SigningKey::from_bytes(&[4; 32]).verifying_key().to_bytes()));
        assert!(!check(b"digest", [255; 32]), "not a key at all");
    }
}
