//! Links between viewers, and what they carry.
//!
//! An uplink sends its bulk messages one after the other at its rate, so when each has left is known as soon as it is
//! handed over. Control messages are small and go between a bulk message's packets: they take the path's delay only. One that
//! comes on a link that its receiver has closed is for the engine to ignore.
//! A downlink takes messages in as they come, at its own rate at most: one that waits for nothing is in when its last byte is.
//!
//! Loss is what it makes of an SCTP association: a message that lost something is complete a round trip later, and all of the
//! link's messages go no faster than 1.22 MSS / (RTT sqrt(p)) (Mathis, Semke, Mahdavi, Ott 1997), p being a packet's
//! chance.

use std::collections::VecDeque;

use rillcast_core::engine::{BulkFrame, FetchId, Input, LinkId};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::id::PeerId;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use super::node::{Conduct, Wire};
use super::tickets::certificate;
use super::{Event, World};
use crate::draw::Draw;
use crate::media::{Lump, number_of, peer_id};

/// Making a description: the certificate is there, candidates are gathered.
const DESCRIBE: Duration = Duration::from_millis(50);
/// Checks and handshakes, besides their round trips.
const HANDSHAKE: Duration = Duration::from_millis(100);
/// All that there is to say in here to a peer while connecting.
pub(super) const OFFER: u8 = 0;
const ANSWER: u8 = 1;
/// A browser gives an attempt up after this time.
const ATTEMPT: Duration = Duration::from_secs(15);
/// Headers of DTLS, SCTP, UDP and IP for a packet's worth of payload.
pub(super) const HEADERS: f64 = 1.07;
/// One way across an enterprise's LAN.
const LAN: Duration = Duration::from_millis(1);
/// With more than a block in its buffer a link may keep the engine waiting.
const MUCH: u32 = 40 * 1024;
/// An SCTP packet's payload, and how many packets a message of 16 KiB takes.
const MSS: f64 = 1200.0;
const PACKETS: f64 = 14.0;
/// What the chance of losing something is told of.
const MESSAGE: f64 = 16_384.0;
/// More links than this nobody has.
const MOST_LINKS: usize = 2000;

/// An enterprise's line to the rest of the world.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Bytes/s either way.
    rate: f64,
    out_free: Instant,
    in_free: Instant,
    /// What the line can't take yet waits at its senders, as TCP and SCTP make it wait, and enters in the order in which it came.
    waiting: VecDeque<Waiting>,
}

/// Something that waits for a line.
#[derive(Debug, Clone)]
pub(super) enum Waiting {
    /// A peer's message.
    Bulk(u32, LinkId, BulkFrame<Lump>),
    /// Bytes of a transfer from the source.
    Step(u32, FetchId, u32),
}

/// So long a queue at a narrow place is what TCP keeps up.
pub(super) const STANDING: Duration = Duration::from_millis(250);

/// When `bytes` that have been coming since `began` and are all here at `here` are through a queue that works on them as they come.
fn through(free: &mut Instant, rate: f64, began: Instant, here: Instant, bytes: u32) -> Instant {
    let takes = Duration::from_secs_f64(f64::from(bytes) * HEADERS / rate);
    *free = here.max((*free).max(began) + takes);
    *free
}

/// The chance of a packet, if a message of 16 KiB has this one.
fn packet_loss(message: f64) -> f64 {
    1.0 - (1.0 - message).powf(1.0 / PACKETS)
}

/// Bytes/s of an association over a path with this delay, where messages have this chance of losing something.
pub(super) fn association_rate(delay: Duration, loss: f64) -> f64 {
    1.22 * MSS / ((delay * 2).as_secs_f64() * packet_loss(loss).sqrt())
}

impl World {
    pub(super) fn lay_lines(&mut self, draw: &mut Draw) {
        let Some(sites) = self.scenario.sites.clone() else { return };
        self.lines = (0..sites.count)
            .map(|_| Line {
                rate: (sites.wan_kbps.draw(draw) * 125.0).max(1000.0),
                out_free: Instant::ZERO,
                in_free: Instant::ZERO,
                waiting: VecDeque::new(),
            })
            .collect();
    }

