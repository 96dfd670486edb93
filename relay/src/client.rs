//! One client, told by its address: what it says and hears. The protocol is `turn-server-proto`'s, with a state of its own for each client: so nobody's
//! requests make another's slower, and all that is kept of a client goes with it. What stands before it here are the limits that it doesn't know: how
//! long credentials count, to whom is relayed, and to how many.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::types::TransportType;
use turn_server_proto::stun::types::attribute::{ErrorCode, Username};
use turn_server_proto::stun::types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials,
    MessageWriteVec,
};
use turn_server_proto::stun::types::prelude::{
    Attribute, AttributeFromRaw, AttributeStaticType, MessageWrite, MessageWriteExt,
};
use turn_server_proto::types::attribute::XorPeerAddress;
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};
use turn_server_proto::types::prelude::DelayedTransmitBuild;
use turn_server_proto::types::{AddressFamily, Instant as Time};

use crate::REALM;
use crate::credentials::{Name, Secret};
use crate::peers::Peers;
use crate::quota::Holder;
use crate::rate::Bucket;

/// Names that one client may come with before it has a relay: one, and a newer one.
const NAMES: usize = 2;
/// How long a peer counts as one of the client's: as long as a channel (RFC 8656, 12), which is longer than a permission.
const PEER: Duration = Duration::from_secs(600);

/// What all clients are held to.
#[derive(Debug)]
pub struct Rules {
    /// Makes and checks passwords.
    pub secret: Secret,
    /// To whom is relayed.
    pub peers: Peers,
    /// To how many peers' addresses at a time, for one client.
    pub max_peers: usize,
}

/// Now.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Of the monotonic clock.
    pub at: Instant,
    /// In seconds since 1970.
    pub unix: u64,
}

/// What follows from something that a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// An answer to it.
    Answer(Vec<u8>),
    /// Something for a peer.
    Relay {
        /// From this relay.
        relay: SocketAddr,
        /// To whom.
        to: SocketAddr,
        /// What.
        data: Vec<u8>,
    },
}

/// What a client needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A relay; [`Client::opened`] brings it.
    Open {
        /// IPv4 or IPv6.
        v4: bool,
    },
    /// This relay no longer.
    Close(SocketAddr),
}

/// Why there is no relay for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRelay {
    /// None of this family.
    Family,
    /// Enough are in use.
    Full,
}

/// A client.
#[derive(Debug)]
pub struct Client {
    proto: TurnServer,
    zero: Instant,
    listener: SocketAddr,
    address: SocketAddr,
    named: Option<Named>,
    names: usize,
    /// To whom it has asked to send, and until when that counts at most.
    peers: HashMap<IpAddr, Instant>,
    relays: Vec<SocketAddr>,
    had_relay: bool,
    /// What it may have relayed.
    pub bytes: Bucket,
}

#[derive(Debug)]
struct Named {
    name: String,
    user: String,
    key: MessageIntegrityCredentials,
}

enum Gate {
    Pass,
    Refuse(u16, IntegrityAlgorithm),
    Ignore,
}

impl Client {
    /// A client at this address, which speaks to this listener.
    pub fn new(listener: SocketAddr, address: SocketAddr, bytes: Bucket, now: Instant) -> Self {
        Self {
            proto: TurnServer::new(TransportType::Udp, listener, REALM.to_owned()),
            zero: now,
            listener,
            address,
            named: None,
            names: 0,
            peers: HashMap::new(),
            relays: Vec::new(),
            had_relay: false,
            bytes,
        }
    }

    /// Since when it is known.
    pub fn since(&self) -> Instant {
        self.zero
    }

    /// Its relays.
    pub fn relays(&self) -> &[SocketAddr] {
        &self.relays
    }

    /// Whether it has had a relay and has none any more.
    pub fn is_done(&self) -> bool {
        self.had_relay && self.relays.is_empty()
    }

    /// Whether it has no relay yet.
    pub fn is_new(&self) -> bool {
        !self.had_relay
    }

    /// Whom its relays are counted for; `None` before it has said a name.
    pub fn holder(&self) -> Option<Holder> {
        self.named.as_ref().map(|named| Holder::new(&named.user, self.address.ip()))
    }

