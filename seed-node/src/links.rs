//! Which peer is at which link. The engine says with whom to link and who makes the offer; this keeps the books of
//! attempts, so that an answer, a candidate or an event of an older attempt touches nothing newer.
//!
//! Two may call each other, for each has heard of the other from a common neighbour: the one with the greater id answers.
//!
//! What is told to a peer that has a key for it is sealed with that, and nothing else is taken from it ([`sealing`](crate::sealing)).
//!
//! Bounded: early offers and their candidates have limits, and an attempt without an offer has a time limit.

use std::collections::HashMap;
use std::sync::Arc;

use rillcast_core::engine::{Input, LinkId};
use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::{PeerId, SealingKey};
use rillcast_protocol::sealing::OFFER;
use rillcast_protocol::session::SessionSignal;
use rillcast_protocol::settings::IceServer;
use tokio::sync::mpsc;

use crate::payload::Media;
use crate::rtc::link::OPEN_WITHIN;
use crate::rtc::{Endpoint, Link, LinkEvent, Start};
use crate::sealing::Channel;

/// Most offers kept from peers whom the engine hasn't heard of yet: a relayed offer may overtake the introduction.
pub const MAX_EARLY: usize = 64;
/// Most signals kept with such an offer: candidates.
pub const MAX_EARLY_CANDIDATES: usize = 16;
/// How long such an offer is kept.
const EARLY: Duration = Duration::from_secs(10);

/// All links of one swarm.
#[derive(Debug)]
pub struct Links {
    endpoint: Arc<Endpoint>,
    events: mpsc::Sender<LinkEvent>,
    me: Option<PeerId>,
    peers: HashMap<PeerId, Peer>,
    by_link: HashMap<u32, PeerId>,
    early: HashMap<PeerId, Early>,
    next: u32,
}

/// Somebody with whom there is a link or an attempt at one.
#[derive(Debug)]
struct Peer {
    entry: Entry,
    way: Way,
}

/// How signals travel between us and a peer.
#[derive(Debug)]
enum Way {
    /// It has no key.
    Open,
    /// Sealed.
    Sealed(Box<Channel>),
    /// Its key is none: there is no way.
    None,
}

#[derive(Debug)]
enum Entry {
    /// The engine wants the link; the peer is to make the offer.
    Awaited { since: Instant },
    /// There is a task.
    Running { id: u32, attempt: u32, link: Link, open: bool, ours: bool },
}

/// An offer, and what came behind it.
#[derive(Debug)]
struct Early {
    said: Vec<Said>,
    at: Instant,
}

/// A signal that waits.
#[derive(Debug)]
enum Said {
    /// As it came; it can be read once the engine has told the peer's key.
    Unread(Vec<u8>),
    /// Of an attempt before.
    Read(SessionSignal),
}

impl Links {
    /// No links yet. What the links' tasks tell goes to `events`.
    pub fn new(endpoint: Arc<Endpoint>, events: mpsc::Sender<LinkEvent>) -> Self {
        Self {
            endpoint,
            events,
            me: None,
            peers: HashMap::new(),
            by_link: HashMap::new(),
            early: HashMap::new(),
            next: 1,
        }
    }

    /// Who we are, once the server has said so.
    pub fn joined(&mut self, me: PeerId) {
        self.me = Some(me);
    }

    /// Signaling names STUN and TURN servers.
    pub fn name_servers(&self, ice: &[IceServer]) {
        self.endpoint.name_servers(ice);
    }

