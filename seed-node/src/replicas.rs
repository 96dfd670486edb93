//! Which segments this seed holds, of those that the seeds of its swarm share: how many hold a segment follows from how many play its track, and
//! which of them follows from the segment's order ([`Order`]). Pure; the driver asks and does what it is told.
//!
//! Whoever comes first fetches and signs. The others hear its digest, and those who are to hold the segment too take it from whoever shows it. What
//! nobody shows by then is fetched once more: a digest alone gives viewers nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey, TrackId};
use rillcast_protocol::signal::Popularity;
use rillcast_publisher::Order;
use rillcast_publisher::copies::Ours;
use rillcast_publisher::order::{copies, stagger};

/// Others' segments that are looked after at a time; beyond that the one heard of first is forgotten, and isn't held here.
pub const MAX_HEARD: usize = 256;
/// One that was heard of so long ago isn't taken any more, unless a viewer comes to it.
const FRESH: Duration = Duration::from_secs(30);
/// What others show may take so many staggers to come before it is fetched all the same: who shows it may not give it.
const PATIENCE: u32 = 4;
/// A seed that has let so many of its turns pass isn't reckoned with until it signs again: it hangs, or only says that it is one.
pub const MISSED: u32 = 3;

/// What is so of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It is here whole.
    pub held: bool,
    /// Another seed shows some of it.
    pub shown: bool,
    /// A linked viewer is going to play it.
    pub wanted: bool,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// To be taken of other seeds, soonest first.
    pub take: Vec<SegmentKey>,
    /// To be fetched from the origin now.
    pub bring: Vec<SegmentKey>,
    /// When to ask again at the latest.
    pub again: Option<Instant>,
}

/// What became of segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Fetched as the first in their order.
    pub first: u64,
    /// Fetched because whoever came before us hadn't by then.
    pub later: u64,
    /// Fetched though another publisher had signed them: to check that, or because nobody handed them over.
    pub again: u64,
    /// Taken from other seeds.
    pub pulled: u64,
    /// Heard of, and left to others to hold.
    pub left: u64,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    at: Instant,
    publisher: PublisherKey,
    stagger: Duration,
    /// Since when it is ours to hold.
    duty: Option<Instant>,
    brought: bool,
    done: bool,
}

/// See the module's page.
#[derive(Debug)]
pub struct Replicas {
    own: PublisherKey,
    /// As signaling tells.
    live: Vec<PublisherKey>,
    /// How many turns each has let pass since it last signed.
    missed: HashMap<PublisherKey, u32>,
    order: Order,
    told: HashMap<TrackId, u32>,
    linked: HashMap<TrackId, u32>,
    heard: BTreeMap<SegmentKey, Heard>,
    /// What became of segments so far.
    pub tally: Tally,
}

impl Replicas {
    /// Of a seed that knows of no other.
    pub fn new(own: PublisherKey) -> Self {
        let (live, missed, told, linked) = Default::default();
        let (order, heard, tally) = (Order::alone(own), BTreeMap::new(), Tally::default());
        Self { own, live, missed, order, told, linked, heard, tally }
    }

    /// Those that share, as far as they can be reckoned with.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Signaling tells who is live, and what is played.
    pub fn told(&mut self, live: Vec<PublisherKey>, tracks: &[Popularity]) {
        self.missed.retain(|seed, _| live.contains(seed));
        self.live = live;
        self.told = tracks.iter().map(|p| (p.track, p.viewers)).collect();
        self.reckon();
    }

    /// Another swarm: what was heard of is of no use.
    pub fn forget(&mut self) {
        *self = Self { tally: self.tally, ..Self::new(self.own) };
    }

    /// How many of the linked viewers play each track: signaling's word may be old.
    pub fn linked(&mut self, viewers: HashMap<TrackId, u32>) {
        self.linked = viewers;
    }

    /// What is played anywhere in the swarm, for each of those who share has to follow it. Nothing while we are alone.
    pub fn played(&self) -> Vec<TrackId> {
        if self.order.is_alone() { Vec::new() } else { self.told.keys().copied().collect() }
    }

    /// Another publisher has signed for a segment. Its signature has been verified.
    pub fn heard(&mut self, digest: &SegmentDigest, now: Instant) {
        if self.missed.remove(&digest.publisher).is_some_and(|missed| missed >= MISSED) {
            self.reckon();
        }
        if self.order.is_alone() || self.heard.contains_key(&digest.key) {
            return;
        }
        self.tally.left += u64::from(!self.is_ours(digest.key));
        self.enter(digest, now);
    }