    fn same_site(&self, a: u32, b: u32) -> bool {
        let site = self.nodes[a as usize].site;
        site.is_some() && site == self.nodes[b as usize].site
    }

    pub(super) fn delay(&self, a: u32, b: u32) -> Duration {
        if self.same_site(a, b) {
            return LAN;
        }
        let (from, to) = (&self.nodes[a as usize], &self.nodes[b as usize]);
        let ((ax, ay), (bx, by)) = (from.place, to.place);
        let across = ((ax - bx).powi(2) + (ay - by).powi(2)).sqrt() / std::f64::consts::SQRT_2;
        let paths = &self.scenario.paths;
        let between =
            self.scenario.isps.as_ref().filter(|_| from.isp != to.isp).map_or(0.0, |i| i.between_ms);
        Duration::from_secs_f64((paths.delay_ms + across * paths.across_ms + between) / 1000.0)
    }

    /// Whether `a` can call `b`: a pair's NATs decide, the same way each time. Seeds have public addresses.
    fn can_call(&self, a: u32, b: u32) -> bool {
        if self.is_cut(a, b) || self.is_blocked(a) || self.is_blocked(b) {
            return false;
        }
        if self.same_site(a, b) || !self.is_viewer(a) || !self.is_viewer(b) {
            return true;
        }
        let (low, high) = (a.min(b), a.max(b));
        let unit = mix(u64::from(low) << 32 | u64::from(high)) as f64 / u64::MAX as f64;
        let paths = &self.scenario.paths;
        unit < paths.both_ways || (unit < paths.both_ways + paths.one_way && a == low)
    }

    pub(super) fn is_blocked(&self, n: u32) -> bool {
        let unit = mix(mix(u64::from(n)) ^ 0xb10c) as f64 / u64::MAX as f64;
        self.is_viewer(n) && unit < self.scenario.paths.udp_blocked
    }

    /// Whether a partition runs between two.
    pub(super) fn is_cut(&self, a: u32, b: u32) -> bool {
        self.partition && self.is_cut_off(a) != self.is_cut_off(b)
    }

    /// Whether somebody is on the smaller side of the partition, if there is one now.
    pub(super) fn is_cut_off(&self, n: u32) -> bool {
        let share = self.scenario.partition.as_ref().map_or(0.0, |p| p.share);
        let unit = mix(mix(u64::from(n)) ^ 0xc07) as f64 / u64::MAX as f64;
        self.partition && unit < share
    }

    pub(super) fn connect(&mut self, n: u32, peer: PeerId, initiate: bool) {
        self.node(n).trying.push(peer);
        if initiate {
            self.give(DESCRIBE, n, Input::Signal { to: peer, payload: vec![OFFER] });
        }
        self.after(ATTEMPT, Event::GiveUp(n, peer));
    }

    /// The server relays a signal, between those whom it has introduced.
    pub(super) fn relay(&mut self, n: u32, to: PeerId, payload: Vec<u8>) {
        let other = number_of(to) as u32;
        let met = self.nodes[n as usize].introduced.contains(&other);
        if met && !self.without_server(n) && !self.without_server(other) {
            self.after(super::server::SERVER, Event::Signaled { at: other, from: n, payload });
        }
    }

    /// A signal has come, by the server or a common neighbour. Of two who call each other the one with the greater number answers.
    pub(super) fn signaled(&mut self, n: u32, from: u32, payload: &[u8]) {
        let peer = peer_id(from as usize);
        self.note_signal(n, from);
        if !self.is_there(n) || !self.nodes[n as usize].trying.contains(&peer) {
            return;
        }
        if payload == [OFFER] {
            self.give(DESCRIBE, n, Input::Signal { to: peer, payload: vec![ANSWER] });
        } else {
            let wait = HANDSHAKE + self.delay(n, from) * 4;
            self.after(wait, Event::Link(n, from));
        }
    }

