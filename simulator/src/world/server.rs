//! Joining, introductions, digests: what signaling does, with its built-in publisher. And what happens while it is away.

use rillcast_core::engine::Input;
use rillcast_core::protocol::coding::{List, Text};
use rillcast_core::protocol::id::{Role, SegmentKey, TrackId};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::{Network, PeerDescriptor, Welcome};
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant, millis};

use super::tickets::sealing;
use super::{Event, World};
use crate::media::{AUTHORITY, Media, PUBLISHER, peer_id};

/// From a message to the server to what follows from it.
pub(super) const SERVER: Duration = Duration::from_millis(60);
/// Opening a WebSocket with TLS.
const JOINING: Duration = Duration::from_millis(200);
/// Peers introduced to a newcomer, and the seeds among them.
pub(super) const INTRODUCE: usize = 8;
const SEEDS: usize = 2;
/// Of eight introduced at a time, so many at most are at the same place.
const NEAR: usize = 3;
/// Peers that the server introduces to one who asks, at once and per minute.
pub(super) const BURST: f64 = 32.0;
pub(super) const PER_MINUTE: f64 = 3.0;
/// Introductions that the server remembers of one peer.
const REMEMBERED: usize = 128;
/// Members that a new digest is sent to.
const FANOUT: usize = 64;
/// Digests that a newcomer to a track gets.
const NEWEST: usize = 8;
/// A track is digested unasked once somebody has played it for so long.
const SETTLE: Duration = Duration::from_secs(3);
/// Weights in elections.
const VIEWER_WEIGHT: u16 = 100;
const SEED_WEIGHT: u16 = 1000;

impl World {
    pub(super) fn join(&mut self, n: u32) {
        self.settle_in(n);
        if !self.without_server(n) {
            self.welcome(n);
        }
        if self.is_viewer(n) && !self.is_crawler(n) {
            self.comes_to_watch(n);
        }
    }

    /// The server lets somebody in, or in again.
    pub(super) fn welcome(&mut self, n: u32) {
        if !self.is_there(n) || self.without_server(n) || self.nodes[n as usize].sent_away {
            return;
        }
        let yields = self.nodes[n as usize].shared.as_ref().is_some_and(|shared| shared.yields);
        let welcome = Welcome {
            version: 1,
            ticket: self.ticket(n),
            authorities: List::clipped([AUTHORITY]),
            revocations: None,
            server_time_ms: millis(self.now.since(Instant::ZERO)),
            settings: Settings { yields, ..self.settings.clone() },
            publishers: List::clipped([PUBLISHER]),
            publisher_base: Text::clipped(""),
        };
        self.node(n).welcomed = true;
        self.give(JOINING, n, Input::Welcome(welcome.into()));
        self.introduce(n, INTRODUCE);
        for track in self.node(n).plays.clone() {
            self.send_newest(n, track);
        }
    }

    pub(super) fn weight(&self, n: u32) -> u16 {
        if self.is_viewer(n) { VIEWER_WEIGHT } else { SEED_WEIGHT }
    }

    pub(super) fn leave(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let now = self.now;
        self.node(n).player.advance(now);
        self.node(n).left = Some(now);
        self.plays(n, Vec::new());
        self.move_out(n);
        // A closed tab says nothing to its neighbours; the server sees its connection end.
        let wires: Vec<_> = self.nodes[n as usize].links.iter().copied().collect();
        for wire in wires {
            self.cut(n, wire);
        }
        let fetches: Vec<_> = self.nodes[n as usize].fetches.iter().map(|(id, _)| *id).collect();
        fetches.into_iter().for_each(|fetch| self.break_off(n, fetch));
        let node = self.node(n);
        node.fetches = Vec::new();
        node.trying = Vec::new();
        let met = std::mem::take(&mut node.introduced);
        if self.without_server(n) {
            return;
        }
        for other in met {
            if self.is_there(other) && !self.without_server(other) {
                self.give(SERVER, other, Input::Gone(peer_id(n as usize)));
            }
        }
    }

    /// Somebody asks for introductions; the server answers so many times.
    pub(super) fn want_peers(&mut self, n: u32, count: u8) {
        let now = self.now;
        let (left, since) = self.nodes[n as usize].wants;
        let left = (left + now.since(since).as_secs_f64() * PER_MINUTE / 60.0).min(BURST);
        let granted = (left as usize).min(usize::from(count)).min(INTRODUCE);
        self.node(n).wants = (left - granted as f64, now);
        if granted > 0 {
            self.introduce(n, granted);
        }
    }

