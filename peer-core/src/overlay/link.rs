//! One open link: what the other end plays, gives and has promised. What it holds stands in the index.

use rillcast_protocol::id::{PeerId, Role, SegmentKey, TrackId};
use rillcast_protocol::signal::{Network, PeerDescriptor};

use crate::media::Bits;
use crate::time::{Duration, Instant};
use crate::wire::message::{No, Playing};

/// A source claim holds this long.
pub const CLAIM: Duration = Duration::from_millis(3000);
const MAX_CLAIMS: usize = 64;

/// Stands for all blocks of a segment.
const ALL: u16 = u16::MAX;
const MAX_DECLINED: usize = 1024;

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
    /// Where it is.
    pub net: Network,
    /// It has said hello.
    pub greeted: bool,
    /// What it called its visit in its hello.
    pub session: u64,
    /// It gives nothing and stays out of elections.
    pub passive: bool,
    /// What it plays.
    pub playing: Vec<Playing>,
    /// What it says that its uplink carries, in bytes/s; 0 while it doesn't know.
    pub upload: u32,
    /// When it opened.
    pub opened: Instant,
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
    /// It has no time for requests until then.
    pub busy_until: Instant,
    /// Blocks that it offered us: a sign of good will even if others were quicker.
    pub offers: u32,
    claims: Vec<(SegmentKey, core::ops::Range<u16>, Instant)>,
    declined: Vec<(SegmentKey, u16, Instant)>,
    carried: (Instant, u16),
}

impl Link {
    /// A link that has just opened.
    pub fn new(descriptor: &PeerDescriptor, now: Instant) -> Self {
        Self {
            peer: descriptor.id,
            role: descriptor.role,
            nonce: descriptor.nonce,
            weight: descriptor.weight,
            net: descriptor.net,
            greeted: false,
            session: 0,
            passive: false,
            playing: Vec::new(),
            upload: 0,
            opened: now,
            heard: now,
            pinged: now,
            rtt: None,
            buffered: 0,
            received: 0,
            sent: 0,
            busy_until: now,
            offers: 0,
            claims: Vec::new(),
            declined: Vec::new(),
            carried: (now, 0),
        }
    }

    /// Whether one more signal may be carried for it: so many in such a time.
    pub fn may_carry(&mut self, limit: u16, time: Duration, now: Instant) -> bool {
        if now.since(self.carried.0) >= time {
            self.carried = (now, 0);
        }
        self.carried.1 += 1;
        self.carried.1 <= limit
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

    /// Adds the blocks of a segment that its claims cover.
    pub fn claimed(&self, key: &SegmentKey, now: Instant, blocks: &mut Bits) {
        for (k, claimed, until) in &self.claims {
            if k == key && *until > now {
                claimed.clone().for_each(|block| blocks.insert(block));
            }
        }
    }

    /// It declined a block; for a while it isn't offered again.
    pub fn decline(&mut self, key: SegmentKey, block: u16, why: No, now: Instant) {
        let pause = match why {
            No::Held => Duration::from_secs(60),
            No::Unwanted => Duration::from_millis(4000),
            No::InFlight => Duration::from_millis(400),
            No::NoDigest | No::NotHeld => Duration::from_millis(300),
            No::Busy => Duration::from_millis(500),
        };
        self.declined.retain(|(_, _, until)| *until > now);
        // It lacks nothing of the segment that we hold and that isn't coming, or it would have asked for another block.
        let block = if why == No::InFlight { ALL } else { block };
        if self.declined.len() < MAX_DECLINED {
            self.declined.push((key, block, now + pause));
        }
    }

    /// Whether it declined the block a short while ago.
    pub fn has_declined(&self, key: &SegmentKey, block: u16, now: Instant) -> bool {
        self.declined.iter().any(|(k, b, until)| k == key && (*b == block || *b == ALL) && *until > now)
    }

    /// Takes what it claims or has declined out of what it might be offered.
    pub fn spare(&self, key: &SegmentKey, blocks: &mut Bits, now: Instant) {
        for (k, block, until) in &self.declined {
            if k == key && *until > now {
                match *block {
                    ALL => *blocks = Bits::default(),
                    block => blocks.remove(block),
                }
            }
        }
        for (k, claimed, until) in &self.claims {
            if k == key && *until > now {
                claimed.clone().for_each(|block| blocks.remove(block));
            }
        }
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
        let descriptor = PeerDescriptor {
            id: PeerId([1; 16]),
            role: Role::Viewer,
            nonce: 0,
            weight: 100,
            net: Network::default(),
            initiate: false,
        };
        Link::new(&descriptor, Instant::ZERO)
    }

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
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
        let mut blocks = Bits::full(4);
        link.claim(key(1), 0..1, at(0));
        link.spare(&key(1), &mut blocks, at(0));
        assert_eq!(blocks.list(), [1, 3], "neither what it declined nor what it fetches itself");
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
