//! Links that are open and whose other end hasn't proved yet who it is.
//!
//! What it says behind its hello waits here, for its own verification of us may be quicker than ours of it: nothing of it is looked at before
//! the verdict, and there is room for little.

use rillcast_protocol::OLDEST_VERSION;
use rillcast_protocol::id::{Fingerprint, PeerId};

use crate::engine::io::{LinkId, MAX_CONTROL};
use crate::time::{Duration, Instant};

/// Messages that wait for a verdict, of one guest; each of [`MAX_CONTROL`] bytes at most.
pub const MAX_SAID: usize = 32;
/// From a link's opening to the verdict.
pub const PATIENCE: Duration = Duration::from_millis(6000);

/// Somebody at the gate.
#[derive(Debug)]
pub struct Guest {
    /// Where.
    pub link: LinkId,
    /// Whom the shell meant to link with.
    pub peer: PeerId,
    /// Of the certificate that the other end has.
    pub fingerprint: Fingerprint,
    /// It has shown a ticket, which is being verified.
    pub has_shown: bool,
    /// The version that it speaks.
    pub version: u8,
    /// The number of the newest list of revocations that it knows.
    pub revocations: u64,
    /// What it has said since.
    pub said: Vec<Vec<u8>>,
    since: Instant,
}

impl Guest {
    /// One that has just come.
    pub fn new(link: LinkId, peer: PeerId, fingerprint: Fingerprint, now: Instant) -> Self {
        let (version, revocations) = (OLDEST_VERSION, 0);
        Self { link, peer, fingerprint, has_shown: false, version, revocations, said: Vec::new(), since: now }
    }

    /// Keeps a message for later; false if there is no room.
    pub fn keep(&mut self, message: &[u8]) -> bool {
        let fits = self.said.len() < MAX_SAID && message.len() <= MAX_CONTROL;
        if fits {
            self.said.push(message.to_vec());
        }
        fits
    }
}

/// All who wait. Each is a peer that we are making a link with, so there are no more than of those.
#[derive(Debug, Default)]
pub struct Gate {
    guests: Vec<Guest>,
}

impl Gate {
    /// A link has opened. An older one to the same peer counts no more.
    pub fn open(&mut self, guest: Guest) {
        self.forget(guest.peer);
        self.guests.push(guest);
    }

    /// Who waits at a link.
    pub fn guest(&mut self, link: LinkId) -> Option<&mut Guest> {
        self.guests.iter_mut().find(|g| g.link == link)
    }

    /// Takes somebody away.
    pub fn take(&mut self, link: LinkId) -> Option<Guest> {
        let at = self.guests.iter().position(|g| g.link == link)?;
        Some(self.guests.swap_remove(at))
    }

    /// The link to a peer isn't wanted any more.
    pub fn forget(&mut self, peer: PeerId) {
        if let Some(at) = self.guests.iter().position(|g| g.peer == peer) {
            self.guests.swap_remove(at);
        }
    }

    /// Somebody who has waited for too long.
    pub fn overdue(&self, now: Instant) -> Option<LinkId> {
        self.guests.iter().find(|g| now.since(g.since) > PATIENCE).map(|g| g.link)
    }

    /// Sends all away.
    pub fn clear(&mut self) {
        self.guests.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(n: u8) -> Guest {
        at(n.into(), n)
    }

    fn at(link: u32, n: u8) -> Guest {
        Guest::new(LinkId(link), PeerId([n; 16]), Fingerprint([n; 32]), Instant::ZERO)
    }

    // H8: at, under and over.
    #[test]
    fn a_guest_may_say_a_little() {
        let mut many = guest(1);
        assert!((0..MAX_SAID).all(|_| many.keep(&[1])), "at the limit");
        assert!(!many.keep(&[1]), "one over");
        for (bytes, fits) in [(MAX_CONTROL - 1, true), (MAX_CONTROL, true), (MAX_CONTROL + 1, false)] {
            assert_eq!(guest(1).keep(&vec![0; bytes]), fits, "{bytes}");
        }
    }

    #[test]
    fn a_guest_may_wait_a_little() {
        let mut gate = Gate::default();
        gate.open(guest(1));
        assert_eq!(gate.overdue(Instant::ZERO + PATIENCE), None);
        assert_eq!(gate.overdue(Instant::ZERO + PATIENCE + Duration::from_micros(1)), Some(LinkId(1)));
    }

    #[test]
    fn of_one_peer_the_newer_link_waits() {
        let mut gate = Gate::default();
        gate.open(guest(1));
        gate.open(at(2, 1));
        gate.open(guest(3));
        assert!(gate.guest(LinkId(1)).is_none() && gate.guest(LinkId(2)).is_some());
        gate.forget(PeerId([3; 16]));
        assert!(gate.take(LinkId(3)).is_none() && gate.take(LinkId(2)).is_some());
    }
}
