//! One swarm: its members and everything the server does for them. No sockets and no clock: time comes as an argument,
//! messages go into outboxes.
//!
//! - [`member`]: one peer
//! - `meet`: introductions and relaying
//! - `company`: what seeds are told of each other
//! - `kin`: who plays the same, and who is at the same place
//! - `news`: digests, and who publishes them; `proof`: whose count
//! - `offers`: seeds that relay
//! - `digests`: those kept for newcomers
//! - `review`: who may stay when something has changed
//! - `tickets`: what others know that by
//! - `accounts`: who gave how much, who lied; `repute`: what that says of a member

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{PeerId, PublisherKey, Role, SwarmId, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::signal::{MAX_PUBLISHERS, Report, ServerMessage, Welcome};
use rillcast_publisher::Publisher;

use crate::authority::Authority;
use crate::content;
use crate::hosted::{self, Host};
use crate::hub::Refused;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::random::{self, Choice};
use crate::receipts::Receipts;
use crate::revocation::Store;
use crate::site::Site;
use rillcast_relay::Secret;
use rillcast_relay::rate::Bucket;

pub mod accounts;
mod company;
mod digests;
mod kin;
mod meet;
pub mod member;
mod news;
mod offers;
mod proof;
pub mod repute;
mod review;
pub mod tickets;

use member::{Accounts, Member};
pub use member::{Joiner, Visit};

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
    /// What is revoked.
    pub revocations: &'a Store,
    /// Signs tickets.
    pub authority: &'a Authority,
    /// Makes credentials for this server's own relays.
    pub turn: &'a Secret,
    /// The log of receipts.
    pub receipts: &'a Receipts,
    /// Seconds since 1970.
    pub unix: u64,
    /// Milliseconds since 1970 by the authority's own clock, which tickets run by.
    pub server_ms: u64,
}

/// A swarm.
#[derive(Debug)]
pub struct Swarm {
    id: SwarmId,
    site: Arc<Site>,
    /// As its first member named it.
    content: String,
    /// The same in the form that counts now.
    named: String,
    /// The minute (since 1970) at which its members were last judged.
    reviewed: u64,
    members: HashMap<PeerId, Member>,
    /// All members, for drawing some of them.
    order: Vec<PeerId>,
    /// The seeds among them, oldest first.
    seeds: Vec<PeerId>,
    digests: digests::Digests,
    /// Whose digests count.
    proof: proof::Proof,
    offers: offers::Offers,
    /// Members with digests still to be sent.
    behind: Vec<PeerId>,
    played: HashMap<TrackId, news::Played>,
    kin: kin::Kin<TrackId>,
    near: kin::Kin<u32>,
    /// What the built-in publisher follows for us.
    following: HashSet<TrackId>,
    /// Since when there is something.
    followed: Option<Instant>,
    /// Keys of seeds that have left.
    former: VecDeque<PublisherKey>,
    told_publishers: List<PublisherKey, MAX_PUBLISHERS>,
    company: company::Company,
    deserted: Option<Instant>,
    random: Choice,
    revoked: tickets::Revoked,
}

