//! How many there are, found by gossip: extrema propagation (Baquero, Almeida, Menezes 2012).
//!
//! Everybody draws one exponential number per slot out of its nonce, and neighbours pass on the smallest that they have heard of. The
//! smallest of n such numbers is n times smaller than one of them, so the slots' minima tell n. A number counts as long as its owner
//! refreshes it: each carries its age, and the old ones are dropped.

use rillcast_protocol::coding::{List, Reader, Wire, Writer};
use rillcast_protocol::id::TrackId;

use crate::map::keep;
use crate::rng::mix;
use crate::time::{Duration, Instant, millis};

/// Numbers per peer. The estimate is off by 1 / sqrt(SLOTS - 2), some 18 %.
pub const SLOTS: usize = 32;
/// A number that nobody has refreshed for so long is dropped. News takes some log2(n) rounds to reach all.
const TTL: Duration = Duration::from_secs(60);
/// Ages travel in steps of this.
const STEP: Duration = Duration::from_millis(500);

/// One slot on the wire: the smallest number and its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The number, in 2^-28ths.
    pub value: u32,
    /// Half seconds since its owner spoke.
    pub age: u8,
}

impl Wire for Slot {
    fn encode(&self, w: &mut Writer) {
        w.raw(&self.value.to_le_bytes());
        w.byte(self.age);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        Self { value: u32::from_le_bytes(Wire::decode(r)), age: r.byte() }
    }
}

/// All slots on the wire.
pub type Slots = List<Slot, SLOTS>;

/// The estimate of one population: those who play a track, or those of one site.
#[derive(Clone, Debug)]
pub struct Census {
    own: Option<u64>,
    slots: Vec<(u32, Instant)>,
}

impl Census {
    /// Knows of nobody but the owner of `nonce`; whoever only looks on has none.
    pub fn new(nonce: Option<u64>, now: Instant) -> Self {
        Self { own: nonce, slots: (0..SLOTS).map(|slot| (draw(nonce, slot), now)).collect() }
    }

    /// Takes what a neighbour has heard. Anything but the right number of slots is left alone.
    pub fn hear(&mut self, heard: &Slots, now: Instant) {
        if heard.len() != SLOTS {
            return;
        }
        for (mine, theirs) in self.slots.iter_mut().zip(heard.iter()) {
            let said = now.minus(STEP * u32::from(theirs.age));
            let fresh = now.since(said) < TTL;
            if fresh && (theirs.value < mine.0 || (theirs.value == mine.0 && said > mine.1)) {
                *mine = (theirs.value, said);
            }
        }
    }

    /// What to tell a neighbour.
    pub fn tell(&mut self, now: Instant) -> Slots {
        self.refresh(now);
        let age = |at: Instant| (millis(now.since(at)) / millis(STEP)).min(255) as u8;
        List::first(self.slots.iter().map(|(value, at)| Slot { value: *value, age: age(*at) }).collect())
    }

    fn refresh(&mut self, now: Instant) {
        for (slot, held) in self.slots.iter_mut().enumerate() {
            let own = draw(self.own, slot);
            if own <= held.0 || now.since(held.1) >= TTL {
                *held = (own, now);
            }
        }
    }

    /// How many there are, the owner included.
    pub fn size(&self) -> u64 {
        let sum: u64 = self.slots.iter().map(|(value, _)| u64::from(*value)).sum();
        // Small numbers are spread evenly at 2 to the unit, see `minus_log2`.
        (((2 * (SLOTS as u64 - 1)) << 28) / sum.max(1)).max(1)
    }
}

/// The populations that we belong to.
#[derive(Clone, Debug, Default)]
pub struct Populations {
    all: Vec<(u64, Census)>,
}

impl Populations {
    /// The population of those who play a track.
    pub fn of_track(track: TrackId) -> u64 {
        track.0
    }

    /// The population of one site.
    pub fn of_site(site: u32) -> u64 {
        mix(u64::from(site) ^ 0x517e)
    }

    /// We belong to these from now on, under this nonce.
    pub fn belong(&mut self, to: &[u64], nonce: Option<u64>, now: Instant) {
        keep(&mut self.all, |(of, _)| to.contains(of));
        for of in to {
            if self.census_mut(*of).is_none() {
                self.all.push((*of, Census::new(nonce, now)));
            }
        }
        self.all.iter_mut().for_each(|(_, census)| census.own = nonce);
    }

