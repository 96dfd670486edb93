//! A swarm's tickets: given on joining, renewed while their holder may stay, and revoked when it may not.
//!
//! Whoever is sent away may keep its links, so its neighbours are told: a short list of those who count no more, signed, that they pass on.
//! It also has those who had left the server before they were revoked. Where that would be too many to list or to remember, all tickets given so
//! far are declared void instead, and whoever may stay gets a new one.

use std::collections::VecDeque;

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{PeerId, SwarmId};
use rillcast_protocol::signal::ServerMessage;
use rillcast_protocol::ticket::{MAX_REVOKED, Revocations, SignedRevocations, SignedTicket, Ticket};

use super::member::Visit;
use super::{Desk, Joiner, Swarm, review};
use crate::authority::Authority;
use crate::policy::Case;
use crate::policy::Subject;
use crate::policy::verdict::judge;

/// Those remembered who have left while their tickets count. Beyond, all tickets are void at the next revocation.
pub const MAX_DEPARTED: usize = 4096;
/// Everybody has come back after a restart within this time, in milliseconds. Tickets of before are void then where the site has revoked anybody:
/// who that was under which name, the server knows no more.
const RETURN_MS: u64 = 120_000;

/// Somebody who has left, until its ticket counts no more.
#[derive(Debug)]
struct Departed {
    id: PeerId,
    subject: Subject,
    gone_ms: u64,
}

/// What is revoked of a swarm.
#[derive(Debug)]
pub(super) struct Revoked {
    number: u64,
    /// With the time at which their tickets are over anyway.
    peers: VecDeque<(PeerId, u64)>,
    void_until_ms: u64,
    departed: VecDeque<Departed>,
    /// Until then tickets count of some who have left and aren't remembered.
    forgotten_until_ms: u64,
    /// The number of the site's own list when members were last judged by it.
    seen: u64,
    list: Option<SignedRevocations>,
    /// Since when tickets are given, until those of before are void or nobody was revoked.
    began_ms: Option<u64>,
}

impl Revoked {
    pub(super) fn new(seen: u64, now_ms: u64) -> Self {
        Self {
            number: 0,
            peers: VecDeque::new(),
            void_until_ms: 0,
            departed: VecDeque::new(),
            forgotten_until_ms: 0,
            seen,
            list: None,
            began_ms: Some(now_ms),
        }
    }

    fn has(&self, id: PeerId) -> bool {
        self.peers.iter().any(|(peer, _)| *peer == id)
    }

    fn add(&mut self, id: PeerId, gone_ms: u64) {
        if !self.has(id) {
            self.peers.push_back((id, gone_ms));
        }
    }

    fn remember(&mut self, departed: Departed, now_ms: u64) {
        self.departed.retain(|d| d.gone_ms > now_ms);
        if self.departed.len() >= MAX_DEPARTED
            && let Some(oldest) = self.departed.pop_front()
        {
            self.forgotten_until_ms = self.forgotten_until_ms.max(oldest.gone_ms);
        }
        self.departed.push_back(departed);
    }

    /// A new list. `void_until_ms`: all tickets that expire by then are void besides.
    fn publish(
        &mut self,
        authority: &Authority,
        swarm: SwarmId,
        void_until_ms: u64,
        now_ms: u64,
    ) -> SignedRevocations {
        self.void_until_ms = self.void_until_ms.max(void_until_ms);
        self.peers.retain(|(_, gone)| *gone > now_ms);
        let peers = List::clipped(self.peers.iter().rev().take(MAX_REVOKED).map(|(peer, _)| *peer));
        self.number = now_ms.max(self.number + 1);
        let body = Revocations { swarm, number: self.number, peers, void_until_ms: self.void_until_ms };
        let list = authority.sign(body);
        self.list = Some(list.clone());
        list
    }
}

impl Swarm {
    /// A ticket for somebody, given now.
    pub(super) fn sign_ticket(
        &self,
        desk: &Desk<'_>,
        joiner: &Joiner,
        nonce: u64,
        weight: u16,
    ) -> SignedTicket {
        desk.metrics.tickets_total.up();
        desk.authority.sign(Ticket {
            swarm: self.id,
            peer: joiner.id,
            role: joiner.role,
            fingerprint: joiner.visit.fingerprint,
            session: joiner.visit.session,
            sealing: joiner.visit.sealing,
            nonce,
            weight,
            net: joiner.net,
            expires_ms: desk.server_ms + desk.limits.ticket_ms(),
        })
    }

    /// The name that a newcomer had before, if it may have it again: nobody else has it, and it wasn't revoked.
    pub(super) fn former(&self, desk: &Desk<'_>, visit: &Visit) -> Option<Ticket> {
        let former = visit.former?;
        let until = former.expires_ms.saturating_add(self.site.grace_ms());
        let free = !self.members.contains_key(&former.peer) && !self.revoked.has(former.peer);
        (free && former.expires_ms > self.revoked.void_until_ms && desk.server_ms <= until).then_some(former)
    }

    /// What newcomers have to know.
    pub(super) fn revocations(&self) -> Option<SignedRevocations> {
        self.revoked.list.clone()
    }

