//! Whose ticket counts: the authority's keys and time, our own ticket and when it is renewed, what is revoked.
//!
//! While signaling can be reached, a ticket counts until its time is over. While it can't, nobody can renew: then it counts on for a grace,
//! for links that there are and for new ones, and after our return as long as others take to come back too.

use rillcast_protocol::coding::List;
use rillcast_protocol::id::{AuthorityKey, Fingerprint, PeerId};
use rillcast_protocol::ticket::{
    MAX_AUTHORITIES, MAX_REVOKED, Revocations, Signed, SignedRevocations, SignedTicket, Ticket,
};

use super::clock::Clock;
use super::refusal::Refusal;
use crate::time::{Duration, Instant};

type Authorities = List<AuthorityKey, MAX_AUTHORITIES>;

/// An answer to a renewal is waited for so long.
const RENEW_AGAIN: Duration = Duration::from_secs(30);
/// A server that is back is met by everybody within this time: the shells' longest pauses, and a few attempts that fail.
pub const RETURN: Duration = Duration::from_secs(120);
/// A neighbour whose ticket's time is over may show a new one within this time. Meanwhile the authority has told us its time, if it was our
/// clock that jumped.
pub const LEEWAY: Duration = Duration::from_secs(40);
/// The same where its ticket was declared void.
pub const VOID_LEEWAY: Duration = Duration::from_secs(5);

/// What we know of tickets.
#[derive(Debug, Default)]
pub struct Trust {
    clock: Clock,
    own: Option<Box<SignedTicket>>,
    renew_at: Instant,
    authorities: Authorities,
    /// Those of before, if the server has begun anew: of neighbours that haven't come back yet.
    former_authorities: Authorities,
    /// Milliseconds.
    grace: u64,
    away: bool,
    /// When the server was last reached again after an absence.
    returned: Option<Instant>,
    revocations: Option<Box<SignedRevocations>>,
    /// Of the list before, if it had some that the newest hasn't: a ticket that was revoked once stays so.
    former_revoked: List<PeerId, MAX_REVOKED>,
    void_until_ms: u64,
}

impl Trust {
    /// The server has let us in, or in again.
    pub fn joined(&mut self, own: SignedTicket, authorities: Authorities, server_time_ms: u64, now: Instant) {
        self.clock.set(server_time_ms, now);
        if core::mem::take(&mut self.away) {
            self.returned = Some(now);
        }
        if self.authorities != authorities {
            self.former_authorities = core::mem::replace(&mut self.authorities, authorities);
        }
        self.hold(own, now);
    }

    /// The server can't be reached.
    pub fn lost_server(&mut self) {
        self.away = true;
    }

    /// Whether the server can't be reached.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// The authority has said what time it is.
    pub fn set_time(&mut self, server_time_ms: u64, now: Instant) {
        self.clock.set(server_time_ms, now);
    }

    /// How long tickets count on while the server is away, in seconds.
    pub fn set_grace(&mut self, seconds: u32) {
        self.grace = u64::from(seconds) * 1000;
    }

    /// Our own ticket from now on. It is renewed when half of its time is over.
    pub fn hold(&mut self, own: SignedTicket, now: Instant) {
        let left = own.body.expires_ms.saturating_sub(self.clock.read(now));
        self.renew_at = now + Duration::from_millis(left / 2).max(RENEW_AGAIN);
        self.own = Some(Box::new(own));
    }

    /// Our own ticket.
    pub fn own(&self) -> Option<&SignedTicket> {
        self.own.as_deref()
    }

    /// Asks for a new ticket as soon as possible.
    pub fn hurry(&mut self, now: Instant) {
        self.renew_at = self.renew_at.min(now);
    }

    /// Whether to ask the server for a new ticket now.
    pub fn renews(&mut self, now: Instant) -> bool {
        let due = !self.away && self.own.is_some() && now >= self.renew_at;
        if due {
            self.renew_at = now + RENEW_AGAIN;
        }
        due
    }

    /// Whether others will take our own ticket: with another one there is no point in making links.
    pub fn may_link(&self, now: Instant) -> bool {
        self.own().is_some_and(|own| self.is_good(own.body.expires_ms, now))
    }

    /// Whether tickets by this authority count.
    pub fn knows(&self, authority: &AuthorityKey) -> bool {
        self.authorities.contains(authority) || self.former_authorities.contains(authority)
    }

    /// Whether a ticket that expires then counts now.
    pub fn is_good(&self, expires_ms: u64, now: Instant) -> bool {
        let lenient = self.away || self.returned.is_some_and(|at| now.since(at) < RETURN);
        let grace = if lenient { self.grace } else { 0 };
        expires_ms > self.void_until_ms && self.clock.read(now) <= expires_ms.saturating_add(grace)
    }

    /// How long a neighbour's ticket that isn't good may stay so.
    pub fn leeway(&self, expires_ms: u64) -> Duration {
        if expires_ms > self.void_until_ms { LEEWAY } else { VOID_LEEWAY }
    }

    /// Whether a peer is let in no more.
    pub fn is_revoked(&self, peer: PeerId) -> bool {
        self.former_revoked.contains(&peer)
            || self.revocations().is_some_and(|list| list.body.peers.contains(&peer))
    }

    /// Judges a ticket by all but its signature.
    pub fn judge(
        &self,
        ticket: &SignedTicket,
        peer: PeerId,
        fingerprint: Fingerprint,
        now: Instant,
    ) -> Result<(), Refusal> {
        let Signed { body: Ticket { swarm, expires_ms, .. }, authority, .. } = ticket;
        let ours = self.own().is_some_and(|own| own.body.swarm == *swarm);
        let checks = [
            (ours, Refusal::Swarm),
            (ticket.body.fingerprint == fingerprint, Refusal::Certificate),
            (ticket.body.peer == peer, Refusal::Peer),
            (self.knows(authority), Refusal::Authority),
            (!self.is_revoked(peer) && *expires_ms > self.void_until_ms, Refusal::Revoked),
            (self.is_good(*expires_ms, now), Refusal::Expired),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, why)| Err(why))
    }

    /// The newest list of revocations, to be passed on.
    pub fn revocations(&self) -> Option<&SignedRevocations> {
        self.revocations.as_deref()
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.revocations().map_or(0, |list| list.body.number)
    }

    /// Whether a list is worth verifying: newer than ours, of our swarm, by an authority that counts.
    pub fn is_news(&self, list: &SignedRevocations) -> bool {
        let Signed { body: Revocations { swarm, number, .. }, authority, .. } = list;
        *number > self.number()
            && self.own().is_some_and(|own| own.body.swarm == *swarm)
            && self.knows(authority)
    }

    /// Takes a list whose signature holds; false if it isn't news.
    pub fn revoke(&mut self, list: SignedRevocations, now: Instant) -> bool {
        if !self.is_news(&list) {
            return false;
        }
        if let Some(before) = self.revocations.take().map(|list| list.body.peers)
            && before.iter().any(|peer| !list.body.peers.contains(peer))
        {
            self.former_revoked = before;
        }
        self.void_until_ms = self.void_until_ms.max(list.body.void_until_ms);
        self.revocations = Some(Box::new(list));
        if self.own().is_some_and(|own| own.body.expires_ms <= self.void_until_ms) {
            self.hurry(now);
        }
        true
    }
}
