//! How many there are, and who: told to neighbours now and then.
//!
//! Whom a neighbour tells of comes with a ticket, which is verified before that peer is known of: nobody can be made up.

use std::ops::Range;

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{PeerId, Role, TrackId};
use rillcast_protocol::nat::{NatClass, TOLD_SINCE};
use rillcast_protocol::signal::PeerDescriptor;
use rillcast_protocol::ticket::SignedTicket;

use crate::map::take_least;
use crate::overlay::rank::affinity;
use crate::overlay::{Link, Place, Populations};
use crate::payload::Payload;
use crate::switches::Mechanism;
use crate::time::{Duration, Instant};
use crate::wire::Message;
use crate::wire::message::{Acquaintance, HaveMap, MAX_ACQUAINTANCES, MAX_MAPS, Playing};

use super::admission::{FALSE, check_of};
use super::{Engine, LinkId, Pending};

/// Neighbours are described to one of them this often.
const SHUFFLE: Duration = Duration::from_millis(5000);
/// The census is told to a neighbour of each population this often.
const CENSUS: Duration = Duration::from_millis(1500);
/// Of the neighbours described, so many are picked by chance, the others because they suit the one who is told.
const BY_CHANCE: usize = 2;
/// Segments of a track shown to a neighbour at a time: with picture and sound, two make a message.
const SHOWN: usize = 32;
/// More are shown when it has so many of them left.
const SHOW_AGAIN: u64 = 8;
/// Times that a neighbour may tell of others in one [`SHUFFLES_IN`]: each may cost us some verifying.
const MAX_SHUFFLES: u16 = 16;
/// See [`MAX_SHUFFLES`].
const SHUFFLES_IN: Duration = Duration::from_millis(10_000);

/// A neighbour, to another who plays these.
pub(super) fn describe(link: &Link, to: &Link, playing: &[Playing]) -> Acquaintance {
    let nat = if to.version >= TOLD_SINCE { link.nat } else { NatClass::Unknown };
    Acquaintance { ticket: (*link.ticket).clone(), playing: link.seen_by(playing), nat }
}

