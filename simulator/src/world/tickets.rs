//! Tickets, which the server gives and renews, and certificates, one for each visit.

use rillcast_core::engine::Input;
use rillcast_core::protocol::id::{Fingerprint, PeerId, Role, SealingKey};
use rillcast_core::protocol::ticket::{Signed, SignedTicket, Ticket};
use rillcast_core::time::{Duration, Instant, millis};

use super::World;
use super::server::{SERVER, nonce};
use crate::media::{AUTHORITY, SIGNATURE, SWARM, peer_id};

/// How long a ticket counts.
const LIFE: Duration = Duration::from_secs(900);

/// Of a peer's certificate.
pub(super) fn certificate(peer: PeerId) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint[..16].copy_from_slice(&peer.0);
    Fingerprint(fingerprint)
}

/// What signals to a peer would be sealed with: it has the length of one.
pub(super) fn sealing(peer: PeerId) -> SealingKey {
    SealingKey(certificate(peer).0)
}

impl World {
    /// A ticket, given now.
    pub(super) fn ticket(&self, n: u32) -> SignedTicket {
        let peer = peer_id(n as usize);
        let body = Ticket {
            swarm: SWARM,
            peer,
            role: if self.is_viewer(n) { Role::Viewer } else { Role::Seed },
            fingerprint: certificate(peer),
            session: None,
            sealing: Some(sealing(peer)),
            nonce: nonce(n),
            weight: self.weight(n),
            net: self.network(n),
            expires_ms: millis((self.now + LIFE).since(Instant::ZERO)),
        };
        Signed { body, authority: AUTHORITY, signature: SIGNATURE }
    }

    /// Somebody asks for a new one.
    pub(super) fn renew(&mut self, n: u32) {
        if !self.without_server(n) {
            let ticket = self.ticket(n);
            self.give(SERVER, n, Input::ServerTime(millis(self.now.since(Instant::ZERO))));
            self.give(SERVER, n, Input::Ticket(ticket.into()));
        }
    }
}