    /// The attempt that `a` began comes to its end.
    pub(super) fn link(&mut self, a: u32, b: u32) {
        let wanted =
            |n: u32, m: u32| self.is_there(n) && self.nodes[n as usize].trying.contains(&peer_id(m as usize));
        let full = [a, b].iter().any(|n| self.nodes[*n as usize].links.iter().count() >= MOST_LINKS);
        if full || !wanted(a, b) || !wanted(b, a) || !self.can_call(a, b) {
            return;
        }
        self.ledger.links.0 += 1;
        self.node(a).trying.retain(|p| *p != peer_id(b as usize));
        self.node(b).trying.retain(|p| *p != peer_id(a as usize));
        let delay = self.delay(a, b);
        let (at_a, at_b) = (self.node(a).links.next_id(), self.node(b).links.next_id());
        for (n, id, other, theirs) in [(a, at_a, b, at_b), (b, at_b, a, at_a)] {
            let never = Instant::ZERO;
            let wire = Wire { id, other, theirs, delay, buffered: 0, told: 0, paced: never, ordered: never };
            self.node(n).links.insert(wire);
        }
        for (n, link, other) in [(a, at_a, b), (b, at_b, a)] {
            let peer = peer_id(other as usize);
            self.input(n, Input::LinkOpen { link, peer, fingerprint: certificate(peer) });
        }
        self.note_link(a, b, at_a);
        self.note_link(b, a, at_b);
    }

    pub(super) fn give_up(&mut self, n: u32, peer: PeerId) {
        let node = self.node(n);
        if let Some(at) = node.trying.iter().position(|p| *p == peer) {
            node.trying.remove(at);
            self.ledger.links.1 += 1;
            self.input(n, Input::LinkClosed { peer, link: None });
        }
    }

    /// Closes the link that `n` has to a peer; the other end hears of it.
    pub(super) fn unlink(&mut self, n: u32, peer: PeerId) {
        let other = number_of(peer) as u32;
        self.node(n).trying.retain(|p| *p != peer);
        let Some(wire) = self.nodes[n as usize].links.to(other) else { return };
        self.cut(n, wire);
        let closed = Input::LinkClosed { peer: peer_id(n as usize), link: Some(wire.theirs) };
        self.give(wire.delay, other, closed);
    }

    /// Takes a link away from both its ends, and says nothing.
    pub(super) fn cut(&mut self, n: u32, wire: Wire) {
        for (n, id) in [(n, wire.id), (wire.other, wire.theirs)] {
            let node = self.node(n);
            node.links.remove(id);
            if let Some(shared) = &mut node.shared {
                shared.forget(id);
            }
        }
    }

    pub(super) fn send_control(&mut self, n: u32, link: LinkId, bytes: Vec<u8>) {
        let now = self.now;
        self.ledger.control.0 += 1;
        self.ledger.control.1 += bytes.len() as u64;
        let lost = self.scenario.paths.loss > 0.0 && self.draw.unit() < packet_loss(self.scenario.paths.loss);
        let node = &mut self.nodes[n as usize];
        let waits = node.shared.as_ref().map_or(Duration::ZERO, |s| s.wait(now));
        let Some(wire) = node.links.get_mut(link) else { return };
        let mut here = now + wire.delay + waits;
        if self.scenario.paths.loss > 0.0 {
            // What is in order waits for what was lost before it.
            here = wire.ordered.max(if lost { here + wire.delay * 2 } else { here });
            wire.ordered = here;
        }
        let (at, link) = (wire.other, wire.theirs);
        self.schedule(here, Event::Control { at, link, bytes });
    }

