//! Whose digests count. A publisher is let in by its key, and a key can be stolen: a newcomer's word is compared with that of those who count
//! already before viewers are told to take it, and of those who contradict each other nobody counts unless most say the same. Viewers are told
//! whose digests count and needn't know why.
//!
//! - [`heard`]: what is remembered of their words; nobody can have others' forgotten by saying much

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey};
use rillcast_publisher::ledger::Print;

mod heard;
#[cfg(test)]
mod tests;

use heard::{Heard, Words};

/// Segments of which it is remembered who has said what.
const MAX_SEGMENTS: usize = 1024;
/// Segments with more than one meaning.
const MAX_CONTESTED: usize = 64;
/// How long whoever was contradicted doesn't count for it. A segment may honestly have two meanings, as where an encoder began again.
pub(super) const DOUBT: Duration = Duration::from_secs(60);

/// After so long without an answer to what newcomers say the built-in publisher is taken to be unable: it can't reach the stream.
pub(super) const SILENCE: Duration = Duration::from_secs(20);

/// What a digest has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Whether it may be told to viewers.
    pub(super) counts: bool,
    /// Whom it contradicts, if the segment hadn't two meanings before.
    pub(super) contradicts: Option<PublisherKey>,
    /// Whether its publisher is in doubt for something else already: who contradicts again and again isn't to fill the log.
    pub(super) again: bool,
    /// Whether its publisher, or another, counts from now on.
    pub(super) proves: bool,
    /// Whether it is a word in a contradiction that was there already: who is to be believed may be known now.
    pub(super) votes: bool,
    /// Whether most have contradicted its publisher lately: nobody needs to look at it.
    pub(super) is_idle: bool,
}

/// A segment with more than one meaning.
#[derive(Debug)]
struct Contest {
    since: Instant,
    key: SegmentKey,
    /// By whose word that was seen.
    by: PublisherKey,
    words: Words,
}

/// What a swarm knows of its publishers.
#[derive(Debug, Default)]
pub(super) struct Proof {
    /// The built-in publisher: nobody outvotes it, for whoever has its key has all of this.
    built_in: Option<PublisherKey>,
    trusted: HashSet<PublisherKey>,
    /// Those who count while the built-in publisher is unable, and no longer: anybody can play what it can't follow.
    stand_ins: HashSet<PublisherKey>,
    /// How many of a newcomer's digests were confirmed.
    confirmed: HashMap<PublisherKey, u16>,
    heard: Heard,
    contested: Vec<Contest>,
    /// Since when the built-in publisher owes an answer to what newcomers say.
    asked: Option<Instant>,
}

impl Proof {
    /// Those of the swarm's publishers who are to be reckoned with, oldest first. The first of them counts where nobody else does, for there is no
    /// other word than its own; so it is, as long as that lasts, where the built-in publisher can't do its part.
    pub(super) fn present(
        &mut self,
        built_in: Option<PublisherKey>,
        is_able: bool,
        seeds: &[PublisherKey],
        proof: u16,
    ) {
        self.built_in = built_in;
        self.confirmed.retain(|key, _| seeds.contains(key));
        let stands_in = built_in.is_some() && !is_able;
        if !stands_in && !self.stand_ins.is_empty() {
            // Their word, and what it confirmed, is compared anew.
            self.stand_ins.clear();
            self.confirmed.clear();
        }
        if proof == 0 {
            self.trusted.extend(seeds);
        } else if (built_in.is_none() || stands_in)
            && !seeds.iter().any(|key| self.trusts(key))
            && let Some(eldest) = seeds.first()
        {
            if stands_in { &mut self.stand_ins } else { &mut self.trusted }.insert(*eldest);
        }
    }

    /// Keys that aren't remembered any more once their digests are gone too.
    pub(super) fn retain(&mut self, keep: impl Fn(&PublisherKey) -> bool) {
        self.trusted.retain(&keep);
        self.stand_ins.retain(keep);
    }

    /// What a publisher said is worth nothing any more.
    pub(super) fn forget(&mut self, key: &PublisherKey) {
        self.trusted.remove(key);
        self.stand_ins.remove(key);
        self.confirmed.remove(key);
        self.heard.forget(key);
    }

    /// Whether a publisher's word is taken, if nobody contradicts it.
    pub(super) fn trusts(&self, key: &PublisherKey) -> bool {
        self.has_proven(key) || self.stand_ins.contains(key)
    }

    /// Whether it is also where the built-in publisher does its part.
    pub(super) fn has_proven(&self, key: &PublisherKey) -> bool {
        self.built_in.as_ref() == Some(key) || self.trusted.contains(key)
    }

