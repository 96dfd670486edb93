//! Links between nodes, and the uplink that a node's links share.

use rillcast_core::engine::{BulkFrame, Input, LinkId};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::id::{PeerId, Role};
use rillcast_core::time::Duration;

use super::media::{Buf, number_of, peer_id};
use super::net::{Event, Net};
use super::tickets::certificate;

/// Of a link, once offer and answer have been exchanged.
const HANDSHAKE: Duration = Duration::from_millis(450);
/// From one peer to another by way of the server.
const RELAY: Duration = Duration::from_millis(25);
const OFFER: &[u8] = b"offer";
const ANSWER: &[u8] = b"answer";
/// A browser gives an attempt up after this time.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Bytes/s of a seed's uplink.
const SEED_UPLINK: u64 = 12_500_000;

#[derive(Clone, Debug)]
pub(super) enum Packet {
    Control(Vec<u8>),
    Bulk(BulkFrame<Buf>),
}

impl Net {
    pub(super) fn connect(&mut self, n: usize, peer: PeerId, initiate: bool) {
        self.nodes[n].trying.insert(peer, initiate);
        if initiate {
            self.say(n, peer, OFFER);
        } else if self.nodes[n].early.remove(&peer) {
            self.say(n, peer, ANSWER);
        }
        self.schedule(self.now + ATTEMPT, Event::GiveUp(n, peer));
    }

    fn say(&mut self, n: usize, to: PeerId, what: &[u8]) {
        let payload = what.to_vec();
        self.schedule(self.now, Event::Input(n, Input::Signal { to, payload }));
    }

    /// The server relays a signal.
    pub(super) fn relay(&mut self, n: usize, to: PeerId, payload: &[u8]) {
        if self.signaling {
            self.schedule(self.now + RELAY, Event::Signal(number_of(to), peer_id(n), payload.to_vec()));
        }
    }

    /// A signal has come, by the server or by a neighbour. Of two that call each other the one with the greater name answers.
    pub(super) fn signalled(&mut self, n: usize, from: PeerId, payload: &[u8]) {
        if !self.nodes[n].alive {
            return;
        }
        match (payload == OFFER, self.nodes[n].trying.get(&from)) {
            (true, None) => drop(self.nodes[n].early.insert(from)),
            (true, Some(ours)) => {
                if !ours || peer_id(n) > from {
                    self.nodes[n].trying.insert(from, false);
                    self.say(n, from, ANSWER);
                }
            }
            (false, _) => self.schedule(self.now + HANDSHAKE, Event::Link(n, number_of(from))),
        }
    }

    /// Opens a link if both ends still want it.
    pub(super) fn link(&mut self, a: usize, b: usize) {
        let wanted =
            |n: usize, m: usize| self.nodes[n].alive && self.nodes[n].trying.contains_key(&peer_id(m));
        if !wanted(a, b) || !wanted(b, a) {
            return;
        }
        self.nodes[a].trying.remove(&peer_id(b));
        self.nodes[b].trying.remove(&peer_id(a));
        let (at_a, at_b) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        self.nodes[a].links.insert(at_a, (b, at_b));
        self.nodes[b].links.insert(at_b, (a, at_a));
        let certificates = (certificate(a), certificate(b));
        self.input(a, Input::LinkOpen { link: at_a, peer: peer_id(b), fingerprint: certificates.1 });
        self.input(b, Input::LinkOpen { link: at_b, peer: peer_id(a), fingerprint: certificates.0 });
    }

    pub(super) fn give_up_attempt(&mut self, n: usize, peer: PeerId) {
        if self.nodes[n].trying.remove(&peer).is_some() {
            self.input(n, Input::LinkClosed { peer, link: None });
        }
    }

    /// Closes the link that `n` has to a peer; the other end hears of it.
    pub(super) fn unlink(&mut self, n: usize, peer: PeerId) {
        self.nodes[n].trying.remove(&peer);
        let found = self.nodes[n].links.iter().find(|(_, (other, _))| peer_id(*other) == peer);
        let Some((link, (other, theirs))) = found.map(|(l, o)| (*l, *o)) else { return };
        self.nodes[n].links.remove(&link);
        self.nodes[other].links.remove(&theirs);
        let closed = Input::LinkClosed { peer: peer_id(n), link: Some(theirs) };
        self.schedule(self.now + self.setup.latency, Event::Input(other, closed));
    }

    /// Numbers of the nodes that `n` is linked with.
    pub fn neighbours(&self, n: usize) -> Vec<usize> {
        self.nodes[n].links.values().map(|(other, _)| *other).collect()
    }

    pub(super) fn send(&mut self, n: usize, link: LinkId, packet: Packet) {
        if !self.nodes[n].links.contains_key(&link) {
            return;
        }
        if let Packet::Bulk(frame) = &packet {
            *self.nodes[n].buffered.entry(link).or_default() += frame.payload.len() as u32;
        }
        self.nodes[n].uplink.push_back((link, packet));
        if !self.nodes[n].sending {
            self.nodes[n].sending = true;
            self.begin(n);
        }
    }

    fn begin(&mut self, n: usize) {
        let Some((_, packet)) = self.nodes[n].uplink.front() else {
            self.nodes[n].sending = false;
            return;
        };
        let bytes = match packet {
            Packet::Control(bytes) => bytes.len() as u64 + 100,
            // DTLS, SCTP, UDP and IP headers at some 1200 bytes a packet.
            Packet::Bulk(frame) => frame.payload.len() as u64 * 107 / 100,
        };
        let rate = if self.nodes[n].role == Role::Seed { SEED_UPLINK } else { self.setup.uplink };
        let time = Duration::from_micros(bytes * 1_000_000 / rate);
        self.schedule(self.now + time, Event::Depart(n));
    }

    /// The packet at the head of the uplink has left.
    pub(super) fn depart(&mut self, n: usize) {
        let Some((link, packet)) = self.nodes[n].uplink.pop_front() else { return };
        let lies = self.liars.contains(&n);
        if let Some((other, theirs)) = self.nodes[n].links.get(&link).copied() {
            let input = match packet {
                Packet::Control(bytes) => Input::Control { link: theirs, bytes },
                Packet::Bulk(BulkFrame { header, mut payload }) => {
                    let waiting = self.nodes[n].buffered.entry(link).or_default();
                    *waiting -= payload.len() as u32;
                    let buffered = *waiting;
                    self.schedule(self.now, Event::Input(n, Input::Drained { link, buffered }));
                    if lies {
                        let mut bytes = payload.0.to_vec();
                        bytes[0] ^= 1;
                        payload = Buf(bytes.into());
                    }
                    Input::Bulk { link: theirs, header, payload }
                }
            };
            if self.nodes[n].alive {
                self.schedule(self.now + self.setup.latency, Event::Input(other, input));
            }
        }
        self.begin(n);
    }
}
