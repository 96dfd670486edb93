//! Whom to introduce: half those with the fewest introductions, so that nobody is overrun, and half at random, so that
//! the mesh doesn't fall apart into the generations that joined together. Seeds, if there are any, in front.

use rillcast_protocol::id::PeerId;

use crate::random::Choice;

/// Seeds introduced at a time where there is a choice.
pub const SEEDS: usize = 2;

/// Somebody who could be introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub id: PeerId,
    /// A seed.
    pub seed: bool,
    /// Introductions it already has.
    pub load: usize,
}

/// At most `count` of the candidates.
pub fn choose(random: &mut Choice, mut candidates: Vec<Candidate>, count: usize) -> Vec<PeerId> {
    let all = candidates.len();
    random.shuffle_front(&mut candidates, all);
    if all > count {
        // Stable, so that equals stay in random order.
        candidates.sort_by_key(|c| (!c.seed, c.load));
        let seeds = candidates.iter().take_while(|c| c.seed).count();
        candidates.drain(SEEDS.min(seeds)..seeds);
        let calm = count.div_ceil(2).max(SEEDS.min(count)).min(candidates.len());
        random.shuffle_front(&mut candidates[calm..], count - calm);
    }
    candidates.into_iter().take(count).map(|c| c.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(viewers: u8, seeds: u8) -> Vec<Candidate> {
        let one = |n: u8, seed| Candidate { id: PeerId([n; 16]), seed, load: usize::from(n) };
        (0..viewers).map(|n| one(n, false)).chain((0..seeds).map(|n| one(100 + n, true))).collect()
    }

    #[test]
    fn a_small_swarm_is_introduced_whole() {
        for n in [0, 1, 7, 8] {
            assert_eq!(choose(&mut Choice::new(1), candidates(n, 0), 8).len(), usize::from(n));
        }
    }

    #[test]
    fn a_large_one_gives_the_calmest_and_some_others_and_no_more_than_asked() {
        let mut late = 0;
        for seed in 0..100 {
            let chosen = choose(&mut Choice::new(seed), candidates(90, 0), 8);
            assert_eq!(chosen.len(), 8);
            assert!((0..4).all(|n| chosen.contains(&PeerId([n; 16]))), "{chosen:?}");
            late += chosen.iter().filter(|c| c.0[0] > 45).count();
        }
        assert!(late > 100, "random ones come from everywhere: {late}");
    }

    #[test]
    fn two_of_many_seeds_come_along() {
        let chosen = choose(&mut Choice::new(3), candidates(90, 9), 8);
        assert_eq!(chosen.iter().filter(|c| c.0[0] >= 100).count(), SEEDS);
        assert_eq!(chosen.len(), 8);
    }

    #[test]
    fn nobody_comes_twice() {
        for seed in 0..50 {
            let mut chosen = choose(&mut Choice::new(seed), candidates(40, 5), 16);
            chosen.sort();
            chosen.dedup();
            assert_eq!(chosen.len(), 16);
        }
    }
}