    /// Introduces some of the others to somebody, and it to them.
    pub(super) fn introduce(&mut self, n: u32, count: usize) {
        if self.arrangement.is_alone() || self.without_server(n) || !self.nodes[n as usize].welcomed {
            return;
        }
        let mut met: Vec<u32> = Vec::new();
        let seeds = self.scenario.seeds.as_ref().map_or(0, |s| s.count);
        let first_seed = self.nodes.len() - seeds;
        if self.is_viewer(n) {
            for _ in 0..SEEDS.min(seeds) {
                let seed = (first_seed + self.draw.below(seeds)) as u32;
                self.meet(n, seed, &mut met);
            }
        }
        if let Some(site) = self.nodes[n as usize].site {
            let at_site = |m: &&u32| self.nodes[**m as usize].site == Some(site);
            let mates: Vec<u32> = self.present.iter().filter(at_site).copied().collect();
            for _ in 0..count * 4 {
                if met.len() >= (count * NEAR / INTRODUCE).max(1) || mates.is_empty() {
                    break;
                }
                let other = mates[self.draw.below(mates.len())];
                self.meet(n, other, &mut met);
            }
        }
        // Half of them play what the asker plays, if it plays anything yet.
        for attempt in 0..count * 12 {
            if met.len() >= count || self.present.len() < 2 {
                break;
            }
            let other = self.present[self.draw.below(self.present.len())];
            let (mine, theirs) = (&self.nodes[n as usize].plays, &self.nodes[other as usize].plays);
            let alike = mine.is_empty() || mine.iter().any(|track| theirs.contains(track));
            if alike || met.len() < count / 2 || attempt > count * 9 {
                self.meet(n, other, &mut met);
            }
        }
        let list: Vec<_> = met.iter().map(|m| self.describe(*m, true)).collect();
        if list.is_empty() {
            return;
        }
        let wait = JOINING + Duration::from_millis(10);
        self.give(wait, n, Input::Introduced(list));
        for m in met {
            for (a, b) in [(n, m), (m, n)] {
                let introduced = &mut self.node(a).introduced;
                if introduced.len() == REMEMBERED {
                    introduced.remove(0);
                }
                introduced.push(b);
            }
            let newcomer = self.describe(n, false);
            self.give(wait, m, Input::Introduced(vec![newcomer]));
        }
    }

    fn meet(&self, n: u32, other: u32, met: &mut Vec<u32>) {
        let there =
            self.nodes[other as usize].welcomed && self.is_there(other) && !self.without_server(other);
        let fresh = !met.contains(&other) && !self.nodes[n as usize].introduced.contains(&other);
        if other != n && there && fresh && (self.is_viewer(n) || self.is_viewer(other)) {
            met.push(other);
        }
    }

    /// A viewer says what it plays now.
    pub(super) fn plays(&mut self, n: u32, tracks: Vec<TrackId>) {
        let now = self.now;
        let before = std::mem::replace(&mut self.node(n).plays, tracks.clone());
        for track in before.iter().filter(|t| !tracks.contains(t)) {
            if let Some(entry) = self.playing.get_mut(track) {
                entry.0 -= 1;
                if entry.0 == 0 {
                    self.playing.remove(track);
                }
            }
        }
        for track in tracks.into_iter().filter(|t| !before.contains(t)) {
            self.playing.entry(track).or_insert((0, now)).0 += 1;
            self.send_newest(n, track);
        }
    }

    /// What somebody who comes to a track needs first.
    fn send_newest(&mut self, n: u32, track: TrackId) {
        let newest = self.newest.get(&track).into_iter().flatten();
        let units: Vec<u64> = newest.rev().take(NEWEST).copied().collect();
        for unit in units {
            self.send_digest(n, self.media.key(Media::level(track), unit));
        }
    }

    /// A new segment exists.
    pub(super) fn edge_moves(&mut self, unit: u64) {
        let now = self.now;
        self.schedule(now + Duration::from_micros(self.media.unit), Event::Edge(unit + 1));
        self.seeds_see(unit);
        if self.outage {
            return;
        }
        let settled: Vec<TrackId> = self
            .playing
            .iter()
            .filter(|(track, (_, since))| now.since(*since) >= SETTLE && !self.is_seeded(**track))
            .map(|(t, _)| *t)
            .collect();
        for track in settled {
            let key = self.media.key(Media::level(track), unit);
            self.schedule(self.digested(), Event::Publish(key));
        }
    }

