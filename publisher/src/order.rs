//! Who of several seeds fetches and holds what: rendezvous hashing (Thaler, Ravishankar 1998) over those that are live.
//!
//! Every seed works it out by itself, and all who know the same seeds come to the same. A segment's parts go by their segment, so that whoever
//! fetches them can put it together. Who goes moves its own segments alone, to whoever came behind it in each.

use std::time::Duration;

use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::{PublisherKey, SegmentKey};

/// Most seeds that are reckoned with: as many as signaling tells of.
pub const MAX_SEEDS: usize = 16;

/// Seeds see a playlist change up to a few looks apart, and a digest has to come by way of signaling.
pub const LEAST_STAGGER: Duration = Duration::from_millis(500);
/// Viewers' buffers are a few seconds long, and the guard steps in when they run low.
pub const MOST_STAGGER: Duration = Duration::from_secs(2);
/// Nobody waits for longer than so many staggers, however many come before it: if that many hang, several fetch at once.
pub const MOST_TURNS: usize = 3;

/// The live seeds of a swarm, as one of them sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    own: PublisherKey,
    /// By key, the own one among them.
    seeds: Vec<PublisherKey>,
}

impl Order {
    /// Nobody else is known of.
    pub fn alone(own: PublisherKey) -> Self {
        Self::new(own, &[])
    }

    /// These are live, and whoever reckons is, whether it is named or not. Of more than [`MAX_SEEDS`] the first count.
    pub fn new(own: PublisherKey, live: &[PublisherKey]) -> Self {
        let mut seeds = vec![own];
        for key in live {
            if seeds.len() < MAX_SEEDS && !seeds.contains(key) {
                seeds.push(*key);
            }
        }
        seeds.sort_unstable();
        Self { own, seeds }
    }

    /// How many there are, at least one.
    pub fn seeds(&self) -> usize {
        self.seeds.len()
    }

    /// Whether there is nobody to share with.
    pub fn is_alone(&self) -> bool {
        self.seeds.len() == 1
    }

    /// Whether a publisher is one of the live seeds.
    pub fn has(&self, publisher: &PublisherKey) -> bool {
        self.seeds.contains(publisher)
    }

    /// How many come before us in a segment's order: whoever has 0 fetches it.
    pub fn rank(&self, key: SegmentKey) -> usize {
        self.ahead(key).count()
    }

    /// Who they are.
    pub fn before(&self, key: SegmentKey) -> Vec<PublisherKey> {
        self.ahead(key).collect()
    }

    fn ahead(&self, key: SegmentKey) -> impl Iterator<Item = PublisherKey> {
        // Alone there is nothing to compare.
        let others = self.seeds.iter().filter(|seed| **seed != self.own).copied();
        let own = (!self.is_alone()).then(|| (score(&self.own, key), self.own));
        others.filter(move |seed| own.is_some_and(|own| (score(seed, key), *seed) < own))
    }
}

/// How many seeds are to hold each segment of a track with so many viewers: one more each time that they double.
pub fn copies(viewers: u32, seeds: usize) -> usize {
    (1 + viewers.max(1).ilog2() as usize).min(seeds.max(1))
}

/// How long whoever comes next in a segment's order waits for the one before it: half of what the segment plays, within [`LEAST_STAGGER`] and
/// [`MOST_STAGGER`]. An origin that takes longer for it couldn't keep up with the stream.
pub fn stagger(duration_ms: u32) -> Duration {
    Duration::from_millis(u64::from(duration_ms / 2)).clamp(LEAST_STAGGER, MOST_STAGGER)
}

/// How long whoever has this rank waits from when it sees a segment of that duration.
pub fn waits(rank: usize, duration_ms: u32) -> Duration {
    stagger(duration_ms) * rank.min(MOST_TURNS) as u32
}

