//! Who fetches a group of blocks of a new live segment from the source.
//!
//! Weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Schindelhauer & Schomaker 2005) over the
//! server-chosen nonces: everyone ranks the same candidates in the same order without a word, and nobody can choose
//! a better place. Whoever ranks first fetches at once, the others one after the other, later, if it still isn't there.

use rillcast_protocol::id::SegmentKey;

use crate::rng::mix;
use crate::time::Duration;

/// Blocks in a group. 128 KiB: some eight Range requests for a 4 s segment at 1.4 Mbit/s, shared out over as many peers.
pub const GROUP: u16 = 4;
/// Each rank waits so much longer than the one before.
pub const STAGGER: Duration = Duration::from_millis(500);

/// A candidate's place in the server's choosing.
pub type Ballot = (u64, u16);

/// How many of `others` come before `own` in the election for a group.
pub fn rank(key: &SegmentKey, group: u16, own: Ballot, others: impl Iterator<Item = Ballot>) -> usize {
    let mine = score(key, group, own);
    others.filter(|other| score(key, group, *other) < mine).count()
}

/// Smaller is sooner: -log2(u) / weight for a uniform u, in 2^-32ths, and the nonce against ties.
fn score(key: &SegmentKey, group: u16, (nonce, weight): Ballot) -> (u64, u64) {
    let name = key.track.0
        ^ mix(key
            .number
            .wrapping_add(u64::from(key.discontinuity) << 40)
            .wrapping_add(u64::from(key.part) << 20));
    let u = mix(mix(nonce ^ mix(name)).wrapping_add(u64::from(group)));
    (minus_log2(u) / u64::from(weight.max(1)), nonce)
}

/// -log2(u / 2^64) in 2^-32ths. Integers throughout, so that every machine ranks alike; the mantissa's logarithm is
/// taken as linear, at most 0.09 off, which moves no rank among equal weights.
fn minus_log2(u: u64) -> u64 {
    let zeros = u64::from(u.leading_zeros());
    let mantissa = if zeros >= 63 { 0 } else { (u << (zeros + 1)) >> 32 };
    ((zeros + 1) << 32).saturating_sub(mantissa)
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(7), number, discontinuity: 0, part: 0 }
    }

    #[test]
    fn all_candidates_agree_on_one_order() {
        let all: Vec<Ballot> = (0..20).map(|i| (mix(i), 100)).collect();
        for group in 0..6 {
            let mut ranks: Vec<_> = (0..all.len())
                .map(|me| {
                    rank(
                        &key(5),
                        group,
                        all[me],
                        all.iter().enumerate().filter(|(i, _)| *i != me).map(|(_, b)| *b),
                    )
                })
                .collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn weight_wins_elections_in_proportion() {
        let others: Vec<Ballot> = (1..10).map(|i| (mix(i), 100)).collect();
        let wins = |weight| {
            (0..4000).filter(|n| rank(&key(*n), 0, (mix(99), weight), others.iter().copied()) == 0).count()
        };
        let (one, three) = (wins(100) as f64, wins(300) as f64);
        assert!((330.0..480.0).contains(&one), "{one} of 4000, expected a tenth");
        assert!((2.0..3.2).contains(&(three / one)), "three times the weight: {}", three / one);
    }
}
