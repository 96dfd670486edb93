//! What was digested already. One key must never get two meanings: peers would take one viewer's bytes for another's
//! lie. An encoder that starts again counts from where it once began, so its keys come a second time.

use std::collections::{BTreeMap, VecDeque};

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey};

/// Most keys remembered per track; the oldest numbers are forgotten first.
pub const MAX_KEYS: usize = 20_000;
/// Other publishers that are believed no more, per track; beyond that the oldest is forgotten.
pub const MAX_DISBELIEVED: usize = 16;

/// So many of another publisher's first segments on a track are all looked at here before its word alone is taken.
pub const PROOF: u8 = 8;
/// Others' words that are to be looked at and haven't been, per track; beyond that the oldest is forgotten. Their numbers may be made up, and
/// mustn't push out what is known.
pub const MAX_UNSEEN: usize = 256;
/// Publishers whose proof is remembered, per track; of one more all is looked at for good.
const MAX_PROVEN: usize = 16;

/// A hash of the bytes' hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Print([u8; 32]);

impl Print {
    /// Of what a digest says about the bytes.
    pub fn of(digest: &SegmentDigest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&digest.length.to_be_bytes());
        for hash in &digest.hashes {
            hasher.update(hash);
        }
        Self(*hasher.finalize().as_bytes())
    }
}

/// Where a key's bytes were found: a hash of path and range. Another place means they have to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u64);

/// What became of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entered {
    /// The key's first: sign it.
    New,
    /// The same bytes as before: nothing to say.
    Same,
    /// Other bytes than before: must not be signed.
    Conflict,
    /// Other bytes than this publisher says: sign it, so that the contradiction is seen. From now on nothing that it says is believed.
    Disputed(PublisherKey),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    print: Print,
    /// `None` where only another publisher digested it.
    place: Option<Place>,
    /// On whose word it stands here, where it isn't our own.
    by: Option<PublisherKey>,
    /// That word is to be checked.
    audit: bool,
    /// Who has said something else than that word: whoever of the two is wrong has us fetch a segment for it once.
    against: Option<PublisherKey>,
    epoch: u32,
}

/// One track's digested keys.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<SegmentKey, Entry>,
    epoch: u32,
    disbelieved: VecDeque<PublisherKey>,
    /// Keys that were entered only to be looked at, oldest first; some of them may have been by now.
    unseen: VecDeque<SegmentKey>,
    /// How often another's word was found true.
    proven: BTreeMap<PublisherKey, u8>,
}

impl Ledger {
    /// Whether the key's bytes at this place have still to be fetched.
    pub fn lacks(&mut self, key: SegmentKey, place: Place) -> bool {
        let epoch = self.epoch;
        match self.entries.get_mut(&key) {
            None => true,
            Some(entry) => {
                let known = *entry.place.get_or_insert(place);
                known != place || entry.epoch != epoch || entry.audit
            }
        }
    }

    /// Whether nothing was ever heard of the key's bytes.
    pub fn is_new(&self, key: SegmentKey) -> bool {
        !self.entries.contains_key(&key)
    }

