//! Which peer is at which link. The engine says with whom to link and who makes the offer; this keeps the books of
//! attempts, so that an answer, a candidate or an event of an older attempt touches nothing newer.
//!
//! Two may call each other, for each has heard of the other from a common neighbour: the one with the greater id answers.
//!
//! Bounded: early offers and their candidates have limits, and an attempt without an offer has a time limit.

use std::collections::HashMap;
use std::sync::Arc;

use rillcast_core::engine::{Input, LinkId};
use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::id::PeerId;
use rillcast_protocol::session::{Description, SessionSignal};
use tokio::sync::mpsc;

use crate::payload::Media;
use crate::rtc::link::OPEN_WITHIN;
use crate::rtc::{Endpoint, Link, LinkEvent, Start};

/// Most offers kept from peers whom the engine hasn't heard of yet: a relayed offer may overtake the introduction.
pub const MAX_EARLY: usize = 64;
/// Most candidates kept with such an offer.
pub const MAX_EARLY_CANDIDATES: usize = 16;
/// How long such an offer is kept.
const EARLY: Duration = Duration::from_secs(10);

/// All links of one swarm.
#[derive(Debug)]
pub struct Links {
    endpoint: Arc<Endpoint>,
    events: mpsc::Sender<LinkEvent>,
    me: Option<PeerId>,
    peers: HashMap<PeerId, Entry>,
    by_link: HashMap<u32, PeerId>,
    early: HashMap<PeerId, Early>,
    next: u32,
}

#[derive(Debug)]
enum Entry {
    /// The engine wants the link; the peer is to make the offer.
    Awaited { since: Instant },
    /// There is a task.
    Running { id: u32, attempt: u32, link: Link, open: bool, ours: bool },
}

#[derive(Debug)]
struct Early {
    attempt: u32,
    description: Description,
    candidates: Vec<SessionSignal>,
    at: Instant,
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

    /// The engine wants a link.
    pub fn connect(&mut self, now: Instant, peer: PeerId, initiate: bool) {
        if self.peers.contains_key(&peer) {
            return;
        }
        if let Some(early) = self.early.remove(&peer) {
            self.start(peer, Some(early));
        } else if initiate {
            self.start(peer, None);
        } else {
            self.peers.insert(peer, Entry::Awaited { since: now });
        }
    }

    /// The engine wants no link, or no longer. Nothing more is told of it.
    pub fn close(&mut self, peer: PeerId) {
        self.early.remove(&peer);
        if let Some(Entry::Running { id, .. }) = self.peers.remove(&peer) {
            self.by_link.remove(&id);
        }
    }

    /// Something that a peer has said by way of signaling or of a common neighbour; told back: a link that ends by it.
    pub fn signalled(&mut self, now: Instant, peer: PeerId, signal: SessionSignal) -> Option<Input<Media>> {
        match signal {
            SessionSignal::Offer { attempt, description } => self.offered(now, peer, attempt, description),
            other => {
                match self.peers.get(&peer) {
                    Some(Entry::Running { link, .. }) => link.signal(other),
                    _ => self.keep_early(peer, other),
                }
                None
            }
        }
    }

    fn offered(
        &mut self,
        now: Instant,
        peer: PeerId,
        attempt: u32,
        description: Description,
    ) -> Option<Input<Media>> {
        let early = Early { attempt, description, candidates: Vec::new(), at: now };
        match self.peers.get(&peer) {
            Some(Entry::Awaited { .. }) => {
                self.peers.remove(&peer);
                self.start(peer, Some(early));
                None
            }
            // Both have called. Of two offers one has to stand, and both ends must agree on which.
            Some(Entry::Running { ours: true, open: false, .. }) => {
                if self.me.is_some_and(|me| me > peer) {
                    self.close(peer);
                    self.start(peer, Some(early));
                }
                None
            }
            Some(Entry::Running { attempt: running, ours: false, .. }) if *running == attempt => None,
            // The peer has begun anew, so what we have of it is dead.
            Some(Entry::Running { id, open, .. }) => {
                let link = open.then_some(LinkId(*id));
                self.close(peer);
                self.insert_early(peer, early);
                Some(Input::LinkClosed { peer, link })
            }
            None => {
                self.insert_early(peer, early);
                None
            }
        }
    }

