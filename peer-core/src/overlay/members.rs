//! The peers that we know of (the passive view), the attempts to link with them, and open links (the active view).
//!
//! The server introduces a few; neighbours tell of theirs. Links are made with those who suit us best, a few of them left to chance, so that
//! the swarm stays one. In the manner of HyParView (Leitao et al. 2007) and Vicinity (Voulgaris, van Steen 2013).

use crate::map::{Map, take_least};

use rillcast_protocol::id::{PeerId, Role, SealingKey};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::signal::{Network, PeerDescriptor};
use rillcast_protocol::ticket::SignedTicket;

use crate::engine::io::LinkId;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::message::Playing;

use super::Link;
use super::rank::{Place, affinity, is_kin};
use super::routes::OutOfReach;

mod reach;

/// Descriptors remembered.
pub const MAX_KNOWN: usize = 96;
/// Of a seed, whose uplink carries hundreds.
pub const MAX_KNOWN_OF_SEED: usize = 640;
/// Expelled peers remembered, and those that can't be reached; the oldest is forgotten for a new one.
pub const MAX_BANNED: usize = 256;
/// Times that an attempt is made before a peer is given up.
const ATTEMPTS: u8 = 3;
const RETRY: Duration = Duration::from_millis(3000);
/// Nothing heard for so long: the link is dead (a closed tab says nothing).
pub const SILENCE: Duration = Duration::from_millis(6000);
/// A ping goes out after so much silence of the other end.
pub const PING_EVERY: Duration = Duration::from_millis(2000);
const ASK_AGAIN: Duration = Duration::from_millis(10_000);
const ENOUGH: usize = 4;
/// Attempts of our own begun at once: each costs a handshake, and a newcomer's player needs the processor for its start.
const DIALS: usize = 3;
/// An attempt that takes longer doesn't hold up the next.
const SLOW: Duration = Duration::from_millis(400);
/// A better partner replaces a worse one this often at most.
const EXCHANGE: Duration = Duration::from_millis(5000);
/// As long as fewer neighbours than [`KIN`] play what we play, it is quicker.
const HASTE: Duration = Duration::from_millis(1500);
/// Neighbours of the same rendition that a viewer wants to have at least.
const KIN: usize = 10;
/// Whoever had no room is called again after so long.
const FULL: Duration = Duration::from_secs(20);
/// A link younger than this isn't judged.
const TRIAL: Duration = Duration::from_secs(15);
/// So many neighbours at the same place make an office. A home has fewer, and where an address is shared by strangers who can't
/// reach each other there are none.
const OFFICE: usize = 6;
/// Links kept whatever they are like: they hold the swarm together, and make it hard to surround anybody.
const STRANGERS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Connecting,
    Open(LinkId),
}

#[derive(Clone, Debug)]
struct Known {
    descriptor: PeerDescriptor,
    state: State,
    attempts: u8,
    /// Of those in a row, how many have found no way.
    misses: u8,
    /// Idle: when the next attempt may be made. Connecting: since when.
    not_before: Instant,
    /// The neighbour that told us of it and is linked with it; `None` if the server did.
    via: Option<PeerId>,
    playing: Option<Playing>,
}

/// Known peers and open links.
#[derive(Clone, Debug, Default)]
pub struct Members {
    known: Map<PeerId, Known>,
    links: Map<LinkId, Box<Link>>,
    banned: Vec<PeerId>,
    out_of_reach: OutOfReach,
    asked: Option<Instant>,
    exchanged: Instant,
    /// When a caller last got another's place.
    replaced: Instant,
    /// Peers whose turn to be dialed comes after those being dialed.
    in_line: usize,
    /// A seed's: it has many more.
    of_seed: bool,
}

/// What the overlay wants of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Open a link.
    Connect(PeerId, bool),
    /// Close one.
    Close(PeerId),
    /// More introductions.
    Peers(u8),
}

impl Members {
    /// None yet, of a peer of this role.
    pub fn new(role: Role) -> Self {
        Self { of_seed: role == Role::Seed, ..Self::default() }
    }

    /// Takes introductions by the server.
    pub fn introduce(&mut self, peers: &[PeerDescriptor], now: Instant) {
        for descriptor in peers {
            if let Some(known) = self.admit(descriptor, now) {
                known.via = None;
                known.descriptor = *descriptor;
                if known.state == State::Idle {
                    (known.attempts, known.not_before) = (0, now);
                }
            }
        }
    }

