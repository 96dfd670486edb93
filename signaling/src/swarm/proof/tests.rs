use rillcast_protocol::id::{SwarmId, TrackId};
use rillcast_publisher::{PublishingKey, sign};

use super::*;

const PROOF: u16 = 3;

fn key(n: u8) -> PublisherKey {
    pair(n).public()
}

fn pair(n: u8) -> PublishingKey {
    PublishingKey::from_seed(&[n; 32])
}

/// What publisher `by` says of a segment: the same of `body`.
fn says(by: u8, number: u64, body: &[u8]) -> SegmentDigest {
    let key = SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
    sign::digest(&pair(by), SwarmId([0; 16]), key, 4000, body).expect("in bounds")
}

fn of(seeds: &[u8]) -> Proof {
    let mut proof = Proof::default();
    let seeds: Vec<_> = seeds.iter().map(|n| key(*n)).collect();
    proof.present(None, true, &seeds, PROOF);
    proof
}

fn counting(proof: &Proof, seeds: &[u8]) -> Vec<u8> {
    let here: Vec<_> = seeds.iter().map(|n| key(*n)).collect();
    seeds.iter().copied().filter(|n| proof.counts(&key(*n), &here)).collect()
}

// H2: under, at and over the limit.
#[test]
fn a_newcomer_counts_once_enough_of_its_word_was_confirmed() {
    let (mut proof, now) = (of(&[1, 2]), Instant::now());
    for number in 0..u64::from(PROOF) {
        assert_eq!(counting(&proof, &[1, 2]), [1], "after {number}");
        // Whoever comes first.
        let (first, second) = if number % 2 == 0 { (1, 2) } else { (2, 1) };
        assert!(!proof.hear(&says(first, number, b"x"), PROOF, now).proves);
        let proves = proof.hear(&says(second, number, b"x"), PROOF, now).proves;
        assert_eq!(proves, number + 1 == u64::from(PROOF));
        proof.hear(&says(2, number, b"x"), PROOF, now);
    }
    assert_eq!(counting(&proof, &[1, 2]), [1, 2]);
    assert!(proof.hear(&says(2, 99, b"x"), PROOF, now).counts);
}

#[test]
fn newcomers_do_not_vouch_for_each_other() {
    let (mut proof, now) = (of(&[1, 2, 3]), Instant::now());
    for number in 0..100 {
        proof.hear(&says(2, number, b"x"), PROOF, now);
        proof.hear(&says(3, number, b"x"), PROOF, now);
    }
    assert_eq!(counting(&proof, &[1, 2, 3]), [1]);
}

// H2 H12
#[test]
fn of_two_who_contradict_each_other_neither_counts_until_one_is_gone_or_time_has_passed() {
    let (mut proof, now) = (of(&[1, 2]), Instant::now());
    proof.hear(&says(1, 1, b"x"), PROOF, now);
    let said = proof.hear(&says(2, 1, b"y"), PROOF, now);
    assert_eq!((said.contradicts, said.counts), (Some(key(1)), false));
    assert_eq!(proof.hear(&says(2, 1, b"y"), PROOF, now).contradicts, None, "told once");
    assert!(counting(&proof, &[1, 2]).is_empty(), "nobody can tell which of them lies");
    assert_eq!(counting(&proof, &[1]), [1], "the other was sent away");
    proof.outdate(now + DOUBT - Duration::from_millis(1));
    assert!(counting(&proof, &[1, 2]).is_empty());
    proof.outdate(now + DOUBT);
    assert_eq!(counting(&proof, &[1, 2]), [1], "the newcomer has still to prove itself");
}