    /// Takes in what the client sent.
    pub fn from_client(&mut self, data: Vec<u8>, rules: &Rules, now: Moment) -> Option<Said> {
        if let Ok(message) = Message::from_bytes(&data)
            && message.has_class(MessageClass::Request)
        {
            match self.gate(&message, rules, now) {
                Gate::Pass => {}
                Gate::Ignore => return None,
                Gate::Refuse(code, algorithm) => {
                    return self.refusal(&message, code, algorithm).map(Said::Answer);
                }
            }
        }
        let sent = Transmit::new(data, TransportType::Udp, self.address, self.listener);
        let time = self.time(now.at);
        let follows = self.proto.recv(sent, time)?;
        let (from, to) = (follows.from, follows.to);
        let data = follows.data.build();
        Some(if self.relays.contains(&from) {
            Said::Relay { relay: from, to, data }
        } else {
            Said::Answer(data)
        })
    }

    /// Takes in what a peer sent to one of its relays; told back: what the client gets.
    pub fn from_peer(
        &mut self,
        relay: SocketAddr,
        from: SocketAddr,
        data: Vec<u8>,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let time = self.time(now);
        let sent = Transmit::new(data, TransportType::Udp, from, relay);
        self.proto.recv(sent, time).map(|follows| follows.data.build())
    }

    /// What it needs next.
    pub fn need(&mut self, now: Instant) -> Option<Need> {
        loop {
            match self.proto.poll(self.time(now)) {
                TurnServerPollRet::AllocateSocket { family, .. } => {
                    return Some(Need::Open { v4: family == AddressFamily::IPV4 });
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relays.retain(|relay| *relay != listen_addr);
                    return Some(Need::Close(listen_addr));
                }
                // It has asked for nothing over TCP, for such requests don't come so far.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(_) => return None,
            }
        }
    }

    /// A relay that it needed, or none; told back: what the client gets.
    pub fn opened(&mut self, v4: bool, relay: Result<SocketAddr, NoRelay>, now: Instant) -> Option<Vec<u8>> {
        let time = self.time(now);
        let family = if v4 { AddressFamily::IPV4 } else { AddressFamily::IPV6 };
        if let Ok(relay) = relay {
            self.relays.push(relay);
            self.had_relay = true;
        }
        let relay = relay.map_err(|none| match none {
            NoRelay::Family => SocketAllocateError::AddressFamilyNotSupported,
            NoRelay::Full => SocketAllocateError::InsufficientCapacity,
        });
        let udp = TransportType::Udp;
        self.proto.allocated_socket(udp, self.listener, self.address, udp, family, relay, time);
        self.proto.poll_transmit(time).map(|answer| answer.data)
    }

    /// Whether a request goes on to the protocol.
    fn gate(&mut self, message: &Message<'_>, rules: &Rules, now: Moment) -> Gate {
        let method = message.method();
        if ![ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND].contains(&method) {
            return Gate::Ignore;
        }
        if let Ok(name) = message.attribute::<Username>() {
            self.named(name.username(), &rules.secret, now);
        }
        if method != CREATE_PERMISSION && method != CHANNEL_BIND {
            return Gate::Pass;
        }
        // Whoever isn't who it says hears that from the protocol.
        let Some(Ok(algorithm)) = self.named.as_ref().map(|named| message.validate_integrity(&named.key))
        else {
            return Gate::Pass;
        };
        self.peers.retain(|_, until| *until > now.at);
        for (_, attribute) in message.iter_attributes().filter(|(_, a)| a.get_type() == XorPeerAddress::TYPE)
        {
            let Ok(peer) = XorPeerAddress::from_raw(attribute) else { continue };
            let peer = peer.addr(message.transaction_id()).ip();
            if !rules.peers.may(peer) {
                return Gate::Refuse(ErrorCode::FORBIDDEN, algorithm);
            }
            if self.peers.len() >= rules.max_peers && !self.peers.contains_key(&peer) {
                return Gate::Refuse(ErrorCode::INSUFFICIENT_CAPACITY, algorithm);
            }
            self.peers.insert(peer, now.at + PEER);
        }
        Gate::Pass
    }

    /// The client says who it is. A name that has run out gets no relay; one that has a relay may go on with it, for a link can't be given another.
    fn named(&mut self, name: &str, secret: &Secret, now: Moment) {
        let known = self.named.as_ref().is_some_and(|named| named.name == name);
        if known || self.had_relay || self.names >= NAMES {
            return;
        }
        let Some(said) = Name::read(name).filter(|said| said.until >= now.unix) else { return };
        self.names += 1;
        let password = secret.password(name);
        self.proto.add_user(name.to_owned(), password.clone());
        let key = LongTermKeyCredentials::new(name.to_owned(), password, REALM.to_owned()).into();
        self.named = Some(Named { name: name.to_owned(), user: said.user.to_owned(), key });
    }

