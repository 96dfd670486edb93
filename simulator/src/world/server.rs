//! Joining, introductions, digests: what signaling does, with its built-in publisher.

use rillcast_core::engine::Input;
use rillcast_core::protocol::coding::{List, Text};
use rillcast_core::protocol::id::{Role, SegmentKey, TrackId};
use rillcast_core::protocol::signal::{PeerDescriptor, Welcome};
use rillcast_core::rng::mix;
use rillcast_core::time::Duration;

use super::{Event, World};
use crate::media::{Media, PUBLISHER, SWARM, peer_id};

/// From a message to the server to what follows from it.
const SERVER: Duration = Duration::from_millis(60);
/// Opening a WebSocket with TLS.
const JOINING: Duration = Duration::from_millis(200);
/// Peers introduced to a newcomer.
const INTRODUCE: usize = 8;
/// Members that a new digest is sent to.
const FANOUT: usize = 64;
/// Digests that a newcomer to a track gets.
const NEWEST: usize = 8;
/// A track is digested unasked once somebody has played it for so long.
const SETTLE: Duration = Duration::from_secs(3);

impl World {
    pub(super) fn join(&mut self, n: u32) {
        self.settle_in(n);
        let welcome = Welcome {
            version: 1,
            peer: peer_id(n as usize),
            swarm: SWARM,
            nonce: nonce(n),
            weight: 100,
            server_time_ms: 0,
            settings: self.settings.clone(),
            publishers: List::clipped([PUBLISHER]),
            publisher_base: Text::clipped(""),
        };
        self.give(JOINING, n, Input::Welcome(welcome));
        self.introduce(n, INTRODUCE);
        self.comes_to_watch(n);
    }

    pub(super) fn leave(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let now = self.now;
        self.node(n).player.advance(now);
        self.node(n).left = Some(now);
        self.plays(n, None);
        self.move_out(n);
        // A closed tab says nothing to its neighbours; the server sees its connection end.
        let links = std::mem::take(&mut self.node(n).links);
        for wire in links.into_values() {
            self.node(wire.other).links.remove(&wire.theirs);
        }
        self.node(n).fetches = Default::default();
        for other in std::mem::take(&mut self.node(n).introduced) {
            if self.is_there(other) {
                self.give(SERVER, other, Input::Gone(peer_id(n as usize)));
            }
        }
    }

    /// Introduces some of the others to a viewer, and it to them.
    pub(super) fn introduce(&mut self, n: u32, count: usize) {
        let mut met: Vec<u32> = Vec::new();
        for _ in 0..count * 3 {
            if met.len() == count || self.present.len() < 2 {
                break;
            }
            let other = self.present[self.draw.below(self.present.len())];
            if other != n && !met.contains(&other) && !self.nodes[n as usize].introduced.contains(&other) {
                met.push(other);
            }
        }
        let list: Vec<_> = met.iter().map(|m| describe(*m, true)).collect();
        if list.is_empty() {
            return;
        }
        let wait = JOINING + Duration::from_millis(10);
        self.give(wait, n, Input::Introduced(list));
        for m in met {
            self.node(n).introduced.push(m);
            self.node(m).introduced.push(n);
            self.give(wait, m, Input::Introduced(vec![describe(n, false)]));
        }
    }

    /// A viewer says what it plays now.
    pub(super) fn plays(&mut self, n: u32, track: Option<TrackId>) {
        let now = self.now;
        let before = std::mem::replace(&mut self.node(n).plays, track);
        if before == track {
            return;
        }
        if let Some(before) = before
            && let Some(entry) = self.playing.get_mut(&before)
        {
            entry.0 -= 1;
            if entry.0 == 0 {
                self.playing.remove(&before);
            }
        }
        let Some(track) = track else { return };
        self.playing.entry(track).or_insert((0, now)).0 += 1;
        let numbers: Vec<u64> =
            self.newest.get(&track).into_iter().flatten().rev().take(NEWEST).copied().collect();
        for number in numbers {
            self.send_digest(n, Media::key(Media::level(track), number));
        }
    }

    /// A new segment exists.
    pub(super) fn edge_moves(&mut self, number: u64) {
        let now = self.now;
        let settled: Vec<TrackId> = self
            .playing
            .iter()
            .filter(|(_, (_, since))| now.since(*since) >= SETTLE)
            .map(|(t, _)| *t)
            .collect();
        for track in settled {
            let at = self.digested(now);
            self.schedule(at, Event::Publish(Media::key(Media::level(track), number)));
        }
    }

    /// The publisher has a segment: it signs, and tells some.
    pub(super) fn publish(&mut self, key: SegmentKey) {
        if !self.published.insert(key) {
            return;
        }
        let len = u64::from(self.media.len(key));
        self.account(key, len, false);
        let numbers = self.newest.entry(key.track).or_default();
        numbers.push(key.number);
        numbers.sort_unstable();
        if numbers.len() > 4 * NEWEST {
            numbers.remove(0);
        }
        let mut told = 0;
        let from = if self.present.is_empty() { 0 } else { self.draw.below(self.present.len()) };
        for step in 0..self.present.len() {
            let n = self.present[(from + step) % self.present.len()];
            if self.nodes[n as usize].plays == Some(key.track) {
                self.send_digest(n, key);
                told += 1;
                if told == FANOUT {
                    break;
                }
            }
        }
    }

    pub(super) fn want_digest(&mut self, n: u32, key: SegmentKey) {
        if self.published.contains(&key) {
            self.send_digest(n, key);
        } else if key.number <= self.edge(self.now) {
            let at = self.digested(self.now);
            self.schedule(at, Event::Publish(key));
        }
    }

    fn send_digest(&mut self, n: u32, key: SegmentKey) {
        let digest = self.media.digest(key, true);
        self.give(SERVER, n, Input::Digest(digest));
    }
}

fn describe(n: u32, initiate: bool) -> PeerDescriptor {
    PeerDescriptor { id: peer_id(n as usize), role: Role::Viewer, nonce: nonce(n), weight: 100, initiate }
}

fn nonce(n: u32) -> u64 {
    mix(u64::from(n) + 1000)
}
