//! The authority of these tests: the time, tickets, lists of revocations, and who has which certificate.

use rillcast_core::protocol::coding::{List, Text};
use rillcast_core::protocol::id::{
    AuthorityKey, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SessionKey,
};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::{Network, Welcome};
use rillcast_core::protocol::ticket::{
    Revocations, Signed, SignedRevocations, SignedTicket, Statement, Ticket,
};
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};
use rillcast_core::wire::Message;
use rillcast_core::wire::message::{Acquaintance, Playing};

use super::media::{SIGNATURE, SWARM, peer_id};

pub const AUTHORITY: AuthorityKey = AuthorityKey([8; 32]);
/// How long tickets count.
pub const LIFE: Duration = Duration::from_secs(900);

/// Milliseconds since 1970 by the authority's clock.
pub fn server_time(now: Instant) -> u64 {
    1_800_000_000_000 + now.as_micros() / 1000
}

pub fn certificate(n: usize) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&mix(n as u64 ^ 0xcef7).to_be_bytes());
    Fingerprint(fingerprint)
}

/// What signals to a node are sealed with.
pub fn sealing(n: usize) -> SealingKey {
    SealingKey([n as u8; 32])
}

pub fn signed<T: Statement>(body: T) -> Signed<T> {
    Signed { body, authority: AUTHORITY, signature: SIGNATURE }
}

/// Node `n`'s ticket, given now.
pub fn ticket(n: usize, role: Role, now: Instant) -> SignedTicket {
    signed(Ticket {
        swarm: SWARM,
        peer: peer_id(n),
        role,
        fingerprint: certificate(n),
        session: Some(SessionKey([n as u8; 32])),
        sealing: Some(sealing(n)),
        nonce: mix(n as u64),
        weight: 100,
        net: Network::default(),
        expires_ms: server_time(now + LIFE),
    })
}

/// Node `n`, as a neighbour tells of it.
pub fn acquaintance(n: usize, role: Role, playing: Option<Playing>) -> Acquaintance {
    Acquaintance { ticket: ticket(n, role, Instant::ZERO), playing, nat: NatClass::Unknown }
}

/// Nobody knows of any revocations.
pub fn hello(ticket: SignedTicket) -> Message {
    Message::Hello { version: 1, ticket, revocations: 0 }
}

pub fn revocations(number: u64, peers: impl IntoIterator<Item = PeerId>) -> SignedRevocations {
    signed(Revocations { swarm: SWARM, number, peers: List::clipped(peers), void_until_ms: 0 })
}

/// What the server says to whom it lets in.
pub fn welcome(
    ticket: SignedTicket,
    settings: Settings,
    publisher: Option<PublisherKey>,
    now: Instant,
) -> Welcome {
    Welcome {
        version: 1,
        ticket,
        authorities: List::clipped([AUTHORITY]),
        revocations: None,
        server_time_ms: server_time(now),
        settings,
        publishers: List::clipped(publisher),
        publisher_base: Text::clipped(""),
    }
}
