//! What we hold, within a memory budget.

use crate::map::Map;

use rillcast_protocol::id::{SegmentKey, TrackId};

use crate::payload::Payload;
use crate::time::Instant;

use super::Segment;

/// Most segments remembered, with or without bytes: a swarm can't fill memory with names alone.
pub const MAX_SEGMENTS: usize = 512;

/// Segments whose order of coming is remembered: those of the last dozen seconds and a few tracks.
pub const MAX_RECENT: usize = 64;

/// Segments by key.
#[derive(Clone, Debug)]
pub struct Store<P> {
    segments: Map<SegmentKey, Box<Segment<P>>>,
    /// In the order in which we heard of them.
    recent: Vec<SegmentKey>,
    budget: u64,
}

impl<P: Payload> Store<P> {
    /// An empty store that holds at most `budget` bytes, and what the player has asked for.
    pub fn new(budget: u64) -> Self {
        Self { segments: Map::new(), recent: Vec::new(), budget }
    }

    /// A segment, if it is known.
    pub fn segment(&self, key: &SegmentKey) -> Option<&Segment<P>> {
        self.segments.get(key).map(Box::as_ref)
    }

    /// A segment, if it is known.
    pub fn segment_mut(&mut self, key: &SegmentKey) -> Option<&mut Segment<P>> {
        self.segments.get_mut(key).map(Box::as_mut)
    }

    /// A segment, made known if it wasn't.
    pub fn entry(&mut self, key: SegmentKey, now: Instant) -> &mut Segment<P> {
        let recent = &mut self.recent;
        self.segments.or_insert_with(key, || {
            if recent.len() >= MAX_RECENT {
                recent.remove(0);
            }
            recent.push(key);
            Box::new(Segment::new(now))
        })
    }

    /// The segments that we have heard of since then, the newest first; of more than [`MAX_RECENT`] the newest.
    pub fn since(&self, then: Instant) -> impl Iterator<Item = (&SegmentKey, &Segment<P>)> {
        let all = self.recent.iter().rev().filter_map(|key| Some((key, self.segment(key)?)));
        all.take_while(move |(_, segment)| segment.known_at >= then)
    }

    /// All segments, by track and number.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&SegmentKey, &Segment<P>)> {
        self.segments.iter().map(|(key, segment)| (key, segment.as_ref()))
    }

    /// The segments of a track from a number on.
    pub fn from(&self, track: TrackId, number: u64) -> impl Iterator<Item = (&SegmentKey, &Segment<P>)> {
        let first = SegmentKey { track, number, discontinuity: 0, part: 0 };
        let all = self.segments.from(&first).take_while(move |(k, _)| k.track == track);
        all.map(|(key, segment)| (key, segment.as_ref()))
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.bytes()).sum()
    }

    /// Drops what has been known longest until the budget holds again, what `spare` says before all else, and never what `keep` says. Told back:
    /// what was dropped.
    pub fn trim(
        &mut self,
        keep: impl Fn(&SegmentKey) -> bool,
        spare: impl Fn(&SegmentKey) -> bool,
    ) -> Vec<SegmentKey> {
        let mut bytes = self.bytes();
        let mut dropped = Vec::new();
        while bytes > self.budget || self.segments.len() > MAX_SEGMENTS {
            let over_bytes = bytes > self.budget;
            let oldest = self
                .segments
                .iter()
                .filter(|(k, s)| !keep(k) && (!over_bytes || s.bytes() > 0))
                .min_by_key(|(k, s)| (!spare(k), s.known_at))
                .map(|(k, _)| *k);
            let Some(key) = oldest else { break };
            bytes -= self.segments.remove(&key).map_or(0, |s| s.bytes());
            dropped.push(key);
        }
        if !dropped.is_empty() {
            crate::map::keep(&mut self.recent, |key| !dropped.contains(key));
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

    #[test]
    fn the_newest_come_first_and_no_more_than_are_remembered() {
        let mut store = three(300);
        let since = |store: &Store<Vec<u8>>, secs| -> Vec<u64> {
            store.since(Instant::ZERO + Duration::from_secs(secs)).map(|(k, _)| k.number).collect()
        };
        assert_eq!((since(&store, 1), since(&store, 3)), (vec![2, 1], vec![]));
        store.trim(|k| k.number == 1, |_| false);
        assert_eq!(since(&store, 0), [2, 1, 0], "nothing was dropped");
        for number in 3..=MAX_RECENT as u64 {
            store.entry(key(number), Instant::ZERO + Duration::from_secs(number));
        }
        assert_eq!(since(&store, 0).len(), MAX_RECENT);
        assert_eq!(since(&store, 0).last(), Some(&1), "the oldest has made room");
    }

    // R31
    #[test]
    fn the_oldest_goes_when_the_budget_is_exceeded_and_only_then() {
        for (budget, left) in [(301, 3), (300, 3), (299, 2), (200, 2), (199, 1), (0, 0)] {
            let mut store = three(budget);
            let dropped = store.trim(|_| false, |_| false);
            assert_eq!(dropped, (0..3 - left).map(key).collect::<Vec<_>>(), "budget {budget}");
            assert_eq!(store.bytes(), left * 100);
        }
    }

    // R30 R31
    #[test]
    fn what_needn_t_be_held_goes_before_what_is_older_and_only_when_room_is_needed() {
        let spare = |k: &SegmentKey| k.number >= 1;
        for (budget, dropped) in [(300, vec![]), (299, vec![1]), (199, vec![1, 2]), (99, vec![1, 2, 0])] {
            let gone = three(budget).trim(|_| false, spare);
            assert_eq!(gone, dropped.into_iter().map(key).collect::<Vec<_>>(), "budget {budget}");
        }
        assert_eq!(three(200).trim(|k| k.number == 1, spare), [key(2)], "what is wanted stays all the same");
    }

    #[test]
    fn what_the_player_wants_stays_even_above_the_budget() {
        let mut store = three(100);
        assert_eq!(store.trim(|k| k.number != 1, |_| false), [key(1)]);
        assert_eq!(store.bytes(), 200, "over the budget, but wanted");
    }

    #[test]
    fn names_alone_are_bounded_too() {
        let mut store = Store::<Vec<u8>>::new(1000);
        for number in 0..MAX_SEGMENTS as u64 {
            store.entry(key(number), Instant::ZERO + Duration::from_millis(number));
        }
        assert!(store.trim(|_| false, |_| false).is_empty(), "at the limit");
        store.entry(key(9999), Instant::ZERO + Duration::from_secs(99));
        assert_eq!(store.trim(|_| false, |_| false), [key(0)], "one over");
    }

    #[test]
    fn bytes_are_not_freed_by_dropping_names() {
        let mut store = three(250);
        store.entry(key(9), Instant::ZERO);
        assert_eq!(store.trim(|_| false, |_| false), [key(0)], "the older one has no bytes to give");
        assert!(store.segment(&key(9)).is_some());
    }
}