#[test]
fn a_lie_undoes_what_was_confirmed() {
    let (mut proof, now) = (of(&[1, 2]), Instant::now());
    for number in 0..u64::from(PROOF) - 1 {
        proof.hear(&says(1, number, b"x"), PROOF, now);
        proof.hear(&says(2, number, b"x"), PROOF, now);
    }
    proof.hear(&says(1, 50, b"x"), PROOF, now);
    proof.hear(&says(2, 50, b"y"), PROOF, now);
    proof.hear(&says(1, 51, b"x"), PROOF, now);
    assert!(!proof.hear(&says(2, 51, b"x"), PROOF, now).proves);
}

// H2: under, at and over the limit.
#[test]
fn a_liar_keeps_nobody_from_being_confirmed_whoever_speaks_first() {
    for order in [[1, 2, 3], [2, 3, 1], [3, 1, 2], [3, 2, 1]] {
        let (mut proof, now) = (of(&[1, 2, 3]), Instant::now());
        for number in 0..=u64::from(PROOF) {
            // Once it is outvoted the liar isn't heard any more.
            let expected: &[u8] = match number {
                0 => &[1],
                _ if number < u64::from(PROOF) => &[],
                _ => &[1, 2],
            };
            assert_eq!(counting(&proof, &[1, 2, 3]), expected, "after {number}, {order:?}");
            let said: Vec<Said> = order
                .iter()
                .map(|by| proof.hear(&says(*by, number, if *by == 3 { b"y" } else { b"x" }), PROOF, now))
                .collect();
            assert_eq!(said.iter().any(|said| said.proves), number + 1 == u64::from(PROOF), "{number}");
        }
    }
}

#[test]
fn nobody_is_confirmed_by_those_who_contradict_each_other_or_by_another_newcomer() {
    let (mut proof, now) = (of(&[1, 2, 3, 4, 5]), Instant::now());
    proof.trusted.insert(key(2));
    for number in 0..2 * u64::from(PROOF) {
        for (by, body) in [(1, b"x"), (2, b"y"), (3, b"x"), (4, b"y"), (5, b"z")] {
            assert!(!proof.hear(&says(by, number, body), PROOF, now).proves);
        }
    }
    assert!(proof.confirmed.is_empty() && counting(&proof, &[1, 2, 3, 4, 5]).is_empty());
}

// H2
#[test]
fn most_of_those_who_count_outvote_one_and_newcomers_have_no_vote() {
    let now = Instant::now();
    let mut proof = of(&[1, 2, 3]);
    proof.trusted.insert(key(2));
    proof.hear(&says(1, 1, b"x"), PROOF, now);
    proof.hear(&says(3, 1, b"y"), PROOF, now);
    assert_eq!(counting(&proof, &[1, 2, 3]), [2], "one against one");
    proof.hear(&says(2, 1, b"x"), PROOF, now);
    assert_eq!(counting(&proof, &[1, 2, 3]), [1, 2], "two against one");
    proof.hear(&says(1, 2, b"x"), PROOF, now);
    for newcomer in 4..14 {
        proof.hear(&says(newcomer, 2, b"y"), PROOF, now);
    }
    let everybody: Vec<u8> = (1..14).collect();
    assert_eq!(counting(&proof, &everybody), [2], "newcomers prove nothing, but they cast doubt");
    let said = proof.hear(&says(2, 2, b"x"), PROOF, now);
    assert!(said.votes && !said.is_idle && said.contradicts.is_none());
    assert!(!proof.hear(&says(2, 2, b"x"), PROOF, now).votes, "once");
    assert_eq!(counting(&proof, &everybody), [1, 2]);
    // It isn't heard any more, so it casts no doubt on whoever is the first to say something, and nobody is to look at it.
    proof.hear(&says(1, 3, b"x"), PROOF, now);
    let said = proof.hear(&says(4, 3, b"y"), PROOF, now);
    assert!(said.is_idle && said.contradicts.is_none());
    assert_eq!(counting(&proof, &everybody), [1, 2]);
    // One who counted lies: the others do.
    let mut proof = of(&[1, 2, 3]);
    proof.trusted.extend([key(2), key(3)]);
    for (by, body) in [(3, b"y"), (1, b"x"), (2, b"x")] {
        proof.hear(&says(by, 1, body), PROOF, now);
    }
    assert_eq!(counting(&proof, &[1, 2, 3]), [1, 2]);
}