impl Swarm {
    /// An empty swarm of this content, named as in a join.
    pub fn new(desk: &Desk<'_>, id: SwarmId, site: Arc<Site>, content: &str, now: Instant) -> Self {
        Self {
            revoked: tickets::Revoked::new(desk.revocations.of(&site.name).number(), desk.server_ms),
            id,
            named: content::canonical(content, site.multi_cdn),
            content: content.to_owned(),
            reviewed: 0,
            site,
            members: HashMap::new(),
            order: Vec::new(),
            seeds: Vec::new(),
            digests: digests::Digests::default(),
            proof: proof::Proof::default(),
            offers: offers::Offers::default(),
            behind: Vec::new(),
            played: HashMap::new(),
            kin: kin::Kin::default(),
            near: kin::Kin::default(),
            following: HashSet::new(),
            followed: None,
            former: VecDeque::new(),
            told_publishers: List::clipped([]),
            company: company::Company::default(),
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

    /// Lets a peer in, if it may: welcomes it, tells it and a few others of each other. Told back: its name.
    pub fn join(&mut self, desk: &Desk<'_>, mut joiner: Joiner, now: Instant) -> Result<PeerId, Refused> {
        let former = self.former(desk, &joiner.visit);
        if let Some(former) = former {
            joiner.id = former.peer;
        }
        let standing = self.judge_newcomer(desk, &joiner).map_err(|bar| bar.refusal(&self.site.name))?;
        let seed = joiner.role == Role::Seed;
        let id = joiner.id;
        let limits = desk.limits;
        let nonce = former.map_or_else(random::nonce, |former| former.nonce);
        let weight = if seed { SEED_WEIGHT } else { VIEWER_WEIGHT };
        let ticket = self.sign_ticket(desk, &joiner, nonce, weight);
        let relays_until = self.relays_until(desk, &ticket);
        let settings = review::settings(desk, &self.site, &joiner, standing, relays_until, &self.offers);
        self.has_returned(id);
        let member = Member {
            nonce,
            weight,
            joined: now,
            ticket,
            relays_until,
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
            accounts: Accounts::new(now),
            nat: NatClass::Unknown,
            has_shown_nat: false,
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
        self.near.moved(id, None, member.place());
        self.members.insert(id, member);
        self.tell_others_of_publisher(desk, id, now);
        let hosting = desk.publisher.is_some() && desk.host.is_on() && !self.site.publish.is_empty();
        let base = if hosting { hosted::BASE } else { "" };
        let member = &self.members[&id];
        let welcome = Welcome {
            version: member.joiner.version,
            ticket: member.ticket.clone(),
            authorities: desk.authority.keys(),
            revocations: self.revocations(),
            server_time_ms: desk.server_ms,
            settings: member.settings.clone(),
            publishers: self.publishers(desk),
            publisher_base: Text::clipped(base),
        };
        member.joiner.outbox.send(&ServerMessage::Welcome { welcome });
        self.tell_seeds(seed.then_some(id), now);
        self.welcome_newcomer(desk, id, now);
        Ok(id)
    }

    /// A joining seed's key has to be known before its digests come. The joiner itself learns it from its welcome.
    fn tell_others_of_publisher(&mut self, desk: &Desk<'_>, joined: PeerId, now: Instant) {
        if let Some(key) = self.members[&joined].joiner.publisher {
            self.former.retain(|k| *k != key);
        }
        self.reckon(desk, now);
        self.tell_publishers(desk, Some(joined));
    }

    /// Lets a peer go.
    pub fn leave(&mut self, desk: &Desk<'_>, id: PeerId, now: Instant) {
        let Some(member) = self.members.remove(&id) else { return };
        self.has_departed(desk, &member.joiner, &member.ticket);
        self.log_receipts(desk, &member);
        self.order.swap_remove(member.at);
        if let Some(moved) = self.order.get(member.at).and_then(|id| self.members.get_mut(id)) {
            moved.at = member.at;
        }
        self.part(id, member.introduced.keys().copied());
        self.stopped(&member.playing);
        self.kin.moved(id, member.track(), None);
        self.near.moved(id, member.place(), None);
        desk.metrics.peers.down();
        if member.is_seed() {
            desk.metrics.seeds.down();
            self.seeds.retain(|s| *s != id);
            self.offers.gone(id);
            if let Some(key) = member.joiner.publisher {
                self.seed_left(key);
            }
            self.tell_seeds(None, now);
        }
        self.follow(desk, now);
        if member.is_seed() {
            // Only now: whether the built-in publisher takes over decides whose word counts.
            self.reckon(desk, now);
            self.tell_publishers(desk, None);
        }
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

    /// What time brings. Called a few times per second.
    pub fn tick(&mut self, desk: &Desk<'_>, now: Instant) {
        self.review_by_the_clock(desk, now);
        self.outdate(desk);
        self.proof.outdate(now);
        self.reckon(desk, now);
        self.tell_publishers(desk, None);
        self.trickle(desk);
        self.follow(desk, now);
        self.tell_seeds(None, now);
        self.tell_offers(desk, now);
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