/// Somebody whom a neighbour tells of.
pub(super) fn known_as(told: &Acquaintance, initiate: bool) -> PeerDescriptor {
    PeerDescriptor { nat: told.nat, ..told.ticket.body.describe(initiate) }
}

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// Counts us among those who play what we play, and those who are where we are.
    pub(super) fn belong(&mut self, passive: bool, now: Instant) {
        let Some(membership) = self.membership else { return };
        let current = || self.timeline.current();
        self.place.playing.clear();
        self.place.playing.extend(current().map(|c| Playing { track: c.track, next: c.next }));
        self.place.on_demand = current().any(|c| !c.live);
        self.place.helps = self.helping.track;
        let mut ours: Vec<u64> = current().map(|c| Populations::of_track(c.track)).collect();
        if self.place.net.site != 0 {
            ours.push(Populations::of_site(self.place.net.site));
        }
        // Whoever gives nothing is no candidate, and doesn't count.
        let counts = !passive && self.config.role == Role::Viewer;
        self.populations.belong(&ours, counts.then_some(membership.nonce), now);
    }

    pub(super) fn gossip(&mut self, now: Instant) {
        if self.membership.is_none() {
            return;
        }
        let ours = self.populations.ids();
        if now >= self.census_at {
            self.census_at = now + CENSUS;
            for of in ours {
                let members: Vec<_> =
                    self.members.links().filter(|(_, l)| self.is_of(l, of)).map(|(id, _)| id).collect();
                if !members.is_empty() {
                    let link = members[self.rng.below(members.len())];
                    self.tell_census(link, of, now);
                }
            }
        }
        if now >= self.shuffle_at {
            self.shuffle_at = now + SHUFFLE;
            let viewers = self.members.links().filter(|(_, l)| l.greeted && l.role == Role::Viewer);
            let viewers: Vec<_> = viewers.map(|(id, _)| id).collect();
            if !viewers.is_empty() {
                let link = viewers[self.rng.below(viewers.len())];
                self.shuffle(link);
            }
        }
    }

    fn is_of(&self, link: &Link, population: u64) -> bool {
        let near = link.net.site != 0 && Populations::of_site(link.net.site) == population;
        link.greeted && (near || link.playing.iter().any(|p| Populations::of_track(p.track) == population))
    }

    fn tell_census(&mut self, link: LinkId, of: u64, now: Instant) {
        if let Some(census) = self.populations.census_mut(of) {
            let slots = census.tell(now);
            self.send(link, Message::Census { of, slots });
        }
    }

    /// Describes some neighbours to one of them.
    pub(super) fn shuffle(&mut self, to: LinkId) {
        if !self.switches.has(Mechanism::Gossip) {
            return;
        }
        let Some(receiver) = self.members.link(to) else { return };
        let theirs = Place {
            net: receiver.net,
            playing: receiver.playing.clone(),
            helps: receiver.helps,
            nat: receiver.nat,
            ..self.place
        };
        let others = self.members.links().filter(|(id, l)| {
            let is_other = *id != to && l.greeted && l.role == Role::Viewer;
            is_other && !theirs.is_out_of_reach(l.nat, l.net)
        });
        let ranked = others
            .map(|(id, l)| (u32::MAX - affinity(&theirs, l.role, l.net, l.seen_by(&theirs.playing)), id));
        let mut ranked: Vec<_> = ranked.collect();
        let mut peers = Vec::new();
        while peers.len() < MAX_ACQUAINTANCES && !ranked.is_empty() {
            let at = self.rng.below(ranked.len());
            let by_chance = peers.len() < BY_CHANCE;
            let picked = if by_chance { Some(ranked.swap_remove(at)) } else { take_least(&mut ranked) };
            peers.extend(
                picked
                    .and_then(|(_, id)| self.members.link(id))
                    .map(|l| describe(l, receiver, &theirs.playing)),
            );
        }
        if !peers.is_empty() {
            self.send(to, Message::Shuffle { peers: List::first(peers) });
        }
    }

    pub(super) fn shuffled(
        &mut self,
        link: LinkId,
        peers: List<Acquaintance, MAX_ACQUAINTANCES>,
        now: Instant,
    ) {
        let Some(l) = self.members.link_mut(link) else { return };
        if !l.may_tell(MAX_SHUFFLES, SHUFFLES_IN, now) {
            return;
        }
        let via = l.peer;
        for known in peers.into_vec() {
            let holder = &known.ticket.body;
            if holder.role != Role::Viewer {
                continue;
            }
            if self.members.knows(holder.peer) {
                self.hear_of(&known, via, now);
            } else if self.may_hear(link, &known.ticket, now) {
                let what = check_of(&known.ticket);
                self.check(Pending::Heard(Box::new(known), link), what);
            }
        }
    }

    /// Whether a stranger's ticket, shown by a neighbour, is worth verifying.
    pub(super) fn may_hear(&self, link: LinkId, ticket: &SignedTicket, now: Instant) -> bool {
        let holder = &ticket.body;
        let of_link =
            |p: &&Pending| matches!(p, Pending::Heard(_, at) | Pending::Call(_, at, _) if *at == link);
        self.membership.is_some_and(|m| m.peer != holder.peer)
            && !self.members.is_banned(holder.peer)
            && !self.members.was_missed(holder.peer, now)
            && self.trust.judge(ticket, holder.peer, holder.fingerprint, now).is_ok()
            && self.checks.values().filter(of_link).count() < MAX_ACQUAINTANCES
    }

    pub(super) fn acquaintance_checked(
        &mut self,
        known: &Acquaintance,
        link: LinkId,
        ok: bool,
        now: Instant,
    ) {
        if !ok {
            return self.expel(link, FALSE, now);
        }
        let holder = &known.ticket.body;
        let Some(via) = self.members.link(link).map(|l| l.peer) else { return };
        // It may have been revoked meanwhile.
        if !self.trust.is_revoked(holder.peer) {
            self.hear_of(known, via, now);
        }
    }

    fn hear_of(&mut self, known: &Acquaintance, via: PeerId, now: Instant) {
        self.members.hear_of(&known_as(known, true), known.playing, via, now);
        if known.nat != NatClass::Unknown {
            self.give_up_hopeless(now);
        }
    }

    pub(super) fn profiled(
        &mut self,
        link: LinkId,
        playing: Vec<Playing>,
        passive: bool,
        upload: u32,
        now: Instant,
    ) {
        let is_first = self.members.link(link).is_some_and(|l| l.playing.is_empty());
        if let Some(l) = self.members.link_mut(link) {
            (l.playing, l.passive, l.upload) = (playing, passive, upload);
        }
        self.has_news();
        self.show(link);
        // A seed follows what its neighbours play.
        self.dirty.get |= self.config.role == Role::Seed;
        if is_first {
            // A newcomer learns at once how many there are, and who.
            self.shuffle(link);
            for of in self.populations.ids() {
                if self.members.link(link).is_some_and(|l| self.is_of(l, of)) {
                    self.tell_census(link, of, now);
                }
            }
        }
    }

    /// On demand, shows a neighbour what we hold of what it will need. What we told when the link opened was about our own place in the
    /// film, and it may have jumped since.
    fn show(&mut self, link: LinkId) {
        let Some(l) =
            self.members.link_mut(link).filter(|_| self.place.on_demand || self.config.role == Role::Seed)
        else {
            return;
        };
        let mut maps = Vec::new();
        let mut shown = Vec::new();
        for playing in &l.playing {
            let covers = |(track, numbers): &&(TrackId, Range<u64>)| {
                *track == playing.track
                    && numbers.start <= playing.next
                    && playing.next.saturating_add(SHOW_AGAIN) < numbers.end
            };
            if let Some(known) = l.shown.iter().find(covers) {
                shown.push(known.clone());
                continue;
            }
            let held = self.store.from(playing.track, playing.next);
            let held = held.filter(|(_, s)| s.digest().is_some() && !s.held().is_empty());
            // Who plays more tracks than a message has room for is shown the others when it says so again.
            let (before, room) = (maps.len(), SHOWN.min(MAX_MAPS - maps.len()));
            if room == 0 {
                break;
            }
            maps.extend(held.take(room).map(|(key, s)| HaveMap { key: *key, blocks: s.held().clone() }));
            // What comes later, it is told of.
            let all = maps.len() - before < room;
            let end = maps.last().filter(|_| !all).map_or(u64::MAX, |map| map.key.number.saturating_add(1));
            shown.push((playing.track, playing.next..end));
        }
        l.shown = shown;
        if !maps.is_empty() {
            self.send(link, Message::Have { maps: List::first(maps) });
        }
    }
}