#[test]
fn the_built_in_publisher_is_outvoted_by_nobody_and_proves_others() {
    let (mut proof, now) = (Proof::default(), Instant::now());
    proof.present(Some(key(9)), true, &[key(1), key(2)], PROOF);
    let here = [key(1), key(2)];
    assert!(proof.counts(&key(9), &here) && !proof.counts(&key(1), &here));
    proof.trusted.extend(here);
    for (by, body) in [(1, b"y"), (2, b"y"), (9, b"x")] {
        proof.hear(&says(by, 1, body), PROOF, now);
    }
    assert!(proof.counts(&key(9), &here) && here.iter().all(|key| !proof.counts(key, &here)));
}

// Under, at and over the limit.
#[test]
fn a_built_in_publisher_is_unable_that_follows_nothing_or_leaves_newcomers_without_an_answer() {
    let (mut proof, now) = (Proof::default(), Instant::now());
    let later = |passed: Duration| now + passed;
    proof.present(Some(key(9)), true, &[key(1)], PROOF);
    assert!(!proof.answers(None, now), "it follows nothing");
    assert!(proof.answers(Some(now), later(SILENCE * 9)), "nobody has asked it anything");
    proof.hear(&says(1, 1, b"x"), PROOF, now);
    proof.hear(&says(1, 2, b"x"), PROOF, later(SILENCE / 2));
    assert!(proof.answers(Some(now), later(SILENCE - Duration::from_millis(1))));
    assert!(!proof.answers(Some(now), later(SILENCE)));
    assert!(proof.answers(Some(later(SILENCE)), later(SILENCE)), "it has just begun");
    proof.hear(&says(9, 2, b"x"), PROOF, later(SILENCE));
    assert!(proof.answers(Some(now), later(SILENCE * 9)));
}

// H2
#[test]
fn who_stands_in_for_the_built_in_publisher_counts_no_longer_than_it_is_unable() {
    let (mut proof, now) = (Proof::default(), Instant::now());
    let seeds = [key(1), key(2)];
    proof.present(Some(key(9)), true, &seeds, PROOF);
    assert!(counting(&proof, &[1, 2]).is_empty());
    proof.present(Some(key(9)), false, &seeds, PROOF);
    assert_eq!(counting(&proof, &[1, 2]), [1]);
    for number in 0..u64::from(PROOF) {
        proof.hear(&says(1, number, b"x"), PROOF, now);
        proof.hear(&says(2, number, b"x"), PROOF, now);
    }
    assert_eq!(counting(&proof, &[1, 2]), [1, 2], "it vouches for others meanwhile");
    proof.present(Some(key(9)), true, &seeds, PROOF);
    assert!(counting(&proof, &[1, 2]).is_empty());
    for number in 0..u64::from(PROOF) {
        proof.hear(&says(9, number, b"x"), PROOF, now);
    }
    assert_eq!(counting(&proof, &[1, 2]), [1, 2], "the built-in publisher says the same");
    proof.present(Some(key(9)), false, &seeds, PROOF);
    proof.present(Some(key(9)), true, &seeds, PROOF);
    assert_eq!(counting(&proof, &[1, 2]), [1, 2], "for good");
}

