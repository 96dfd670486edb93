//! Who may take part (R8, R35, R41): tickets that the authority signs for those it has let in, and the list of those that count no more.
//!
//! A ticket belongs to a DTLS certificate: whoever has the certificate's key is who the ticket speaks of, and nobody else is, so it is no
//! secret and is shown to every neighbour.

use crate::coding::{List, Reader, Wire, Writer};
use crate::id::{AuthorityKey, Fingerprint, Network, PeerId, Role, SealingKey, SessionKey, SwarmId};
use crate::nat::NatClass;
use crate::signal::PeerDescriptor;
use crate::wire_struct;

/// Peers on one list of revocations: 4 KiB. Where more are to go, all tickets up to then are void ([`Revocations::void_until_ms`]).
pub const MAX_REVOKED: usize = 256;
/// The authority's keys that count at a time: the one that signs, and those that did before.
pub const MAX_AUTHORITIES: usize = 4;

/// What an authority can sign.
pub trait Statement: Wire {
    /// Stands before what is signed, so that a signature for one purpose is none for another.
    const DOMAIN: &'static [u8];
}

/// A statement with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<T> {
    /// What is stated.
    pub body: T,
    /// Who signed.
    pub authority: AuthorityKey,
    /// Ed25519 over [`Signed::signed_bytes`].
    pub signature: [u8; 64],
}

impl<T: Statement> Signed<T> {
    /// What the signature covers.
    pub fn signed_bytes(&self) -> Vec<u8> {
        statement_bytes(&self.body)
    }
}

/// What is signed of a statement.
pub fn statement_bytes<T: Statement>(body: &T) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(T::DOMAIN);
    body.encode(&mut w);
    w.into_bytes()
}

impl<T: Wire> Wire for Signed<T> {
    // In a page's download they are worth their bytes once.
    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn encode(&self, w: &mut Writer) {
        self.body.encode(w);
        self.authority.encode(w);
        self.signature.encode(w);
    }

    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn decode(r: &mut Reader<'_>) -> Self {
        Self { body: Wire::decode(r), authority: Wire::decode(r), signature: Wire::decode(r) }
    }
}

wire_struct! {
    /// The authority has let somebody in.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Ticket {
        /// Where to.
        pub swarm: SwarmId,
        /// Under which name.
        pub peer: PeerId,
        /// As what.
        pub role: Role,
        /// Whom: the certificate that all of the holder's links are made with.
        pub fingerprint: Fingerprint,
        /// What the holder signs with in this visit. None where its browser can't.
        pub session: Option<SessionKey>,
        /// What signals to the holder are sealed with. None where its browser can't open them.
        pub sealing: Option<SealingKey>,
        /// Its place in source elections; chosen by the authority, so that it can't be ground.
        pub nonce: u64,
        /// Its weight in source elections; 100 is an ordinary viewer.
        pub weight: u16,
        /// Where it is.
        pub net: Network,
        /// Until when: milliseconds since 1970, by the authority's clock.
        pub expires_ms: u64,
    }
}

impl Ticket {
    /// The holder, to somebody who is to make the offer (`initiate`) or to wait for one.
    pub fn describe(&self, initiate: bool) -> PeerDescriptor {
        let Self { peer: id, role, nonce, weight, net, sealing, .. } = *self;
        PeerDescriptor { id, role, nonce, weight, net, sealing, initiate, nat: NatClass::Unknown }
    }
}

impl Statement for Ticket {
    const DOMAIN: &'static [u8] = b"rillcast ticket v1\0";
}

/// A ticket as it is shown.
pub type SignedTicket = Signed<Ticket>;

wire_struct! {
    /// Tickets of one swarm that count no more, though their time isn't over.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Revocations {
        /// The swarm.
        pub swarm: SwarmId,
        /// Grows with every change, also over restarts of the authority: of two lists the one with the greater number counts.
        pub number: u64,
        /// Who is let in no more.
        pub peers: List<PeerId, MAX_REVOKED>,
        /// Tickets that expire by then are void, whoever holds them: those who may stay get new ones. For when a list of all who must go
        /// would be too long.
        pub void_until_ms: u64,
    }
}

impl Statement for Revocations {
    const DOMAIN: &'static [u8] = b"rillcast revocations v1\0";
}

/// A list as it is passed on.
pub type SignedRevocations = Signed<Revocations>;