    /// The engine wants a link.
    pub fn connect(&mut self, now: Instant, peer: PeerId, initiate: bool, sealing: Option<SealingKey>) {
        if self.peers.contains_key(&peer) {
            return;
        }
        let way = match sealing.map(|key| self.endpoint.sealer().channel(key)) {
            None => Way::Open,
            Some(Some(channel)) => Way::Sealed(Box::new(channel)),
            Some(None) => Way::None,
        };
        let early = self.early.remove(&peer).map_or(Vec::new(), |early| early.said);
        let signals: Vec<_> = early.into_iter().filter_map(|said| said.read(&way)).collect();
        let mut signals = signals.into_iter();
        match signals.next() {
            Some(SessionSignal::Offer { attempt, description }) => {
                self.start(peer, way, Some((attempt, Start::Answer(description))));
                if let Some(link) = self.running(peer) {
                    signals.for_each(|signal| link.signal(signal));
                }
            }
            _ if initiate => self.start(peer, way, None),
            _ => {
                self.peers.insert(peer, Peer { entry: Entry::Awaited { since: now }, way });
            }
        }
    }

    /// The engine wants no link, or no longer. Nothing more is told of it.
    pub fn close(&mut self, peer: PeerId) {
        self.early.remove(&peer);
        self.take(peer);
    }

    fn take(&mut self, peer: PeerId) -> Option<Way> {
        let Peer { entry, way } = self.peers.remove(&peer)?;
        if let Entry::Running { id, .. } = entry {
            self.by_link.remove(&id);
        }
        Some(way)
    }

    /// A signal of ours as it travels to a peer. `None` if we have nothing to do with it any more.
    pub fn seal(&self, peer: PeerId, signal: &SessionSignal) -> Option<Vec<u8>> {
        match &self.peers.get(&peer)?.way {
            Way::Open => Some(signal.to_bytes()),
            Way::Sealed(channel) => channel.seal(&signal.to_bytes()),
            Way::None => None,
        }
    }

    /// A signal of a peer that we are connecting with, if it is one.
    pub fn read(&self, peer: PeerId, payload: &[u8]) -> Option<SessionSignal> {
        self.peers.get(&peer)?.way.read(payload)
    }

    /// Something that a peer has said by way of signaling or of a common neighbour; told back: a link that ends by it.
    pub fn signalled(&mut self, now: Instant, peer: PeerId, payload: &[u8]) -> Option<Input<Media>> {
        let Some(known) = self.peers.get(&peer) else {
            self.keep_early(now, peer, payload);
            return None;
        };
        let Some(signal) = self.read(peer, payload) else {
            tracing::debug!(%peer, "what was told in a peer's name can't be read");
            return None;
        };
        match (signal, &known.entry) {
            (SessionSignal::Offer { attempt, description }, _) => {
                return self.offered(now, peer, SessionSignal::Offer { attempt, description });
            }
            (signal, Entry::Running { link, .. }) => link.signal(signal),
            _ => {}
        }
        None
    }

    fn offered(&mut self, now: Instant, peer: PeerId, offer: SessionSignal) -> Option<Input<Media>> {
        let SessionSignal::Offer { attempt, ref description } = offer else { return None };
        let answer = |links: &mut Self| {
            let start = Some((attempt, Start::Answer(description.clone())));
            if let Some(way) = links.take(peer) {
                links.start(peer, way, start);
            }
        };
        match self.peers.get(&peer)?.entry {
            Entry::Awaited { .. } => answer(self),
            // Both have called. Of two offers one has to stand, and both ends must agree on which.
            Entry::Running { ours: true, open: false, .. } => {
                if self.me.is_some_and(|me| me > peer) {
                    answer(self);
                }
            }
            Entry::Running { attempt: running, ours: false, .. } if running == attempt => {}
            // The peer has begun anew, so what we have of it is dead.
            Entry::Running { id, open, .. } => {
                let link = open.then_some(LinkId(id));
                self.take(peer);
                self.insert_early(peer, Early { said: vec![Said::Read(offer)], at: now });
                return Some(Input::LinkClosed { peer, link });
            }
        }
        None
    }

    fn insert_early(&mut self, peer: PeerId, early: Early) {
        if self.early.len() >= MAX_EARLY && !self.early.contains_key(&peer) {
            let oldest = self.early.iter().min_by_key(|(_, e)| e.at).map(|(p, _)| *p);
            oldest.and_then(|p| self.early.remove(&p));
        }
        self.early.insert(peer, early);
    }

