//! What is streamed, as names and lengths: nobody in here needs the bytes.

use std::ops::Range;

use rillcast_core::engine::{Check, SegmentEntry};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::digest::{SegmentDigest, block_size};
use rillcast_core::protocol::id::{AuthorityKey, PeerId, PublisherKey, SegmentKey, SwarmId, TrackId};
use rillcast_core::rng::mix;
use rillcast_core::time::Instant;

use crate::scenario::Stream;

/// The one swarm.
pub(crate) const SWARM: SwarmId = SwarmId([9; 16]);
/// Whose digests count.
pub(crate) const PUBLISHER: PublisherKey = PublisherKey([7; 32]);
/// Whose tickets count.
pub(crate) const AUTHORITY: AuthorityKey = AuthorityKey([8; 32]);
/// Stands for a signature by either of them.
pub(crate) const SIGNATURE: [u8; 64] = [1; 64];

/// Bytes that nobody looks at: so many, of which segment, whether they are the right ones, and how they came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lump {
    len: u32,
    /// Rendition and number of its segment, packed.
    pub(crate) of: u32,
    /// 0 straight from the source or publisher, and one more each time that a peer sends it on.
    pub(crate) depth: u8,
    /// Fetched by the guard just in time, or by a newcomer in a hurry.
    pub(crate) hurried: bool,
    good: bool,
}

impl Lump {
    /// The right bytes, straight from the source.
    pub(crate) fn fetched(len: u32, of: u32, hurried: bool) -> Self {
        Self { len, of, depth: 0, hurried, good: true }
    }

    /// Not what the source has.
    pub(crate) fn is_false(self) -> bool {
        !self.good
    }

    /// As another peer gets it.
    pub(crate) fn sent_on(self, altered: bool) -> Self {
        Self { depth: self.depth.saturating_add(1), hurried: false, good: self.good && !altered, ..self }
    }
}

impl Payload for Lump {
    fn len(&self) -> usize {
        self.len as usize
    }
    fn slice(&self, range: Range<usize>) -> Self {
        Self { len: (range.end - range.start) as u32, ..*self }
    }
    fn concat(parts: &[Self]) -> Self {
        let mut whole = parts.first().copied().unwrap_or(Self::fetched(0, 0, false));
        for part in parts.iter().skip(1) {
            whole.len += part.len;
            whole.depth = whole.depth.max(part.depth);
            whole.hurried |= part.hurried;
            whole.good &= part.good;
        }
        whole
    }
}

