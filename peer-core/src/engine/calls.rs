//! Signals that neighbours carry: ours to theirs, one's to another, and those for us.
//!
//! A call by somebody unknown comes with the caller's ticket, and isn't looked at before that is verified: only then is it answered, and so
//! only to those who were let in do we show where we are. What is said is sealed by the shells, so that whoever carries it can't read it.

use rillcast_protocol::coding::Blob;
use rillcast_protocol::id::PeerId;
use rillcast_protocol::signal::MAX_RELAY;

use crate::payload::Payload;
use crate::time::{Duration, Instant};
use crate::wire::Message;
use crate::wire::message::Acquaintance;

use super::admission::{FALSE, check_of};
use super::gossip::{describe, known_as};
use super::{Engine, LinkId, Output, Pending};

/// Signals that a neighbour may have carried in one [`CARRIED_IN`].
const MAX_CARRIED: u16 = 64;
/// See [`MAX_CARRIED`].
const CARRIED_IN: Duration = Duration::from_millis(10_000);
/// Signals of a stranger that wait until its ticket is verified: an offer and its candidates.
const MAX_SAID: usize = 16;

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// The shell has something for a peer that it is connecting with.
    pub(super) fn signal(&mut self, to: PeerId, payload: Vec<u8>) {
        match (self.members.route(to), Blob::<MAX_RELAY>::new(payload.clone())) {
            (Some(link), Some(payload)) => self.send(link, Message::Relay { to, payload }),
            _ => self.outputs.push_back(Output::Signal { to, payload }),
        }
    }

    /// A neighbour asks us to carry a signal to another.
    pub(super) fn relay(&mut self, link: LinkId, to: PeerId, payload: Blob<MAX_RELAY>, now: Instant) {
        let Some(l) = self.members.link_mut(link) else { return };
        if !l.may_carry(MAX_CARRIED, CARRIED_IN, now) {
            return;
        }
        // By its name now, or by the one that it had when others heard of it.
        let other = self.members.links().find(|(_, l)| l.name == to || l.peer == to);
        if let (Some((other, l)), Some(from)) = (other, self.members.link(link)) {
            let from = describe(from, l, &l.playing);
            self.send(other, Message::Relayed { from, payload });
        }
    }

    /// A neighbour has carried a signal to us; an empty one says that whoever we call has no room.
    pub(super) fn relayed(&mut self, link: LinkId, from: Acquaintance, payload: Vec<u8>, now: Instant) {
        let peer = from.ticket.body.peer;
        // Whoever carries a call may have made it up, and a new call ends the old link. One that is dead ends by itself.
        if !self.sharing() || self.members.link_to(peer).is_some() {
            return;
        }
        if payload.is_empty() {
            if self.members.turned_away(peer, now) {
                self.hang_up(peer);
                self.upkeep_at = now;
            }
            return;
        }
        let waiting = self.checks.values_mut().find_map(|pending| match pending {
            Pending::Call(caller, at, said) if *at == link && caller.ticket.body.peer == peer => Some(said),
            _ => None,
        });
        if let Some(said) = waiting {
            if said.len() < MAX_SAID {
                said.push(payload);
            }
        } else if self.members.knows(peer) {
            self.called(link, &from, vec![payload], now);
        } else if self.may_hear(link, &from.ticket, now) {
            let what = check_of(&from.ticket);
            self.check(Pending::Call(Box::new(from), link, vec![payload]), what);
        }
    }

    pub(super) fn call_checked(
        &mut self,
        from: &Acquaintance,
        link: LinkId,
        said: Vec<Vec<u8>>,
        ok: bool,
        now: Instant,
    ) {
        if !ok {
            return self.expel(link, FALSE, now);
        }
        let peer = from.ticket.body.peer;
        // Something may have changed meanwhile.
        if self.sharing() && self.members.link_to(peer).is_none() && !self.trust.is_revoked(peer) {
            self.called(link, from, said, now);
        }
    }

    /// Somebody who may be a neighbour calls us by way of one.
    fn called(&mut self, link: LinkId, from: &Acquaintance, said: Vec<Vec<u8>>, now: Instant) {
        let Some(via) = self.members.link(link).map(|l| l.peer) else { return };
        let caller = known_as(from, false);
        let peer = caller.id;
        // Who knows as much as we do doesn't call, and who doesn't would only be told to call again.
        if self.place.is_out_of_reach(caller.nat, caller.net) || self.members.was_missed(peer, now) {
            return;
        }
        if self.members.is_stranger(peer)
            && !self.leaving
            && !self.members.has_room(self.max_links())
            && let Some(worst) = self.members.replaced(&self.place, &caller, from.playing, now)
        {
            self.close(worst, now);
        }
        let room = !self.leaving && self.members.has_room(self.max_links());
        if let Some(connect) = self.members.called(&caller, from.playing, via, room, now) {
            if connect {
                self.connect(peer, false);
            }
            let signals = said.into_iter().map(|payload| Output::Signaled { from: peer, payload });
            self.outputs.extend(signals);
        } else if !room {
            // Without a word it would wait for an answer, and call again and again.
            self.send(link, Message::Relay { to: peer, payload: Blob::default() });
        }
    }
}
