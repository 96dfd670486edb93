//! The digests that a swarm's newcomers are given.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey, TrackId};

use crate::limits::Limits;

/// Keys of a track that have two meanings; beyond that the oldest number is forgotten, and could be given a meaning again.
const MAX_DISPUTED: usize = 1024;

#[derive(Debug, Default)]
struct Track {
    kept: BTreeMap<SegmentKey, SegmentDigest>,
    disputed: BTreeSet<SegmentKey>,
    finished: bool,
}

/// What became of a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is news.
    New,
    /// Known already.
    Known,
    /// It contradicts a known one: neither is kept any more.
    Disputed,
    /// Its key has two meanings already, or there is no room for its track.
    Refused,
}

/// Digests by track.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    tracks: HashMap<TrackId, Track>,
}

impl Digests {
    pub(crate) fn keep(&mut self, digest: &SegmentDigest, limits: &Limits) -> Kept {
        let full = self.tracks.len() >= 2 * limits.tracks_per_swarm;
        if full && !self.tracks.contains_key(&digest.key.track) {
            return Kept::Refused;
        }
        let track = self.tracks.entry(digest.key.track).or_default();
        if track.disputed.contains(&digest.key) {
            return Kept::Refused;
        }
        if let Some(known) = track.kept.get(&digest.key) {
            if known.agrees(digest) {
                return Kept::Known;
            }
            track.kept.remove(&digest.key);
            if track.disputed.len() == MAX_DISPUTED {
                track.disputed.pop_first();
            }
            track.disputed.insert(digest.key);
            return Kept::Disputed;
        }
        track.kept.insert(digest.key, digest.clone());
        let limit = if track.finished { limits.digests_vod } else { limits.digests_live };
        while track.kept.len() > limit.max(1) {
            track.kept.pop_first();
        }
        Kept::New
    }

    /// The track's playlist has ended: all of it can be played, so all of it is kept.
    pub(crate) fn finish(&mut self, track: TrackId, limits: &Limits) {
        if self.tracks.contains_key(&track) || self.tracks.len() < 2 * limits.tracks_per_swarm {
            self.tracks.entry(track).or_default().finished = true;
        }
    }

    /// A digest that is no longer to be handed on.
    pub(crate) fn drop_key(&mut self, key: SegmentKey) {
        if let Some(track) = self.tracks.get_mut(&key.track) {
            track.kept.remove(&key);
        }
    }

    /// Digests of a publisher that no longer counts.
    pub(crate) fn drop_publisher(&mut self, publisher: PublisherKey) {
        for track in self.tracks.values_mut() {
            track.kept.retain(|_, digest| digest.publisher != publisher);
        }
    }

    pub(crate) fn find(&self, key: SegmentKey) -> Option<&SegmentDigest> {
        self.tracks.get(&key.track)?.kept.get(&key)
    }

    /// What a newcomer to the track gets at once, oldest first: the newest of a live one, the first of a finished one. As many whole segments as
    /// parts, for which it will play isn't known.
    pub(crate) fn for_newcomer(&self, track: TrackId, count: usize) -> impl Iterator<Item = &SegmentDigest> {
        let track = self.tracks.get(&track);
        let of = move |is_part: bool| {
            let all = || {
                track.into_iter().flat_map(|t| t.kept.values()).filter(move |d| (d.key.part > 0) == is_part)
            };
            let skip = track.map_or(0, |t| if t.finished { 0 } else { all().count().saturating_sub(count) });
            all().skip(skip).take(count)
        };
        of(false).chain(of(true))
    }

    /// What follows bit by bit: the rest of a finished track.
    pub(crate) fn rest(&self, track: TrackId, count: usize) -> impl Iterator<Item = SegmentKey> {
        let track = self.tracks.get(&track).filter(|t| t.finished);
        track.into_iter().flat_map(|t| t.kept.keys()).skip(count).copied()
    }
}
