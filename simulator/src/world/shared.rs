//! An uplink that a long TCP upload shares: packet by packet through one queue, first in first out, which drops what doesn't fit.
//!
//! Each link's bulk messages go out as an SCTP association sends them: cut into packets, as many as its window admits, lost ones
//! again. Control messages are few: they wait in the queue but are not dropped.

use std::collections::VecDeque;

use rillcast_core::engine::{BulkFrame, LinkId};
use rillcast_core::payload::Payload;
use rillcast_core::time::{Duration, Instant};

use super::flow::Flow;
use super::{Event, World};
use crate::media::Lump;
use crate::scenario::tables::{Background, Tcp};

/// Payload of a packet, and its length with all headers.
const PAYLOAD: u32 = 1200;
const PACKET: f64 = 1284.0;
/// After a pause of so long an association begins with a small window again.
const REST: Duration = Duration::from_secs(1);

/// Which of the flows through an uplink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Tcp,
    Link(LinkId),
}

/// A message on its way out.
struct Going {
    frame: BulkFrame<Lump>,
    /// Packets that haven't been sent for the first time, and those that the queue hasn't taken.
    unsent: u32,
    outside: u32,
}

struct Association {
    link: LinkId,
    flow: Flow,
    delay: Duration,
    going: VecDeque<Going>,
    /// Lost packets, by how many messages ago theirs was begun: they go first.
    again: u32,
    active: Instant,
}

/// The queue, and the flows through it.
pub(super) struct SharedUplink {
    rate: f64,
    depth: f64,
    /// When the queue will be empty.
    free: Instant,
    tcp: Flow,
    rtt: Duration,
    from: Duration,
    to: Duration,
    links: Vec<Association>,
    /// What its viewer uploads is to yield.
    pub(super) yields: bool,
}

impl SharedUplink {
    pub(super) fn new(b: &Background) -> Self {
        Self {
            rate: b.up_kbps * 125.0,
            depth: b.queue_ms / 1000.0,
            free: Instant::ZERO,
            tcp: Flow::new(b.flow),
            rtt: Duration::from_secs_f64(b.rtt_ms / 1000.0),
            from: Duration::from_secs_f64(b.from_minute * 60.0),
            to: Duration::from_secs_f64(b.to_minute * 60.0),
            links: Vec::new(),
            yields: b.yields,
        }
    }

    /// How long what comes now has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.free.since(now)
    }

    /// Puts a packet into the queue: when it is out, or `None` if it was dropped.
    fn put(&mut self, now: Instant) -> Option<Instant> {
        let takes = PACKET / self.rate;
        if self.wait(now).as_secs_f64() + takes > self.depth {
            return None;
        }
        self.free = self.free.max(now) + Duration::from_secs_f64(takes);
        Some(self.free)
    }

    fn association(&mut self, link: LinkId) -> Option<&mut Association> {
        self.links.iter_mut().find(|a| a.link == link)
    }

    pub(super) fn forget(&mut self, link: LinkId) {
        self.links.retain(|a| a.link != link);
    }
}

impl World {
    /// A message of a shared uplink's viewer.
    pub(super) fn send_shared(&mut self, n: u32, link: LinkId, delay: Duration, frame: BulkFrame<Lump>) {
        let now = self.now;
        let Some(shared) = &mut self.nodes[n as usize].shared else { return };
        let packets = (frame.payload.len() as u32).div_ceil(PAYLOAD).max(1);
        if shared.association(link).is_none() {
            let flow = Flow::new(Tcp::NewReno);
            let going = VecDeque::new();
            shared.links.push(Association { link, flow, delay, going, again: 0, active: now });
        }
        let Some(association) = shared.association(link) else { return };
        if association.flow.in_flight() == 0 && now.since(association.active) > REST {
            association.flow.rested();
        }
        association.going.push_back(Going { frame, unsent: packets, outside: packets });
        self.packets_go(n, Whose::Link(link));
    }

    /// The upload begins.
    pub(super) fn tcp_begins(&mut self, n: u32) {
        self.packets_go(n, Whose::Tcp);
    }

