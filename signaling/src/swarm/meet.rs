//! Introductions, and relaying between those introduced.

use std::time::{Duration, Instant};

use rillcast_protocol::coding::{Blob, List};
use rillcast_protocol::id::PeerId;
use rillcast_protocol::nat::{NatClass, TOLD_SINCE};
use rillcast_protocol::signal::{MAX_PUBLISHERS, MAX_RELAY, ServerMessage};

use super::member::Member;
use super::{Desk, Swarm};
use crate::introduce::{Candidate, choose};

/// A pair may be introduced again after this time: in a small swarm there is nobody else for whoever lost its link.
const AGAIN: Duration = Duration::from_secs(20);
/// Seeds looked at besides the sample of viewers.
const SEEDS_LOOKED_AT: usize = 16;

impl Swarm {
    /// Introduces a newcomer: to everybody in a small swarm, else to a few.
    pub(super) fn welcome_newcomer(&mut self, desk: &Desk<'_>, id: PeerId, now: Instant) {
        let others = self.order.len().saturating_sub(1);
        let links = usize::from(self.site.max_links);
        let count = if others <= links { others } else { desk.limits.introduce };
        self.introduce(desk, id, count, now);
        self.introduce_seeds(desk, id, now);
    }

    /// Seeds hand each other what they hold, so each meets all others that they reckon with, however large the swarm is.
    fn introduce_seeds(&mut self, desk: &Desk<'_>, id: PeerId, now: Instant) {
        let Some(newcomer) = self.members.get(&id).filter(|m| m.is_seed() && m.takes_part()) else { return };
        let is_new = |other: &&PeerId| {
            let may = |m: &Member| m.takes_part() && !newcomer.is_out_of_reach(m);
            **other != id
                && !newcomer.introduced.contains_key(*other)
                && self.members.get(*other).is_some_and(may)
        };
        let others: Vec<PeerId> = self.seeds.iter().filter(is_new).take(MAX_PUBLISHERS).copied().collect();
        self.pair(desk, id, &others, now);
    }

    /// Answers a request for introductions.
    pub(crate) fn want_peers(&mut self, desk: &Desk<'_>, id: PeerId, count: u8, now: Instant) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let some = member.wants.take_some(usize::from(count).min(desk.limits.introduce), now);
        if some == 0 && count > 0 {
            desk.metrics.wants_refused_total.up();
            return;
        }
        self.introduce(desk, id, some, now);
    }

    fn introduce(&mut self, desk: &Desk<'_>, id: PeerId, count: usize, now: Instant) {
        let Some(asker) = self.members.get(&id).filter(|m| m.takes_part()) else { return };
        let chosen = {
            let fresh = |other: &PeerId| {
                let member = self.members.get(other)?;
                let met = asker.introduced.get(other);
                let again = met.is_some_and(|at| now.saturating_duration_since(*at) < AGAIN);
                let ok = *other != id
                    && member.takes_part()
                    && !again
                    && !asker.is_out_of_reach(member)
                    && (met.is_some() || member.introduced.len() < member.introductions(desk.limits));
                ok.then(|| Candidate {
                    id: *other,
                    seed: member.is_seed(),
                    kin: asker.track().is_some() && asker.track() == member.track(),
                    near: asker.place().is_some() && asker.place() == member.place(),
                    load: member.introduced.len() + if met.is_some() { desk.limits.introduced } else { 0 },
                })
            };
            let mut looked_at = if self.order.len() <= 8 * count.max(4) {
                self.order.clone()
            } else {
                let sample = (0..8 * count.max(4)).map(|_| self.order[self.random.below(self.order.len())]);
                let mut sample: Vec<PeerId> = sample.collect();
                if !self.seeds.is_empty() {
                    let seeds = (0..SEEDS_LOOKED_AT).map(|_| self.seeds[self.random.below(self.seeds.len())]);
                    sample.extend(seeds);
                }
                if let Some(track) = asker.track() {
                    sample.extend(self.kin.sample(track, 8 * count.max(4), &mut self.random));
                }
                if let Some(place) = asker.place() {
                    sample.extend(self.near.sample(place, 8 * count.max(4), &mut self.random));
                }
                sample
            };
            looked_at.sort_unstable();
            looked_at.dedup();
            choose(&mut self.random, looked_at.iter().filter_map(fresh).collect(), count.min(32))
        };
        self.pair(desk, id, &chosen, now);
    }

    fn pair(&mut self, desk: &Desk<'_>, id: PeerId, chosen: &[PeerId], now: Instant) {
        let Some(asker) = self.members.get(&id) else { return };
        let version = asker.joiner.version;
        let versions =
            chosen.iter().map(|other| self.members.get(other).map_or(version, |m| m.joiner.version));
        let of_asker: Vec<_> = versions.map(|version| asker.descriptor(false, version)).collect();
        let mut descriptors = Vec::with_capacity(chosen.len());
        for (other, of_asker) in chosen.iter().zip(of_asker) {
            let Some(member) = self.members.get_mut(other) else { continue };
            descriptors.push(member.descriptor(true, version));
            member.introduce(id, now, desk.limits);
            member.joiner.outbox.send(&ServerMessage::Introduce { peers: List::clipped([of_asker]) });
            desk.metrics.introductions_total.up();
        }
        let Some(asker) = self.members.get_mut(&id).filter(|_| !descriptors.is_empty()) else { return };
        for descriptor in &descriptors {
            asker.introduce(descriptor.id, now, desk.limits);
        }
        asker.joiner.outbox.send(&ServerMessage::Introduce { peers: List::clipped(descriptors) });
    }

    /// A member has found out how its network maps addresses. Whom it met before that, and no way leads to, is told, so that neither goes on trying: once
    /// in a connection, or who says it again and again would have the server say it to many.
    pub(crate) fn nat(&mut self, id: PeerId, class: NatClass) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.nat = class;
        if class == NatClass::Unknown || std::mem::replace(&mut member.has_shown_nat, true) {
            return;
        }
        let Some(member) = self.members.get(&id) else { return };
        for other in member.introduced.keys().filter_map(|other| self.members.get(other)) {
            let version = other.joiner.version;
            if version >= TOLD_SINCE && other.introduced.contains_key(&id) && member.is_out_of_reach(other) {
                let peers = List::clipped([member.descriptor(false, version)]);
                other.joiner.outbox.send(&ServerMessage::Introduce { peers });
            }
        }
    }

    /// Hands a payload on, if both were introduced to each other.
    pub(crate) fn relay(&self, desk: &Desk<'_>, from: PeerId, to: PeerId, payload: Blob<MAX_RELAY>) {
        let known = |a: PeerId, b: PeerId| self.members.get(&a).filter(|m| m.introduced.contains_key(&b));
        match (known(from, to), known(to, from)) {
            (Some(_), Some(target)) => {
                desk.metrics.relayed_total.up();
                target.joiner.outbox.send(&ServerMessage::Relayed { from, payload });
            }
            _ => desk.metrics.relays_refused_total.up(),
        }
    }

    /// Tells whoever was introduced to the peer that it's gone.
    pub(super) fn part(&mut self, id: PeerId, from: impl IntoIterator<Item = PeerId>) {
        let gone = ServerMessage::Gone { peer: id };
        for other in from {
            if let Some(member) = self.members.get_mut(&other)
                && member.introduced.remove(&id).is_some()
            {
                member.joiner.outbox.send(&gone);
            }
        }
    }
}