    /// Somebody is here again.
    pub(super) fn has_returned(&mut self, id: PeerId) {
        self.revoked.departed.retain(|d| d.id != id);
    }

    /// Somebody has left, with a ticket that counts on: it may have to be revoked later.
    pub(super) fn has_departed(&mut self, desk: &Desk<'_>, joiner: &Joiner, ticket: &SignedTicket) {
        if !self.revoked.has(joiner.id) {
            let gone_ms = self.gone_ms(ticket);
            let departed = Departed { id: joiner.id, subject: joiner.subject.clone(), gone_ms };
            self.revoked.remember(departed, desk.server_ms);
        }
    }

    /// Until when somebody with this ticket may be relayed: as long as it can count, by the clock that relays have.
    pub(super) fn relays_until(&self, desk: &Desk<'_>, ticket: &SignedTicket) -> u64 {
        desk.unix + self.gone_ms(ticket).saturating_sub(desk.server_ms) / 1000
    }

    fn gone_ms(&self, ticket: &SignedTicket) -> u64 {
        ticket.body.expires_ms.saturating_add(self.site.grace_ms())
    }

    /// A member asks for a new ticket. It is judged as at the join: whoever may not stay gets none.
    pub(crate) fn renew(&mut self, desk: &Desk<'_>, id: PeerId, now: std::time::Instant) {
        let Some(member) = self.members.get(&id) else { return };
        let Ok(standing) = self.judge_newcomer(desk, &member.joiner) else {
            self.review(desk, now);
            return;
        };
        let Some(member) = self.members.get(&id) else { return };
        let old = member.ticket.body.expires_ms;
        let young = old.saturating_sub(desk.server_ms) > desk.limits.ticket_ms() / 4 * 3;
        if !young || old <= self.revoked.void_until_ms {
            let ticket = self.sign_ticket(desk, &member.joiner, member.nonce, member.weight);
            let until = self.relays_until(desk, &ticket);
            let settings = review::settings(desk, &self.site, &member.joiner, standing, until, &self.offers);
            if let Some(member) = self.members.get_mut(&id) {
                member.ticket = ticket;
                member.relays_until = until;
                // Where there are relays: their credentials reach as far as the ticket does.
                if settings != member.settings {
                    member.settings = settings.clone();
                    member.joiner.outbox.send(&ServerMessage::Settings { settings });
                }
            }
        }
        if let Some(member) = self.members.get(&id) {
            let (ticket, server_time_ms) = (member.ticket.clone(), desk.server_ms);
            member.joiner.outbox.send(&ServerMessage::Ticket { ticket, server_time_ms });
        }
    }

    /// These members may not stay.
    pub(super) fn revoke(&mut self, ids: &[PeerId]) {
        for id in ids {
            if let Some(member) = self.members.get(id) {
                let gone_ms = self.gone_ms(&member.ticket);
                self.revoked.add(*id, gone_ms);
            }
        }
    }

    /// Judges those who have left, and tells everybody of all who count no more since the list was last told.
    pub(super) fn tell_revoked(&mut self, desk: &Desk<'_>, members: usize) {
        let theirs = desk.revocations.of(&self.site.name);
        let mut count = members;
        let departed = std::mem::take(&mut self.revoked.departed);
        for departed in departed {
            let case = Case { subject: &departed.subject, content: &self.named, now: desk.unix };
            if judge(&self.site, &theirs, &case, Some(departed.id)).is_err() {
                self.revoked.add(departed.id, departed.gone_ms);
                count += 1;
            } else {
                self.revoked.departed.push_back(departed);
            }
        }
        let changed = std::mem::replace(&mut self.revoked.seen, theirs.number()) != theirs.number();
        let forgotten = changed && self.revoked.forgotten_until_ms > desk.server_ms;
        let listed = self.revoked.peers.iter().filter(|(_, gone)| *gone > desk.server_ms).count();
        if forgotten || listed > MAX_REVOKED {
            // Whoever joins or renews in this very millisecond has a ticket that is as old.
            self.revoked.peers.clear();
            self.revoked.forgotten_until_ms = 0;
            self.publish_revoked(desk, desk.server_ms + desk.limits.ticket_ms());
        } else if count > 0 {
            self.publish_revoked(desk, 0);
        }
    }

    /// Some time after the start, what was given before it counts no more where somebody was revoked.
    pub(super) fn outdate(&mut self, desk: &Desk<'_>) {
        let Some(began) = self.revoked.began_ms.filter(|began| desk.server_ms >= began + RETURN_MS) else {
            return;
        };
        self.revoked.began_ms = None;
        if desk.revocations.of(&self.site.name).entries(desk.unix).next().is_some() {
            self.publish_revoked(desk, began + desk.limits.ticket_ms() - 1);
        }
    }

    fn publish_revoked(&mut self, desk: &Desk<'_>, void_until_ms: u64) {
        let revocations = self.revoked.publish(desk.authority, self.id, void_until_ms, desk.server_ms);
        desk.metrics.revocation_lists_total.up();
        let message = ServerMessage::Revoked { revocations };
        self.members.values().for_each(|member| member.joiner.outbox.send(&message));
    }
}
