//! What we hold, within a memory budget.

use crate::map::Map;

use rillcast_protocol::id::{SegmentKey, TrackId};

use crate::payload::Payload;
use crate::time::Instant;

use super::Segment;

/// Most segments remembered, with or without bytes: a swarm can't fill memory with names alone.
pub const MAX_SEGMENTS: usize = 512;

/// Segments by key.
#[derive(Clone, Debug)]
pub struct Store<P> {
    segments: Map<SegmentKey, Segment<P>>,
    budget: u64,
}

impl<P: Payload> Store<P> {
    /// An empty store that holds at most `budget` bytes, and what the player has asked for.
    pub fn new(budget: u64) -> Self {
        Self { segments: Map::new(), budget }
    }

    /// A segment, if it is known.
    pub fn segment(&self, key: &SegmentKey) -> Option<&Segment<P>> {
        self.segments.get(key)
    }

    /// A segment, if it is known.
    pub fn segment_mut(&mut self, key: &SegmentKey) -> Option<&mut Segment<P>> {
        self.segments.get_mut(key)
    }

    /// A segment, made known if it wasn't.
    pub fn entry(&mut self, key: SegmentKey, now: Instant) -> &mut Segment<P> {
        self.segments.or_insert_with(key, || Segment::new(now))
    }

    /// All segments, by track and number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&SegmentKey, &Segment<P>)> {
        self.segments.iter()
    }

    /// The segments of a track from a number on.
    pub fn from(&self, track: TrackId, number: u64) -> impl Iterator<Item = (&SegmentKey, &Segment<P>)> {
        let first = SegmentKey { track, number, discontinuity: 0, part: 0 };
        self.segments.from(&first).take_while(move |(k, _)| k.track == track)
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(Segment::bytes).sum()
    }

    /// Drops what has been known longest until the budget holds again, sparing what `keep` says. Told back: what was dropped.
    pub fn trim(&mut self, keep: impl Fn(&SegmentKey) -> bool) -> Vec<SegmentKey> {
        let mut bytes = self.bytes();
        let mut dropped = Vec::new();
        while bytes > self.budget || self.segments.len() > MAX_SEGMENTS {
            let over_bytes = bytes > self.budget;
            let oldest = self
                .segments
                .iter()
                .filter(|(k, s)| !keep(k) && (!over_bytes || s.bytes() > 0))
                .min_by_key(|(_, s)| s.known_at)
                .map(|(k, _)| *k);
            let Some(key) = oldest else { break };
            bytes -= self.segments.remove(&key).map_or(0, |s| s.bytes());
            dropped.push(key);
        }
        dropped
    }
}
