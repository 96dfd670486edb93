//! What the server does for the nodes, and the publisher: tickets, introductions, digests.

use rillcast_core::engine::Input;
use rillcast_core::protocol::id::{Role, SegmentKey, TrackId};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::PeerDescriptor;
use rillcast_core::protocol::ticket::{SignedTicket, Ticket};
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use super::media::{Buf, PUBLISHER, body, digest, peer_id};
use super::net::{Event, Net};
use super::tickets::{sealing, signed, ticket, welcome};

impl Net {
    pub(super) fn let_in(&mut self, n: usize, soon: Instant) {
        let publisher = self.setup.publisher.then_some(PUBLISHER);
        let welcome = welcome(self.ticket(n), self.setup.settings.clone(), publisher, soon);
        self.schedule(soon, Event::Input(n, Input::Welcome(welcome.into())));
    }

    /// A ticket for a node, given now.
    pub fn ticket(&self, n: usize) -> SignedTicket {
        let body = ticket(n, self.nodes[n].role, self.now).body;
        signed(Ticket { nonce: nonce(n), net: self.setup.net, ..body })
    }

    /// The server is gone, and everybody notices.
    pub fn lose_server(&mut self) {
        self.signaling = false;
        (0..self.nodes.len()).for_each(|n| self.input(n, Input::ServerLost));
    }

    /// The server is back, and lets everybody in again.
    pub fn restore_server(&mut self) {
        self.signaling = true;
        for n in (0..self.nodes.len()).filter(|n| self.nodes[*n].alive).collect::<Vec<_>>() {
            self.let_in(n, self.now + Duration::from_millis(500 * n as u64));
        }
    }

    /// The server introduces all others to a node, and the node to them.
    pub(super) fn introduce_others(&mut self, n: usize) {
        if !self.signaling {
            return;
        }
        let soon = self.now + Duration::from_millis(110);
        let mut others: Vec<_> = (0..self.nodes.len()).filter(|m| *m != n && self.nodes[*m].alive).collect();
        if others.len() > self.setup.introduce {
            let chance = mix(self.serial);
            others.sort_by_key(|m| (self.nodes[*m].role == Role::Seed, mix(chance ^ *m as u64)));
            others.truncate(self.setup.introduce);
        }
        let list = others.iter().map(|m| self.describe(*m, true)).collect();
        self.schedule(soon, Event::Input(n, Input::Introduced(list)));
        for m in others {
            let me = self.describe(n, false);
            self.schedule(soon, Event::Input(m, Input::Introduced(vec![me])));
        }
    }

    pub(super) fn describe(&self, n: usize, initiate: bool) -> PeerDescriptor {
        let (role, net) = (self.nodes[n].role, self.setup.net);
        PeerDescriptor {
            id: peer_id(n),
            role,
            nonce: nonce(n),
            weight: 100,
            net,
            sealing: Some(sealing(n)),
            initiate,
            nat: NatClass::Unknown,
        }
    }

    pub(super) fn want_digest(&mut self, n: usize, key: SegmentKey) {
        if !self.setup.publisher || !self.signaling {
            return;
        }
        if self.published.contains(&(key.track, key.number)) {
            let digest = digest(&self.rendition(key.track), key.number, !self.setup.seed_node);
            self.schedule(self.now + Duration::from_millis(30), Event::Input(n, Input::Digest(digest)));
        } else {
            self.schedule(self.now + Duration::from_millis(450), Event::Publish(key.track, key.number));
        }
    }

    /// The publisher has fetched a segment that somebody plays, and signs it.
    pub(super) fn publish(&mut self, track: TrackId, number: u64) {
        let wanted = self.nodes.iter().any(|n| n.alive && n.player.played(track).is_some());
        let publisher = match self.setup.seed_node {
            true => self.nodes[self.setup.viewers].alive,
            false => self.signaling && wanted,
        };
        if !self.setup.publisher || !publisher || !self.published.insert((track, number)) {
            return;
        }
        let rendition = self.rendition(track);
        let body = body(&rendition, number, 0);
        self.figures.publisher += body.len() as u64;
        if self.setup.seed_node {
            let digest = digest(&rendition, number, false);
            return self.input(self.setup.viewers, Input::Published { digest, body: Buf(body) });
        }
        let digest = digest(&rendition, number, true);
        for n in (0..self.setup.viewers).filter(|n| self.nodes[*n].alive).collect::<Vec<_>>() {
            self.schedule(
                self.now + Duration::from_millis(20),
                Event::Input(n, Input::Digest(digest.clone())),
            );
        }
    }

    /// The operator changes the site's settings.
    pub fn set(&mut self, settings: Settings) {
        self.setup.settings = settings.clone();
        for n in 0..self.nodes.len() {
            self.input(n, Input::Settings(settings.clone()));
        }
    }
}

fn nonce(n: usize) -> u64 {
    mix(n as u64 + 1000)
}