    fn insert_early(&mut self, peer: PeerId, early: Early) {
        if self.early.len() >= MAX_EARLY && !self.early.contains_key(&peer) {
            let oldest = self.early.iter().min_by_key(|(_, e)| e.at).map(|(p, _)| *p);
            oldest.and_then(|p| self.early.remove(&p));
        }
        self.early.insert(peer, early);
    }

    fn keep_early(&mut self, peer: PeerId, signal: SessionSignal) {
        match (self.early.get_mut(&peer), &signal) {
            (Some(early), SessionSignal::Candidate { .. })
                if early.candidates.len() < MAX_EARLY_CANDIDATES =>
            {
                early.candidates.push(signal);
            }
            (Some(early), SessionSignal::Abort { attempt }) if early.attempt == *attempt => {
                self.early.remove(&peer);
            }
            _ => {}
        }
    }

    fn start(&mut self, peer: PeerId, offer: Option<Early>) {
        let id = self.next;
        // Numbers are never used again; 4 billion links outlive any node.
        self.next = self.next.wrapping_add(1);
        let ours = offer.is_none();
        let (attempt, start, candidates) = match offer {
            None => (id, Start::Offer, Vec::new()),
            Some(early) => (early.attempt, Start::Answer(early.description), early.candidates),
        };
        let link = Link::start(&self.endpoint, id, attempt, start, self.events.clone());
        candidates.into_iter().for_each(|c| link.signal(c));
        self.by_link.insert(id, peer);
        self.peers.insert(peer, Entry::Running { id, attempt, link, open: false, ours });
    }

    /// Both channels are open; told back: with whom, unless the link isn't wanted any more.
    pub fn opened(&mut self, id: u32) -> Option<PeerId> {
        let peer = *self.by_link.get(&id)?;
        match self.peers.get_mut(&peer) {
            Some(Entry::Running { open, .. }) => *open = true,
            _ => return None,
        }
        Some(peer)
    }

    /// The task has ended; told back: what to tell the engine.
    pub fn ended(&mut self, id: u32) -> Option<Input<Media>> {
        let peer = self.by_link.remove(&id)?;
        match self.peers.remove(&peer) {
            Some(Entry::Running { open, .. }) => {
                Some(Input::LinkClosed { peer, link: open.then_some(LinkId(id)) })
            }
            _ => None,
        }
    }

    /// Whose link it is.
    pub fn peer(&self, id: u32) -> Option<PeerId> {
        self.by_link.get(&id).copied()
    }

    /// The link with that number.
    pub fn link(&self, id: u32) -> Option<&Link> {
        match self.peers.get(self.by_link.get(&id)?)? {
            Entry::Running { link, .. } => Some(link),
            Entry::Awaited { .. } => None,
        }
    }