#[test]
fn where_no_proof_is_asked_for_everybody_counts_at_once() {
    let mut proof = Proof::default();
    proof.present(None, true, &[key(1), key(2)], 0);
    assert_eq!(counting(&proof, &[1, 2]), [1, 2]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let (mut proof, now) = (of(&[1]), Instant::now());
    for number in 0..=MAX_SEGMENTS as u64 {
        proof.hear(&says(1, number, b"x"), PROOF, now);
    }
    assert_eq!(proof.heard.len(), (MAX_SEGMENTS, MAX_SEGMENTS));
    assert_eq!(proof.hear(&says(2, 0, b"y"), PROOF, now).contradicts, None, "the oldest is forgotten");
    for number in 10..=10 + MAX_CONTESTED as u64 {
        assert_eq!(proof.hear(&says(2, number, b"y"), PROOF, now).again, number > 10, "{number}");
    }
    assert_eq!(proof.contested.len(), MAX_CONTESTED);
}

// R60
#[test]
fn words_of_one_segment_are_bounded_and_whoever_counts_always_has_room() {
    let (mut proof, now) = (of(&[1]), Instant::now());
    let newcomers = 10..=10 + heard::MAX_WORDS as u8;
    newcomers.clone().for_each(|n| {
        proof.hear(&says(n, 1, b"x"), PROOF, now);
    });
    let remembered = |proof: &mut Proof| proof.heard.of(says(1, 1, b"x").key, key(1)).keys().count();
    assert_eq!(remembered(&mut proof), heard::MAX_WORDS);
    assert_eq!(proof.hear(&says(1, 1, b"y"), PROOF, now).contradicts, Some(key(10)));
    assert_eq!(proof.contested[0].words.keys().count(), heard::MAX_WORDS);
    newcomers.for_each(|n| {
        proof.hear(&says(n + 100, 1, b"x"), PROOF, now);
    });
    assert_eq!(proof.contested[0].words.keys().count(), heard::MAX_WORDS);
}

// H2 H12
#[test]
fn newcomers_are_confirmed_once_by_each_segment_however_many_say_the_same() {
    let (mut proof, now) = (of(&[1]), Instant::now());
    for by in 1..20 {
        assert!(!proof.hear(&says(by, 1, b"x"), PROOF, now).proves, "{by}");
    }
    assert_eq!(counting(&proof, &(1..20).collect::<Vec<_>>()), [1]);
}

// H2 H12
#[test]
fn nobody_has_others_words_or_a_contradiction_forgotten_by_saying_much() {
    let (mut proof, now) = (of(&[1, 2, 3]), Instant::now());
    proof.trusted.insert(key(2));
    proof.hear(&says(1, 1, b"x"), PROOF, now);
    proof.hear(&says(2, 1, b"y"), PROOF, now);
    proof.hear(&says(1, 2, b"x"), PROOF, now);
    for number in 10..10 + 2 * MAX_SEGMENTS as u64 {
        proof.hear(&says(3, number, b"x"), PROOF, now);
        proof.hear(&says(3, number, b"y"), PROOF, now);
    }
    assert!(counting(&proof, &[1, 2, 3]).is_empty(), "of the two nobody counts, whatever the third says");
    for number in 10_000..10_000 + 2 * MAX_SEGMENTS as u64 {
        proof.hear(&says(3, number, b"x"), PROOF, now);
    }
    assert_eq!(proof.hear(&says(3, 2, b"y"), PROOF, now).contradicts, Some(key(1)));
}

// H12
#[test]
fn who_says_two_things_of_a_segment_counts_with_neither_whatever_others_say() {
    let (mut proof, now) = (of(&[1, 2]), Instant::now());
    proof.trusted.insert(key(2));
    proof.hear(&says(1, 1, b"x"), PROOF, now);
    assert_eq!(proof.hear(&says(1, 1, b"y"), PROOF, now).contradicts, Some(key(1)));
    proof.hear(&says(2, 1, b"x"), PROOF, now);
    assert!(!counting(&proof, &[1, 2]).contains(&1));
}

#[test]
fn what_a_revoked_publisher_said_contradicts_nobody() {
    let (mut proof, now) = (of(&[1, 2]), Instant::now());
    proof.hear(&says(2, 1, b"y"), PROOF, now);
    proof.forget(&key(2));
    assert_eq!(proof.hear(&says(1, 1, b"x"), PROOF, now).contradicts, None);
}
