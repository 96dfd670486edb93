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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
    }

    /// A store of three segments of 100 bytes, the oldest first.
    fn three(budget: u64) -> Store<Vec<u8>> {
        let mut store = Store::new(budget);
        for number in 0..3 {
            let now = Instant::ZERO + Duration::from_secs(number);
            store.entry(key(number), now).put_whole(vec![vec![0; 100]], now);
        }
        store
    }

    // R31
    #[test]
    fn the_oldest_goes_when_the_budget_is_exceeded_and_only_then() {
        for (budget, left) in [(301, 3), (300, 3), (299, 2), (200, 2), (199, 1), (0, 0)] {
            let mut store = three(budget);
            let dropped = store.trim(|_| false);
            assert_eq!(dropped, (0..3 - left).map(key).collect::<Vec<_>>(), "budget {budget}");
            assert_eq!(store.bytes(), left * 100);
        }
    }

    #[test]
    fn what_the_player_wants_stays_even_above_the_budget() {
        let mut store = three(100);
        assert_eq!(store.trim(|k| k.number != 1), [key(1)]);
        assert_eq!(store.bytes(), 200, "over the budget, but wanted");
    }

    #[test]
    fn names_alone_are_bounded_too() {
        let mut store = Store::<Vec<u8>>::new(1000);
        for number in 0..MAX_SEGMENTS as u64 {
            store.entry(key(number), Instant::ZERO + Duration::from_millis(number));
        }
        assert!(store.trim(|_| false).is_empty(), "at the limit");
        store.entry(key(9999), Instant::ZERO + Duration::from_secs(99));
        assert_eq!(store.trim(|_| false), [key(0)], "one over");
    }

    #[test]
    fn bytes_are_not_freed_by_dropping_names() {
        let mut store = three(250);
        store.entry(key(9), Instant::ZERO);
        assert_eq!(store.trim(|_| false), [key(0)], "the older one has no bytes to give");
        assert!(store.segment(&key(9)).is_some());
    }
}
