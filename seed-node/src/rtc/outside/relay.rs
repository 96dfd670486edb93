//! A relay of ours at a TURN server: one for all links, since they share a port and the server knows a client by its address. The protocol is
//! `turn-client-proto`'s; no socket and no clock in here.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun_proto::Instant as Time;
use stun_proto::auth::Feature;
use stun_proto::types::TransportType;
use turn_client_proto::api::{
    Transmit, TransmitBuild, TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet,
};
use turn_client_proto::types::{AddressFamily, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

use super::servers::TurnServer;

/// Peers' addresses that may be sent to at a time. Beyond: no more are asked for until some are forgotten.
pub const MAX_PEERS: usize = 128;
/// For how long an address that the server refuses isn't asked for again.
const REFUSED: Duration = Duration::from_secs(60);

/// A relay, or an attempt at one.
#[derive(Debug)]
pub struct Relay {
    proto: TurnClientUdp,
    zero: Instant,
    server: SocketAddr,
    local: SocketAddr,
    address: Option<SocketAddr>,
    /// Who may be sent to: asked for, granted, or refused at that time.
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Asked,
    Granted,
    Refused(Instant),
}

/// What time brings.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again after that.
    Wait(Duration),
    /// It is over.
    Closed,
}

impl Relay {
    /// Asks a server for a relay. `local` is the port that all links share.
    pub fn ask(server: SocketAddr, of: &TurnServer, local: SocketAddr, now: Instant) -> Self {
        let mut config = TurnConfig::new(TurnCredentials::new(&of.name, &of.password));
        // Browsers don't hide their names either, and servers that check them by a shared secret need them.
        config.set_anonymous_username(Feature::Disabled);
        if server.is_ipv6() {
            config.set_address_family(AddressFamily::IPV6);
        }
        Self {
            proto: TurnClientUdp::allocate(local, server, config),
            zero: now,
            server,
            local,
            address: None,
            peers: HashMap::new(),
        }
    }

    /// The server.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// Where peers reach us through it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Takes in what the server sent; told back: what a peer sent, and which.
    pub fn heard(&mut self, bytes: &[u8], now: Instant) -> Option<(SocketAddr, Vec<u8>)> {
        let sent = Transmit::new(bytes.to_vec(), TransportType::Udp, self.server, self.local);
        let time = self.time(now);
        let came = match self.proto.recv(sent, time) {
            TurnRecvRet::PeerData(data) => Some((data.peer, data.data().to_vec())),
            _ => None,
        };
        self.events(now);
        came
    }

    /// What has to go to the server so that a peer gets this; `None` while it may not be sent to.
    pub fn send(&mut self, to: SocketAddr, data: &[u8], now: Instant) -> Option<Vec<u8>> {
        let relay = self.address.filter(|relay| relay.is_ipv4() == to.is_ipv4())?;
        // Our own relay: nobody is there but us.
        if relay == to || !self.may(to.ip(), now) {
            return None;
        }
        let time = self.time(now);
        let sent = self.proto.send_to(TransportType::Udp, to, data.to_vec(), time).ok()??;
        Some(TransmitBuild::build(sent).data)
    }

    /// Whether an address may be sent to; asks for it if nobody has.
    fn may(&mut self, peer: IpAddr, now: Instant) -> bool {
        match self.peers.get(&peer) {
            Some(Peer::Granted) => return true,
            Some(Peer::Asked) => return false,
            Some(Peer::Refused(at)) if now.saturating_duration_since(*at) < REFUSED => return false,
            _ => {}
        }
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            self.peers.retain(|_, peer| !matches!(peer, Peer::Refused(_)));
            if self.peers.len() >= MAX_PEERS {
                return false;
            }
        }
        let time = self.time(now);
        if self.proto.create_permission(TransportType::Udp, peer, time).is_ok() {
            self.peers.insert(peer, Peer::Asked);
        }
        false
    }

    /// Bytes for the server that wait.
    pub fn outgoing(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let time = self.time(now);
        let mut all = Vec::new();
        while let Some(sent) = self.proto.poll_transmit(time) {
            all.push(sent.data.as_ref().to_vec());
        }
        all
    }

    /// What is to be done next, and when.
    pub fn poll(&mut self, now: Instant) -> Next {
        let time = self.time(now);
        let next = self.proto.poll(time);
        self.events(now);
        match next {
            TurnPollRet::WaitUntil(at) => Next::Wait(at.saturating_duration_since(time)),
            TurnPollRet::Closed => Next::Closed,
            TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. } => {
                Next::Wait(Duration::ZERO)
            }
        }
    }

    fn events(&mut self, now: Instant) {
        while let Some(event) = self.proto.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, address) => self.address = Some(address),
                TurnEvent::PermissionCreated(_, peer) => {
                    self.peers.insert(peer, Peer::Granted);
                }
                TurnEvent::PermissionCreateFailed(_, peer) => {
                    self.peers.insert(peer, Peer::Refused(now));
                }
                _ => {}
            }
        }
    }

    fn time(&self, now: Instant) -> Time {
        let passed = now.saturating_duration_since(self.zero).as_nanos() + 1_000_000_000;
        Time::from_nanos(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}