    /// Sends what a flow's window admits.
    fn packets_go(&mut self, n: u32, whose: Whose) {
        match whose {
            Whose::Tcp => self.tcp_goes(n),
            Whose::Link(link) => self.association_goes(n, link),
        }
    }

    fn tcp_goes(&mut self, n: u32) {
        let now = self.now;
        let passed = now.since(Instant::ZERO + super::BEFORE);
        loop {
            let Some(shared) = &mut self.nodes[n as usize].shared else { return };
            if !shared.tcp.admits() || passed < shared.from || passed >= shared.to {
                return;
            }
            let number = shared.tcp.sent();
            let (waits, rtt) = (shared.wait(now), shared.rtt);
            let (when, lost) = match shared.put(now) {
                Some(out) => (out + rtt, false),
                None => (now + waits + rtt, true),
            };
            self.schedule(when, Event::Packet { at: n, whose: Whose::Tcp, number, lost });
        }
    }

    fn association_goes(&mut self, n: u32, link: LinkId) {
        let now = self.now;
        loop {
            let Some(shared) = &mut self.nodes[n as usize].shared else { return };
            let waits = shared.wait(now);
            let Some(at) = shared.links.iter().position(|a| a.link == link) else { return };
            let first = shared.links[at].again == 0;
            let due = shared.links[at].going.iter().any(|g| g.unsent > 0);
            if !shared.links[at].flow.admits() || (first && !due) {
                return;
            }
            let out = shared.put(now);
            let association = &mut shared.links[at];
            association.active = now;
            let number = association.flow.sent();
            let (delay, mut left) = (association.delay, None);
            // A lost packet is of the oldest message that lacks one.
            let of = if first {
                association.going.iter().position(|g| g.unsent > 0)
            } else {
                association.again -= 1;
                association.going.iter().position(|g| g.outside > g.unsent)
            };
            let Some(of) = of else { return };
            let going = &mut association.going[of];
            if first {
                going.unsent -= 1;
                left = (going.unsent == 0).then_some(going.frame.payload.len() as u32);
            }
            let mut whole = None;
            if out.is_some() {
                going.outside -= 1;
                if going.outside == 0 {
                    whole = association.going.remove(of);
                }
            }
            let (when, lost) = match out {
                Some(out) => (out + delay * 2, false),
                None => (now + waits + delay * 2, true),
            };
            self.schedule(when, Event::Packet { at: n, whose: Whose::Link(link), number, lost });
            if let Some(bytes) = left {
                self.schedule(now, Event::Left { at: n, link, bytes });
            }
            // The queue keeps the order, so the packet that went in last is the message's last to arrive.
            if let (Some(going), Some(out)) = (whole, out) {
                self.bulk_travels(n, link, out, going.frame);
            }
        }
    }

    /// A packet was acknowledged, or is found to be lost.
    pub(super) fn packet(&mut self, n: u32, whose: Whose, number: u64, lost: bool) {
        let now = self.now;
        let Some(shared) = &mut self.nodes[n as usize].shared else { return };
        let wait = shared.wait(now);
        match whose {
            Whose::Tcp => {
                let rtt = (shared.rtt + wait).as_secs_f64();
                if lost {
                    shared.tcp.lost(number, now);
                } else {
                    shared.tcp.acknowledged(now, rtt);
                    self.shared_second(n).tcp += PACKET as u64;
                }
            }
            Whose::Link(link) => {
                let Some(association) = shared.association(link) else { return };
                let rtt = (association.delay * 2 + wait).as_secs_f64();
                if lost {
                    association.flow.lost(number, now);
                    association.again += 1;
                } else {
                    association.flow.acknowledged(now, rtt);
                    self.shared_second(n).ours += PACKET as u64;
                }
            }
        }
        self.packets_go(n, whose);
    }

    fn shared_second(&mut self, n: u32) -> &mut super::ledger::Shared {
        let second = self.now.since(Instant::ZERO + super::BEFORE).as_secs() as usize;
        // Those with a shared uplink are the first that come.
        let seconds = &mut self.ledger.shared_uplinks[n as usize];
        if seconds.len() <= second {
            seconds.resize(second + 1, Default::default());
        }
        &mut seconds[second]
    }
}
