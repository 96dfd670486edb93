//! A NAT, or a firewall that leaves addresses as they are: no clock, no sockets. A packet and the time go in, the packet comes out translated or it doesn't.
//!
//! Bounded: so many mappings, after which new ones are refused, as home routers do; so many peers remembered of each, of which the oldest is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::kind::{Allocation, Dependence, Kind};
use super::packet::{Packet, Protocol};
use super::random::Random;

/// Most mappings of one NAT.
pub const MAX_MAPPINGS: usize = 4096;
/// Most peers remembered of one mapping.
pub const MAX_PEERS: usize = 256;
/// How long a mapping lasts without a packet from inside (RFC 4787, 4.3: two minutes at least).
pub const UDP_LIFE: Duration = Duration::from_secs(120);
/// The same of connections (RFC 5382, REQ-5: two hours and four minutes at least).
pub const TCP_LIFE: Duration = Duration::from_secs(7440);
/// Lowest port that is given by order or at random.
const LOWEST: u16 = 1024;

/// A NAT.
#[derive(Debug)]
pub struct Nat {
    kind: Kind,
    /// Its address outside; `None`: a firewall, which translates nothing.
    public: Option<IpAddr>,
    hairpins: bool,
    mappings: HashMap<Key, Mapping>,
    /// Who has which port outside.
    ports: HashMap<(Protocol, SocketAddr), Vec<Key>>,
    last_port: u16,
    random: Random,
}

/// What a mapping is found by, from inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    protocol: Protocol,
    inside: SocketAddr,
    towards: Towards,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Towards {
    All,
    Address(IpAddr),
    Endpoint(SocketAddr),
}

#[derive(Debug)]
struct Mapping {
    outside: SocketAddr,
    used: Duration,
    /// To whom something was sent, and when last.
    peers: HashMap<SocketAddr, Duration>,
}

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the outside.
    Out,
    /// From the outside.
    In,
}

impl Nat {
    /// A NAT at this address.
    pub fn new(kind: Kind, public: IpAddr, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let last_port = 20_000 + random.below(20_000) as u16;
        Self {
            kind,
            public: Some(public),
            hairpins: false,
            mappings: HashMap::new(),
            ports: HashMap::new(),
            last_port,
            random,
        }
    }

    /// A firewall: who is outside comes in as by a NAT of this filtering, and addresses stay as they are.
    pub fn firewall(filtering: Dependence) -> Self {
        let kind = Kind { mapping: Dependence::Independent, allocation: Allocation::Preserving, filtering };
        let mut firewall = Self::new(kind, IpAddr::from([0, 0, 0, 0]), 0);
        firewall.public = None;
        firewall
    }

    /// Leads from one host inside to another by their addresses outside (RFC 4787, 6).
    pub fn hairpinning(mut self) -> Self {
        self.hairpins = true;
        self
    }

    /// Whether it does.
    pub fn hairpins(&self) -> bool {
        self.hairpins
    }

    /// Its address outside.
    pub fn public(&self) -> Option<IpAddr> {
        self.public
    }

    /// Mappings that there are, those that have run out included.
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Translates a packet; false if it doesn't pass.
    pub fn translate(&mut self, packet: &mut Packet, way: Way, now: Duration) -> bool {
        let (protocol, from, to) = (packet.protocol(), packet.from(), packet.to());
        match way {
            Way::Out => self.outbound(protocol, from, to, now).map(|from| packet.set_from(from)).is_some(),
            Way::In => self.inbound(protocol, from, to, now).map(|to| packet.set_to(to)).is_some(),
        }
    }