/// The verify port.
pub(crate) fn holds(what: &Check<Lump>) -> bool {
    match what {
        Check::Block { payload, .. } => payload.good,
        Check::Signature { key, signature, .. } => {
            [PUBLISHER.0, AUTHORITY.0].contains(key) && *signature == SIGNATURE
        }
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

/// Stands for a rendition where separate audio is meant.
pub(crate) const AUDIO: usize = 200;

/// The stream: names, times and sizes. It is told by units: what players ask for, whole segments or the parts of them.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    /// Length of a unit in microseconds.
    pub(crate) unit: u64,
    /// Units in a segment.
    pub(crate) parts: u64,
    /// Bytes/s of each rendition, the lowest first.
    pub(crate) rates: Vec<u64>,
    /// Bytes/s of separate audio.
    pub(crate) audio: Option<u64>,
    /// Units of a film; a live stream has no end.
    pub(crate) film: Option<u64>,
}

impl Media {
    /// As the scenario says.
    pub(crate) fn new(stream: &Stream) -> Self {
        let unit = (stream.segment_seconds * 1e6) as u64 / u64::from(stream.parts);
        Self {
            unit,
            parts: u64::from(stream.parts),
            rates: stream.ladder_kbps.iter().map(|kbps| (kbps * 125.0) as u64).collect(),
            audio: stream.audio_kbps.map(|kbps| (kbps * 125.0) as u64),
            film: stream.film_minutes.map(|m| ((m * 60e6) as u64 / unit).max(1)),
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

    /// A unit's name.
    pub(crate) fn key(&self, level: usize, unit: u64) -> SegmentKey {
        let part = if self.parts == 1 { 0 } else { (unit % self.parts) as u16 + 1 };
        SegmentKey { track: Self::track(level), number: unit / self.parts, discontinuity: 0, part }
    }

    /// Which unit it is.
    pub(crate) fn unit_of(&self, key: SegmentKey) -> u64 {
        key.number * self.parts + u64::from(key.part.max(1)) - 1
    }

    /// Rendition and unit in one number.
    pub(crate) fn pack(&self, key: SegmentKey) -> u32 {
        (Self::level(key.track) as u32) << 24 | (self.unit_of(key) as u32 & 0xff_ffff)
    }

    /// What was packed.
    pub(crate) fn unpack(&self, packed: u32) -> SegmentKey {
        self.key((packed >> 24) as usize, u64::from(packed & 0xff_ffff))
    }

    /// The newest unit that exists at `now`; of a film all do. `None` before the first.
    pub(crate) fn newest(&self, now: Instant) -> Option<u64> {
        match self.film {
            Some(units) => Some(units - 1),
            None => (now.as_micros() / self.unit).checked_sub(1),
        }
    }

    /// Its length in bytes: encoders don't hit their rate to the byte.
    pub(crate) fn len(&self, key: SegmentKey) -> u32 {
        let level = Self::level(key.track);
        let rate = if level == AUDIO { self.audio.unwrap_or(0) } else { self.rates[level] };
        let mean = rate as f64 * self.unit as f64 / 1e6;
        let wobble = (mix(self.unit_of(key) ^ key.track.0 << 40) % 1000) as f64 / 1000.0;
        ((mean * (0.95 + 0.1 * wobble)) as u32).max(1)
    }

    /// Its place on the players' timeline.
    pub(crate) fn entry(&self, key: SegmentKey) -> SegmentEntry {
        let start_ms = (self.unit_of(key) * self.unit / 1000) as i64;
        SegmentEntry { key, start_ms, duration_ms: (self.unit / 1000) as u32 }
    }

    /// What the publisher says of it.
    pub(crate) fn digest(&self, key: SegmentKey, hosted: bool) -> SegmentDigest {
        let length = self.len(key);
        let duration_ms = (self.unit / 1000) as u32;
        let blocks = length.div_ceil(block_size(length, duration_ms)) as usize;
        SegmentDigest {
            swarm: SWARM,
            key,
            length,
            duration_ms,
            hashes: vec![[0; 32]; blocks],
            publisher: PUBLISHER,
            signature: SIGNATURE,
            hosted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    fn media(change: impl Fn(&mut Stream)) -> Media {
        let mut scenario = Scenario::load("single-bitrate").expect("ships");
        change(&mut scenario.stream);
        Media::new(&scenario.stream)
    }

    #[test]
    fn units_have_names_that_lead_back_to_them() {
        for parts in [1, 4] {
            let media = media(|s| s.parts = parts);
            for unit in [0, 1, 4, 7, 1000] {
                let key = media.key(0, unit);
                assert_eq!(media.unit_of(key), unit);
                assert_eq!(key.part == 0, parts == 1, "0 is a whole segment");
                assert_eq!(media.unpack(media.pack(key)), key);
            }
            let audio = media.key(AUDIO, 9);
            assert_eq!(media.unpack(media.pack(audio)), audio);
        }
    }

    #[test]
    fn each_peer_on_the_way_is_one_more_hop() {
        let first = Lump::fetched(10, 1, true);
        let second = first.sent_on(false).sent_on(false);
        assert_eq!((first.depth, second.depth, second.hurried), (0, 2, false));
        assert_eq!(second.slice(2..5).depth, 2);
        assert_eq!(Lump::concat(&[first, second]).depth, 2);
        assert!(!Lump::concat(&[first, second.sent_on(true)]).good, "one wrong part makes the whole wrong");
    }

    #[test]
    fn a_film_is_all_there_and_a_live_stream_grows() {
        let film = media(|s| s.film_minutes = Some(2.0));
        assert_eq!(film.newest(Instant::ZERO), Some(29));
        let live = media(|_| ());
        assert_eq!(live.newest(Instant::ZERO), None);
        assert_eq!(live.newest(Instant::from_micros(8_000_000)), Some(1));
    }
}
