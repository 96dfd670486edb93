//! Which of a manifest's renditions the node follows: those that linked viewers play and, where it shares with other seeds, theirs; or all.

use std::collections::HashMap;
use std::sync::Arc;

use reqwest::Url;
use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::id::{SwarmId, TrackId};
use rillcast_publisher::{AllowList, Publisher, track_id};

/// A rendition is followed on for so long after its last viewer has left it: viewers go up and down all the time, and
/// each new start costs a look at the playlist and its newest segments once more.
pub const LINGER: Duration = Duration::from_secs(30);

/// What is followed and why.
#[derive(Debug)]
pub struct Following {
    publisher: Publisher,
    allow: Arc<AllowList>,
    all: bool,
    renditions: HashMap<TrackId, Url>,
    playing: Vec<TrackId>,
    /// Played by viewers of other seeds that share with us.
    elsewhere: Vec<TrackId>,
    /// Followed now, with the time since which nobody plays it.
    followed: HashMap<TrackId, Option<Instant>>,
    swarm: Option<SwarmId>,
}

impl Following {
    /// Nothing is followed yet.
    pub fn new(publisher: Publisher, allow: Arc<AllowList>, all: bool) -> Self {
        Self {
            publisher,
            allow,
            all,
            renditions: HashMap::new(),
            playing: Vec::new(),
            elsewhere: Vec::new(),
            followed: HashMap::new(),
            swarm: None,
        }
    }

    /// The manifest's media playlists.
    pub fn renditions(&mut self, now: Instant, urls: Vec<Url>) -> Vec<TrackId> {
        self.renditions = urls.into_iter().map(|url| (track_id(url.as_str()), url)).collect();
        self.decide(now)
    }

    /// Whether the manifest has been read.
    pub fn knows_renditions(&self) -> bool {
        !self.renditions.is_empty()
    }

    /// Whether this is another swarm than the one that we are in.
    pub fn is_elsewhere(&self, swarm: SwarmId) -> bool {
        self.swarm.is_some_and(|known| known != swarm)
    }

    /// The swarm that we are in; told back: tracks no longer followed, if it is another one than before.
    pub fn joined(&mut self, now: Instant, swarm: SwarmId) -> Vec<TrackId> {
        if self.swarm == Some(swarm) {
            return Vec::new();
        }
        let gone = self.followed.drain().map(|(track, _)| track).collect();
        if let Some(old) = self.swarm.replace(swarm) {
            self.publisher.forget(old);
        }
        self.decide(now);
        gone
    }

    /// Follows nothing any more.
    pub fn end(&mut self) {
        self.followed.clear();
        if let Some(swarm) = self.swarm.take() {
            self.publisher.forget(swarm);
        }
    }

    /// The renditions that linked viewers play now.
    pub fn playing(&mut self, now: Instant, tracks: Vec<TrackId>) -> Vec<TrackId> {
        self.playing = tracks;
        self.decide(now)
    }

    /// The renditions that others' viewers play and that we fetch our share of.
    pub fn elsewhere(&mut self, now: Instant, tracks: Vec<TrackId>) -> Vec<TrackId> {
        self.elsewhere = tracks;
        self.decide(now)
    }

    /// Follows and unfollows as things stand; told back: tracks no longer followed.
    pub fn decide(&mut self, now: Instant) -> Vec<TrackId> {
        let Some(swarm) = self.swarm else { return Vec::new() };
        let (all, playing, elsewhere) = (self.all, &self.playing, &self.elsewhere);
        let is_played = |track: &TrackId| all || playing.contains(track) || elsewhere.contains(track);
        for (track, url) in &self.renditions {
            if !is_played(track) {
                continue;
            }
            match self.followed.get_mut(track) {
                Some(unused) => *unused = None,
                None => match self.publisher.follow(swarm, url.as_str(), &self.allow) {
                    Ok(_) => {
                        tracing::info!(playlist = rillcast_publisher::origin::bare(url), "following");
                        self.followed.insert(*track, None);
                    }
                    Err(error) => tracing::warn!(%error, "a rendition can't be followed"),
                },
            }
        }
        let mut gone = Vec::new();
        self.followed.retain(|track, unused| {
            if is_played(track) {
                return true;
            }
            let since = *unused.get_or_insert(now);
            let stays = now.since(since) < LINGER;
            if !stays {
                self.publisher.unfollow(swarm, *track);
                gone.push(*track);
            }
            stays
        });
        gone
    }

    /// Tracks followed now.
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_publisher::{Config, PublishingKey};

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn following(
        all: bool,
    ) -> (Following, [TrackId; 2], tokio::sync::mpsc::Receiver<rillcast_publisher::Event>) {
        let (publisher, events) =
            Publisher::new(PublishingKey::from_seed(&[1; 32]), Config::default()).expect("a client");
        let allow = Arc::new(AllowList::new(["http://127.0.0.1:9/"]).expect("a prefix"));
        let mut following = Following::new(publisher, allow, all);
        let urls = ["http://127.0.0.1:9/a.m3u8", "http://127.0.0.1:9/b.m3u8"];
        following.renditions(at(0), urls.iter().map(|u| Url::parse(u).expect("a URL")).collect());
        (following, urls.map(track_id), events)
    }

    #[tokio::test]
    async fn what_viewers_play_is_followed_and_a_while_longer() {
        let (mut following, [a, b], _events) = following(false);
        following.playing(at(0), vec![a]);
        assert_eq!(following.len(), 0, "not joined yet");
        following.joined(at(0), SwarmId([1; 16]));
        assert_eq!(following.len(), 1);
        following.playing(at(10), vec![b]);
        assert_eq!(following.len(), 2);
        assert!(following.decide(at(39)).is_empty());
        assert_eq!(following.decide(at(40)), [a]);
        following.playing(at(41), vec![a, b, TrackId(77)]);
        assert_eq!(following.len(), 2, "and of a track that the manifest doesn't know nothing comes");
    }

    // R32
    #[tokio::test]
    async fn what_other_seeds_viewers_play_is_followed_too() {
        let (mut following, [a, b], _events) = following(false);
        following.joined(at(0), SwarmId([1; 16]));
        following.playing(at(0), vec![a]);
        following.elsewhere(at(0), vec![b]);
        assert_eq!(following.len(), 2);
        assert!(following.elsewhere(at(1), vec![a]).is_empty());
        assert_eq!(following.decide(at(31)), [b], "a while later");
    }

    #[tokio::test]
    async fn all_renditions_are_followed_if_told_so() {
        let (mut following, [a, _], _events) = following(true);
        following.joined(at(0), SwarmId([1; 16]));
        assert_eq!(following.len(), 2);
        following.playing(at(0), vec![a]);
        assert!(following.decide(at(1000)).is_empty());
    }

    #[tokio::test]
    async fn another_swarm_begins_afresh() {
        let (mut following, _, _events) = following(true);
        following.joined(at(0), SwarmId([1; 16]));
        assert!(following.joined(at(1), SwarmId([1; 16])).is_empty());
        assert_eq!(following.joined(at(2), SwarmId([2; 16])).len(), 2);
        assert_eq!(following.len(), 2);
    }
}
