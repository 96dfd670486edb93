//! Who fetches a group of blocks of a new live segment from the source.
//!
//! Weighted rendezvous hashing (Thaler & Ravishankar 1998; weights after Schindelhauer & Schomaker 2005) over the
//! server-chosen nonces: everyone ranks the same candidates in the same order without a word, and nobody can choose
//! a better place. Whoever ranks first fetches at once, the others one after the other, later, if it still isn't there.

use rillcast_protocol::id::SegmentKey;

use crate::overlay::census::minus_log2;
use crate::rng::mix;
use crate::time::{Duration, times};

/// Blocks in a group. 64 KiB: some eleven Range requests for a 4 s segment at 1.4 Mbit/s, shared out over as many peers.
pub const GROUP: u16 = 2;
/// Each rank waits so much longer than the one before.
pub const STAGGER: Duration = Duration::from_millis(500);

/// A candidate's place in the server's choosing.
pub type Ballot = (u64, u16);

/// Ranks are counted in hundredths: a place among those whom we don't see is an expectation.
pub const ONE: u64 = 100;

/// How many come before `own` in the election for a group, in hundredths: of `others`, whom we see, exactly; and of so many `unseen` of such a
/// weight, as many as are to be expected.
pub fn rank(
    key: &SegmentKey,
    group: u16,
    own: Ballot,
    others: impl Iterator<Item = Ballot>,
    (unseen, weight): (u64, u16),
) -> u64 {
    let mine = score(key, group, own);
    let before = others.filter(|other| score(key, group, *other) < mine).count() as u64;
    before * ONE + times(unseen, share_below(mine.0, weight) >> 16) * ONE / (1 << 16)
}

/// The share of candidates of such a weight whose score is smaller, in 2^-32ths.
fn share_below(score: u64, weight: u16) -> u64 {
    let x = times(score, u64::from(weight.max(1)));
    let whole = (x >> 32).min(40);
    let part = if whole == 40 { 0 } else { x & 0xffff_ffff };
    (1 << 32) - (((2 << 32) - part) >> (whole + 1))
}

/// The weight that counts: the server's, less where the uplink can't carry the stream to four others at once. Whoever fetches first is to
/// spread it fast (R7). Nobody can gain by lying about it.
pub fn weight(given: u16, upload: u32, bitrate: u64) -> u16 {
    const UNKNOWN: u64 = 50;
    let fit = match upload {
        0 => UNKNOWN,
        _ => (u64::from(upload) * 100 / (4 * bitrate).max(1)).clamp(5, 100),
    };
    (u64::from(given) * fit / 100).max(1) as u16
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
                        (0, 100),
                    )
                })
                .collect();
            ranks.sort_unstable();
            assert_eq!(ranks, (0..20).map(|n| n * ONE).collect::<Vec<_>>());
        }
    }

    #[test]
    fn weight_wins_elections_in_proportion() {
        let others: Vec<Ballot> = (1..10).map(|i| (mix(i), 100)).collect();
        let wins = |weight| {
            (0..4000)
                .filter(|n| rank(&key(*n), 0, (mix(99), weight), others.iter().copied(), (0, 100)) == 0)
                .count()
        };
        let (one, three) = (wins(100) as f64, wins(300) as f64);
        assert!((330.0..480.0).contains(&one), "{one} of 4000, expected a tenth");
        assert!((2.0..3.2).contains(&(three / one)), "three times the weight: {}", three / one);
    }

    #[test]
    fn places_among_the_unseen_are_right_on_average() {
        let (seen, unseen) = (10u64, 990u64);
        let others: Vec<Ballot> = (1..=seen).map(|i| (mix(i), 100)).collect();
        let all: Vec<Ballot> = (1..=seen + unseen).map(|i| (mix(i), 100)).collect();
        let (mut error, mut firsts, n) = (0.0, 0, 2000);
        for number in 0..n {
            let own = (mix(number + 5000), 100);
            let exact = rank(&key(number), 0, own, all.iter().copied(), (0, 100)) as f64;
            let guess = rank(&key(number), 0, own, others.iter().copied(), (unseen, 100)) as f64;
            error += (guess - exact) / n as f64;
            firsts += u64::from(guess < 20.0 * ONE as f64);
        }
        assert!(error.abs() < 3.0 * ONE as f64, "off by {error} hundredths on average");
        assert!((25..60).contains(&firsts), "{firsts} of {n} among the first 20 of 1000");
    }

    // R7
    #[test]
    fn a_weak_uplink_lowers_the_weight_and_a_strong_one_does_not_raise_it() {
        let at = |upload| weight(100, upload, 100_000);
        assert_eq!([at(0), at(1), at(100_000), at(200_000), at(400_000)], [50, 5, 25, 50, 100]);
        assert_eq!(at(u32::MAX), 100);
        assert_eq!(weight(0, 1, 1), 1);
    }
}
