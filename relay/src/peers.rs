//! To whom is relayed. A relay sends from the operator's machine, so it must be no way into the operator's network, into the machine itself or
//! to a cloud's metadata service: only addresses of the public internet are peers, and what the operator names besides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cidr::Cidr;

/// Who may be relayed to.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    allowed: Vec<Cidr>,
    own: Vec<IpAddr>,
}

impl Peers {
    /// The public internet and the ranges in `allowed`. `own` are the relays' addresses, by which two clients of this server meet: whoever sends to them
    /// has to ask whether there is a relay.
    pub fn new(allowed: Vec<Cidr>, own: Vec<IpAddr>) -> Self {
        Self { allowed, own }
    }

    /// Whether it's one of the relays' own addresses.
    pub fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }

    /// Whether this address may be a peer.
    pub fn may(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.is_own(address) || is_public(address) || self.allowed.iter().any(|range| range.contains(address))
    }
}

/// Whether an address belongs to the public internet (the special-purpose registries of RFC 6890, as they stand now).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    let benchmarks = a == 198 && b & 0xfe == 18;
    // 192.0.0.0/24: protocol assignments; 192.88.99.0/24: the old relays of 6to4; 240.0.0.0/4: reserved.
    let assigned = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    !(a == 0
        || v4.is_private()
        || shared
        || v4.is_loopback()
        || v4.is_link_local()
        || assigned
        || v4.is_documentation()
        || benchmarks
        || v4.is_multicast()
        || a >= 240)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    let [a, b, ..] = v6.segments();
    // Global unicast is 2000::/3. In it: what stands for an IPv4 address (6to4, Teredo) leads wherever that does, and documentation.
    let stands_for_v4 = a == 0x2002 || (a, b) == (0x2001, 0);
    let documentation = (a, b) == (0x2001, 0x0db8) || a == 0x3fff && b < 0x1000;
    a & 0xe000 == 0x2000 && !stands_for_v4 && !documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(allowed: &[&str], own: &[&str]) -> Peers {
        Peers::new(
            allowed.iter().map(|range| range.parse().expect("a range")).collect(),
            own.iter().map(|address| address.parse().expect("an address")).collect(),
        )
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nobody_reaches_a_private_network_through_the_relay() {
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "2002:a00:1::1",
            "2001:0:a00:1::1",
        ] {
            assert!(!peers(&[], &[]).may(ip(inside)), "{inside}");
        }
    }

    #[test]
    fn the_public_internet_may_be_relayed_to() {
        for outside in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:4860:4860::8888",
            "2a00::1",
            "::ffff:1.1.1.1",
        ] {
            assert!(peers(&[], &[]).may(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn what_the_operator_names_may_be_relayed_to_and_nothing_beside_it() {
        let peers = peers(&["10.77.0.0/16"], &["127.0.0.1"]);
        assert!(
            peers.may(ip("10.77.1.2")) && peers.may(ip("::ffff:10.77.1.2")) && !peers.may(ip("10.78.0.1"))
        );
        assert!(
            peers.may(ip("127.0.0.1")) && peers.is_own(ip("127.0.0.1")),
            "where the relays themselves are"
        );
        assert!(!peers.may(ip("127.0.0.2")) && !peers.is_own(ip("1.1.1.1")));
    }
}