    fn refusal(&self, message: &Message<'_>, code: u16, algorithm: IntegrityAlgorithm) -> Option<Vec<u8>> {
        let mut answer = Message::builder_error(message, MessageWriteVec::new());
        answer.add_attribute(&ErrorCode::builder(code).build().ok()?).ok()?;
        answer.add_message_integrity(&self.named.as_ref()?.key, algorithm).ok()?;
        Some(answer.finish())
    }

    fn time(&self, now: Instant) -> Time {
        // A clock of its own, from 1 s on: the protocol looks back.
        let passed = now.saturating_duration_since(self.zero).as_nanos() + 1_000_000_000;
        Time::from_nanos(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LISTENER: &str = "192.0.2.1:3478";
    const ADDRESS: &str = "192.0.2.2:4000";

    fn rules() -> Rules {
        Rules { secret: Secret::new(b"secret"), peers: Peers::default(), max_peers: 2 }
    }

    fn client(now: Instant) -> Client {
        let address = |text: &str| text.parse().expect("an address");
        Client::new(address(LISTENER), address(ADDRESS), Bucket::new(1e6, 1e6, now), now)
    }

    /// A message of this kind with these attributes, and a wrong integrity if wanted.
    fn message(kind: u16, attributes: &[(u16, Vec<u8>)], signed: bool) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut bytes = kind.to_be_bytes().to_vec();
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend([0x21, 0x12, 0xa4, 0x42]);
        bytes.extend([7; 12]);
        bytes.extend(body);
        if signed {
            // The library makes keys that it doesn't show; a wrong integrity is wrong with any.
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"any");
            let length = (bytes.len() - 20 + 24) as u16;
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            let tag = ring::hmac::sign(&key, &bytes);
            bytes.extend([0, 8, 0, 20]);
            bytes.extend(tag.as_ref());
        }
        bytes
    }

    fn attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
        let known = prop::sample::select(vec![
            0x0001u16, 0x0006, 0x0008, 0x0009, 0x000c, 0x000d, 0x0012, 0x0013, 0x0014, 0x0015, 0x0016,
            0x0017, 0x0018, 0x0019, 0x001a, 0x001c, 0x001d, 0x001e, 0x0020, 0x0022, 0x8000, 0x8002, 0x8028,
        ]);
        let name = Just((0x0006, b"4000000000:u".to_vec()));
        let value = prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![4 => (known, value.clone()), 1 => (any::<u16>(), value), 1 => name]
    }

    proptest! {
        /// H3 H8: whatever a stranger sends: no panic, no relay, and no answer much longer than what it sent.
        #[test]
        fn nothing_that_a_stranger_sends_does_harm(
            sent in prop::collection::vec((0u16..0x40, prop::collection::vec(attribute(), 0..8), any::<bool>()), 1..6),
            garbage in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let now = Instant::now();
            let mut client = client(now);
            let moment = Moment { at: now, unix: 1_700_000_000 };
            let rules = rules();
            let datagrams = sent.iter().map(|(kind, attributes, signed)| message(*kind, attributes, *signed));
            for datagram in datagrams.chain([garbage]) {
                let length = datagram.len();
                match client.from_client(datagram, &rules, moment) {
                    Some(Said::Answer(answer)) => prop_assert!(answer.len() <= length + 200, "{} for {length}", answer.len()),
                    Some(Said::Relay { .. }) => prop_assert!(false, "nothing may be relayed"),
                    None => {}
                }
                prop_assert_eq!(client.need(now), None);
            }
        }
    }

    #[test]
    fn names_are_learnt_twice_at_most_and_only_those_that_count() {
        let (now, rules) = (Instant::now(), rules());
        let mut client = client(now);
        let mut say = |name: &str| {
            let moment = Moment { at: now, unix: 1_700_000_000 };
            let attributes = [(0x0006, name.as_bytes().to_vec())];
            let _ = client.from_client(message(3, &attributes, false), &rules, moment);
            client.named.as_ref().map(|named| named.user.clone())
        };
        assert_eq!(say("1699999999:over"), None);
        assert_eq!(say("made up"), None);
        assert_eq!(say("1700000000:a").as_deref(), Some("a"));
        assert_eq!(say("1700000001:b").as_deref(), Some("b"));
        assert_eq!(say("1700000002:c").as_deref(), Some("b"));
    }
}
