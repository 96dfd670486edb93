//! The way of a packet: up from its host through the NATs before it, and down through those before the other. Pure: packets and the time go in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::nat::{Nat, Way};
use super::packet::{Packet, Protocol};
use super::random::Random;

/// A place in the tree: the internet itself, a NAT, a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spot(usize);

/// A network interface that hosts are at; several may share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wire(pub usize);

/// What a provider or an office lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Everything.
    #[default]
    Open,
    /// No UDP.
    NoUdp,
    /// HTTPS alone: TCP to port 443.
    OnlyHttps,
}

/// What a host's line does to its packets, each way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Line {
    /// How much later they come.
    pub delay: Duration,
    /// Share of them that is lost.
    pub loss: f64,
    /// What isn't let through.
    pub policy: Policy,
}

/// A packet that arrives.
#[derive(Debug)]
pub struct Delivery {
    /// Where.
    pub wire: Wire,
    /// How long it takes.
    pub after: Duration,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The tree.
#[derive(Debug)]
pub struct Net {
    nodes: Vec<Node>,
    hosts: HashMap<(Wire, IpAddr), Spot>,
    carried: HashMap<(Spot, Spot), u64>,
    random: Random,
}

#[derive(Debug, Default)]
struct Node {
    parent: Option<usize>,
    nat: Option<Nat>,
    line: Line,
    wire: Option<Wire>,
    /// Who is below, by the address that the other end is reached at from here.
    below: HashMap<IpAddr, usize>,
}

impl Policy {
    fn passes(self, packet: &Packet, way: Way) -> bool {
        match self {
            Self::Open => true,
            Self::NoUdp => packet.protocol() == Protocol::Tcp,
            Self::OnlyHttps => {
                let port = if way == Way::Out { packet.to().port() } else { packet.from().port() };
                packet.protocol() == Protocol::Tcp && port == 443
            }
        }
    }
}

impl Net {
    /// The internet, and nobody on it.
    pub fn new(seed: u64) -> Self {
        let nodes = vec![Node::default()];
        Self { nodes, hosts: HashMap::new(), carried: HashMap::new(), random: Random::new(seed) }
    }

    /// The internet itself.
    pub const ROOT: Spot = Spot(0);

    /// Puts a NAT below a spot.
    pub fn add_nat(&mut self, below: Spot, nat: Nat) -> Spot {
        let spot = self.nodes.len();
        if let Some(public) = nat.public() {
            self.nodes[below.0].below.insert(public, spot);
        }
        self.nodes.push(Node { parent: Some(below.0), nat: Some(nat), ..Node::default() });
        Spot(spot)
    }

    /// Puts a host below a spot.
    pub fn add_host(&mut self, below: Spot, wire: Wire, addresses: &[IpAddr], line: Line) -> Spot {
        let spot = self.nodes.len();
        self.nodes.push(Node { parent: Some(below.0), line, wire: Some(wire), ..Node::default() });
        for address in addresses {
            self.hosts.insert((wire, *address), Spot(spot));
            let (mut child, mut at) = (spot, below.0);
            loop {
                self.nodes[at].below.insert(*address, child);
                // Behind a firewall an address is the same outside.
                let firewall = self.nodes[at].nat.as_ref().is_some_and(|nat| nat.public().is_none());
                let Some(parent) = self.nodes[at].parent.filter(|_| firewall) else { break };
                (child, at) = (at, parent);
            }
        }
        Spot(spot)
    }

    /// From now on a host's line does this to its packets.
    pub fn set_line(&mut self, host: Spot, line: Line) {
        self.nodes[host.0].line = line;
    }

    /// Bytes of payload that came from one host to another.
    pub fn carried(&self, from: Spot, to: Spot) -> u64 {
        self.carried.get(&(from, to)).copied().unwrap_or(0)
    }

    /// Bytes of payload that came from a host, to whomever.
    pub fn sent_by(&self, from: Spot) -> u64 {
        self.carried.iter().filter(|((spot, _), _)| *spot == from).map(|(_, bytes)| bytes).sum()
    }

