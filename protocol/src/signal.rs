//! Messages between a peer and the signaling server: one binary WebSocket message each.
//!
//! Join first; the answer is `Welcome` or `Refused`. Afterwards either side speaks when it has something to say.

use crate::coding::{Blob, List, Reader, Text, Wire, Writer};
use crate::digest::SegmentDigest;
pub use crate::id::Network;
use crate::id::{
    AuthorityKey, Delivery, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey, SessionKey,
    SwarmId, TrackId,
};
use crate::nat::NatClass;
use crate::receipt::{MAX_VOUCHERS, Voucher};
use crate::settings::Settings;
use crate::ticket::{MAX_AUTHORITIES, SignedRevocations, SignedTicket};
use crate::{wire_enum, wire_struct, wire_tags};

/// Longest message either side takes.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// Longest relayed payload.
pub const MAX_RELAY: usize = 4096;
/// Publishers and seeds that a message names at most.
pub const MAX_PUBLISHERS: usize = 16;
/// Tracks that seeds are told of at most: those with the most viewers.
pub const MAX_POPULAR: usize = 32;
/// From this version on seeds are told of each other.
pub const SEEDS_TOLD_SINCE: u8 = 2;
/// The version from which on servers take [`OfferRelay`](ClientMessage::OfferRelay).
pub const RELAYS_TAKEN_SINCE: u8 = 2;

/// A peer as the server describes it to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerDescriptor {
    /// The peer.
    pub id: PeerId,
    /// What it is.
    pub role: Role,
    /// Its place in source elections; chosen by the server.
    pub nonce: u64,
    /// Its weight in source elections; 100 is an ordinary viewer.
    pub weight: u16,
    /// Where it is.
    pub net: Network,
    /// What signals to it are sealed with, where it can open them.
    pub sealing: Option<SealingKey>,
    /// The receiver of this descriptor is to open the link (makes the offer); otherwise it waits for one.
    pub initiate: bool,
    /// How its network maps addresses, as it has told. On the wire in one byte with `initiate`.
    pub nat: NatClass,
}

impl Wire for PeerDescriptor {
    fn encode(&self, w: &mut Writer) {
        self.id.encode(w);
        self.role.encode(w);
        self.nonce.encode(w);
        self.weight.encode(w);
        self.net.encode(w);
        self.sealing.encode(w);
        self.nat.beside(self.initiate, w);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        let (id, role, nonce, weight) = (Wire::decode(r), Wire::decode(r), Wire::decode(r), Wire::decode(r));
        let (net, sealing) = (Wire::decode(r), Wire::decode(r));
        let (initiate, nat) = NatClass::and_flag(r);
        Self { id, role, nonce, weight, net, sealing, initiate, nat }
    }
}

wire_struct! {
    /// A rendition that somebody plays, and where its playlist is.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct TrackSource {
        /// The rendition.
        pub track: TrackId,
        /// Absolute URL of its media playlist, for a publisher to follow.
        pub playlist: Text<2048>,
    }
}

wire_struct! {
    /// How many play a track.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Popularity {
        /// The rendition.
        pub track: TrackId,
        /// Its viewers, rounded down to a power of two.
        pub viewers: u32,
    }
}

wire_struct! {
    /// What a peer wants to take part in.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Join {
        /// [`crate::VERSION`] of the sender.
        pub version: u8,
        /// The site's name in the operator's settings.
        pub site: Text<64>,
        /// Canonical manifest URL, or the site's own content id. The swarm follows from it.
        pub content: Text<2048>,
        /// HLS or DASH.
        pub delivery: Delivery,
        /// Viewer or seed.
        pub role: Role,
        /// Proof of authorisation; empty where none is asked for.
        pub token: Blob<4096>,
        /// The key that a publishing seed signs with.
        pub publisher: Option<PublisherKey>,
        /// Of the certificate that all links of this visit are made with.
        pub fingerprint: Fingerprint,
        /// This visit's own key, where the sender can make one.
        pub session: Option<SessionKey>,
        /// What others seal signals to the sender with, where it can open them.
        pub sealing: Option<SealingKey>,
        /// The ticket that this visit has from an earlier connection: whoever comes back keeps its name.
        pub ticket: Option<SignedTicket>,
    }
}

