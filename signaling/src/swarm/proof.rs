//! Whose digests count. A publisher is let in by its key, and a key can be stolen: a newcomer's word is compared with that of those who count
//! already before viewers are told to take it, and of those who contradict each other nobody counts unless most say the same. Viewers are told
//! whose digests count and needn't know why.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey};
use rillcast_publisher::ledger::Print;

/// Segments of which it is remembered who has said what; beyond that the one heard of first is forgotten.
const MAX_SEGMENTS: usize = 1024;
/// Segments with more than one meaning; beyond that the oldest is forgotten.
const MAX_CONTESTED: usize = 64;
/// How long whoever was contradicted doesn't count for it. A segment may honestly have two meanings, as where an encoder began again.
pub(super) const DOUBT: Duration = Duration::from_secs(60);

/// After so long without a word the built-in publisher is taken to be unable: it isn't allowed the stream, or can't reach it.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// Who has said what of one segment. Everybody's first word counts.
type Words = Vec<(PublisherKey, Print)>;

/// What a digest has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether it may be told to viewers.
    pub(super) counts: bool,
    /// Whom it contradicts, if the segment hadn't two meanings before.
    pub(super) contradicts: Option<PublisherKey>,
    /// Whether its publisher, or another, counts from now on.
    pub(super) proves: bool,
}

/// What a swarm knows of its publishers.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// The built-in publisher: nobody outvotes it, for whoever has its key has all of this.
    built_in: Option<PublisherKey>,
    trusted: HashSet<PublisherKey>,
    /// How many of a newcomer's digests were confirmed.
    confirmed: HashMap<PublisherKey, u16>,
    words: BTreeMap<SegmentKey, Words>,
    /// In the order in which they were heard of.
    known: VecDeque<SegmentKey>,
    contested: VecDeque<(Instant, SegmentKey, Words)>,
    /// When the built-in publisher last said something.
    spoke: Option<Instant>,
}

impl Proof {
    /// Those of the swarm's publishers who are to be reckoned with, oldest first. The first of them counts where nobody else does, for there is no
    /// other word than its own; so it is, too, where the built-in publisher can't do its part.
    pub(super) fn present(
        &mut self,
        built_in: Option<PublisherKey>,
        is_able: bool,
        seeds: &[PublisherKey],
        proof: u16,
    ) {
        self.built_in = built_in;
        self.confirmed.retain(|key, _| seeds.contains(key));
        if proof == 0 {
            self.trusted.extend(seeds);
        } else if (built_in.is_none() || !is_able)
            && !seeds.iter().any(|key| self.trusted.contains(key))
            && let Some(eldest) = seeds.first()
        {
            self.trusted.insert(*eldest);
        }
    }

    /// Keys that aren't remembered any more once their digests are gone too.
    pub(super) fn retain(&mut self, keep: impl Fn(&PublisherKey) -> bool) {
        self.trusted.retain(keep);
    }

    /// Whether a publisher's word is taken, if nobody contradicts it.
    pub(super) fn trusts(&self, key: &PublisherKey) -> bool {
        self.built_in.as_ref() == Some(key) || self.trusted.contains(key)
    }

    /// Takes in a digest whose signature holds.
    pub(super) fn hear(&mut self, digest: &SegmentDigest, proof: u16, now: Instant) -> Said {
        let (by, print) = (digest.publisher, Print::of(digest));
        if self.built_in == Some(by) {
            self.spoke = Some(now);
        }
        let mut said = Said { counts: self.trusts(&by), contradicts: None, proves: false };
        // One voice against most would cast doubt on whoever is the first to say what the others would say too.
        if self.is_outvoted(&by) {
            return Said { counts: false, ..said };
        }
        if let Some((_, _, words)) = self.contested.iter_mut().find(|(_, key, _)| *key == digest.key) {
            if words.iter().all(|(other, _)| *other != by) {
                words.push((by, print));
            }
            return said;
        }
        if !self.words.contains_key(&digest.key) {
            if self.known.len() == MAX_SEGMENTS
                && let Some(oldest) = self.known.pop_front()
            {
                self.words.remove(&oldest);
            }
            self.known.push_back(digest.key);
        }
        let words = self.words.entry(digest.key).or_default();
        if words.iter().any(|(other, known)| *other == by && *known == print) {
            return said;
        }
        words.push((by, print));
        said.contradicts = words.iter().find(|(_, other)| *other != print).map(|(other, _)| *other);
        if said.contradicts.is_some() {
            let words = std::mem::take(words);
            for (key, _) in &words {
                self.confirmed.remove(key);
            }
            if self.contested.len() == MAX_CONTESTED {
                self.contested.pop_front();
            }
            self.contested.push_back((now, digest.key, words));
            return said;
        }
        // Newcomers don't vouch for each other.
        let words = words.clone();
        if words.iter().any(|(key, _)| self.trusts(key)) {
            let confirmed = words.iter().map(|(key, _)| *key).filter(|key| !self.trusts(key));
            for key in confirmed.collect::<Vec<_>>() {
                let times = self.confirmed.entry(key).or_default();
                *times += 1;
                if *times >= proof {
                    self.confirmed.remove(&key);
                    self.trusted.insert(key);
                    said.proves = true;
                }
            }
        }
        said
    }

