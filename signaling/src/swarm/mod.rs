//! One swarm: its members and everything the server does for them. No sockets and no clock: time comes as an argument,
//! messages go into outboxes.
//!
//! - [`member`]: one peer
//! - `meet`: introductions and relaying
//! - `kin`: who plays what
//! - `news`: digests, and who publishes them
//! - `digests`: those kept for newcomers

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{PeerId, PublisherKey, Role, SwarmId, TrackId};
use rillcast_protocol::signal::{Report, ServerMessage, Welcome};
use rillcast_publisher::Publisher;

use crate::hosted::{self, Host};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::random::{self, Choice};
use crate::rate::Bucket;
use crate::site::Site;

mod digests;
mod kin;
mod meet;
pub mod member;
mod news;

pub use member::Joiner;
use member::Member;

/// An ordinary viewer's weight in elections.
const VIEWER_WEIGHT: u16 = 100;
/// A seed's: it fetches before viewers do.
const SEED_WEIGHT: u16 = 400;

/// What all swarms share.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Bounds.
    pub limits: &'a Limits,
    /// Counters.
    pub metrics: &'a Metrics,
    /// The built-in publisher, unless it is turned off.
    pub publisher: Option<&'a Publisher>,
    /// The bytes it fetched.
    pub host: &'a Host,
}

/// A swarm.
#[derive(Debug)]
pub struct Swarm {
    id: SwarmId,
    site: Arc<Site>,
    members: HashMap<PeerId, Member>,
    /// All members, for drawing some of them.
    order: Vec<PeerId>,
    /// The seeds among them, oldest first.
    seeds: Vec<PeerId>,
    digests: digests::Digests,
    /// Members with digests still to be sent.
    behind: Vec<PeerId>,
    played: HashMap<TrackId, news::Played>,
    kin: kin::Kin,
    /// What the built-in publisher follows for us.
    following: HashSet<TrackId>,
    /// Keys of seeds that have left.
    former: VecDeque<PublisherKey>,
    told_publishers: List<PublisherKey, 16>,
    deserted: Option<Instant>,
    random: Choice,
}

