//! Block hashes, the signature over them, and its check.

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_protocol::digest::{BlockHash, MAX_SEGMENT, SegmentDigest, block_size};
use rillcast_protocol::id::{SegmentKey, SwarmId};

use crate::key::PublishingKey;

/// BLAKE3 of each block of a segment that plays for so many milliseconds.
pub fn block_hashes(body: &[u8], duration_ms: u32) -> Vec<BlockHash> {
    let size = block_size(u32::try_from(body.len()).unwrap_or(u32::MAX), duration_ms) as usize;
    body.chunks(size).map(|block| *blake3::hash(block).as_bytes()).collect()
}

/// The digest of a segment's bytes, signed. `None` where the segment is empty or too long to share.
pub fn digest(
    key: &PublishingKey,
    swarm: SwarmId,
    segment: SegmentKey,
    duration_ms: u32,
    body: &[u8],
) -> Option<SegmentDigest> {
    let length = u32::try_from(body.len()).ok().filter(|n| (1..=MAX_SEGMENT).contains(n))?;
    let mut digest = SegmentDigest {
        swarm,
        key: segment,
        length,
        duration_ms,
        hashes: block_hashes(body, duration_ms),
        publisher: key.public(),
        signature: [0; 64],
        hosted: false,
    };
    digest.signature = key.sign(&digest.signed_bytes());
    Some(digest)
}

/// Whether the publisher named in the digest signed it.
pub fn verify(digest: &SegmentDigest) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(&digest.publisher.0) else { return false };
    key.verify_strict(&digest.signed_bytes(), &Signature::from_bytes(&digest.signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::digest::{BLOCK, LARGE_SEGMENT};
    use rillcast_protocol::id::TrackId;

    use super::*;

    const KEY: SegmentKey = SegmentKey { track: TrackId(1), number: 2, discontinuity: 0, part: 0 };

    fn signed(body: &[u8]) -> Option<SegmentDigest> {
        digest(&PublishingKey::from_seed(&[1; 32]), SwarmId([3; 16]), KEY, 4000, body)
    }

    #[test]
    fn every_change_of_a_signed_field_is_noticed() {
        let good = signed(&[5; 70_000]).expect("in bounds");
        assert!(verify(&good));
        let mut changed = [(); 6].map(|()| good.clone());
        changed[0].swarm.0[0] ^= 1;
        changed[1].key.number += 1;
        changed[2].duration_ms += 1;
        changed[3].hashes[2][31] ^= 1;
        changed[4].length -= 1;
        changed[5].publisher = PublishingKey::from_seed(&[2; 32]).public();
        assert!(changed.iter().all(|d| !verify(d)));
    }

    #[test]
    fn only_the_hosting_hint_is_outside_the_signature() {
        let mut digest = signed(b"x").expect("in bounds");
        digest.hosted = true;
        assert!(verify(&digest));
    }

    #[test]
    fn block_sizes_follow_the_length() {
        assert_eq!(signed(&vec![0; BLOCK as usize]).expect("in bounds").blocks(), 1);
        assert_eq!(signed(&vec![0; BLOCK as usize + 1]).expect("in bounds").blocks(), 2);
        assert_eq!(signed(&vec![0; LARGE_SEGMENT as usize]).expect("in bounds").blocks(), 128);
        assert_eq!(signed(&vec![0; LARGE_SEGMENT as usize + 1]).expect("in bounds").blocks(), 65);
    }

    #[test]
    fn empty_and_too_long_segments_get_no_digest() {
        assert!(signed(b"").is_none());
        assert!(signed(&vec![0; MAX_SEGMENT as usize]).is_some());
        assert!(signed(&vec![0; MAX_SEGMENT as usize + 1]).is_none());
    }
}