/// A seed's place in a segment's order; the smallest comes first.
fn score(seed: &PublisherKey, key: SegmentKey) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.0).update(&SegmentKey { part: 0, ..key }.to_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn seed(n: u8) -> PublisherKey {
        PublisherKey([n; 32])
    }

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(7), number, discontinuity: 0, part: 0 }
    }

    /// By rank, who is where in a segment's order.
    fn order(seeds: &[PublisherKey], key: SegmentKey) -> Vec<PublisherKey> {
        let mut order: Vec<_> = seeds.iter().map(|own| (Order::new(*own, seeds).rank(key), *own)).collect();
        order.sort_unstable();
        assert!(order.iter().map(|(rank, _)| *rank).eq(0..seeds.len()), "each place once: {order:?}");
        order.into_iter().map(|(_, seed)| seed).collect()
    }

    proptest! {
        // R31
        #[test]
        fn all_seeds_agree_whatever_they_heard_first(
            ids in prop::collection::btree_set(any::<u8>(), 1..MAX_SEEDS),
            number in any::<u64>(),
        ) {
            let seeds: Vec<_> = ids.into_iter().map(seed).collect();
            let reversed: Vec<_> = seeds.iter().rev().copied().collect();
            prop_assert_eq!(order(&seeds, key(number)), order(&reversed, key(number)));
        }

        // R31 R32
        #[test]
        fn who_goes_moves_its_own_segments_alone(
            ids in prop::collection::btree_set(any::<u8>(), 2..MAX_SEEDS),
            gone in any::<prop::sample::Index>(),
            number in any::<u64>(),
        ) {
            let seeds: Vec<_> = ids.into_iter().map(seed).collect();
            let gone = seeds[gone.index(seeds.len())];
            let left: Vec<_> = seeds.iter().filter(|s| **s != gone).copied().collect();
            let mut expected = order(&seeds, key(number));
            expected.retain(|s| *s != gone);
            prop_assert_eq!(order(&left, key(number)), expected, "the others stay in their order");
        }

        #[test]
        fn parts_go_by_their_segment(number in any::<u64>(), part in any::<u16>()) {
            let order = Order::new(seed(1), &[seed(2), seed(3)]);
            prop_assert_eq!(order.rank(key(number)), order.rank(SegmentKey { part, ..key(number) }));
        }
    }

    // R32
    #[test]
    fn the_load_is_even() {
        const SEGMENTS: u64 = 4000;
        for count in [2u8, 3, 5, 16] {
            let seeds: Vec<_> = (0..count).map(seed).collect();
            let mut firsts = std::collections::HashMap::new();
            (0..SEGMENTS).for_each(|n| *firsts.entry(order(&seeds, key(n))[0]).or_insert(0) += 1);
            let fair = SEGMENTS / u64::from(count);
            let even = |n: &u64| *n > fair * 3 / 4 && *n < fair * 5 / 4;
            assert!(firsts.len() == seeds.len() && firsts.values().all(even), "{firsts:?} of {fair}");
        }
    }

    #[test]
    fn whoever_is_alone_or_unnamed_comes_first_in_its_own() {
        assert!((0..50).all(|n| Order::alone(seed(1)).rank(key(n)) == 0));
        let unnamed = Order::new(seed(1), &[seed(2), seed(2)]);
        assert!(unnamed.seeds() == 2 && unnamed.has(&seed(1)) && !unnamed.has(&seed(3)));
        assert!((0..50).any(|n| unnamed.rank(key(n)) == 0) && (0..50).any(|n| unnamed.rank(key(n)) == 1));
    }

    #[test]
    fn no_more_seeds_are_reckoned_with_than_signaling_tells_of() {
        let seeds = |count: u8| Order::new(seed(0), &(1..count).map(seed).collect::<Vec<_>>()).seeds();
        let most = MAX_SEEDS as u8;
        assert_eq!([most - 1, most, most + 1].map(seeds), [MAX_SEEDS - 1, MAX_SEEDS, MAX_SEEDS]);
    }

    #[test]
    fn whoever_comes_next_waits_for_half_a_segment_within_bounds() {
        for (plays, waits) in
            [(0, 500), (999, 500), (1000, 500), (1002, 501), (4000, 2000), (4002, 2000), (u32::MAX, 2000)]
        {
            assert_eq!(stagger(plays), Duration::from_millis(waits), "{plays} ms");
        }
    }

    #[test]
    fn nobody_waits_for_ever_however_many_there_are() {
        for (rank, staggers) in [(0, 0), (1, 1), (MOST_TURNS, 3), (MOST_TURNS + 1, 3), (15, 3)] {
            assert_eq!(waits(rank, 2000), Duration::from_secs(staggers), "rank {rank}");
        }
    }

    // R33
    #[test]
    fn one_more_holds_a_segment_each_time_that_viewers_double() {
        for (viewers, holders) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (1024, 11)] {
            assert_eq!(copies(viewers, 16), holders, "{viewers} viewers");
        }
        assert_eq!((copies(u32::MAX, 16), copies(1 << 20, 3), copies(0, 0)), (16, 3, 1));
    }
}
