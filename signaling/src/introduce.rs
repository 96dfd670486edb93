//! Whom to introduce: half those with the fewest introductions, so that nobody is overrun, and half at random, so that
//! the mesh doesn't fall apart into the generations that joined together. Seeds, if there are any, in front. Half at least
//! are kin, who play what the asker plays: only they can give and take every block. A few are from the asker's own home or office, where there
//! are such: what they give each other costs no line, and a newcomer there would else take its first segments over the line that all share.

use rillcast_protocol::id::PeerId;

use crate::random::Choice;

/// Seeds introduced at a time where there is a choice.
pub const SEEDS: usize = 2;

/// Of so many introduced, one at most is chosen for being at the asker's place.
pub const PER_NEAR: usize = 3;

/// Somebody who could be introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Who.
    pub id: PeerId,
    /// A seed.
    pub seed: bool,
    /// It plays what the asker plays.
    pub kin: bool,
    /// It is where the asker is.
    pub near: bool,
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
        let others = candidates.split_off(seeds);
        candidates.truncate(SEEDS.min(count));
        let seeds = candidates.len();
        let (mut near, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|c| c.near);
        let of_near = count.div_ceil(PER_NEAR).min(count - seeds).min(near.len());
        candidates.extend(draw(random, &mut near, of_near.div_ceil(2), of_near));
        near.extend(others);
        near.sort_by_key(|c| c.load);
        let (mut kin, mut rest): (Vec<_>, Vec<_>) = near.into_iter().partition(|c| c.kin);
        let (half, calm) = (count.div_ceil(2), |n: usize, seeds: usize| n.div_ceil(2).saturating_sub(seeds));
        let have = candidates.iter().filter(|c| c.kin).count();
        let of_kin = half.saturating_sub(have).min(count - candidates.len()).min(kin.len());
        candidates.extend(draw(random, &mut kin, calm(of_kin, 0), of_kin));
        rest.append(&mut kin);
        rest.sort_by_key(|c| c.load);
        let left = count - candidates.len();
        candidates.extend(draw(random, &mut rest, calm(count - of_kin - of_near, seeds), left));
    }
    candidates.into_iter().map(|c| c.id).collect()
}

/// Takes `count` out of candidates in the order of their load: the first `calm`, and the others at random.
fn draw(random: &mut Choice, from: &mut Vec<Candidate>, calm: usize, count: usize) -> Vec<Candidate> {
    let calm = calm.min(count).min(from.len());
    random.shuffle_front(&mut from[calm..], count - calm);
    from.drain(..count.min(from.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(viewers: u8, seeds: u8) -> Vec<Candidate> {
        let one = |n: u8, seed| Candidate {
            id: PeerId([n; 16]),
            seed,
            kin: false,
            near: false,
            load: usize::from(n),
        };
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

    /// Those from `first` on are kin.
    fn with_kin(viewers: u8, seeds: u8, first: u8) -> Vec<Candidate> {
        let kin = |c: Candidate| Candidate { kin: !c.seed && c.id.0[0] >= first, ..c };
        candidates(viewers, seeds).into_iter().map(kin).collect()
    }

    #[test]
    fn half_at_least_are_kin_where_there_are_so_many_and_the_rest_is_as_ever() {
        for (first, least) in [(90, 0), (89, 1), (87, 3), (86, 4), (60, 4), (0, 8)] {
            let mut strangers = 0;
            for seed in 0..100 {
                let chosen = choose(&mut Choice::new(seed), with_kin(90, 0, first), 8);
                let kin = chosen.iter().filter(|c| c.0[0] >= first).count();
                assert!(chosen.len() == 8 && kin >= least, "{kin} of those from {first} on");
                strangers += 8 - kin;
            }
            assert!(strangers > 100 || first == 0, "others keep the swarm one: {strangers}");
        }
    }

    // R6
    #[test]
    fn a_third_at_most_are_from_the_same_place_and_the_rest_is_as_ever() {
        for (from, least) in [(90, 0), (89, 1), (87, 3), (60, 3)] {
            let mut away = 0;
            for seed in 0..100 {
                let near = |c: Candidate| Candidate { near: !c.seed && c.id.0[0] >= from, ..c };
                let all = with_kin(90, 5, 40).into_iter().map(near).collect();
                let chosen = choose(&mut Choice::new(seed), all, 8);
                let count = |of: fn(u8, u8) -> bool| chosen.iter().filter(|c| of(c.0[0], from)).count();
                let (at_place, seeds) = (count(|n, from| (from..100).contains(&n)), count(|n, _| n >= 100));
                assert!(chosen.len() == 8 && seeds == SEEDS && at_place >= least, "{chosen:?}");
                assert!(count(|n, _| (40..100).contains(&n)) >= 4, "half are kin");
                away += 8 - seeds - at_place;
            }
            assert!(away >= 100, "others keep the swarm one: {away}");
        }
    }

    #[test]
    fn of_kin_too_half_are_calm_and_half_from_everywhere() {
        let mut late = 0;
        for seed in 0..100 {
            let chosen = choose(&mut Choice::new(seed), with_kin(90, 0, 40), 8);
            assert!((40..42).all(|n| chosen.contains(&PeerId([n; 16]))), "{chosen:?}");
            late += chosen.iter().filter(|c| c.0[0] > 60).count();
        }
        assert!(late > 100, "{late}");
    }

    #[test]
    fn kin_leave_seeds_their_places() {
        let chosen = choose(&mut Choice::new(3), with_kin(90, 9, 0), 8);
        assert_eq!(chosen.iter().filter(|c| c.0[0] >= 100).count(), SEEDS);
        assert_eq!(choose(&mut Choice::new(3), with_kin(90, 9, 0), 1).len(), 1);
    }

    #[test]
    fn nobody_comes_twice() {
        for seed in 0..50 {
            let mut chosen = choose(&mut Choice::new(seed), with_kin(40, 5, (seed % 41) as u8), 16);
            chosen.sort();
            chosen.dedup();
            assert_eq!(chosen.len(), 16);
        }
    }
}