    /// Keeps what a peer says before the engine wants a link with it.
    fn keep_early(&mut self, now: Instant, peer: PeerId, payload: &[u8]) {
        let said = Said::Unread(payload.to_vec());
        match self.early.get_mut(&peer) {
            _ if payload.first() == Some(&OFFER) => {
                self.insert_early(peer, Early { said: vec![said], at: now });
            }
            Some(early) if early.said.len() <= MAX_EARLY_CANDIDATES => early.said.push(said),
            _ => {}
        }
    }

    fn start(&mut self, peer: PeerId, way: Way, answer: Option<(u32, Start)>) {
        let id = self.next;
        // Numbers are never used again; 4 billion links outlive any node.
        self.next = self.next.wrapping_add(1);
        let ours = answer.is_none();
        let (attempt, start) = answer.unwrap_or((id, Start::Offer));
        let link = Link::start(&self.endpoint, id, attempt, start, self.events.clone());
        self.by_link.insert(id, peer);
        self.peers.insert(peer, Peer { entry: Entry::Running { id, attempt, link, open: false, ours }, way });
    }

    /// Both channels are open; told back: with whom, unless the link isn't wanted any more.
    pub fn opened(&mut self, id: u32) -> Option<PeerId> {
        let peer = *self.by_link.get(&id)?;
        match self.peers.get_mut(&peer)?.entry {
            Entry::Running { ref mut open, .. } => *open = true,
            Entry::Awaited { .. } => return None,
        }
        Some(peer)
    }

    /// The task has ended; told back: what to tell the engine.
    pub fn ended(&mut self, id: u32) -> Option<Input<Media>> {
        let peer = self.by_link.remove(&id)?;
        match self.peers.remove(&peer)?.entry {
            Entry::Running { open, .. } => Some(Input::LinkClosed { peer, link: open.then_some(LinkId(id)) }),
            Entry::Awaited { .. } => None,
        }
    }

    /// Whose link it is.
    pub fn peer(&self, id: u32) -> Option<PeerId> {
        self.by_link.get(&id).copied()
    }

    /// The link with that number.
    pub fn link(&self, id: u32) -> Option<&Link> {
        self.running(*self.by_link.get(&id)?)
    }

    fn running(&self, peer: PeerId) -> Option<&Link> {
        match &self.peers.get(&peer)?.entry {
            Entry::Running { link, .. } => Some(link),
            Entry::Awaited { .. } => None,
        }
    }

    /// Offers that haven't come in time; told back: what to tell the engine.
    pub fn overdue(&mut self, now: Instant) -> Vec<Input<Media>> {
        self.early.retain(|_, early| now.since(early.at) < EARLY);
        let late =
            |peer: &Peer| matches!(peer.entry, Entry::Awaited { since } if now.since(since) >= OPEN_WITHIN);
        let overdue: Vec<PeerId> = self.peers.iter().filter(|(_, e)| late(e)).map(|(p, _)| *p).collect();
        let give_up = |peer: PeerId| {
            self.peers.remove(&peer);
            Input::LinkClosed { peer, link: None }
        };
        overdue.into_iter().map(give_up).collect()
    }

    /// Links and attempts now.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Ends them all.
    pub fn clear(&mut self) {
        self.peers.clear();
        self.by_link.clear();
        self.early.clear();
    }
}

impl Way {
    fn read(&self, payload: &[u8]) -> Option<SessionSignal> {
        match self {
            Self::Open => SessionSignal::from_bytes(payload).ok(),
            Self::Sealed(channel) => SessionSignal::from_bytes(&channel.open(payload)?).ok(),
            Self::None => None,
        }
    }
}

impl Said {
    fn read(self, way: &Way) -> Option<SessionSignal> {
        match self {
            Self::Unread(payload) => way.read(&payload),
            Self::Read(signal) => Some(signal),
        }
    }
}

#[cfg(test)]
mod tests;