impl Swarm {
    /// An empty swarm.
    pub fn new(id: SwarmId, site: Arc<Site>, now: Instant) -> Self {
        Self {
            id,
            site,
            members: HashMap::new(),
            order: Vec::new(),
            seeds: Vec::new(),
            digests: digests::Digests::default(),
            behind: Vec::new(),
            played: HashMap::new(),
            kin: kin::Kin::default(),
            following: HashSet::new(),
            former: VecDeque::new(),
            told_publishers: List::clipped([]),
            deserted: Some(now),
            random: Choice::new(u64::from_be_bytes(random::fresh())),
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Which site it belongs to.
    pub fn site(&self) -> &str {
        &self.site.name
    }

    /// Lets a peer in: welcomes it, tells it and a few others of each other.
    pub fn join(&mut self, desk: &Desk<'_>, joiner: Joiner, server_time_ms: u64, now: Instant) {
        let seed = joiner.role == Role::Seed;
        let id = joiner.id;
        let settings = self.site.settings_for(id, seed, joiner.stun.as_deref());
        let settings = joiner.allowance.lower(settings);
        let limits = desk.limits;
        let member = Member {
            nonce: random::nonce(),
            weight: if seed { SEED_WEIGHT } else { VIEWER_WEIGHT },
            joined: now,
            settings,
            at: self.order.len(),
            introduced: HashMap::new(),
            wants: Bucket::new(
                f64::from(limits.introductions_per_min) / 60.0,
                f64::from(limits.introductions_burst),
                now,
            ),
            playing: Vec::new(),
            published: HashMap::new(),
            report: Report::default(),
            backlog: VecDeque::new(),
            joiner,
        };
        self.order.push(id);
        if seed {
            self.seeds.push(id);
            desk.metrics.seeds.up();
        }
        desk.metrics.peers.up();
        desk.metrics.joins_total.up();
        self.deserted = None;
        self.members.insert(id, member);
        self.tell_others_of_publisher(desk, id);
        let hosting = desk.publisher.is_some() && desk.host.is_on() && !self.site.publish.is_empty();
        let base = if hosting { hosted::BASE } else { "" };
        let member = &self.members[&id];
        let welcome = Welcome {
            version: member.joiner.version,
            peer: id,
            swarm: self.id,
            nonce: member.nonce,
            weight: member.weight,
            net: member.joiner.net,
            server_time_ms,
            settings: member.settings.clone(),
            publishers: self.publishers(desk),
            publisher_base: Text::clipped(base),
        };
        member.joiner.outbox.send(&ServerMessage::Welcome { welcome });
        self.welcome_newcomer(desk, id, now);
    }

    /// A joining seed's key has to be known before its digests come. The joiner itself learns it from its welcome.
    fn tell_others_of_publisher(&mut self, desk: &Desk<'_>, joined: PeerId) {
        if let Some(key) = self.members[&joined].joiner.publisher {
            self.former.retain(|k| *k != key);
        }
        self.tell_publishers(desk, Some(joined));
    }

    /// Lets a peer go.
    pub fn leave(&mut self, desk: &Desk<'_>, id: PeerId, now: Instant) {
        let Some(member) = self.members.remove(&id) else { return };
        self.order.swap_remove(member.at);
        if let Some(moved) = self.order.get(member.at).and_then(|id| self.members.get_mut(id)) {
            moved.at = member.at;
        }
        self.part(id, member.introduced.keys().copied());
        self.stopped(&member.playing);
        self.kin.moved(id, member.track(), None);
        desk.metrics.peers.down();
        if member.is_seed() {
            desk.metrics.seeds.down();
            self.seeds.retain(|s| *s != id);
            if let Some(key) = member.joiner.publisher {
                self.seed_left(key);
                self.tell_publishers(desk, None);
            }
        }
        self.follow(desk, now);
        if self.members.is_empty() {
            self.deserted = Some(now);
        }
    }

    /// A viewer's counters.
    pub fn report(&mut self, desk: &Desk<'_>, id: PeerId, report: Report) {
        if let Some(member) = self.members.get_mut(&id) {
            desk.metrics.report(&member.report, &report);
            member.report = report;
        }
    }

    /// The site's settings have changed: whoever is concerned hears of it.
    pub fn apply(&mut self, desk: &Desk<'_>, site: Arc<Site>, now: Instant) {
        self.site = site;
        let mut back = Vec::new();
        let mut out = Vec::new();
        for (id, member) in &mut self.members {
            let stun = member.joiner.stun.as_deref();
            let settings = self.site.settings_for(*id, member.joiner.role == Role::Seed, stun);
            let settings = member.joiner.allowance.lower(settings);
            if settings == member.settings {
                continue;
            }
            let before = member.takes_part();
            member.settings = settings.clone();
            member.joiner.outbox.send(&ServerMessage::Settings { settings });
            match (before, member.takes_part()) {
                (true, false) => out.push((*id, std::mem::take(&mut member.introduced))),
                (false, true) => back.push(*id),
                _ => {}
            }
        }
        for (id, introduced) in out {
            self.part(id, introduced.into_keys());
        }
        for id in back {
            self.welcome_newcomer(desk, id, now);
        }
        self.tell_publishers(desk, None);
        self.follow(desk, now);
    }

    /// What time brings. Called a few times per second.
    pub fn tick(&mut self, desk: &Desk<'_>, now: Instant) {
        self.trickle(desk);
        self.follow(desk, now);
    }

    /// Whether it has been empty for so long that it can be forgotten.
    pub fn is_over(&self, desk: &Desk<'_>, now: Instant) -> bool {
        let linger = Duration::from_secs(desk.limits.linger_secs);
        self.deserted.is_some_and(|since| now.saturating_duration_since(since) >= linger)
    }

    /// Ends every member's connection.
    pub fn close(&self) {
        self.members.values().for_each(|m| m.joiner.outbox.cut(crate::outbox::Cut::Shutdown));
    }
}
