//! One open link: what the other end holds, plays and has promised.

use crate::map::Map;

use rillcast_protocol::id::{PeerId, Role, SegmentKey, TrackId};

use crate::media::Bits;
use crate::time::{Duration, Instant};
use crate::wire::message::{No, Playing};

/// Segments remembered of one neighbour.
pub const MAX_MAPS_PER_LINK: usize = 128;
/// A source claim holds this long.
pub const CLAIM: Duration = Duration::from_millis(3000);
const MAX_CLAIMS: usize = 64;

/// A neighbour.
#[derive(Clone, Debug)]
pub struct Link {
    /// Who.
    pub peer: PeerId,
    /// What it is.
    pub role: Role,
    /// Its place in elections.
    pub nonce: u64,
    /// Its weight in elections.
    pub weight: u16,
    /// It has said hello.
    pub greeted: bool,
    /// What it called its visit in its hello.
    pub session: u64,
    /// It gives nothing and stays out of elections.
    pub passive: bool,
    /// What it plays.
    pub playing: Vec<Playing>,
    /// When we last heard of it.
    pub heard: Instant,
    /// When we last sent it a ping.
    pub pinged: Instant,
    /// Smallest round trip of late.
    pub rtt: Option<Duration>,
    /// Bytes in its bulk buffer, as far as we know.
    pub buffered: u32,
    /// Media bytes received from it.
    pub received: u64,
    /// Media bytes sent to it.
    pub sent: u64,
    maps: Map<SegmentKey, Bits>,
    claims: Vec<(SegmentKey, core::ops::Range<u16>, Instant)>,
    declined: Map<(SegmentKey, u16), (No, Instant)>,
}

impl Link {
    /// A link that has just opened.
    pub fn new(peer: PeerId, role: Role, nonce: u64, weight: u16, now: Instant) -> Self {
        Self {
            peer,
            role,
            nonce,
            weight,
            greeted: false,
            session: 0,
            passive: false,
            playing: Vec::new(),
            heard: now,
            pinged: now,
            rtt: None,
            buffered: 0,
            received: 0,
            sent: 0,
            maps: Map::new(),
            claims: Vec::new(),
            declined: Map::new(),
        }
    }

    /// Replaces what it holds of a segment.
    pub fn set_map(&mut self, key: SegmentKey, blocks: Bits) {
        self.maps.insert(key, blocks);
        self.bound_maps();
    }

    /// Adds a block to what it holds.
    pub fn add_block(&mut self, key: SegmentKey, block: u16) {
        self.maps.or_insert_with(key, Default::default).insert(block);
        self.declined.remove(&(key, block));
        self.bound_maps();
    }

    /// It turned out not to hold a block.
    pub fn remove_block(&mut self, key: &SegmentKey, block: u16) {
        if let Some(map) = self.maps.get_mut(key) {
            map.remove(block);
        }
    }

    fn bound_maps(&mut self) {
        // The lowest numbers are the oldest media; a neighbour that floods us with names only loses its own.
        while self.maps.len() > MAX_MAPS_PER_LINK {
            let oldest = self.maps.keys().min_by_key(|k| k.number).copied();
            oldest.map(|k| self.maps.remove(&k));
        }
    }

    /// Whether it holds the block.
    pub fn holds(&self, key: &SegmentKey, block: u16) -> bool {
        self.maps.get(key).is_some_and(|m| m.contains(block))
    }

    /// How many blocks of a segment it holds; `None` if it hasn't even the digest.
    pub fn held_of(&self, key: &SegmentKey) -> Option<u32> {
        self.maps.get(key).map(Bits::count)
    }

    /// Whether it is going to play the segment and lacks it so far.
    pub fn wants(&self, key: &SegmentKey) -> bool {
        self.playing.iter().any(|p| p.track == key.track && key.number >= p.next)
    }

    /// Whether it plays the track.
    pub fn plays(&self, track: TrackId) -> bool {
        self.playing.iter().any(|p| p.track == track)
    }

    /// It says that it fetches these blocks from the source.
    pub fn claim(&mut self, key: SegmentKey, blocks: core::ops::Range<u16>, now: Instant) {
        self.claims.retain(|(_, _, until)| *until > now);
        if self.claims.len() < MAX_CLAIMS {
            self.claims.push((key, blocks, now + CLAIM));
        }
    }