wire_struct! {
    /// A viewer's counters since it joined.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Report {
        /// Media bytes from the origin or CDN.
        pub source_bytes: u64,
        /// Media bytes from the publisher built into signaling.
        pub publisher_bytes: u64,
        /// Media bytes from viewers.
        pub peer_bytes: u64,
        /// Media bytes from seed nodes.
        pub seed_bytes: u64,
        /// Media bytes given to others.
        pub uploaded_bytes: u64,
        /// Media bytes handed to the player.
        pub played_bytes: u64,
        /// Stalls seen at the media element.
        pub stalls: u32,
        /// Their total, in milliseconds.
        pub stall_ms: u32,
        /// Milliseconds played.
        pub played_ms: u64,
        /// Open links.
        pub links: u16,
    }
}

wire_enum! {
    /// From a peer to the server.
    // Read, looked at and gone: there is never more than one, so nothing is won by boxing the rare large ones.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ClientMessage {
        /// Asks to take part. Once, first.
        0 => Join { /// What and who.
                    join: Join },
        /// Asks for introductions.
        1 => WantPeers { /// At most this many.
                         count: u8 },
        /// To be handed to a peer that this one was introduced to.
        2 => Relay { /// To whom.
                     to: PeerId, /// Opaque to the server.
                     payload: Blob<MAX_RELAY> },
        /// The renditions that this peer plays now; replaces what it said before.
        3 => Playing { /// Usually one, with separate audio two.
                       tracks: List<TrackSource, 8> },
        /// A digest from a publishing seed.
        4 => Publish { /// Signed by the key given on joining.
                       digest: SegmentDigest },
        /// Keeps the connection open and asks for the time.
        5 => Ping { /// Comes back.
                    nonce: u64 },
        /// Counters for the operator.
        6 => Report { /// Since joining.
                      report: Report },
        /// Asks for digests that gossip hasn't brought: after a seek, say. Unknown ones are fetched first of all and
        /// come when they are ready.
        7 => WantDigests { /// Of which segments.
                           keys: List<SegmentKey, 16> },
        /// Asks for a new ticket, and for the time.
        8 => Renew {},
        /// What others say that they have had from the sender.
        9 => Vouchers { /// The newest of each receiver.
                        vouchers: List<Voucher, MAX_VOUCHERS> },
        /// A peer has sent the sender a false block: a hint, no proof.
        10 => Accuse { /// Which peer.
                       peer: PeerId, /// A block of this segment.
                       key: SegmentKey },
        /// How the sender's network maps its addresses: for whom it is introduced to. To servers of version [`TOLD_SINCE`](crate::nat::TOLD_SINCE) on.
        11 => Nat { /// Replaces what it said before.
                    class: NatClass },
        /// A seed relays (TURN over UDP) for viewers whom no direct path joins, at the address that it comes from. To servers of version
        /// [`RELAYS_TAKEN_SINCE`] on.
        12 => OfferRelay { /// Its port; 0 takes the offer back.
                           port: u16, /// Credentials are made with it, as coturn's are with its `static-auth-secret`.
                           secret: [u8; 32] },
    }
}

wire_tags! {
    /// Why the server refuses or ends a connection.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum RefusedCode {
        /// The message couldn't be read, or came at the wrong time.
        0 => Malformed,
        /// No common version.
        1 => Version,
        /// Site unknown, or page's origin not on its list.
        2 => Site,
        /// Not authorised.
        3 => Unauthorised,
        /// Too many connections or messages.
        4 => RateLimited,
        /// The server is full or shutting down; come back later.
        5 => Unavailable,
    }
}

