//! Who becomes a neighbour, and who may stay one (R41, H1).
//!
//! Both ends of a new link say hello with their ticket at once, and nothing else before they know who is there. So an admission takes one way
//! through the link and one verification; nobody learns what we play or hold who may not be a neighbour.

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{Fingerprint, PeerId};
use rillcast_protocol::ticket::{Signed, SignedRevocations, SignedTicket, Statement};

use crate::map::put_in_order;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::Instant;
use crate::trust::{Guest, Refusal, Trust};
use crate::wire::Message;
use crate::wire::message::{HaveMap, MAX_MAPS};

use super::{Check, Engine, Event, LinkId, Output, Pending};

/// What a neighbour did that shows another's ticket as its own, or what the authority hasn't signed.
pub(super) const FALSE: &str = "false ticket or list";

pub(super) fn check_of<P, T: Statement>(signed: &Signed<T>) -> Check<P> {
    Check::Signature { key: signed.authority.0, message: signed.signed_bytes(), signature: signed.signature }
}

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn link_open(&mut self, link: LinkId, peer: PeerId, fingerprint: Fingerprint, now: Instant) {
        // Two links to one peer would count twice; the shell has one, the newer.
        if let Some(old) = self.members.link_to(peer).filter(|old| *old != link) {
            self.link_closed(peer, Some(old), now);
        }
        let own = self.trust.own().filter(|_| self.sharing() && self.members.knows(peer)).cloned();
        let Some(ticket) = own else { return self.hang_up(peer) };
        self.gate.open(Guest::new(link, peer, fingerprint, now));
        let hello = self.hello(ticket);
        self.send(link, hello);
    }

    /// Who we are.
    pub(super) fn hello(&self, ticket: SignedTicket) -> Message {
        Message::Hello { version: rillcast_protocol::VERSION, ticket, revocations: self.trust.number() }
    }

    /// A message of somebody who isn't a neighbour, or not yet.
    pub(super) fn at_the_gate(&mut self, link: LinkId, bytes: &[u8], now: Instant) {
        let Some(guest) = self.gate.guest(link) else { return };
        if guest.has_shown {
            if !guest.keep(bytes) {
                self.refuse(link, Refusal::Flood, now);
            }
            return;
        }
        let judged = match Message::parse(bytes) {
            Ok(Message::Hello { version, ticket, revocations }) => {
                (guest.has_shown, guest.version, guest.revocations) = (true, version, revocations);
                self.trust.judge(&ticket, guest.peer, guest.fingerprint, now).map(|()| ticket)
            }
            Ok(_) => Err(Refusal::NoTicket),
            Err(_) => Err(Refusal::Unreadable),
        };
        match judged {
            Ok(ticket) => {
                let what = check_of(&ticket);
                self.check(Pending::Ticket(Box::new(ticket), link), what);
            }
            Err(why) => self.refuse(link, why, now),
        }
    }

    /// Sends a guest away. Whose name it came under need not be to blame, so that one isn't banned; but whoever was revoked is let in no more.
    pub(super) fn refuse(&mut self, link: LinkId, why: Refusal, now: Instant) {
        let Some(guest) = self.gate.take(link) else { return };
        self.members.closed(guest.peer, None, now);
        if why == Refusal::Revoked {
            self.members.ban(guest.peer);
        }
        self.hang_up(guest.peer);
        self.told_refused(guest.peer, why);
    }

    fn told_refused(&mut self, peer: PeerId, why: Refusal) {
        self.counters.refused_links += 1;
        self.outputs.push_back(Output::Event(Event::Refused { peer, why }));
    }

    /// Whether a ticket's signature holds: a guest's, or the new one of a neighbour.
    pub(super) fn ticket_checked(&mut self, ticket: SignedTicket, link: LinkId, ok: bool, now: Instant) {
        let Some(guest) = self.gate.guest(link) else { return self.ticket_renewed(ticket, link, ok, now) };
        // Something may have been revoked meanwhile.
        let judged = self.trust.judge(&ticket, guest.peer, guest.fingerprint, now);
        match if ok { judged } else { Err(Refusal::Signature) } {
            Ok(()) => self.admit(link, &ticket, now),
            Err(why) => self.refuse(link, why, now),
        }
    }

    fn admit(&mut self, link: LinkId, ticket: &SignedTicket, now: Instant) {
        let Some(guest) = self.gate.take(link) else { return };
        match self.members.opened(link, guest.peer, ticket, now) {
            Some(l) => l.version = guest.version,
            None => return self.hang_up(guest.peer),
        }
        self.close_twin(link, ticket.body.fingerprint, now);
        if self.members.link(link).is_none() {
            return;
        }
        if let Some(revocations) = self.trust.revocations().filter(|l| l.body.number > guest.revocations) {
            let revocations = revocations.clone();
            self.send(link, Message::Revoked { revocations });
        }
        self.introduce_ourselves(link, now);
        for bytes in guest.said {
            self.control(link, &bytes, now);
        }
        // The next in line may be dialed.
        self.upkeep_at = now;
    }

    /// A peer that came back to the server may have a new name there, while its old links still work: of two links to one visit the newer
    /// is closed, at both ends alike.
    fn close_twin(&mut self, link: LinkId, fingerprint: Fingerprint, now: Instant) {
        let is_twin = |(id, l): &(LinkId, &Link)| *id != link && l.fingerprint == fingerprint;
        let Some(twin) = self.members.links().find(is_twin).map(|(id, _)| id) else { return };
        let newer = link.max(twin);
        if let Some(peer) = self.members.link(newer).map(|l| l.peer) {
            self.link_closed(peer, Some(newer), now);
            self.members.forget(peer);
            self.hang_up(peer);
        }
    }

    /// Says what we play and hold.
    fn introduce_ourselves(&mut self, link: LinkId, now: Instant) {
        if let Some(profile) = self.profile() {
            self.send(link, profile);
        }
        self.show_nat(link);
        // The newest of all tracks: by key, the highest track's alone would fill the message.
        let mut described = Vec::new();
        for entry in self.store.iter().filter(|(_, s)| s.digest().is_some()) {
            put_in_order(&mut described, entry, |(_, s)| core::cmp::Reverse(s.known_at));
        }
        let maps = described.iter().map(|(key, s)| HaveMap { key: **key, blocks: s.held().clone() });
        let maps = List::<_, MAX_MAPS>::first(maps.collect());
        if !maps.is_empty() {
            self.send(link, Message::Have { maps });
        }
        self.ping(link, now);
    }

    /// The server has answered a renewal.
    pub(super) fn renewed(&mut self, ticket: SignedTicket, now: Instant) {
        // The server's word is its own, and its connection is who it is; what others say of this ticket is their business.
        let Some(own) = self.trust.own() else { return };
        if ticket.body.expires_ms > own.body.expires_ms {
            self.trust.hold(ticket.clone(), now);
            self.become_member(ticket);
        }
    }

    /// A neighbour shows a new ticket.
    pub(super) fn ticket_shown(&mut self, link: LinkId, ticket: SignedTicket, now: Instant) {
        let Some(l) = self.members.link(link) else { return };
        // One at a time: verifying costs more than sending.
        let busy = self.checks.values().any(|p| matches!(p, Pending::Ticket(_, at) if *at == link));
        match self.trust.judge(&ticket, ticket.body.peer, l.fingerprint, now) {
            Ok(()) if !busy && ticket.body.expires_ms > l.expires_ms => {
                let what = check_of(&ticket);
                self.check(Pending::Ticket(Box::new(ticket), link), what);
            }
            Err(Refusal::Certificate) => self.expel(link, FALSE, now),
            _ => {}
        }
    }

    fn ticket_renewed(&mut self, ticket: SignedTicket, link: LinkId, ok: bool, now: Instant) {
        if !ok {
            return self.expel(link, FALSE, now);
        }
        if self.trust.is_revoked(ticket.body.peer) {
            return self.dismiss(link, Refusal::Revoked, now);
        }
        let Some(l) = self.members.link_mut(link) else { return };
        l.renew(&ticket);
    }

    /// Ends a link to somebody who may not be a neighbour any more.
    fn dismiss(&mut self, link: LinkId, why: Refusal, now: Instant) {
        if why == Refusal::Revoked {
            if let Some(peer) = self.cut_off(link, now) {
                self.told_refused(peer, why);
            }
        } else if let Some(peer) = self.members.link(link).map(|l| l.peer) {
            self.close(peer, now);
            self.told_refused(peer, why);
        }
    }

    /// Time passes: for guests, for our own ticket, and for those of our neighbours.
    pub(super) fn check_tickets(&mut self, now: Instant) {
        while let Some(link) = self.gate.overdue(now) {
            self.refuse(link, Refusal::Late, now);
        }
        if self.trust.renews(now) {
            self.outputs.push_back(Output::Renew);
        }
        let mut over = Vec::new();
        for (link, l) in self.members.links_mut() {
            if self.trust.is_good(l.expires_ms, now) {
                l.lapsed = None;
            } else if now.since(*l.lapsed.get_or_insert(now)) >= self.trust.leeway(l.expires_ms) {
                over.push(link);
            }
        }
        for link in over {
            self.dismiss(link, Refusal::Expired, now);
        }
    }

    /// Somebody shows a list of revocations: the server, or a neighbour.
    pub(super) fn revocations_offered(&mut self, list: SignedRevocations, from: Option<LinkId>) {
        let busy = |p: &Pending| matches!(p, Pending::Revocations(_, at) if *at == from);
        // The server's are few. Of a neighbour's one at a time is verified.
        if self.trust.is_news(&list) && (from.is_none() || !self.checks.values().any(busy)) {
            let what = check_of(&list);
            self.check(Pending::Revocations(Box::new(list), from), what);
        }
    }

    pub(super) fn revocations_checked(
        &mut self,
        list: SignedRevocations,
        from: Option<LinkId>,
        ok: bool,
        now: Instant,
    ) {
        if !ok {
            if let Some(link) = from {
                self.expel(link, FALSE, now);
            }
            return;
        }
        if !self.trust.revoke(list.clone(), now) {
            return;
        }
        let is_revoked = |trust: &Trust, l: &Link| trust.is_revoked(l.name) || trust.is_revoked(l.peer);
        loop {
            let next = self.members.links().find(|(_, l)| is_revoked(&self.trust, l)).map(|(id, _)| id);
            let Some(link) = next else { break };
            self.dismiss(link, Refusal::Revoked, now);
        }
        self.tell_all(&Message::Revoked { revocations: list });
        self.upkeep_at = now;
    }
}