    /// Takes in a digest whose signature holds.
    pub(super) fn hear(&mut self, digest: &SegmentDigest, proof: u16, now: Instant) -> Said {
        let (by, print) = (digest.publisher, Print::of(digest));
        if self.built_in == Some(by) {
            self.asked = None;
        } else if !self.has_proven(&by) {
            self.asked.get_or_insert(now);
        }
        let counts = self.trusts(&by);
        let mut said =
            Said { counts, contradicts: None, again: false, proves: false, votes: false, is_idle: false };
        // One voice against most would cast doubt on whoever is the first to say what the others would say too.
        if self.is_outvoted(&by) {
            return Said { counts: false, is_idle: true, ..said };
        }
        let trusted = |key: &PublisherKey| {
            self.built_in.as_ref() == Some(key) || self.trusted.contains(key) || self.stand_ins.contains(key)
        };
        if let Some(contest) = self.contested.iter_mut().find(|contest| contest.key == digest.key) {
            if contest.words.of(&by).is_none() && contest.words.add(by, print, trusted) {
                let words: Vec<_> = contest.words.all().collect();
                (said.votes, said.proves) = (true, self.confirm(&words, by, proof));
            }
            return said;
        }
        let words = self.heard.of(digest.key, by);
        if words.of(&by) == Some(print) || !words.add(by, print, trusted) {
            return said;
        }
        let all: Vec<_> = words.all().collect();
        said.contradicts = words.other_than(print);
        if said.contradicts.is_some() {
            let words = std::mem::take(words);
            said.again = self.contested.iter().any(|contest| contest.words.of(&by).is_some());
            self.contest(Contest { since: now, key: digest.key, by, words });
        }
        said.proves = self.confirm(&all, by, proof);
        said
    }

    /// These words were said of a segment, the last of them by `by`. Newcomers who say what those say who count are confirmed, each once, others
    /// lose what was confirmed of them; newcomers don't vouch for each other, and while those who count contradict each other nobody does. A
    /// segment that is in doubt confirms as well: one liar could keep everybody who comes later from ever being confirmed.
    fn confirm(&mut self, words: &[(PublisherKey, Print)], by: PublisherKey, proof: u16) -> bool {
        let vouches = |(key, _): &&(PublisherKey, Print)| self.trusts(key);
        let Some((_, print)) = words.iter().find(vouches).copied() else { return false };
        if words.iter().filter(vouches).any(|(_, other)| *other != print) {
            return false;
        }
        let is_false = |key: &PublisherKey| words.iter().any(|(other, said)| other == key && *said != print);
        let newcomers = words.iter().map(|(key, _)| *key).filter(|key| !self.trusts(key));
        let (liars, honest): (Vec<_>, Vec<_>) = newcomers.partition(is_false);
        // Those who spoke before were confirmed before, if anybody could.
        let is_first = !words.iter().filter(vouches).any(|(key, _)| *key != by);
        let honest = honest.into_iter().filter(|key| is_first || *key == by);
        let confirmed: Vec<_> = honest.collect();
        let proven = words.iter().any(|(key, _)| self.has_proven(key));
        liars.iter().for_each(|key| _ = self.confirmed.remove(key));
        let mut proves = false;
        for key in confirmed {
            let times = self.confirmed.entry(key).or_default();
            *times += 1;
            if *times >= proof {
                self.confirmed.remove(&key);
                if proven { &mut self.trusted } else { &mut self.stand_ins }.insert(key);
                proves = true;
            }
        }
        proves
    }

    fn contest(&mut self, contest: Contest) {
        if self.contested.len() >= MAX_CONTESTED
            && let Some(spare) = heard::spare(self.contested.iter().map(|contest| &contest.by))
        {
            self.contested.remove(spare);
        }
        self.contested.push(contest);
    }

    /// Whether the built-in publisher, which has followed something since then, answers what newcomers say.
    pub(super) fn answers(&self, since: Option<Instant>, now: Instant) -> bool {
        let waits = |since: Instant| self.asked.map(|at| now.saturating_duration_since(at.max(since)));
        since.is_some_and(|since| waits(since).is_none_or(|waits| waits < SILENCE))
    }

    /// Whether somebody counts for want of the built-in publisher.
    pub(super) fn has_stand_ins(&self) -> bool {
        !self.stand_ins.is_empty()
    }

    /// Forgets contradictions that are over.
    pub(super) fn outdate(&mut self, now: Instant) {
        self.contested.retain(|contest| now.saturating_duration_since(contest.since) < DOUBT);
    }

    /// Whether a publisher's digests are to be taken now, of these that are here.
    pub(super) fn counts(&self, key: &PublisherKey, here: &[PublisherKey]) -> bool {
        self.trusts(key) && self.contested.iter().all(|contest| self.stands(key, &contest.words, here))
    }

    /// Whether what a publisher said of a segment stands against what others who are here said. Whoever is gone contradicts nobody.
    fn stands(&self, key: &PublisherKey, words: &Words, here: &[PublisherKey]) -> bool {
        let Some(own) = words.of(key) else { return true };
        let is_here = |other: &PublisherKey| here.contains(other) || self.built_in.as_ref() == Some(other);
        let others = words.all().filter(|(other, print)| *print != own && is_here(other));
        !words.are_two_of(key) && others.map(|(_, print)| print).all(|print| self.outvotes(own, print, words))
    }

    /// Whether most have contradicted a publisher lately.
    fn is_outvoted(&self, key: &PublisherKey) -> bool {
        self.contested.iter().map(|contest| &contest.words).any(|words| {
            words.of(key).is_some_and(|own| words.all().any(|(_, print)| self.outvotes(print, own, words)))
        })
    }

    /// Whether two at least say the one of a segment, and fewer the other. Newcomers have no vote, nor has who says both.
    fn outvotes(&self, one: Print, other: Print, words: &Words) -> bool {
        let weight = |of: Print| -> usize {
            let by =
                words.all().filter(|(key, print)| *print == of && self.trusts(key) && !words.are_two_of(key));
            by.map(|(key, _)| if self.built_in == Some(key) { usize::from(u16::MAX) } else { 1 }).sum()
        };
        let most = weight(one);
        most >= 2 && most > weight(other)
    }
}