    /// Mappings that the NAT at a spot has.
    pub fn mappings(&self, spot: Spot) -> usize {
        self.nodes[spot.0].nat.as_ref().map_or(0, Nat::mappings)
    }

    /// A host sends a packet; told back: where it arrives, if it does.
    pub fn send(&mut self, wire: Wire, bytes: &[u8], now: Duration) -> Option<Delivery> {
        let mut packet = Packet::read(bytes)?;
        let from = *self.hosts.get(&(wire, packet.from().ip()))?;
        let line = self.nodes[from.0].line;
        if !line.policy.passes(&packet, Way::Out) || self.random.happens(line.loss) {
            return None;
        }
        let mut at = self.nodes[from.0].parent?;
        let to = loop {
            let to = packet.to().ip();
            let node = &mut self.nodes[at];
            if let Some(below) = node.below.get(&to).copied() {
                break self.descend(below, &mut packet, now)?;
            }
            let parent = node.parent?;
            let nat = node.nat.as_mut()?;
            let own = nat.public() == Some(to);
            if own && !nat.hairpins() || !nat.translate(&mut packet, Way::Out, now) {
                return None;
            }
            if own {
                break self.descend(at, &mut packet, now)?;
            }
            at = parent;
        };
        let arrives = self.nodes[to].line;
        if !arrives.policy.passes(&packet, Way::In) || self.random.happens(arrives.loss) {
            return None;
        }
        *self.carried.entry((from, Spot(to))).or_default() += packet.payload().len() as u64;
        let wire = self.nodes[to].wire?;
        Some(Delivery { wire, after: line.delay + arrives.delay, bytes: packet.write() })
    }