    /// Somebody inside sends to the outside; told back: as whom.
    fn outbound(
        &mut self,
        protocol: Protocol,
        inside: SocketAddr,
        to: SocketAddr,
        now: Duration,
    ) -> Option<SocketAddr> {
        let towards = match self.kind.mapping {
            Dependence::Independent => Towards::All,
            Dependence::Address => Towards::Address(to.ip()),
            Dependence::Port => Towards::Endpoint(to),
        };
        let key = Key { protocol, inside, towards };
        if self.mappings.get(&key).is_none_or(|mapping| over(protocol, mapping.used, now)) {
            self.forget(now);
            if self.mappings.len() >= MAX_MAPPINGS {
                return None;
            }
            let outside = match self.public {
                Some(public) => SocketAddr::new(public, self.port(protocol, public, inside)?),
                None => inside,
            };
            self.ports.entry((protocol, outside)).or_default().push(key);
            self.mappings.insert(key, Mapping { outside, used: now, peers: HashMap::new() });
        }
        let mapping = self.mappings.get_mut(&key)?;
        mapping.used = now;
        if mapping.peers.len() >= MAX_PEERS && !mapping.peers.contains_key(&to) {
            let oldest = mapping.peers.iter().min_by_key(|(_, at)| **at).map(|(peer, _)| *peer);
            oldest.and_then(|peer| mapping.peers.remove(&peer));
        }
        mapping.peers.insert(to, now);
        Some(mapping.outside)
    }

    /// Somebody outside sends to one of our ports; told back: who gets it.
    fn inbound(
        &mut self,
        protocol: Protocol,
        from: SocketAddr,
        outside: SocketAddr,
        now: Duration,
    ) -> Option<SocketAddr> {
        let filtering = self.kind.filtering;
        let keys = self.ports.get(&(protocol, outside))?;
        let key = keys.iter().copied().find(|key| {
            let Some(mapping) = self.mappings.get(key) else { return false };
            let fresh = |at: &Duration| !over(protocol, *at, now);
            fresh(&mapping.used)
                && match filtering {
                    Dependence::Independent => true,
                    Dependence::Address => {
                        mapping.peers.iter().any(|(peer, at)| peer.ip() == from.ip() && fresh(at))
                    }
                    Dependence::Port => mapping.peers.get(&from).is_some_and(fresh),
                }
        })?;
        if protocol == Protocol::Tcp
            && let Some(mapping) = self.mappings.get_mut(&key)
        {
            // A download keeps its connection alive; datagrams from outside don't (RFC 4787, REQ-6).
            mapping.used = now;
        }
        Some(key.inside)
    }

    /// A port outside for a socket inside.
    fn port(&mut self, protocol: Protocol, public: IpAddr, inside: SocketAddr) -> Option<u16> {
        let taken = |port: u16| self.ports.get(&(protocol, SocketAddr::new(public, port)));
        match self.kind.allocation {
            Allocation::Preserving => {
                let others =
                    |port| taken(port).is_some_and(|keys| keys.iter().any(|key| key.inside != inside));
                let from = inside.port().max(LOWEST);
                (from..=u16::MAX).chain(LOWEST..from).find(|port| !others(*port))
            }
            Allocation::Contiguous => {
                let from = self.last_port.checked_add(1).unwrap_or(LOWEST);
                let port = (from..=u16::MAX).chain(LOWEST..from).find(|port| taken(*port).is_none())?;
                self.last_port = port;
                Some(port)
            }
            Allocation::Random => {
                let from = LOWEST + self.random.below(usize::from(u16::MAX - LOWEST)) as u16;
                (from..=u16::MAX).chain(LOWEST..from).find(|port| taken(*port).is_none())
            }
        }
    }

    /// Forgets what has run out.
    fn forget(&mut self, now: Duration) {
        let ports = &mut self.ports;
        self.mappings.retain(|key, mapping| {
            let stays = !over(key.protocol, mapping.used, now);
            if !stays && let Some(keys) = ports.get_mut(&(key.protocol, mapping.outside)) {
                keys.retain(|other| other != key);
                if keys.is_empty() {
                    ports.remove(&(key.protocol, mapping.outside));
                }
            }
            stays
        });
    }
}

fn over(protocol: Protocol, used: Duration, now: Duration) -> bool {
    let life = match protocol {
        Protocol::Udp => UDP_LIFE,
        Protocol::Tcp => TCP_LIFE,
    };
    now.saturating_sub(used) >= life
}

#[cfg(test)]
#[path = "nat_tests.rs"]
mod tests;