    pub(super) fn send_bulk(&mut self, n: u32, link: LinkId, frame: BulkFrame<Lump>) {
        let now = self.now;
        let bytes = frame.payload.len() as u32;
        let (inside, loss) = (self.leads_inside(n, link), self.scenario.paths.loss);
        let node = &mut self.nodes[n as usize];
        let frame = BulkFrame {
            header: frame.header,
            payload: frame.payload.sent_on(node.conduct == Conduct::Polluter),
        };
        if frame.payload.is_false() && node.conduct != Conduct::Polluter {
            self.ledger.lies.relayed_bytes += u64::from(bytes);
        }
        let Some(wire) = node.links.get_mut(link) else { return };
        wire.buffered += bytes;
        wire.told += bytes;
        if node.shared.is_some() {
            let delay = wire.delay;
            node.uploaded += u64::from(bytes);
            return self.send_shared(n, link, delay, frame);
        }
        let takes = Duration::from_secs_f64(f64::from(bytes) * HEADERS / node.up);
        let mut leaves = node.up_free.max(now) + takes;
        node.up_free = leaves;
        if loss > 0.0 {
            // The uplink's turn is taken at once, though the association may use it later.
            leaves = leaves.max(wire.paced);
            let rate = association_rate(wire.delay, loss);
            wire.paced = leaves + Duration::from_secs_f64(f64::from(bytes) / rate);
        }
        if let (Some(site), false) = (node.site, inside) {
            let line = &mut self.lines[usize::from(site)];
            leaves = through(&mut line.out_free, line.rate, now, leaves, bytes);
            *self.ledger.wan_out.entry(site).or_default() += u64::from(bytes);
        }
        self.leaves_at(n, link, bytes, leaves);
        if self.nodes[n as usize].conduct == Conduct::Silent {
            return;
        }
        self.node(n).uploaded += u64::from(bytes);
        self.bulk_travels(n, link, leaves, frame);
    }

    fn leads_inside(&mut self, n: u32, link: LinkId) -> bool {
        let Some(other) = self.node(n).links.get_mut(link).map(|w| w.other) else { return false };
        self.same_site(n, other)
    }

    /// A bulk message has left at `leaves`.
    pub(super) fn bulk_travels(&mut self, n: u32, link: LinkId, leaves: Instant, frame: BulkFrame<Lump>) {
        let loss = self.scenario.paths.loss;
        let isp = self.nodes[n as usize].isp;
        let Some(wire) = self.nodes[n as usize].links.get_mut(link) else { return };
        let (at, link, delay) = (wire.other, wire.theirs, wire.delay);
        let bytes = frame.payload.len() as u64;
        let messages = (bytes as f64 / MESSAGE).max(1.0);
        let lost = loss > 0.0 && self.draw.unit() < 1.0 - (1.0 - loss).powf(messages);
        let isps = &mut self.ledger.isp_bytes;
        if isp == self.nodes[at as usize].isp {
            isps.0 += bytes
        } else {
            isps.1 += bytes
        }
        let way = if lost { delay * 3 } else { delay };
        self.schedule(leaves + way, Event::Bulk { at, link, frame });
    }

    /// A message is at the end of its receiver's downlink.
    pub(super) fn bulk_arrives(&mut self, at: u32, link: LinkId, frame: BulkFrame<Lump>) {
        let outside = self.nodes[at as usize].site.is_none() || !self.leads_inside(at, link);
        let own_site = self.nodes[at as usize].site.is_some();
        if !(outside && own_site && self.kept_waiting(at, Waiting::Bulk(at, link, frame.clone()))) {
            self.bulk_enters(at, link, frame, outside);
        }
    }

    fn bulk_enters(&mut self, at: u32, link: LinkId, frame: BulkFrame<Lump>, outside: bool) {
        let bytes = frame.payload.len() as u32;
        let sender = self.node(at).links.get_mut(link).map(|w| w.other);
        let up = sender.map_or(f64::INFINITY, |s| self.nodes[s as usize].up);
        let began = self.now.minus(Duration::from_secs_f64(f64::from(bytes) * HEADERS / up));
        let taken = self.takes_in(at, bytes, frame.payload.of, outside, began);
        self.schedule(taken, Event::Taken { at, link, frame });
    }

    pub(super) fn bulk_taken(&mut self, at: u32, link: LinkId, frame: BulkFrame<Lump>) {
        let BulkFrame { header, payload } = frame;
        let Some(other) = self.node(at).links.get_mut(link).map(|w| w.other) else { return };
        let bytes = payload.len() as u64;
        let (from_viewer, to_viewer) = (self.is_viewer(other), self.is_viewer(at));
        let taken = &mut self.node(at).taken;
        *(if from_viewer { &mut taken.peers } else { &mut taken.seeds }) += bytes;
        if let (true, true, Some(second)) = (from_viewer, to_viewer, self.ledger.peers_per_second.last_mut())
        {
            *second += bytes;
        }
        self.input(at, Input::Bulk { link, header, payload });
    }