    /// Down to the host that a packet is for.
    fn descend(&mut self, mut at: usize, packet: &mut Packet, now: Duration) -> Option<usize> {
        while self.nodes[at].wire.is_none() {
            if !self.nodes[at].nat.as_mut()?.translate(packet, Way::In, now) {
                return None;
            }
            at = *self.nodes[at].below.get(&packet.to().ip())?;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::kind::{Allocation, Dependence, Kind};
    use super::*;

    const OPEN: Kind = Kind {
        mapping: Dependence::Independent,
        allocation: Allocation::Random,
        filtering: Dependence::Independent,
    };

    /// A packet as a host would send it.
    fn sent(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        Packet::udp(from, to, b"hello").map(Packet::write).unwrap_or_default()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Who is seen to send, at the other end.
    fn seen(net: &mut Net, wire: usize, from: &str, to: SocketAddr) -> Option<(Wire, SocketAddr)> {
        let arrived = net.send(Wire(wire), &sent(at(from), to), Duration::ZERO)?;
        Some((arrived.wire, Packet::read(&arrived.bytes).expect("a packet").from()))
    }

    #[test]
    fn two_homes_meet_by_their_public_addresses_and_by_no_others() {
        let mut net = Net::new(1);
        for (wire, public, inside) in [(0, "198.18.0.1", "192.168.1.2"), (1, "198.18.0.2", "192.168.1.2")] {
            let home = net.add_nat(Net::ROOT, Nat::new(OPEN, ip(public), wire as u64));
            net.add_host(home, Wire(wire), &[ip(inside)], Line::default());
        }
        let server = net.add_host(Net::ROOT, Wire(2), &[ip("198.18.0.3")], Line::default());
        let stun = at("198.18.0.3:3478");
        let (_, one) = seen(&mut net, 0, "192.168.1.2:5000", stun).expect("arrives");
        let (_, other) = seen(&mut net, 1, "192.168.1.2:5000", stun).expect("arrives");
        assert_eq!((one.ip(), other.ip()), (ip("198.18.0.1"), ip("198.18.0.2")));
        assert_eq!(seen(&mut net, 0, "192.168.1.2:5000", other), Some((Wire(1), one)));
        assert_eq!(seen(&mut net, 0, "192.168.1.2:5000", at("192.168.9.9:1")), None, "no such host at home");
        assert_eq!(seen(&mut net, 0, "10.0.0.1:1", stun), None, "no address of its own");
        assert_eq!(net.sent_by(server), 0);
    }

    #[test]
    fn homes_behind_one_carrier_meet_there_or_by_its_hairpin() {
        for (hairpins, meet) in [(true, true), (false, false)] {
            let mut net = Net::new(1);
            let carrier = Nat::new(OPEN, ip("198.18.0.1"), 1);
            let carrier = net.add_nat(Net::ROOT, if hairpins { carrier.hairpinning() } else { carrier });
            for (wire, outside) in [(0, "100.64.0.1"), (1, "100.64.0.2")] {
                let home = net.add_nat(carrier, Nat::new(OPEN, ip(outside), wire as u64 + 2));
                net.add_host(home, Wire(wire), &[ip("192.168.1.2")], Line::default());
            }
            net.add_host(Net::ROOT, Wire(2), &[ip("198.18.0.3")], Line::default());
            let stun = at("198.18.0.3:3478");
            let (_, one) = seen(&mut net, 0, "192.168.1.2:5000", stun).expect("arrives");
            let (_, other) = seen(&mut net, 1, "192.168.1.2:5000", stun).expect("arrives");
            assert_eq!((one.ip(), other.ip()), (ip("198.18.0.1"), ip("198.18.0.1")));
            let met = seen(&mut net, 0, "192.168.1.2:5000", other);
            assert_eq!(met, meet.then_some((Wire(1), one)), "hairpins: {hairpins}");
        }
    }

    #[test]
    fn an_office_lets_through_what_its_policy_says() {
        for (policy, udp) in [(Policy::Open, true), (Policy::NoUdp, false), (Policy::OnlyHttps, false)] {
            let mut net = Net::new(1);
            net.add_host(Net::ROOT, Wire(0), &[ip("198.18.0.1")], Line { policy, ..Line::default() });
            net.add_host(Net::ROOT, Wire(1), &[ip("198.18.0.2")], Line::default());
            assert_eq!(seen(&mut net, 0, "198.18.0.1:1", at("198.18.0.2:443")).is_some(), udp, "{policy:?}");
            assert_eq!(seen(&mut net, 1, "198.18.0.2:443", at("198.18.0.1:1")).is_some(), udp, "{policy:?}");
        }
    }

    #[test]
    fn a_line_delays_and_loses_what_it_says() {
        let mut net = Net::new(1);
        let line = Line { delay: Duration::from_millis(20), loss: 0.5, ..Line::default() };
        let one = net.add_host(Net::ROOT, Wire(0), &[ip("198.18.0.1")], line);
        let other = net.add_host(Net::ROOT, Wire(1), &[ip("198.18.0.2")], Line { loss: 0.0, ..line });
        let packet = sent(at("198.18.0.1:1"), at("198.18.0.2:1"));
        let arrived: Vec<_> = (0..1000).filter_map(|_| net.send(Wire(0), &packet, Duration::ZERO)).collect();
        assert!((400..600).contains(&arrived.len()), "{}", arrived.len());
        assert!(arrived.iter().all(|packet| packet.after == Duration::from_millis(40)));
        assert_eq!(net.carried(one, other), 5 * arrived.len() as u64);
    }

    #[test]
    fn behind_a_firewall_an_address_is_its_own() {
        let mut net = Net::new(1);
        let wall = net.add_nat(Net::ROOT, Nat::firewall(Dependence::Port));
        net.add_host(wall, Wire(0), &[ip("2001:db8::2")], Line::default());
        net.add_host(Net::ROOT, Wire(1), &[ip("2001:db8:1::1")], Line::default());
        assert_eq!(seen(&mut net, 1, "[2001:db8:1::1]:1", at("[2001:db8::2]:5000")), None);
        let out = seen(&mut net, 0, "[2001:db8::2]:5000", at("[2001:db8:1::1]:1"));
        assert_eq!(out, Some((Wire(1), at("[2001:db8::2]:5000"))));
        let back = seen(&mut net, 1, "[2001:db8:1::1]:1", at("[2001:db8::2]:5000"));
        assert_eq!(back, Some((Wire(0), at("[2001:db8:1::1]:1"))));
    }
}