    /// The playlist's numbers went backwards: keys that come again have to be looked at again.
    pub fn restarted(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Enters what was fetched.
    pub fn enter(&mut self, key: SegmentKey, place: Place, print: Print) -> Entered {
        let epoch = self.epoch;
        let Some(entry) = self.entries.get_mut(&key) else {
            self.insert(
                key,
                Entry { print, place: Some(place), by: None, audit: false, against: None, epoch },
            );
            return Entered::New;
        };
        (entry.place, entry.epoch, entry.audit) = (Some(place), epoch, false);
        let (by, against) = (entry.by.take(), entry.against.take());
        if entry.print == print {
            if let Some(liar) = against {
                self.disbelieve(liar);
            }
            if let Some(by) = by
                && (self.proven.len() < MAX_PROVEN || self.proven.contains_key(&by))
            {
                let times = self.proven.entry(by).or_default();
                *times = times.saturating_add(1);
            }
            // What another has said, and we have seen now, is ours to say as well.
            return if by.is_some() { Entered::New } else { Entered::Same };
        }
        let Some(by) = by else { return Entered::Conflict };
        entry.print = print;
        self.disbelieve(by);
        Entered::Disputed(by)
    }

    /// Enters another publisher's digest, so that its segment isn't fetched here, unless to check it (`audit`). What is to be checked is fetched
    /// even if nothing that its publisher says is believed: others may have to hear who else contradicts it. Told back: whether it contradicts
    /// our own word.
    pub fn note(&mut self, digest: &SegmentDigest, audit: bool) -> bool {
        let print = Print::of(digest);
        let is_heard = audit || !self.disbelieved.contains(&digest.publisher);
        match self.entries.get_mut(&digest.key) {
            Some(entry) if entry.by.is_none() => {
                let lies = entry.print != print;
                if lies {
                    self.disbelieve(digest.publisher);
                }
                lies
            }
            Some(entry) => {
                // Of two others one is wrong: the origin says which.
                let is_other = entry.print != print && entry.by != Some(digest.publisher);
                if is_other && entry.against.is_none() && is_heard {
                    (entry.against, entry.audit) = (Some(digest.publisher), true);
                }
                false
            }
            None => {
                if is_heard {
                    let (by, epoch) = (Some(digest.publisher), self.epoch);
                    self.insert(digest.key, Entry { print, place: None, by, audit, against: None, epoch });
                    if audit {
                        self.owe(digest.key);
                    }
                }
                false
            }
        }
    }

    /// Whether too little of what a publisher said has been looked at.
    pub fn is_unproven(&self, publisher: &PublisherKey) -> bool {
        self.proven.get(publisher).is_none_or(|times| *times < PROOF)
    }

    /// Whether nothing that a publisher says is believed.
    pub fn disbelieves(&self, publisher: &PublisherKey) -> bool {
        self.disbelieved.contains(publisher)
    }

    /// Whether another's word on a key is to be looked at.
    pub fn checks(&self, key: SegmentKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.audit)
    }

    /// Whether two others say different things of a key, and it hasn't been looked at.
    pub fn is_contested(&self, key: SegmentKey) -> bool {
        self.entries.get(&key).is_some_and(|entry| entry.against.is_some())
    }