    /// Some of a bulk buffer leaves at a moment. The engine is told when it is called next, which is soon: the receiver reports what
    /// arrives. Only where more waits in the buffer than the engine likes is it called for that alone.
    fn leaves_at(&mut self, n: u32, link: LinkId, bytes: u32, when: Instant) {
        let node = self.node(n);
        let much = node.links.get_mut(link).is_some_and(|w| w.buffered > MUCH);
        if much {
            self.schedule(when, Event::Left { at: n, link, bytes });
        } else {
            node.leaving.push_back((when, link, bytes));
        }
    }

    /// What is to be told to an engine of its bulk buffers.
    pub(super) fn drained(&mut self, n: u32, inputs: &mut VecDeque<Input<Lump>>) {
        let now = self.now;
        let node = &mut self.nodes[n as usize];
        while let Some((_, link, bytes)) = node.leaving.front().copied().filter(|(when, ..)| *when <= now) {
            node.leaving.pop_front();
            if let Some(buffered) = node.links.get_mut(link).and_then(|wire| wire.left(bytes)) {
                inputs.push_back(Input::Drained { link, buffered });
            }
        }
    }

    /// Some of a bulk buffer has left.
    pub(super) fn bulk_left(&mut self, at: u32, link: LinkId, bytes: u32) {
        if let Some(buffered) = self.node(at).links.get_mut(link).and_then(|wire| wire.left(bytes)) {
            self.input(at, Input::Drained { link, buffered });
        }
    }

    /// How long what comes now would wait to get into a viewer's own downlink.
    pub(super) fn waits_to_enter(&self, n: u32) -> Duration {
        self.nodes[n as usize].down_free.since(self.now)
    }

    /// Whether something for `n` has to wait for its site's line; then it is kept until its turn comes.
    pub(super) fn kept_waiting(&mut self, n: u32, what: Waiting) -> bool {
        let Some(site) = self.nodes[n as usize].site else { return false };
        let now = self.now;
        let line = &mut self.lines[usize::from(site)];
        let begins = line.waiting.is_empty();
        if begins && line.in_free.since(now) <= STANDING {
            return false;
        }
        line.waiting.push_back(what);
        if begins {
            let turn = line.in_free.minus(STANDING);
            self.schedule(turn, Event::Line(site));
        }
        true
    }

    /// A site's line has room again.
    pub(super) fn line_has_room(&mut self, site: u16) {
        let now = self.now;
        while self.lines[usize::from(site)].in_free.since(now) <= STANDING {
            match self.lines[usize::from(site)].waiting.pop_front() {
                Some(Waiting::Bulk(at, link, frame)) => self.bulk_enters(at, link, frame, true),
                Some(Waiting::Step(n, fetch, bytes)) => self.step_enters(n, fetch, bytes),
                None => return,
            }
        }
        let line = &self.lines[usize::from(site)];
        if !line.waiting.is_empty() {
            // A microsecond more, for what rounding takes away.
            let turn = line.in_free.minus(STANDING) + Duration::from_micros(1);
            self.schedule(turn, Event::Line(site));
        }
    }

    /// So many bytes of a segment, which began to come at `began`, are at the end of a viewer's downlink, or of its site's line; told back: when they are through.
    pub(super) fn takes_in(
        &mut self,
        n: u32,
        bytes: u32,
        of: u32,
        from_outside: bool,
        began: Instant,
    ) -> Instant {
        let mut here = self.now;
        if let Some(site) = self.nodes[n as usize].site.filter(|_| from_outside) {
            let line = &mut self.lines[usize::from(site)];
            here = through(&mut line.in_free, line.rate, began, here, bytes);
            *self.ledger.wan_in.entry((site, self.media.unpack(of))).or_default() += u64::from(bytes);
        }
        let node = self.node(n);
        through(&mut node.down_free, node.down, began, here, bytes)
    }
}