    /// Whether the built-in publisher, which has followed something since then, says anything.
    pub(super) fn speaks(&self, since: Option<Instant>, now: Instant) -> bool {
        let lately = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < SILENCE);
        lately(since) || since.is_some() && lately(self.spoke)
    }

    /// Forgets contradictions that are over.
    pub(super) fn outdate(&mut self, now: Instant) {
        self.contested.retain(|(at, ..)| now.saturating_duration_since(*at) < DOUBT);
    }

    /// Whether a publisher's digests are to be taken now, of these that are here.
    pub(super) fn counts(&self, key: &PublisherKey, here: &[PublisherKey]) -> bool {
        self.trusts(key) && self.contested.iter().all(|(_, _, words)| self.stands(key, words, here))
    }

    /// Whether what a publisher said of a segment stands against what others who are here said. Whoever is gone contradicts nobody.
    fn stands(&self, key: &PublisherKey, words: &Words, here: &[PublisherKey]) -> bool {
        let Some((_, own)) = words.iter().find(|(other, _)| other == key) else { return true };
        let is_here = |other: &PublisherKey| here.contains(other) || self.built_in.as_ref() == Some(other);
        let others = words.iter().filter(|(other, print)| print != own && is_here(other));
        others.map(|(_, print)| print).all(|print| self.outvotes(own, print, words))
    }

    /// Whether most have contradicted a publisher lately.
    fn is_outvoted(&self, key: &PublisherKey) -> bool {
        self.contested.iter().any(|(_, _, words)| {
            let own = words.iter().find(|(other, _)| other == key);
            own.is_some_and(|(_, own)| words.iter().any(|(_, print)| self.outvotes(print, own, words)))
        })
    }

    /// Whether two at least say the one of a segment, and fewer the other. Newcomers have no vote.
    fn outvotes(&self, one: &Print, other: &Print, words: &Words) -> bool {
        let weight = |of: &Print| -> usize {
            let by = words.iter().filter(|(key, print)| print == of && self.trusts(key));
            by.map(|(key, _)| if self.built_in.as_ref() == Some(key) { usize::from(u16::MAX) } else { 1 })
                .sum()
        };
        let most = weight(one);
        most >= 2 && most > weight(other)
    }
}

#[cfg(test)]
mod tests {
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
        proof.hear(&says(2, 2, b"x"), PROOF, now);
        assert_eq!(counting(&proof, &everybody), [1, 2]);
        // It isn't heard any more, so it casts no doubt on whoever is the first to say something.
        proof.hear(&says(1, 3, b"x"), PROOF, now);
        assert_eq!(proof.hear(&says(4, 3, b"y"), PROOF, now).contradicts, None);
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

    #[test]
    fn where_the_built_in_publisher_is_silent_the_first_counts() {
        let (mut proof, now) = (Proof::default(), Instant::now());
        let later = |passed: Duration| now + passed;
        assert!(!proof.speaks(None, now), "it follows nothing");
        assert!(proof.speaks(Some(now), later(SILENCE - Duration::from_millis(1))));
        assert!(!proof.speaks(Some(now), later(SILENCE)));
        let seeds = [key(1), key(2)];
        proof.present(Some(key(9)), true, &seeds, PROOF);
        proof.hear(&says(9, 1, b"x"), PROOF, later(SILENCE));
        assert!(proof.speaks(Some(now), later(SILENCE * 2 - Duration::from_millis(1))));
        assert!(!proof.speaks(Some(now), later(SILENCE * 2)) && !proof.speaks(None, later(SILENCE)));
        assert!(counting(&proof, &[1, 2]).is_empty());
        proof.present(Some(key(9)), false, &seeds, PROOF);
        assert_eq!(counting(&proof, &[1, 2]), [1]);
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
        assert_eq!((proof.words.len(), proof.known.len()), (MAX_SEGMENTS, MAX_SEGMENTS));
        assert_eq!(proof.hear(&says(2, 0, b"y"), PROOF, now).contradicts, None, "the oldest is forgotten");
        for number in 10..=10 + MAX_CONTESTED as u64 {
            proof.hear(&says(2, number, b"y"), PROOF, now);
        }
        assert_eq!(proof.contested.len(), MAX_CONTESTED);
    }
}