    /// What only another publisher has digested is to be fetched here all the same.
    pub fn recheck(&mut self, key: SegmentKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.audit |= entry.by.is_some();
        }
    }

    /// What this publisher has said and we haven't seen ourselves is to be looked at.
    fn disbelieve(&mut self, publisher: PublisherKey) {
        self.entries.retain(|_, entry| entry.by != Some(publisher));
        if !self.disbelieved.contains(&publisher) {
            if self.disbelieved.len() == MAX_DISBELIEVED {
                self.disbelieved.pop_front();
            }
            self.disbelieved.push_back(publisher);
        }
    }

    /// Remembers that a key is to be looked at.
    fn owe(&mut self, key: SegmentKey) {
        if self.unseen.len() == MAX_UNSEEN
            && let Some(oldest) = self.unseen.pop_front()
            && self.entries.get(&oldest).is_some_and(|entry| entry.audit && entry.by.is_some())
        {
            self.entries.remove(&oldest);
        }
        self.unseen.push_back(key);
    }

    fn insert(&mut self, key: SegmentKey, entry: Entry) {
        if self.entries.len() == MAX_KEYS {
            self.entries.pop_first();
        }
        self.entries.insert(key, entry);
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    const A: Place = Place(1);
    const B: Place = Place(2);

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(0), number, discontinuity: 0, part: 0 }
    }

    #[test]
    fn a_key_is_fetched_once_while_it_stays_where_it_is() {
        let mut ledger = Ledger::default();
        assert!(ledger.lacks(key(1), A) && ledger.is_new(key(1)));
        assert_eq!(ledger.enter(key(1), A, Print([1; 32])), Entered::New);
        assert!(!ledger.lacks(key(1), A) && !ledger.is_new(key(1)));
    }

    #[test]
    fn other_bytes_for_a_key_are_a_conflict_each_time() {
        let mut ledger = Ledger::default();
        ledger.enter(key(1), A, Print([1; 32]));
        assert!(ledger.lacks(key(1), B));
        assert_eq!(ledger.enter(key(1), B, Print([2; 32])), Entered::Conflict);
        assert!(!ledger.lacks(key(1), B), "told once per place");
        ledger.restarted();
        assert!(ledger.lacks(key(1), B));
        assert_eq!(ledger.enter(key(1), B, Print([1; 32])), Entered::Same);
    }

    #[test]
    fn what_another_publisher_digested_is_not_fetched() {
        let mut ledger = Ledger::default();
        let key_pair = crate::key::PublishingKey::from_seed(&[1; 32]);
        let digest = crate::sign::digest(&key_pair, rillcast_protocol::id::SwarmId([0; 16]), key(7), 1, b"x");
        ledger.note(&digest.expect("in bounds"), false);
        assert!(!ledger.lacks(key(7), A));
        assert!(ledger.lacks(key(7), B), "the place it was first seen at counts from then on");
    }

    // H2
    #[test]
    fn a_newcomers_first_segments_are_all_looked_at() {
        let other = crate::key::PublishingKey::from_seed(&[1; 32]);
        let swarm = rillcast_protocol::id::SwarmId([0; 16]);
        let mut ledger = Ledger::default();
        for number in 0..u64::from(PROOF) {
            assert!(ledger.is_unproven(&other.public()), "{number}");
            let digest = crate::sign::digest(&other, swarm, key(number), 1, b"x").expect("in bounds");
            ledger.note(&digest, true);
            assert!(ledger.checks(key(number)));
            assert_eq!(ledger.enter(key(number), A, Print::of(&digest)), Entered::New);
            assert!(!ledger.checks(key(number)));
        }
        assert!(!ledger.is_unproven(&other.public()) && !ledger.disbelieves(&other.public()));
    }

    #[test]
    fn what_another_digested_is_fetched_if_nobody_hands_it_over_and_what_we_saw_ourselves_is_not() {
        let other = crate::key::PublishingKey::from_seed(&[1; 32]);
        let swarm = rillcast_protocol::id::SwarmId([0; 16]);
        let digest = crate::sign::digest(&other, swarm, key(7), 1, b"x").expect("in bounds");
        let mut ledger = Ledger::default();
        ledger.note(&digest, false);
        ledger.enter(key(8), A, Print([1; 32]));
        (7..10).for_each(|n| ledger.recheck(key(n)));
        assert!(ledger.lacks(key(7), A) && !ledger.lacks(key(8), A) && ledger.is_new(key(9)));
        assert_eq!(ledger.enter(key(7), A, Print::of(&digest)), Entered::New);
        assert!(!ledger.lacks(key(7), A));
    }

    // H2
    #[test]
    fn whoever_says_something_else_than_the_origin_is_believed_no_more() {
        let liar = crate::key::PublishingKey::from_seed(&[1; 32]);
        let says = |n: u64, bytes: &[u8]| {
            let swarm = rillcast_protocol::id::SwarmId([0; 16]);
            crate::sign::digest(&liar, swarm, key(n), 1, bytes).expect("in bounds")
        };
        let honest = |n: u64| Print::of(&says(n, b"the origin's"));
        // Looked at nonetheless, as an audit does.
        let mut ledger = Ledger::default();
        assert!(!ledger.note(&says(1, b"a lie"), true) && !ledger.note(&says(2, b"a lie"), false));
        assert!(ledger.lacks(key(1), A) && !ledger.lacks(key(2), A));
        assert_eq!(ledger.enter(key(1), A, honest(1)), Entered::Disputed(liar.public()));
        assert_eq!(ledger.enter(key(1), A, honest(1)), Entered::Same, "told once");
        assert!(ledger.lacks(key(2), A), "what else it has said is looked at");
        ledger.note(&says(3, b"a lie"), false);
        assert!(ledger.lacks(key(3), A), "and what it says from now on");
        // Or it comes later than the truth.
        let mut ledger = Ledger::default();
        ledger.enter(key(1), A, honest(1));
        assert!(!ledger.note(&says(1, b"the origin's"), false));
        assert!(ledger.note(&says(1, b"a lie"), false));
        ledger.note(&says(2, b"a lie"), false);
        assert!(ledger.lacks(key(2), A));
    }

    // H2: whoever of them lies, and whichever comes first.
    #[test]
    fn of_two_others_that_contradict_each_other_the_origin_says_who_lies() {
        let swarm = rillcast_protocol::id::SwarmId([0; 16]);
        let [honest, liar] = [1, 2].map(|seed| crate::key::PublishingKey::from_seed(&[seed; 32]));
        let says = |who: &crate::key::PublishingKey, n: u64, bytes: &[u8]| {
            crate::sign::digest(who, swarm, key(n), 1, bytes).expect("in bounds")
        };
        for liar_first in [true, false] {
            let mut ledger = Ledger::default();
            let (truth, lie) = (says(&honest, 1, b"the origin's"), says(&liar, 1, b"a lie"));
            let (first, second) = if liar_first { (&lie, &truth) } else { (&truth, &lie) };
            assert!(!ledger.note(first, false) && !ledger.checks(key(1)));
            assert!(!ledger.note(second, false) && ledger.checks(key(1)), "it is looked at");
            let expected = if liar_first { Entered::Disputed(liar.public()) } else { Entered::New };
            assert_eq!(ledger.enter(key(1), A, Print::of(&truth)), expected);
            assert!(ledger.disbelieves(&liar.public()) && !ledger.disbelieves(&honest.public()));
            // Nobody has us fetch more than once, unless it is asked for: whoever counts the words doesn't know what we have seen.
            ledger.note(&says(&honest, 2, b"the origin's"), false);
            ledger.note(&says(&liar, 2, b"a lie"), false);
            assert!(!ledger.is_contested(key(2)) && !ledger.lacks(key(2), A));
            ledger.note(&says(&liar, 2, b"a lie"), true);
            assert!(ledger.is_contested(key(2)) && ledger.lacks(key(2), A));
            ledger.note(&says(&liar, 3, b"a lie"), true);
            ledger.note(&says(&honest, 3, b"the origin's"), false);
            assert!(ledger.is_contested(key(3)) && ledger.lacks(key(3), A));
            for n in [3, 2] {
                let entered = ledger.enter(key(n), A, Print::of(&says(&honest, n, b"the origin's")));
                let signs = if n == 2 { Entered::New } else { Entered::Disputed(liar.public()) };
                assert_eq!(entered, signs, "{n}");
                assert!(!ledger.is_contested(key(n)) && !ledger.lacks(key(n), A));
            }
        }
    }

    // H4: under, at and over the limit.
    #[test]
    fn made_up_numbers_push_nothing_out_that_is_known() {
        let newcomer = crate::key::PublishingKey::from_seed(&[1; 32]);
        let swarm = rillcast_protocol::id::SwarmId([0; 16]);
        let says = |n: u64| crate::sign::digest(&newcomer, swarm, key(n), 1, b"x").expect("in bounds");
        let mut ledger = Ledger::default();
        (0..10).for_each(|n| _ = ledger.enter(key(n), A, Print([0; 32])));
        // One that is looked at in time stands on its own.
        ledger.note(&says(10), true);
        ledger.enter(key(10), A, Print::of(&says(10)));
        let first = 1_000_000;
        for n in 0..2 * MAX_UNSEEN as u64 {
            ledger.note(&says(first + n), true);
            assert_eq!(ledger.entries.len(), 11 + MAX_UNSEEN.min(n as usize + 1), "{n}");
        }
        assert!((0..=10).all(|n| !ledger.lacks(key(n), A)));
        assert!(!ledger.checks(key(first)) && ledger.checks(key(first + 2 * MAX_UNSEEN as u64 - 1)));
    }

    #[test]
    fn the_oldest_numbers_are_forgotten_at_the_limit() {
        let mut ledger = Ledger::default();
        for n in 0..MAX_KEYS as u64 {
            ledger.enter(key(n), A, Print([0; 32]));
        }
        assert!(!ledger.lacks(key(0), A));
        ledger.enter(key(MAX_KEYS as u64), A, Print([0; 32]));
        assert!(ledger.lacks(key(0), A));
        assert_eq!(ledger.entries.len(), MAX_KEYS);
    }
}