    /// A linked viewer comes to a segment that has a digest and isn't here.
    pub fn missed(&mut self, digest: &SegmentDigest, now: Instant) {
        let is_open = self.heard.get(&digest.key).is_some_and(|heard| !heard.done);
        if !self.order.is_alone() && !is_open && self.is_ours(digest.key) {
            self.enter(digest, now);
        }
    }

    fn enter(&mut self, digest: &SegmentDigest, now: Instant) {
        if self.heard.len() >= MAX_HEARD
            && let Some(oldest) = self.heard.iter().min_by_key(|(_, heard)| heard.at).map(|(key, _)| *key)
        {
            self.heard.remove(&oldest);
        }
        let stagger = stagger(digest.duration_ms);
        let (publisher, duty, brought, done) = (digest.publisher, None, false, false);
        self.heard.insert(digest.key, Heard { at: now, publisher, stagger, duty, brought, done });
    }

    /// A segment was fetched from the origin here, and signed. Told back: whether who is reckoned with has changed.
    pub fn fetched(&mut self, key: SegmentKey) -> bool {
        if let Some(heard) = self.heard.get_mut(&key) {
            heard.done = true;
            self.tally.again += 1;
            return false;
        }
        let before = self.order.before(key);
        if before.is_empty() {
            self.tally.first += 1;
            return false;
        }
        self.tally.later += 1;
        for seed in &before {
            *self.missed.entry(*seed).or_default() += 1;
        }
        let known = self.order.clone();
        self.reckon();
        known != self.order
    }

    /// What there is to do.
    pub fn duties(&mut self, now: Instant, facts: impl Fn(&SegmentKey) -> Facts) -> Duties {
        let mut duties = Duties::default();
        self.heard.retain(|_, heard| now.since(heard.at) < FRESH);
        let (order, told, linked) = (&self.order, &self.told, &self.linked);
        for (key, heard) in self.heard.iter_mut().filter(|(_, heard)| !heard.done) {
            let rank = order.rank(*key);
            if rank >= wanted_copies(order, told, linked, key.track) {
                heard.duty = None;
                continue;
            }
            let facts = facts(key);
            if facts.held {
                heard.done = true;
                self.tally.pulled += u64::from(!heard.brought);
                continue;
            }
            // Where more are to hold a track now, what its viewers have behind them is left as it is.
            if !facts.wanted && now.since(heard.at) >= heard.stagger * PATIENCE {
                continue;
            }
            let since = *heard.duty.get_or_insert(now);
            // Whoever has signed it as one of us shows it in a moment, and whoever comes before us fetches it before us.
            let waits = rank as u32 + u32::from(order.has(&heard.publisher));
            let patience = heard.stagger * (waits + if facts.shown { PATIENCE } else { 0 });
            if !heard.brought && facts.wanted {
                let due = since + patience;
                if now >= due {
                    heard.brought = true;
                    duties.bring.push(*key);
                } else {
                    duties.again = Some(duties.again.map_or(due, |again| again.min(due)));
                }
            }
            duties.take.push(*key);
        }
        duties
    }

    /// Those of the segments that others are to hold.
    pub fn spare(&self, held: impl Iterator<Item = SegmentKey>) -> Vec<SegmentKey> {
        if self.order.is_alone() { Vec::new() } else { held.filter(|key| !self.is_ours(*key)).collect() }
    }

    /// Whether we are one of those that hold a segment.
    pub fn is_ours(&self, key: SegmentKey) -> bool {
        self.order.rank(key) < wanted_copies(&self.order, &self.told, &self.linked, key.track)
    }

    /// The same as things are now, to be asked elsewhere.
    pub fn ours(&self) -> Ours {
        let (order, told, linked) = (self.order.clone(), self.told.clone(), self.linked.clone());
        Arc::new(move |key: &SegmentKey| order.rank(*key) < wanted_copies(&order, &told, &linked, key.track))
    }

    fn reckon(&mut self) {
        let is_here = |seed: &&PublisherKey| self.missed.get(*seed).is_none_or(|missed| *missed < MISSED);
        let live: Vec<_> = self.live.iter().filter(is_here).copied().collect();
        self.order = Order::new(self.own, &live);
    }
}

/// How many seeds are to hold a track's segments.
fn wanted_copies(
    order: &Order,
    told: &HashMap<TrackId, u32>,
    linked: &HashMap<TrackId, u32>,
    track: TrackId,
) -> usize {
    let viewers = [told, linked].map(|known| known.get(&track).copied().unwrap_or(0));
    copies(viewers[0].max(viewers[1]), order.seeds())
}

#[cfg(test)]
mod tests;
