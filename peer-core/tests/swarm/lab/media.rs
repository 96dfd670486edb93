//! What is streamed: segments whose bytes follow from their name, and their digests.

use std::cell::RefCell;
use std::collections::BTreeMap;

use bytes::Bytes;
use rillcast_core::engine::{Check, MediaKind, SegmentEntry};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::digest::{SegmentDigest, block_size};
use rillcast_core::protocol::id::{PeerId, PublisherKey, SegmentKey, SwarmId, TrackId};
use rillcast_core::rng::mix;
use rillcast_core::time::Duration;

/// Bytes that clones share. Shown by length and hash, so that a run's outputs can be compared as text.
#[derive(Clone, PartialEq, Eq)]
pub struct Buf(pub Bytes);

impl core::fmt::Debug for Buf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes {}", self.0.len(), blake3::hash(&self.0))
    }
}

impl Payload for Buf {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        Self(self.0.slice(range))
    }
    fn concat(parts: &[Self]) -> Self {
        Self(parts.iter().map(|p| &p.0[..]).collect::<Vec<_>>().concat().into())
    }
}

pub const SWARM: SwarmId = SwarmId([9; 16]);
pub const PUBLISHER: PublisherKey = PublisherKey([7; 32]);
/// The signature that the tests' verifier takes for a true one.
pub const SIGNATURE: [u8; 64] = [1; 64];
pub const SEGMENT: Duration = Duration::from_secs(4);
pub const MAIN: TrackId = TrackId(77);
pub const HIGH: TrackId = TrackId(78);
pub const AUDIO: TrackId = TrackId(79);

/// One track of the presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rendition {
    pub track: TrackId,
    pub kind: MediaKind,
    /// Bytes/s.
    pub rate: u64,
}

/// A video rendition of so many bit/s.
pub fn video(track: TrackId, bits_per_second: u64) -> Rendition {
    Rendition { track, kind: MediaKind::Main, rate: bits_per_second / 8 }
}

pub fn peer_id(n: usize) -> PeerId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(n as u64).to_be_bytes());
    id[8..].copy_from_slice(&(n as u64).to_be_bytes());
    PeerId(id)
}

/// Whose id it is.
pub fn number_of(peer: PeerId) -> usize {
    u64::from_be_bytes(peer.0[8..].try_into().expect("eight bytes")) as usize
}

/// A segment of [`MAIN`].
pub fn key(number: u64) -> SegmentKey {
    key_of(MAIN, number)
}

pub fn key_of(track: TrackId, number: u64) -> SegmentKey {
    SegmentKey { track, number, discontinuity: 0, part: 0 }
}

pub fn entry(key: SegmentKey) -> SegmentEntry {
    SegmentEntry { key, start_ms: key.number as i64 * 4000, duration_ms: 4000 }
}

/// A segment's bytes. `version` is 0 but where an encoder has begun anew and gives other bytes under the same name.
pub fn body(rendition: &Rendition, number: u64, version: u8) -> Bytes {
    type Name = (u64, u64, u64, u8);
    thread_local! {
        static BODIES: RefCell<BTreeMap<Name, Bytes>> = const { RefCell::new(BTreeMap::new()) };
    }
    let make = || {
        let len = (rendition.rate * 4) as usize - (number as usize * 131) % 9000;
        let mut state = mix(number ^ mix(rendition.track.0) ^ u64::from(version) << 56);
        let words = (0..len.div_ceil(8)).flat_map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state.to_le_bytes()
        });
        words.take(len).collect()
    };
    let name = (rendition.track.0, rendition.rate, number, version);
    BODIES.with_borrow_mut(|bodies| bodies.entry(name).or_insert_with(make).clone())
}

/// The publisher's word on version 0.
pub fn digest(rendition: &Rendition, number: u64, hosted: bool) -> SegmentDigest {
    thread_local! {
        static DIGESTS: RefCell<BTreeMap<(u64, u64, u64), SegmentDigest>> = const { RefCell::new(BTreeMap::new()) };
    }
    let name = (rendition.track.0, rendition.rate, number);
    let make = || digest_of(key_of(rendition.track, number), &body(rendition, number, 0));
    let digest = DIGESTS.with_borrow_mut(|digests| digests.entry(name).or_insert_with(make).clone());
    SegmentDigest { hosted, ..digest }
}

pub fn digest_of(key: SegmentKey, body: &[u8]) -> SegmentDigest {
    SegmentDigest {
        swarm: SWARM,
        key,
        length: body.len() as u32,
        duration_ms: 4000,
        hashes: body
            .chunks(block_size(body.len() as u32, 4000) as usize)
            .map(|c| *blake3::hash(c).as_bytes())
            .collect(),
        publisher: PUBLISHER,
        signature: SIGNATURE,
        hosted: false,
    }
}

/// The verify port.
pub fn holds(what: &Check<Buf>) -> bool {
    match what {
        Check::Block { payload, hash } => *blake3::hash(&payload.0).as_bytes() == *hash,
        Check::Signature { signature, .. } => *signature == SIGNATURE,
    }
}
