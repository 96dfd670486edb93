//! What a publisher says about one segment: its length, the size of its blocks and their hashes, signed.

use crate::coding::{DecodeError, Reader, Wire, Writer};
use crate::id::{BlockIndex, PublisherKey, SegmentKey, SwarmId};

/// Blocks of most segments.
pub const BLOCK: u32 = 32 * 1024;
/// Blocks of streams below [`THIN`], in segments of [`LEAST_THIN`] bytes or more: on the uplinks that such streams are made for a block of
/// [`BLOCK`] takes a second, in which nobody can pass it on.
pub const SMALL_BLOCK: u32 = 16 * 1024;
/// Bytes a second: 0.76 Mbit/s.
pub const THIN: u64 = 95_000;
/// What comes in shorter pieces comes in small ones anyway, and each block costs messages.
pub const LEAST_THIN: u32 = 4 * BLOCK;
/// Blocks of larger segments.
pub const LARGE_BLOCK: u32 = 64 * 1024;
/// From here on blocks are [`LARGE_BLOCK`].
pub const LARGE_SEGMENT: u32 = 4 * 1024 * 1024;
/// Most blocks a segment may have, so that a digest stays within one 16 KiB message. A longer segment
/// (30 MiB) isn't shared.
pub const MAX_BLOCKS: usize = 480;
/// Longest segment that can be shared.
pub const MAX_SEGMENT: u32 = LARGE_BLOCK * MAX_BLOCKS as u32;

const DOMAIN: &[u8] = b"rillcast segment digest v1\0";

/// BLAKE3 of a block's bytes.
pub type BlockHash = [u8; 32];

/// The block size for a segment of `length` bytes that plays for `duration_ms` milliseconds; both stand in the digest.
pub fn block_size(length: u32, duration_ms: u32) -> u32 {
    let thin = u64::from(length) * 1000 < THIN * u64::from(duration_ms);
    match length {
        ..=LARGE_SEGMENT if thin && length >= LEAST_THIN => SMALL_BLOCK,
        ..=LARGE_SEGMENT => BLOCK,
        _ => LARGE_BLOCK,
    }
}

/// A signed description of one segment's bytes.
///
/// `hosted` is the one field outside the signature: a hint that the publisher hands on, once, the bytes it had to
/// fetch for hashing. A false hint costs one refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentDigest {
    /// The swarm that it is for.
    pub swarm: SwarmId,
    /// The segment.
    pub key: SegmentKey,
    /// Bytes, 1 to [`MAX_SEGMENT`].
    pub length: u32,
    /// Playing time in milliseconds, as the manifest states it.
    pub duration_ms: u32,
    /// One hash per block of [`block_size`] bytes, the last block being shorter.
    pub hashes: Vec<BlockHash>,
    /// Who signed.
    pub publisher: PublisherKey,
    /// Ed25519 over [`SegmentDigest::signed_bytes`].
    pub signature: [u8; 64],
    /// The publisher serves the bytes, once.
    pub hosted: bool,
}

impl SegmentDigest {
    /// What the signature covers.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(DOMAIN);
        self.encode_signed(&mut w);
        w.into_bytes()
    }

    /// Whether both say the same of the segment's bytes.
    pub fn agrees(&self, other: &Self) -> bool {
        self.length == other.length && self.hashes == other.hashes
    }

    /// Size of a full block.
    pub fn block_size(&self) -> u32 {
        block_size(self.length, self.duration_ms)
    }

    /// Number of blocks.
    pub fn blocks(&self) -> u16 {
        self.hashes.len() as u16
    }

    /// First byte of a block and the byte after its last.
    pub fn range(&self, block: BlockIndex) -> core::ops::Range<u32> {
        let start = u32::from(block.0) * self.block_size();
        start..(start + self.block_size()).min(self.length)
    }

    fn encode_signed(&self, w: &mut Writer) {
        self.swarm.encode(w);
        self.key.encode(w);
        self.length.encode(w);
        self.duration_ms.encode(w);
        for hash in &self.hashes {
            w.raw(hash);
        }
    }
}

impl Wire for SegmentDigest {
    fn encode(&self, w: &mut Writer) {
        self.encode_signed(w);
        self.publisher.encode(w);
        self.signature.encode(w);
        self.hosted.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Self {
        let swarm = Wire::decode(r);
        let key = Wire::decode(r);
        let length: u32 = Wire::decode(r);
        if length == 0 || length > MAX_SEGMENT {
            r.fail(DecodeError::TooLarge);
        }
        let duration_ms = Wire::decode(r);
        let blocks = length.div_ceil(block_size(length, duration_ms)) as usize;
        let hashes = r.take(blocks.min(MAX_BLOCKS) * 32).as_chunks().0.to_vec();
        let (publisher, signature, hosted) = (Wire::decode(r), Wire::decode(r), Wire::decode(r));
        Self { swarm, key, length, duration_ms, hashes, publisher, signature, hosted }
    }
}