wire_struct! {
    /// The server's answer to a join.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Welcome {
        /// The version that both will speak.
        pub version: u8,
        /// Who the joiner is from now on, in which swarm, and as what.
        pub ticket: SignedTicket,
        /// Whose tickets count.
        pub authorities: List<AuthorityKey, MAX_AUTHORITIES>,
        /// Which don't any more, if there are any.
        pub revocations: Option<SignedRevocations>,
        /// Milliseconds since 1970, by the server's clock.
        pub server_time_ms: u64,
        /// What the site allows.
        pub settings: Settings,
        /// Whose digests count.
        pub publishers: List<PublisherKey, MAX_PUBLISHERS>,
        /// Where hosted segments are fetched: `{base}/{swarm}/{key}`; empty if nowhere. Absolute path or URL.
        pub publisher_base: Text<256>,
    }
}

impl Welcome {
    /// Who the joiner is.
    pub fn peer(&self) -> PeerId {
        self.ticket.body.peer
    }

    /// The swarm: a keyed hash of site, content and delivery, which can't be derived from public data.
    pub fn swarm(&self) -> SwarmId {
        self.ticket.body.swarm
    }
}

wire_enum! {
    /// From the server to a peer.
    // As above.
    #[allow(clippy::large_enum_variant)]
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum ServerMessage {
        /// The join is accepted.
        0 => Welcome { /// Everything to start with.
                       welcome: Welcome },
        /// Peers to link with; the others hear of it at the same time.
        1 => Introduce { /// Few: never the whole swarm.
                         peers: List<PeerDescriptor, 32> },
        /// From a peer that was introduced.
        2 => Relayed { /// Who sent it.
                       from: PeerId, /// Opaque to the server.
                       payload: Blob<MAX_RELAY> },
        /// News from a publisher.
        3 => Digest { /// Signed.
                      digest: SegmentDigest },
        /// The operator changed something.
        4 => Settings { /// In whole.
                        settings: Settings },
        /// Publishers have come or gone.
        5 => Publishers { /// In whole.
                          keys: List<PublisherKey, MAX_PUBLISHERS> },
        /// Answer to a ping.
        6 => Pong { /// As in the ping.
                    nonce: u64, /// Milliseconds since 1970.
                    server_time_ms: u64 },
        /// No, and why. The server closes afterwards.
        7 => Refused { /// For programs.
                       code: RefusedCode, /// For people: says what to do.
                       message: Text<512> },
        /// An introduced peer has left.
        8 => Gone { /// Who.
                    peer: PeerId },
        /// Answer to a renewal.
        9 => Ticket { /// The new one, or the one that the peer has if that is still young.
                      ticket: SignedTicket, /// Milliseconds since 1970.
                      server_time_ms: u64 },
        /// Somebody is let in no more.
        10 => Revoked { /// In whole.
                        revocations: SignedRevocations },
        /// Who shares the work of seeding, and what is played: to seeds of version [`SEEDS_TOLD_SINCE`] on, and to nobody else.
        11 => Seeds { /// The live seeds, by the keys that they sign with; the receiver is one of them. In whole.
                      keys: List<PublisherKey, MAX_PUBLISHERS>, /// Those with the most viewers first. In whole.
                      tracks: List<Popularity, MAX_POPULAR> },
    }
}

/// The path of a hosted segment below the publisher's base: swarm and key in hex, told apart by `/`.
pub fn hosted_path(swarm: SwarmId, key: SegmentKey) -> String {
    let mut path = String::with_capacity(96);
    push_hex(&mut path, &swarm.0);
    path.push('/');
    push_hex(&mut path, &key.to_bytes());
    path
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        text.push(char::from(HEX[usize::from(b >> 4)]));
        text.push(char::from(HEX[usize::from(b & 15)]));
    }
}