    /// One of ours.
    pub fn census_mut(&mut self, of: u64) -> Option<&mut Census> {
        self.all.iter_mut().find(|(id, _)| *id == of).map(|(_, census)| census)
    }

    /// All of ours.
    pub fn ids(&self) -> Vec<u64> {
        self.all.iter().map(|(of, _)| *of).collect()
    }

    /// How many there are; 1 in one that isn't ours.
    pub fn size(&self, of: u64) -> u64 {
        self.all.iter().find(|(id, _)| *id == of).map_or(1, |(_, census)| census.size())
    }
}

fn draw(nonce: Option<u64>, slot: usize) -> u32 {
    let Some(nonce) = nonce else { return u32::MAX };
    let u = mix(mix(nonce ^ 0x5e17).wrapping_add(slot as u64));
    (minus_log2(u) >> 4).min(u64::from(u32::MAX)) as u32
}

/// -log2(u / 2^64) in 2^-32ths. Integers throughout, so that every machine draws alike; the mantissa's logarithm is
/// taken as linear, at most 0.09 off, so that half of all numbers lie below 1, evenly.
pub fn minus_log2(u: u64) -> u64 {
    let zeros = u64::from(u.leading_zeros());
    let mantissa = if zeros >= 63 { 0 } else { (u << (zeros + 1)) >> 32 };
    ((zeros + 1) << 32).saturating_sub(mantissa)
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::SegmentKey;

    use super::*;
    use crate::rng::Rng;
    use crate::schedule::election;

    fn after(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    /// `n` peers tell random others, twice as many rounds as it takes to double up to all.
    fn mixed(n: usize) -> Vec<Census> {
        let mut rng = Rng::new(9);
        let mut all: Vec<_> = (0..n).map(|i| Census::new(Some(mix(i as u64)), Instant::ZERO)).collect();
        for round in 0..24 {
            for i in 0..n {
                let told = all[i].tell(after(round));
                all[rng.below(n)].hear(&told, after(round));
            }
        }
        all
    }

    #[test]
    fn the_size_is_found_within_half_of_it() {
        for n in [1, 10, 100, 3000] {
            let sizes: Vec<u64> = mixed(n).iter().map(Census::size).collect();
            let good = |s: &u64| (n as u64 / 2..=n as u64 * 2).contains(s);
            assert!(sizes.iter().filter(|s| good(s)).count() * 10 >= n * 9, "{n}: {:?}", &sizes[..1]);
        }
    }

    #[test]
    fn those_who_left_are_forgotten() {
        let mut all = mixed(400);
        all.truncate(40);
        let mut rng = Rng::new(1);
        for round in 24..130 {
            for i in 0..40 {
                let told = all[i].tell(after(round));
                all[rng.below(40)].hear(&told, after(round));
            }
        }
        assert!((20..=80).contains(&all[0].size()), "{}", all[0].size());
    }

    // H3: whatever is told, what is reckoned with the size must not overflow.
    #[test]
    fn a_census_of_nothing_but_zeros_is_a_number_that_elections_can_bear() {
        let mut census = Census::new(Some(1), Instant::ZERO);
        census.hear(&List::clipped(vec![Slot { value: 0, age: 0 }; SLOTS]), Instant::ZERO);
        let key = SegmentKey { track: TrackId(7), number: 1, discontinuity: 0, part: 0 };
        let ranks = (0..2000)
            .map(|n| election::rank(&key, 0, (mix(n), 1), core::iter::empty(), (census.size(), u16::MAX)));
        assert!(ranks.max() < Some(u64::MAX / 100), "a rank is multiplied by a share in hundredths");
    }

    #[test]
    fn a_vector_of_the_wrong_length_or_too_old_is_left_alone() {
        let mut census = Census::new(Some(1), Instant::ZERO);
        let before = census.size();
        let slots = |n: usize, age| List::clipped((0..n).map(|_| Slot { value: 0, age }));
        census.hear(&slots(SLOTS - 1, 0), Instant::ZERO);
        census.hear(&slots(SLOTS, 120), after(100));
        assert_eq!(census.size(), before);
        census.hear(&slots(SLOTS, 119), after(100));
        assert!(census.size() > before);
    }
}