    /// Takes what a neighbour tells of one of its own neighbours. The server's word stands before a neighbour's.
    pub fn hear_of(&mut self, peer: &PeerDescriptor, playing: Option<Playing>, via: PeerId, now: Instant) {
        let is_new = !self.known.contains_key(&peer.id);
        if let Some(known) = self.admit(peer, now) {
            known.playing = playing.or(known.playing);
            if is_new || known.via.is_some() || known.state == State::Idle && known.attempts > 0 {
                known.via = Some(via);
                known.descriptor.initiate = true;
            }
            // The server may have told of it before it knew.
            let open = known.via.is_some() || known.descriptor.nat == NatClass::Unknown;
            if open && peer.nat != NatClass::Unknown {
                known.descriptor.nat = peer.nat;
            }
        }
    }

    fn admit(&mut self, peer: &PeerDescriptor, now: Instant) -> Option<&mut Known> {
        if self.banned.contains(&peer.id) || self.out_of_reach.has(peer.id, now) {
            return None;
        }
        let most = if self.of_seed { MAX_KNOWN_OF_SEED } else { MAX_KNOWN };
        if self.known.len() >= most && !self.known.contains_key(&peer.id) {
            let idle = self.known.iter().filter(|(_, k)| k.state == State::Idle);
            let stalest = idle.min_by_key(|(_, k)| k.not_before).map(|(id, _)| *id)?;
            self.known.remove(&stalest);
        }
        Some(self.known.or_insert_with(peer.id, || Known {
            descriptor: *peer,
            state: State::Idle,
            attempts: 0,
            misses: 0,
            not_before: now,
            via: None,
            playing: None,
        }))
    }

    /// Somebody that a neighbour is linked with calls us. `None` if it isn't let in; else whether an attempt is to begin.
    pub fn called(
        &mut self,
        peer: &PeerDescriptor,
        playing: Option<Playing>,
        via: PeerId,
        room: bool,
        now: Instant,
    ) -> Option<bool> {
        let known = self.admit(peer, now)?;
        if known.state != State::Idle {
            return Some(false);
        }
        if !room {
            return None;
        }
        (known.via, known.playing) = (Some(via), playing.or(known.playing));
        (known.descriptor.initiate, known.descriptor.nat) = (false, peer.nat);
        (known.state, known.not_before) = (State::Connecting, now);
        Some(true)
    }

    /// The open link by which signals for a peer go; `None` if they go by the server.
    pub fn route(&self, peer: PeerId) -> Option<LinkId> {
        self.link_to(self.known.get(&peer)?.via?)
    }

    /// Whether there is neither a link with a peer nor an attempt at one.
    pub fn is_stranger(&self, peer: PeerId) -> bool {
        self.known.get(&peer).is_none_or(|k| k.state == State::Idle)
    }

    /// What signals to a peer are sealed with.
    pub fn sealing(&self, peer: PeerId) -> Option<SealingKey> {
        self.known.get(&peer)?.descriptor.sealing
    }

    /// Whether nothing is to be heard of a peer any more.
    pub fn is_banned(&self, peer: PeerId) -> bool {
        self.banned.contains(&peer)
    }

    /// Whether anything is known of a peer.
    pub fn knows(&self, peer: PeerId) -> bool {
        self.known.contains_key(&peer)
    }

    /// Forgets a peer; true if there was a link or an attempt to close.
    pub fn forget(&mut self, peer: PeerId) -> bool {
        self.known.remove(&peer).is_some_and(|k| k.state != State::Idle)
    }