    /// Whether a claim of it covers the block.
    pub fn claims(&self, key: &SegmentKey, block: u16, now: Instant) -> bool {
        self.claims.iter().any(|(k, blocks, until)| k == key && *until > now && blocks.contains(&block))
    }

    /// It declined a block; for a while it isn't offered again.
    pub fn decline(&mut self, key: SegmentKey, block: u16, why: No, now: Instant) {
        let pause = match why {
            No::Held => Duration::from_secs(60),
            No::Unwanted => Duration::from_millis(4000),
            No::InFlight => Duration::from_millis(1200),
            No::NoDigest | No::NotHeld => Duration::from_millis(300),
            No::Busy => Duration::from_millis(500),
        };
        self.declined.retain(|_, (_, until)| *until > now);
        if self.declined.len() < 1024 {
            self.declined.insert((key, block), (why, now + pause));
        }
    }

    /// Whether it declined the block a short while ago.
    pub fn has_declined(&self, key: &SegmentKey, block: u16, now: Instant) -> bool {
        self.declined.get(&(*key, block)).is_some_and(|(_, until)| *until > now)
    }

    /// Takes a round trip.
    pub fn measure(&mut self, sample: Duration) {
        self.rtt = Some(match self.rtt {
            Some(old) if old < sample => old + (sample - old) / 16,
            _ => sample,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link::new(PeerId([1; 16]), Role::Viewer, 0, 100, Instant::ZERO)
    }

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
    }

    // H6 H11: whoever floods us with names loses its own oldest.
    #[test]
    fn the_maps_of_a_neighbour_are_bounded_and_the_newest_stay() {
        let mut link = link();
        for number in 0..MAX_MAPS_PER_LINK as u64 {
            link.add_block(key(number), 0);
        }
        assert!(link.holds(&key(0), 0), "at the limit");
        link.set_map(key(1000), Bits::full(3));
        assert!(!link.holds(&key(0), 0) && link.holds(&key(1), 0), "one over: the oldest goes");
        assert_eq!(link.held_of(&key(1000)), Some(3));
    }

    #[test]
    fn claims_are_bounded_and_end() {
        let mut link = link();
        for number in 0..=MAX_CLAIMS as u64 {
            link.claim(key(number), 0..4, Instant::ZERO);
        }
        assert!(link.claims(&key(MAX_CLAIMS as u64 - 1), 3, Instant::ZERO), "at the limit");
        assert!(!link.claims(&key(MAX_CLAIMS as u64), 3, Instant::ZERO), "one over");
        assert!(!link.claims(&key(0), 4, Instant::ZERO), "beside the claim");
        let end = Instant::ZERO + CLAIM;
        assert!(!link.claims(&key(0), 0, end));
        link.claim(key(7777), 0..1, end);
        assert!(link.claims(&key(7777), 0, end), "ended claims make room");
    }

    #[test]
    fn a_declined_block_is_left_alone_for_a_while() {
        let mut link = link();
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        link.decline(key(1), 2, No::Busy, at(0));
        assert!(link.has_declined(&key(1), 2, at(499)));
        assert!(!link.has_declined(&key(1), 2, at(500)));
        assert!(!link.has_declined(&key(1), 3, at(0)));
        link.decline(key(1), 2, No::Busy, at(600));
        link.add_block(key(1), 2);
        assert!(!link.has_declined(&key(1), 2, at(600)), "it has it now: that is another matter");
    }

    #[test]
    fn declined_blocks_are_bounded() {
        let mut link = link();
        for n in 0..1025 {
            link.decline(key(n), 0, No::Held, Instant::ZERO);
        }
        assert!(link.has_declined(&key(1023), 0, Instant::ZERO));
        assert!(!link.has_declined(&key(1024), 0, Instant::ZERO));
    }

    #[test]
    fn the_round_trip_follows_shorter_samples_at_once_and_longer_ones_slowly() {
        let mut link = link();
        for (sample, rtt) in [(80, 80), (40, 40), (200, 50), (20, 20)] {
            link.measure(Duration::from_millis(sample));
            assert_eq!(link.rtt, Some(Duration::from_millis(rtt)));
        }
    }

    #[test]
    fn a_neighbour_wants_what_it_plays_and_has_not_reached() {
        let mut link = link();
        link.playing = vec![Playing { track: TrackId(1), next: 5 }];
        assert!(link.wants(&key(5)) && !link.wants(&key(4)));
        assert!(!link.wants(&SegmentKey { track: TrackId(2), ..key(5) }));
    }
}