    /// Offers that haven't come in time; told back: what to tell the engine.
    pub fn overdue(&mut self, now: Instant) -> Vec<Input<Media>> {
        self.early.retain(|_, early| now.since(early.at) < EARLY);
        let late =
            |entry: &Entry| matches!(entry, Entry::Awaited { since } if now.since(*since) >= OPEN_WITHIN);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::EndpointConfig;
    use rillcast_protocol::coding::Text;
    use rillcast_protocol::id::Fingerprint;
    use std::net::SocketAddr;

    fn links() -> (Links, mpsc::Receiver<LinkEvent>) {
        let config = EndpointConfig {
            udp: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: Vec::new(),
            max_links: 99,
        };
        let (events, told) = mpsc::channel(64);
        (Links::new(Endpoint::bind(&config).expect("a port"), events), told)
    }

    fn description() -> Description {
        Description {
            ufrag: Text::new("abcd").expect("short"),
            password: Text::new("0123456789abcdefABCDEF").expect("short"),
            fingerprint: Fingerprint([7; 32]),
        }
    }

    fn offer(attempt: u32) -> SessionSignal {
        SessionSignal::Offer { attempt, description: description() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn peer(n: u8) -> PeerId {
        PeerId([n; 16])
    }

    #[tokio::test]
    async fn an_offer_may_come_before_the_engine_wants_the_link() {
        let (mut links, _told) = links();
        assert!(links.signalled(at(0), peer(1), offer(5)).is_none());
        assert_eq!(links.len(), 0, "the engine has the say");
        links.connect(at(1), peer(1), false);
        assert!(matches!(links.peers[&peer(1)], Entry::Running { attempt: 5, ours: false, .. }));
    }

    #[tokio::test]
    async fn an_early_offer_is_forgotten_after_a_while() {
        let (mut links, _told) = links();
        links.signalled(at(0), peer(1), offer(5));
        links.overdue(at(9));
        assert_eq!(links.early.len(), 1);
        links.overdue(at(10));
        assert!(links.early.is_empty());
    }

    #[tokio::test]
    async fn early_offers_have_a_limit_of_number() {
        let (mut links, _told) = links();
        for n in 0..=MAX_EARLY as u8 {
            links.signalled(at(u64::from(n)), peer(n), offer(1));
            assert_eq!(links.early.len(), (usize::from(n) + 1).min(MAX_EARLY));
        }
        assert!(!links.early.contains_key(&peer(0)), "the oldest went");
        let candidate =
            SessionSignal::Candidate { attempt: 1, candidate: Text::new("candidate:x").expect("short") };
        for _ in 0..=MAX_EARLY_CANDIDATES {
            links.signalled(at(70), peer(9), candidate.clone());
        }
        assert_eq!(links.early[&peer(9)].candidates.len(), MAX_EARLY_CANDIDATES);
    }

    #[tokio::test]
    async fn an_offer_that_never_comes_ends_the_attempt() {
        let (mut links, _told) = links();
        links.connect(at(0), peer(1), false);
        assert!(links.overdue(at(14)).is_empty());
        let told = links.overdue(at(15));
        assert!(matches!(told[..], [Input::LinkClosed { link: None, .. }]));
        assert!(links.is_empty());
    }

    #[tokio::test]
    async fn a_peer_that_begins_anew_ends_the_old_link() {
        let (mut links, _told) = links();
        links.connect(at(0), peer(1), false);
        links.signalled(at(0), peer(1), offer(1));
        links.opened(1);
        assert!(links.signalled(at(1), peer(1), offer(1)).is_none(), "the same offer again");
        let told = links.signalled(at(2), peer(1), offer(2));
        assert!(matches!(told, Some(Input::LinkClosed { link: Some(LinkId(1)), .. })));
        assert!(links.ended(1).is_none(), "of the old one nothing more is told");
        links.connect(at(3), peer(1), false);
        assert!(matches!(links.peers[&peer(1)], Entry::Running { attempt: 2, .. }));
    }

    #[tokio::test]
    async fn of_two_that_call_each_other_the_greater_yields_and_answers() {
        for (me, yields) in [(None, false), (Some(peer(1)), false), (Some(peer(3)), true)] {
            let (mut links, _told) = links();
            me.into_iter().for_each(|me| links.joined(me));
            links.connect(at(0), peer(2), true);
            assert!(links.signalled(at(0), peer(2), offer(9)).is_none(), "the engine need not know");
            let theirs = matches!(links.peers[&peer(2)], Entry::Running { attempt: 9, ours: false, .. });
            assert_eq!((theirs, links.len()), (yields, 1), "{me:?}");
            assert_eq!(links.peer(1).is_none(), yields, "nothing is told of an attempt that was given up");
            assert_eq!(links.ended(1).is_none(), yields);
        }
    }

    #[tokio::test]
    async fn an_open_link_yields_to_nobody_but_a_peer_that_begins_anew() {
        let (mut links, _told) = links();
        links.joined(peer(1));
        links.connect(at(0), peer(2), true);
        links.opened(1);
        let told = links.signalled(at(1), peer(2), offer(9));
        assert!(matches!(told, Some(Input::LinkClosed { link: Some(LinkId(1)), .. })));
    }

    #[tokio::test]
    async fn whoever_has_called_already_is_answered_instead_of_called() {
        let (mut links, _told) = links();
        links.signalled(at(0), peer(2), offer(9));
        links.connect(at(1), peer(2), true);
        assert!(matches!(links.peers[&peer(2)], Entry::Running { attempt: 9, ours: false, .. }));
    }

    #[tokio::test]
    async fn a_closed_link_is_told_of_no_more() {
        let (mut links, _told) = links();
        links.connect(at(0), peer(1), true);
        links.close(peer(1));
        assert!(links.opened(1).is_none() && links.ended(1).is_none() && links.link(1).is_none());
    }
}