    /// Forgets a peer and takes no introduction to it any more.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    pub fn ban(&mut self, peer: PeerId) {
        self.forget(peer);
        if self.banned.len() >= MAX_BANNED {
            self.banned.remove(0);
        }
        self.banned.push(peer);
    }

    /// A link is open, to whoever holds this ticket: it says what the peer is, whatever others have said. `None` if nobody introduced that
    /// peer: close it.
    pub fn opened(
        &mut self,
        link: LinkId,
        peer: PeerId,
        ticket: &SignedTicket,
        now: Instant,
    ) -> Option<&mut Link> {
        let known = self.known.get_mut(&peer)?;
        known.state = State::Open(link);
        (known.attempts, known.misses) = (0, 0);
        let holder = &ticket.body;
        let d = &mut known.descriptor;
        *d = PeerDescriptor { id: peer, nat: d.nat, ..holder.describe(d.initiate) };
        Some(self.links.or_insert_with(link, || Box::new(Link::new(peer, ticket, now))))
    }

    /// A link or an attempt has ended. Told back: the link, if it had been open.
    pub fn closed(&mut self, peer: PeerId, link: Option<LinkId>, now: Instant) -> Option<Link> {
        let was_open = link.and_then(|l| self.links.remove(&l)).map(|l| *l);
        if let Some(known) = self.known.get_mut(&peer) {
            let current = match (known.state, link) {
                (State::Open(open), closed) => closed == Some(open),
                _ => true,
            };
            if current {
                known.state = State::Idle;
                known.attempts += 1;
                known.not_before = now + RETRY * u32::from(known.attempts);
                // Of a pair that can't connect, neighbours would tell again and again.
                if known.attempts >= ATTEMPTS {
                    let hopeless = known.via.is_some();
                    self.known.remove(&peer);
                    if hopeless {
                        self.ban(peer);
                    }
                }
            }
        }
        was_open
    }

    /// The open link to a peer.
    pub fn link_to(&self, peer: PeerId) -> Option<LinkId> {
        match self.known.get(&peer)?.state {
            State::Open(link) => Some(link),
            _ => None,
        }
    }

    /// An open link.
    pub fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link).map(Box::as_ref)
    }

    /// An open link.
    pub fn link_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link).map(Box::as_mut)
    }

    /// All open links.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links.iter().map(|(id, l)| (*id, l.as_ref()))
    }

    /// All open links.
    pub fn links_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut Link)> {
        self.links.iter_mut().map(|(id, l)| (*id, l.as_mut()))
    }

    /// The site that we are in, if it is an office: several neighbours are in it too. One line brings all of them everything that comes
    /// from outside, so they take it from each other, and from the source once.
    pub fn office(&self, own: Network) -> Option<u32> {
        let inside = self.links.values().filter(|l| l.greeted && l.net.site == own.site).count();
        (own.site != 0 && inside >= OFFICE).then_some(own.site)
    }

    /// How many links are open.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether no link is open.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether a link is being made for the first time: its other end may hold what we lack.
    pub fn expects_company(&self) -> bool {
        self.in_line > 0 || self.known.values().any(|k| k.state == State::Connecting && k.attempts == 0)
    }

    /// Drops everything: the kill switch.
    pub fn clear(&mut self) -> Vec<PeerId> {
        self.links.clear();
        let open = self.known.iter().filter(|(_, k)| k.state != State::Idle).map(|(id, _)| *id).collect();
        self.known.clear();
        self.in_line = 0;
        open
    }

    /// Whether one more may be let in.
    pub fn has_room(&self, max_links: usize) -> bool {
        self.known.values().filter(|k| k.state != State::Idle).count() < max_links
    }

    /// Links that nothing has been heard of.
    pub fn silent(&self, now: Instant) -> Vec<Want> {
        let mut wants = Vec::new();
        for (_, link) in self.links.iter().filter(|(_, l)| now.since(l.heard) > SILENCE) {
            wants.push(Want::Close(link.peer));
        }
        wants
    }

    /// What to connect, close and ask for now.
    pub fn maintain(&mut self, own: &Place, max_links: usize, rng: &mut Rng, now: Instant) -> Vec<Want> {
        let mut wants = self.silent(now);
        // Some room is left for those who come later.
        let dials_up_to = max_links - max_links / 4;
        let mut busy = self.known.values().filter(|k| k.state != State::Idle).count();
        self.in_line = 0;
        if busy < max_links {
            self.dial(own, (dials_up_to, max_links), &mut busy, rng, now, &mut wants);
        }
        let kin = self.kin(own);
        let alien = !own.playing.is_empty() && kin < ENOUGH;
        let (pace, trial) = if kin < KIN { (HASTE, TRIAL / 3) } else { (EXCHANGE, TRIAL) };
        if !own.settled && busy >= dials_up_to && now.since(self.exchanged) >= pace {
            self.exchanged = now;
            let times = if alien { ENOUGH } else { 1 };
            self.exchange(own, trial, times, now, &mut wants);
        }
        busy += self.in_line;
        let few = busy < ENOUGH.min(max_links);
        if (few || alien) && self.asked.is_none_or(|at| now.since(at) > ASK_AGAIN) {
            self.asked = Some(now);
            wants.push(Want::Peers(max_links.saturating_sub(busy).clamp(ENOUGH, 16) as u8));
        }
        wants
    }

    /// Whether signals can be brought to it: by the server, or a common neighbour.
    fn is_near(&self, known: &Known) -> bool {
        known.via.is_none_or(|via| self.link_to(via).is_some())
    }

    /// Neighbours that play what we play, on demand a little ahead of us.
    fn kin(&self, own: &Place) -> usize {
        self.links.values().filter(|l| is_kin(own, l.seen_by(&own.playing))).count()
    }

    fn dial(
        &mut self,
        own: &Place,
        (dials_up_to, max_links): (usize, usize),
        busy: &mut usize,
        rng: &mut Rng,
        now: Instant,
        wants: &mut Vec<Want>,
    ) {
        // Who is to wait for the other's offer waits once; it has nothing of its own to retry.
        let limit = |k: &Known| if k.descriptor.initiate { dials_up_to } else { max_links };
        let reachable = |k: &Known| {
            let due = k.state == State::Idle && k.not_before <= now && *busy < limit(k);
            due && self.is_near(k) && !k.is_out_of_reach(own)
        };
        let mut idle: Vec<_> = self
            .known
            .iter()
            .filter(|(_, k)| reachable(k))
            .map(|(id, k)| {
                let suits = affinity(own, k.descriptor.role, k.descriptor.net, k.playing);
                (core::cmp::Reverse(suits), k.attempts, rng.draw(), *id)
            })
            .collect();
        let is_dialing = |k: &Known| {
            k.state == State::Connecting && k.descriptor.initiate && now.since(k.not_before) < SLOW
        };
        let mut dialing = self.known.values().filter(|k| is_dialing(k)).count();
        let mut nth = 0;
        loop {
            // Every fourth is left to chance.
            nth += 1;
            let pick = if nth % 4 == 0 && !idle.is_empty() {
                Some(idle.swap_remove(rng.below(idle.len())))
            } else {
                take_least(&mut idle)
            };
            let Some((_, _, _, id)) = pick else { break };
            let Some(known) = self.known.get_mut(&id) else { continue };
            if *busy + self.in_line >= limit(known) {
                continue;
            }
            if known.descriptor.initiate {
                if dialing >= DIALS {
                    self.in_line += 1;
                    continue;
                }
                dialing += 1;
            }
            (known.state, known.not_before) = (State::Connecting, now);
            wants.push(Want::Connect(id, known.descriptor.initiate));
            *busy += 1;
        }
    }

    /// Gives up the least useful links, so many at most, where somebody known would suit better.
    fn exchange(&mut self, own: &Place, trial: Duration, times: usize, now: Instant, wants: &mut Vec<Want>) {
        let better = self
            .known
            .values()
            .filter(|k| k.state == State::Idle && k.not_before <= now && k.attempts == 0)
            .filter(|k| self.is_near(k) && !k.is_out_of_reach(own))
            .map(|k| {
                (u32::MAX - affinity(own, k.descriptor.role, k.descriptor.net, k.playing), 0, k.descriptor.id)
            });
        let mut better: Vec<_> = better.collect();
        let mut links = self.dispensable(own, trial, now);
        for _ in 0..times {
            match (take_least(&mut better), take_least(&mut links)) {
                (Some((misfit, ..)), Some((suits, _, peer))) if u32::MAX - misfit > suits => {
                    wants.push(Want::Close(peer))
                }
                _ => return,
            }
        }
    }

    /// Links that may be given up, with how well they suit.
    fn dispensable(&self, own: &Place, trial: Duration, now: Instant) -> Vec<(u32, u64, PeerId)> {
        let tried = self.links.values().filter(|l| now.since(l.opened) > trial);
        let suits = |l: &Link| affinity(own, l.role, l.net, l.seen_by(&own.playing));
        let mut links: Vec<_> = tried.map(|l| (suits(l), l.received + l.sent, l.peer)).collect();
        for _ in 0..STRANGERS {
            take_least(&mut links);
        }
        links
    }

    /// Somebody calls and there is no room. The link to be given up for it, if that suits us less.
    pub fn replaced(
        &mut self,
        own: &Place,
        caller: &PeerDescriptor,
        playing: Option<Playing>,
        now: Instant,
    ) -> Option<PeerId> {
        if own.settled || self.banned.contains(&caller.id) || now.since(self.replaced) < EXCHANGE {
            return None;
        }
        let (suits, _, worst) = take_least(&mut self.dispensable(own, TRIAL, now))?;
        (affinity(own, caller.role, caller.net, playing) > suits).then(|| {
            self.replaced = now;
            worst
        })
    }

    /// Somebody that we call has no room now; nothing else is wrong with it. True if there was an attempt to give up.
    pub fn turned_away(&mut self, peer: PeerId, now: Instant) -> bool {
        let calling = |k: &&mut Known| k.state == State::Connecting && k.via.is_some();
        let Some(known) = self.known.get_mut(&peer).filter(calling) else { return false };
        (known.state, known.not_before) = (State::Idle, now + FULL);
        true
    }
}

#[cfg(test)]
mod tests;
