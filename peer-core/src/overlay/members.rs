//! The peers that signaling introduced, and the attempts to link with them.

use std::collections::VecDeque;

use crate::map::Map;

use rillcast_protocol::id::{PeerId, Role};
use rillcast_protocol::signal::PeerDescriptor;

use crate::engine::io::LinkId;
use crate::time::{Duration, Instant};

use super::Link;

/// Descriptors remembered.
pub const MAX_KNOWN: usize = 256;
/// Expelled peers remembered; the oldest is forgotten for a new one.
pub const MAX_BANNED: usize = 256;
/// Times that an attempt is made before a peer is given up.
const ATTEMPTS: u8 = 3;
const RETRY: Duration = Duration::from_millis(3000);
/// Nothing heard for so long: the link is dead (a closed tab says nothing).
pub const SILENCE: Duration = Duration::from_millis(6000);
/// A ping goes out after so much silence from us.
pub const PING_EVERY: Duration = Duration::from_millis(2000);
const ASK_AGAIN: Duration = Duration::from_millis(10_000);
const ENOUGH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Connecting,
    Open(LinkId),
}

#[derive(Clone, Debug)]
struct Known {
    descriptor: PeerDescriptor,
    state: State,
    attempts: u8,
    not_before: Instant,
}

/// Known peers and open links.
#[derive(Clone, Debug, Default)]
pub struct Members {
    known: Map<PeerId, Known>,
    links: Map<LinkId, Link>,
    banned: VecDeque<PeerId>,
    asked: Option<Instant>,
}

/// What the overlay wants of the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Open a link.
    Connect(PeerId, bool),
    /// Close one.
    Close(PeerId),
    /// More introductions.
    Peers(u8),
}

impl Members {
    /// Takes introductions.
    pub fn introduce(&mut self, peers: &[PeerDescriptor], now: Instant) {
        for descriptor in peers.iter().filter(|d| !self.banned.contains(&d.id)) {
            if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&descriptor.id) {
                let idle = self.known.iter().find(|(_, k)| k.state == State::Idle).map(|(id, _)| *id);
                match idle {
                    Some(id) => self.known.remove(&id),
                    None => return,
                };
            }
            let known = self.known.or_insert_with(descriptor.id, || Known {
                descriptor: *descriptor,
                state: State::Idle,
                attempts: 0,
                not_before: now,
            });
            known.descriptor = *descriptor;
            if known.state == State::Idle {
                (known.attempts, known.not_before) = (0, now);
            }
        }
    }

    /// Forgets a peer; true if there was a link or an attempt to close.
    pub fn forget(&mut self, peer: PeerId) -> bool {
        self.known.remove(&peer).is_some_and(|k| k.state != State::Idle)
    }

    /// Forgets a peer and takes no introduction to it any more.
    pub fn ban(&mut self, peer: PeerId) {
        self.forget(peer);
        if self.banned.len() >= MAX_BANNED {
            self.banned.pop_front();
        }
        self.banned.push_back(peer);
    }

    /// A link has opened. `None` if nobody introduced that peer: close it.
    pub fn opened(&mut self, link: LinkId, peer: PeerId, now: Instant) -> Option<&mut Link> {
        let known = self.known.get_mut(&peer)?;
        known.state = State::Open(link);
        known.attempts = 0;
        let d = known.descriptor;
        Some(self.links.or_insert_with(link, || Link::new(peer, d.role, d.nonce, d.weight, now)))
    }

    /// A link or an attempt has ended. Told back: the link, if it had been open.
    pub fn closed(&mut self, peer: PeerId, link: Option<LinkId>, now: Instant) -> Option<Link> {
        let was_open = link.and_then(|l| self.links.remove(&l));
        if let Some(known) = self.known.get_mut(&peer) {
            let current = match (known.state, link) {
                (State::Open(open), Some(closed)) => open == closed,
                _ => true,
            };
            if current {
                known.state = State::Idle;
                known.attempts += 1;
                known.not_before = now + RETRY * u32::from(known.attempts);
                if known.attempts >= ATTEMPTS {
                    self.known.remove(&peer);
                }
            }
        }
        was_open
    }

    /// The open link to a peer.
    pub fn link_to(&self, peer: PeerId) -> Option<LinkId> {
        match self.known.get(&peer)?.state {
            State::Open(link) => Some(link),
            _ => None,
        }
    }

    /// An open link.
    pub fn link(&self, link: LinkId) -> Option<&Link> {
        self.links.get(&link)
    }

    /// An open link.
    pub fn link_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link)
    }

    /// All open links.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.links.iter().map(|(id, l)| (*id, l))
    }

    /// All open links.
    pub fn links_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut Link)> {
        self.links.iter_mut().map(|(id, l)| (*id, l))
    }

    /// Whether a link is being made for the first time: its other end may hold what we lack.
    pub fn expects_company(&self) -> bool {
        self.known.values().any(|k| k.state == State::Connecting && k.attempts == 0)
    }

    /// Drops everything: the kill switch.
    pub fn clear(&mut self) -> Vec<PeerId> {
        self.links.clear();
        let open = self.known.iter().filter(|(_, k)| k.state != State::Idle).map(|(id, _)| *id).collect();
        self.known.clear();
        open
    }

    /// What to connect, close and ask for now.
    pub fn maintain(&mut self, max_links: usize, now: Instant) -> Vec<Want> {
        let mut wants = Vec::new();
        for (_, link) in self.links.iter().filter(|(_, l)| now.since(l.heard) > SILENCE) {
            wants.push(Want::Close(link.peer));
        }
        let mut busy = self.known.values().filter(|k| k.state != State::Idle).count();
        let seeds_first = |k: &Known| (k.descriptor.role != Role::Seed, k.attempts);
        let mut idle: Vec<_> = self
            .known
            .iter()
            .filter(|(_, k)| k.state == State::Idle && k.not_before <= now)
            .map(|(id, k)| (seeds_first(k), *id))
            .collect();
        idle.sort_unstable();
        for (_, id) in idle {
            if busy >= max_links {
                break;
            }
            if let Some(known) = self.known.get_mut(&id) {
                known.state = State::Connecting;
                // Who is to wait for the other's offer waits once; it has nothing of its own to retry.
                wants.push(Want::Connect(id, known.descriptor.initiate));
                busy += 1;
            }
        }
        if busy < ENOUGH.min(max_links) && self.asked.is_none_or(|at| now.since(at) > ASK_AGAIN) {
            self.asked = Some(now);
            wants.push(Want::Peers((max_links - busy).min(16) as u8));
        }
        wants
    }
}
