//! What seeds are told of each other, and of what is played: by that they share out who fetches and who holds what. Soft state: the whole of it,
//! again when it has changed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rillcast_protocol::coding::{List, Wire};
use rillcast_protocol::id::{PeerId, PublisherKey};
use rillcast_protocol::signal::{MAX_POPULAR, MAX_PUBLISHERS, Popularity, SEEDS_TOLD_SINCE, ServerMessage};

use super::Swarm;

/// That something is played by more or by fewer is told this often at most; that a seed has come or gone at once.
const POPULARITY_EVERY: Duration = Duration::from_secs(1);

/// What they were told last.
#[derive(Debug, Default)]
pub(super) struct Company {
    keys: Vec<PublisherKey>,
    tracks: Vec<Popularity>,
    told: Option<Instant>,
}

impl Swarm {
    /// Tells seeds what has changed, and one that has just come how things are. A seed alone has nobody to share with, and hears nothing.
    pub(super) fn tell_seeds(&mut self, newcomer: Option<PeerId>, now: Instant) {
        if self.seeds.is_empty() {
            self.company = Company::default();
            return;
        }
        let keys = self.live_seeds();
        let moved = keys != self.company.keys;
        let recent = self.company.told.is_some_and(|at| now.saturating_duration_since(at) < POPULARITY_EVERY);
        // Two at least, or one that was told of others before.
        let concerns = keys.len() > 1 || self.company.keys.len() > 1;
        if !concerns || (recent && !moved && newcomer.is_none()) {
            self.company.keys = keys;
            return;
        }
        let tracks = self.popular();
        if !moved && newcomer.is_none() && tracks == self.company.tracks {
            return;
        }
        let message = ServerMessage::Seeds {
            keys: List::clipped(keys.iter().copied()),
            tracks: List::clipped(tracks.iter().copied()),
        };
        let message = Bytes::from(message.to_bytes());
        for id in &self.seeds {
            let Some(seed) = self.members.get(id) else { continue };
            let listed = seed.takes_part() && seed.joiner.publisher.is_some_and(|key| keys.contains(&key));
            if listed && seed.joiner.version >= SEEDS_TOLD_SINCE {
                seed.joiner.outbox.send_encoded(message.clone());
            }
        }
        self.company = Company { keys, tracks, told: Some(now) };
    }

    /// Whose keys publish and whose holders give: not those who have come to sign alone. The oldest, if there are too many.
    fn live_seeds(&self) -> Vec<PublisherKey> {
        let mut keys = Vec::new();
        for seed in self.seeds.iter().filter_map(|id| self.members.get(id)).filter(|m| m.takes_part()) {
            // Nobody waits for what a newcomer is going to sign while viewers don't take it.
            let counts = |key: &PublisherKey| self.proof.trusts(key) && !keys.contains(key);
            if let Some(key) = seed.joiner.publisher.filter(counts) {
                keys.push(key);
            }
        }
        keys.truncate(MAX_PUBLISHERS);
        keys
    }

    /// The tracks with the most viewers. Rounded, or each viewer that comes or goes would be news.
    fn popular(&self) -> Vec<Popularity> {
        let viewers = |players: usize| 1 << u32::try_from(players).unwrap_or(u32::MAX).max(1).ilog2();
        let mut tracks: Vec<_> = self
            .played
            .iter()
            .map(|(track, played)| Popularity { track: *track, viewers: viewers(played.players) })
            .collect();
        tracks.sort_unstable_by_key(|p| (std::cmp::Reverse(p.viewers), p.track));
        tracks.truncate(MAX_POPULAR);
        tracks
    }
}
