//! Links between viewers, and what they carry.
//!
//! An uplink sends its bulk messages one after the other at its rate, so when each has left is known as soon as it is
//! handed over. Control messages are small and go between a bulk message's packets: they take the path's delay only.

use rillcast_core::engine::{BulkFrame, Input, LinkId};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::id::PeerId;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use super::{Event, Message, Wire, World};
use crate::media::{Lump, number_of, peer_id};

/// Candidates, checks and handshakes, besides two round trips by way of the server.
const HANDSHAKE: Duration = Duration::from_millis(250);
/// A browser gives an attempt up after this time.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Headers of DTLS, SCTP, UDP and IP for a packet's worth of payload.
const HEADERS: f64 = 1.07;

impl World {
    pub(super) fn delay(&self, a: u32, b: u32) -> Duration {
        let ((ax, ay), (bx, by)) = (self.nodes[a as usize].place, self.nodes[b as usize].place);
        let across = ((ax - bx).powi(2) + (ay - by).powi(2)).sqrt() / std::f64::consts::SQRT_2;
        let paths = &self.scenario.paths;
        Duration::from_secs_f64((paths.delay_ms + across * paths.across_ms) / 1000.0)
    }

    /// Whether `a` can call `b`: a pair's NATs decide, the same way each time.
    fn can_call(&self, a: u32, b: u32) -> bool {
        let (low, high) = (a.min(b), a.max(b));
        let unit = mix(u64::from(low) << 32 | u64::from(high)) as f64 / u64::MAX as f64;
        let paths = &self.scenario.paths;
        unit < paths.both_ways || (unit < paths.both_ways + paths.one_way && a == low)
    }

    pub(super) fn connect(&mut self, n: u32, peer: PeerId, initiate: bool) {
        let other = number_of(peer) as u32;
        self.node(n).trying.push(peer);
        if initiate {
            let wait = HANDSHAKE + self.delay(n, other) * 6;
            self.after(wait, Event::Link(n, other));
        }
        self.after(ATTEMPT, Event::GiveUp(n, peer));
    }

    /// The attempt that `a` began comes to its end.
    pub(super) fn link(&mut self, a: u32, b: u32) {
        let wanted =
            |n: u32, m: u32| self.is_there(n) && self.nodes[n as usize].trying.contains(&peer_id(m as usize));
        if !wanted(a, b) || !wanted(b, a) || !self.can_call(a, b) {
            return;
        }
        self.node(a).trying.retain(|p| *p != peer_id(b as usize));
        self.node(b).trying.retain(|p| *p != peer_id(a as usize));
        let (at_a, at_b) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        let delay = self.delay(a, b);
        self.node(a).links.insert(at_a, Wire { other: b, theirs: at_b, delay, buffered: 0 });
        self.node(b).links.insert(at_b, Wire { other: a, theirs: at_a, delay, buffered: 0 });
        self.input(a, Input::LinkOpen { link: at_a, peer: peer_id(b as usize) });
        self.input(b, Input::LinkOpen { link: at_b, peer: peer_id(a as usize) });
    }

    pub(super) fn give_up(&mut self, n: u32, peer: PeerId) {
        let node = self.node(n);
        if let Some(at) = node.trying.iter().position(|p| *p == peer) {
            node.trying.remove(at);
            self.input(n, Input::LinkClosed { peer, link: None });
        }
    }

    /// Closes the link that `n` has to a peer; the other end hears of it.
    pub(super) fn unlink(&mut self, n: u32, peer: PeerId) {
        let other = number_of(peer) as u32;
        self.node(n).trying.retain(|p| *p != peer);
        let found =
            self.nodes[n as usize].links.iter().find(|(_, w)| w.other == other).map(|(l, w)| (*l, *w));
        let Some((link, wire)) = found else { return };
        self.node(n).links.remove(&link);
        self.node(other).links.remove(&wire.theirs);
        let closed = Input::LinkClosed { peer: peer_id(n as usize), link: Some(wire.theirs) };
        self.give(wire.delay, other, closed);
    }

    pub(super) fn send_control(&mut self, n: u32, link: LinkId, bytes: Vec<u8>) {
        let Some(wire) = self.nodes[n as usize].links.get(&link).copied() else { return };
        self.ledger.control.0 += 1;
        self.ledger.control.1 += bytes.len() as u64;
        let message = Box::new(Message::Control(bytes));
        self.after(wire.delay, Event::Arrives { at: wire.other, link: wire.theirs, message });
    }

    pub(super) fn send_bulk(&mut self, n: u32, link: LinkId, frame: BulkFrame<Lump>) {
        let now = self.now;
        let bytes = frame.payload.len() as u32;
        let node = self.node(n);
        let Some(wire) = node.links.get_mut(&link) else { return };
        wire.buffered += bytes;
        let (wire, takes) = (*wire, Duration::from_secs_f64(f64::from(bytes) * HEADERS / node.up));
        let leaves = node.up_free.max(now) + takes;
        node.up_free = leaves;
        node.uploaded += u64::from(bytes);
        let message = Box::new(Message::Bulk(frame));
        self.schedule(leaves + wire.delay, Event::Arrives { at: wire.other, link: wire.theirs, message });
        self.schedule(leaves, Event::Arrives { at: n, link, message: Box::new(Message::Left(bytes)) });
    }

    /// A message is here.
    pub(super) fn arrives(&mut self, at: u32, link: LinkId, message: Message) {
        let Some(wire) = self.node(at).links.get_mut(&link) else { return };
        match message {
            Message::Left(bytes) => {
                wire.buffered -= bytes;
                let buffered = wire.buffered;
                self.input(at, Input::Drained { link, buffered });
            }
            Message::Control(bytes) => self.input(at, Input::Control { link, bytes }),
            Message::Bulk(BulkFrame { header, payload }) => {
                let received = self.takes_in(at, payload.len() as u32);
                self.schedule(received, Event::Input(at, Box::new(Input::Bulk { link, header, payload })));
            }
        }
    }
    /// So many bytes are at the end of a viewer's downlink; told back: when they are through it.
    pub(super) fn takes_in(&mut self, n: u32, bytes: u32) -> Instant {
        let now = self.now;
        let node = self.node(n);
        node.down_free =
            node.down_free.max(now) + Duration::from_secs_f64(f64::from(bytes) * HEADERS / node.down);
        node.down_free
    }
}