    /// The publisher has a segment: it signs, and tells some.
    pub(super) fn publish(&mut self, key: SegmentKey) {
        if self.arrangement.is_alone() || self.outage || !self.published.insert(key) {
            return;
        }
        let len = u64::from(self.media.len(key));
        self.account(key, len, false);
        self.ledger.publishers.0 += len;
        self.spread(key);
    }

    /// A digest is new: some of those who play its track hear of it.
    pub(super) fn spread(&mut self, key: SegmentKey) {
        let unit = self.media.unit_of(key);
        let units = self.newest.entry(key.track).or_default();
        units.push(unit);
        units.sort_unstable();
        if units.len() > 4 * NEWEST {
            units.remove(0);
        }
        let mut told = 0;
        let from = if self.present.is_empty() { 0 } else { self.draw.below(self.present.len()) };
        for step in 0..self.present.len() {
            let n = self.present[(from + step) % self.present.len()];
            if self.nodes[n as usize].plays.contains(&key.track) {
                self.send_digest(n, key);
                told += 1;
                if told == FANOUT {
                    break;
                }
            }
        }
    }

    pub(super) fn want_digest(&mut self, n: u32, key: SegmentKey) {
        if self.without_server(n) {
            return;
        }
        let known = self.published.contains(&key)
            || self.newest.get(&key.track).is_some_and(|units| units.contains(&self.media.unit_of(key)));
        if known {
            self.send_digest(n, key);
        } else if self.media.unit_of(key) <= self.edge() {
            self.schedule(self.digested(), Event::Publish(key));
        }
    }

    fn send_digest(&mut self, n: u32, key: SegmentKey) {
        if !self.without_server(n) && self.nodes[n as usize].welcomed {
            let digest = self.media.digest(key, self.published.contains(&key));
            self.give(SERVER, n, Input::Digest(digest));
        }
    }

    /// Whether somebody has no connection to signaling now.
    pub(super) fn without_server(&self, n: u32) -> bool {
        self.outage || self.is_cut_off(n)
    }

    /// Signaling goes away, or is back: all come again, one after the other. A viewer keeps its name: the server has kept its memory.
    pub(super) fn outage(&mut self, begins: bool) {
        self.outage = begins;
        if begins {
            self.all_lose_server(|_, _| true);
        } else {
            self.all_return(|_, _| true);
        }
    }

    /// Some are cut off, or back. Links across end as they do when nothing comes any more.
    pub(super) fn partition(&mut self, begins: bool) {
        if begins {
            self.partition = true;
            let cut: Vec<_> = self
                .present
                .iter()
                .flat_map(|n| self.nodes[*n as usize].links.iter().map(move |w| (*n, *w)))
                .filter(|(n, wire)| self.is_cut(*n, wire.other))
                .collect();
            cut.into_iter().for_each(|(n, wire)| self.cut(n, wire));
            self.all_lose_server(Self::is_cut_off);
        } else {
            let away: Vec<bool> = (0..self.nodes.len() as u32).map(|n| self.is_cut_off(n)).collect();
            self.partition = false;
            self.all_return(|_, n| away[n as usize]);
        }
    }

    fn all_lose_server(&mut self, whom: impl Fn(&Self, u32) -> bool) {
        for n in self.present.clone() {
            if whom(self, n) {
                self.input(n, Input::ServerLost);
            }
        }
    }

    fn all_return(&mut self, whom: impl Fn(&Self, u32) -> bool) {
        let within = self.scenario.outage.as_ref().map_or(10.0, |o| o.back_within_seconds);
        for n in self.present.clone() {
            if whom(self, n) {
                let wait = Duration::from_secs_f64(within * self.draw.unit());
                self.after(wait, Event::Welcome(n));
            }
        }
    }

    fn describe(&self, n: u32, initiate: bool) -> PeerDescriptor {
        let role = if self.is_viewer(n) { Role::Viewer } else { Role::Seed };
        PeerDescriptor {
            id: peer_id(n as usize),
            role,
            nonce: nonce(n),
            weight: self.weight(n),
            net: self.network(n),
            sealing: Some(sealing(peer_id(n as usize))),
            initiate,
            nat: NatClass::Unknown,
        }
    }

    /// Where somebody is, as the server sees it.
    pub(super) fn network(&self, n: u32) -> Network {
        let node = &self.nodes[n as usize];
        let asn = if self.scenario.isps.is_some() { u32::from(node.isp) + 1 } else { 0 };
        Network { asn, country: 0, site: node.site.map_or(0, |site| u32::from(site) + 1) }
    }
}

pub(super) fn nonce(n: u32) -> u64 {
    mix(u64::from(n) + 1000)
}
