//! Where a peer is, as far as its connection shows it.
//!
//! Site: whoever shares it shares a home's or an office's network, so that bytes between them cross nobody else's. It is a keyed hash of the
//! address's prefix, with another key in each swarm: it names nobody, and nobody is the same in two swarms.
//!
//! | address | prefix | why |
//! | --- | --- | --- |
//! | IPv4 | /32 | one public address is one home or office behind its NAT |
//! | IPv4 of a private range (RFC 1918), link-local, loopback | /24 | hosts with addresses of their own, in the server's own network |
//! | IPv6 | /64 | one link; a home has one or a few |
//!
//! Provider and country are told where the operator has databases of them ([`crate::geo`]), as keyed hashes too: peers only
//! ask whether two of them are the same. Two countries share a number once in 65,535 pairs, which costs a little nearness.

use std::net::IpAddr;

use rillcast_protocol::id::SwarmId;
use rillcast_protocol::signal::Network;

use crate::geo::Place;

/// Where the peer with this address is, in the eyes of this swarm. `secret` keeps the hash from being tried out.
pub fn network(secret: &[u8; 32], swarm: SwarmId, address: IpAddr, place: Place) -> Network {
    let (family, length, prefix) = match address.to_canonical() {
        IpAddr::V6(v6) => (6, 64, u128::from(v6) >> 64),
        IpAddr::V4(v4) => {
            let own = v4.is_private() || v4.is_link_local() || v4.is_loopback();
            let length = if own { 24u8 } else { 32 };
            (4, length, u128::from(u32::from(v4) >> (32 - length)))
        }
    };
    let hash = |purpose: &[u8], words: &[&[u8]]| {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(purpose).update(&swarm.0);
        for word in words {
            hasher.update(word);
        }
        let mut head = [0; 4];
        head.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
        u32::from_be_bytes(head)
    };
    // 0 is unknown.
    Network {
        site: hash(b"rillcast site v1\0", &[&[family, length], &prefix.to_be_bytes()]).max(1),
        asn: place.asn.map_or(0, |asn| hash(b"rillcast asn v1\0", &[&asn.to_be_bytes()]).max(1)),
        country: place.country.map_or(0, |country| {
            let number = hash(b"rillcast country v1\0", &[&country.letters()]) % u32::from(u16::MAX);
            number as u16 + 1
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWARM: SwarmId = SwarmId([5; 16]);

    fn site(address: &str) -> u32 {
        network(&[7; 32], SWARM, address.parse().expect("an address"), Place::default()).site
    }

    #[test]
    fn a_home_is_one_site_whatever_family_it_is_seen_by() {
        assert_eq!(site("203.0.113.7"), site("::ffff:203.0.113.7"), "a mapped address is its own");
        assert_eq!(site("2001:db8:1:2::1"), site("2001:db8:1:2:ffff::9"), "hosts of one /64");
        assert_eq!(site("10.1.2.3"), site("10.1.2.200"), "hosts of one private /24");
        assert_eq!(site("127.0.0.1"), site("127.0.0.2"));
        assert_eq!(site("fd00::1"), site("fd00::2"));
    }

    #[test]
    fn neighbours_in_the_address_space_are_no_neighbours() {
        let others = [
            "203.0.113.7",
            "203.0.113.6",
            "100.64.0.1",
            "100.64.0.2",
            "10.1.2.3",
            "10.1.3.3",
            "172.16.0.1",
            "192.168.0.1",
            "169.254.0.1",
            "127.0.0.1",
            "2001:db8:1:2::1",
            "2001:db8:1:3::1",
            "::cb00:7107",
        ];
        let sites: std::collections::BTreeSet<u32> = others.iter().map(|a| site(a)).collect();
        assert_eq!(sites.len(), others.len());
    }

    #[test]
    fn nobody_is_the_same_in_two_swarms_or_under_two_secrets() {
        let address = "203.0.113.7".parse().expect("an address");
        let place = Place { country: "SE".parse().ok(), asn: Some(64_496) };
        let here = network(&[7; 32], SWARM, address, place);
        for other in
            [network(&[7; 32], SwarmId([6; 16]), address, place), network(&[8; 32], SWARM, address, place)]
        {
            assert!(here.site != other.site && here.asn != other.asn && here.country != other.country);
        }
    }

    #[test]
    fn provider_and_country_are_told_where_they_are_known() {
        let at = |country: &str, asn| {
            let address = "203.0.113.7".parse().expect("an address");
            network(&[7; 32], SWARM, address, Place { country: country.parse().ok(), asn })
        };
        let unknown = at("", None);
        assert_eq!((unknown.asn, unknown.country), (0, 0));
        let known = at("SE", Some(64_496));
        assert!(known.asn != 0 && known.asn != 64_496 && known.country != 0);
        assert_eq!(known.country, at("SE", Some(64_497)).country);
        assert_eq!(known.asn, at("NO", Some(64_496)).asn);
        assert!(known.asn != at("SE", Some(64_497)).asn && known.country != at("NO", None).country);
    }

    #[test]
    fn a_known_address_is_never_the_unknown_site() {
        assert!((0..2000u32).all(|n| {
            let address = std::net::Ipv4Addr::from(0x0808_0000 + n);
            network(&[7; 32], SWARM, address.into(), Place::default()).site != 0
        }));
    }
}
