//! What is streamed, as names and lengths: nobody in here needs the bytes.

use std::ops::Range;

use rillcast_core::engine::{Check, SegmentEntry};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::digest::{SegmentDigest, block_size};
use rillcast_core::protocol::id::{PeerId, PublisherKey, SegmentKey, SwarmId, TrackId};
use rillcast_core::rng::mix;

use crate::scenario::Stream;

/// The one swarm.
pub(crate) const SWARM: SwarmId = SwarmId([9; 16]);
/// Whose digests count.
pub(crate) const PUBLISHER: PublisherKey = PublisherKey([7; 32]);

/// Bytes that nobody looks at: so many, and whether they are the right ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lump {
    len: u32,
    good: bool,
}

impl Lump {
    /// The right bytes.
    pub(crate) fn good(len: u32) -> Self {
        Self { len, good: true }
    }
}

impl Payload for Lump {
    fn len(&self) -> usize {
        self.len as usize
    }
    fn slice(&self, range: Range<usize>) -> Self {
        Self { len: (range.end - range.start) as u32, good: self.good }
    }
    fn concat(parts: &[Self]) -> Self {
        Self { len: parts.iter().map(|p| p.len).sum(), good: parts.iter().all(|p| p.good) }
    }
}

/// The verify port.
pub(crate) fn holds(what: &Check<Lump>) -> bool {
    match what {
        Check::Block { payload, .. } => payload.good,
        Check::Signature { key, .. } => *key == PUBLISHER,
    }
}

/// A peer's id carries its number.
pub(crate) fn peer_id(n: usize) -> PeerId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(n as u64).to_be_bytes());
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    PeerId(id)
}

/// Whose id it is.
pub(crate) fn number_of(peer: PeerId) -> usize {
    let mut number = [0; 8];
    number.copy_from_slice(&peer.0[8..]);
    u64::from_be_bytes(number) as usize
}

/// The stream: names, times and sizes.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    /// Segment length in microseconds.
    pub(crate) segment: u64,
    /// Bytes/s of each rendition, the lowest first.
    pub(crate) rates: Vec<u64>,
}

impl Media {
    /// As the scenario says.
    pub(crate) fn new(stream: &Stream) -> Self {
        Self {
            segment: (stream.segment_seconds * 1e6) as u64,
            rates: stream.ladder_kbps.iter().map(|kbps| (kbps * 125.0) as u64).collect(),
        }
    }

    /// A rendition's name.
    pub(crate) fn track(level: usize) -> TrackId {
        TrackId(1000 + level as u64)
    }

    /// Which rendition it is.
    pub(crate) fn level(track: TrackId) -> usize {
        (track.0 - 1000) as usize
    }

    /// A segment's name.
    pub(crate) fn key(level: usize, number: u64) -> SegmentKey {
        SegmentKey { track: Self::track(level), number, discontinuity: 0, part: 0 }
    }

    /// Its length in bytes: encoders don't hit their rate to the byte.
    pub(crate) fn len(&self, key: SegmentKey) -> u32 {
        let mean = self.rates[Self::level(key.track)] as f64 * self.segment as f64 / 1e6;
        let wobble = (mix(key.number ^ key.track.0 << 40) % 1000) as f64 / 1000.0;
        (mean * (0.95 + 0.1 * wobble)) as u32
    }

    /// Its place on the players' timeline.
    pub(crate) fn entry(&self, key: SegmentKey) -> SegmentEntry {
        let ms = self.segment / 1000;
        SegmentEntry { key, start_ms: (key.number * ms) as i64, duration_ms: ms as u32 }
    }

    /// What the publisher says of it.
    pub(crate) fn digest(&self, key: SegmentKey, hosted: bool) -> SegmentDigest {
        let length = self.len(key);
        let blocks = length.div_ceil(block_size(length)) as usize;
        SegmentDigest {
            swarm: SWARM,
            key,
            length,
            duration_ms: (self.segment / 1000) as u32,
            hashes: vec![[0; 32]; blocks],
            publisher: PUBLISHER,
            signature: [1; 64],
            hosted,
        }
    }
}
