//! ICE candidates: ours, which all name the one shared port, and what we take of others'.

use std::net::{IpAddr, SocketAddr};

use rillcast_protocol::session::is_candidate;

use super::outside::Seen;

/// Most addresses that a node tells of itself.
pub const MAX_LOCAL: usize = 8;

/// The node's own candidates as `candidate:` lines: one host candidate for each address at which it can be reached.
///
/// The stack's own are of no use, since it knows neither the shared port nor the addresses beyond a NAT.
pub fn lines(addresses: &[SocketAddr]) -> Vec<String> {
    let line = |(at, address): (usize, &SocketAddr)| {
        // RFC 8445, 5.1.2.1: type preference 126 for host, then the local one, then component 1.
        let local = 65_535 - at as u32;
        let priority = (126u32 << 24) | (local << 8) | 255;
        format!("candidate:{} 1 udp {priority} {} {} typ host", at + 1, address.ip(), address.port())
    };
    addresses.iter().take(MAX_LOCAL).enumerate().map(line).collect()
}

/// What is known from outside as `candidate:` lines: server reflexive and relayed (RFC 8445, 5.1.1).
pub fn outside_lines(seen: Seen) -> Vec<String> {
    let line = |foundation: u8, preference: u32, address: SocketAddr, kind: &str| {
        let priority = (preference << 24) | (65_535 << 8) | 255;
        // Whose it is inside is nobody's business; a related address has to be there all the same (RFC 8839, 5.1).
        let related = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        let (ip, port) = (address.ip(), address.port());
        format!("candidate:{foundation} 1 udp {priority} {ip} {port} typ {kind} raddr {related} rport 0")
    };
    let mapped = seen.mapped.map(|address| line(20, 100, address, "srflx"));
    let relay = seen.relay.map(|address| line(21, 0, address, "relay"));
    mapped.into_iter().chain(relay).collect()
}

/// The addresses to tell: those the operator gave, else those of the interfaces that `bound` covers.
pub fn reachable(bound: SocketAddr, advertised: &[IpAddr], interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let mut ips: Vec<IpAddr> = if !advertised.is_empty() {
        advertised.to_vec()
    } else if bound.ip().is_unspecified() {
        // Loopback last: it serves viewers on this very machine.
        let covered = |ip: &&IpAddr| (bound.is_ipv6() || ip.is_ipv4()) && !is_link_local(**ip);
        let mut ips: Vec<IpAddr> = interfaces.iter().filter(covered).copied().collect();
        ips.sort_by_key(IpAddr::is_loopback);
        ips
    } else {
        vec![bound.ip()]
    };
    let mut seen = Vec::new();
    ips.retain(|ip| {
        !seen.contains(ip) && {
            seen.push(*ip);
            true
        }
    });
    ips.into_iter().take(MAX_LOCAL).map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// Whether a peer's candidate line is handed to the stack: a well-formed UDP one, and no TCP, which this node doesn't
/// speak. `.local` names pass if they can be resolved.
pub fn is_usable(line: &str, mdns: bool) -> bool {
    let mut fields = line.split(' ');
    let transport = fields.nth(2);
    let address = fields.nth(1);
    is_candidate(line)
        && transport.is_some_and(|t| t.eq_ignore_ascii_case("udp"))
        && address.is_some_and(|a| a.parse::<IpAddr>().is_ok() || (mdns && a.ends_with(".local")))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn every_candidate_names_the_shared_port() {
        let lines = lines(&[
            "192.0.2.1:7000".parse().expect("address"),
            "[2001:db8::1]:7000".parse().expect("address"),
        ]);
        assert_eq!(lines[0], "candidate:1 1 udp 2130706431 192.0.2.1 7000 typ host");
        assert_eq!(lines[1], "candidate:2 1 udp 2130706175 2001:db8::1 7000 typ host");
        assert!(lines.iter().all(|l| is_candidate(l)));
    }

    #[test]
    fn what_the_operator_gave_comes_before_what_the_machine_has() {
        let bound: SocketAddr = "0.0.0.0:7000".parse().expect("address");
        let has = [ip("127.0.0.1"), ip("10.0.0.2"), ip("169.254.1.1"), ip("10.0.0.2"), ip("2001:db8::2")];
        let told = |advertised: &[IpAddr]| -> Vec<String> {
            reachable(bound, advertised, &has).iter().map(SocketAddr::to_string).collect()
        };
        assert_eq!(told(&[]), ["10.0.0.2:7000", "127.0.0.1:7000"]);
        assert_eq!(told(&[ip("198.51.100.7")]), ["198.51.100.7:7000"]);
        let one: SocketAddr = "127.0.0.1:9".parse().expect("address");
        assert_eq!(reachable(one, &[], &has), [one]);
    }

    #[test]
    fn what_is_seen_from_outside_names_no_address_inside() {
        let address = |text: &str| text.parse().ok();
        let seen = Seen {
            mapped: address("198.51.100.7:4000"),
            relay: address("[2001:db8::9]:50000"),
            ..Seen::default()
        };
        let lines = outside_lines(seen);
        assert_eq!(
            lines[0],
            "candidate:20 1 udp 1694498815 198.51.100.7 4000 typ srflx raddr 0.0.0.0 rport 0"
        );
        assert_eq!(lines[1], "candidate:21 1 udp 16777215 2001:db8::9 50000 typ relay raddr :: rport 0");
        assert!(lines.iter().all(|line| is_candidate(line) && is_usable(line, false)));
        assert!(outside_lines(Seen::default()).is_empty());
    }

    #[test]
    fn the_number_of_own_candidates_is_limited() {
        let bound: SocketAddr = "0.0.0.0:7000".parse().expect("address");
        for n in [MAX_LOCAL - 1, MAX_LOCAL, MAX_LOCAL + 1] {
            let has: Vec<IpAddr> = (0..n).map(|i| IpAddr::from([10, 0, 0, i as u8])).collect();
            assert_eq!(reachable(bound, &[], &has).len(), n.min(MAX_LOCAL));
            assert_eq!(reachable(bound, &has, &[]).len(), n.min(MAX_LOCAL));
        }
    }

    #[test]
    fn only_udp_candidates_pass() {
        let usable = |transport: &str, address: &str, mdns| {
            is_usable(&format!("candidate:1 1 {transport} 1 {address} 9 typ host"), mdns)
        };
        assert!(usable("udp", "10.0.0.1", false) && usable("UDP", "2001:db8::1", false));
        assert!(!usable("tcp", "10.0.0.1", false));
        assert!(usable("udp", "9b36eaac-bb2e-49bb-bb78-21c41c499900.local", true));
        assert!(!usable("udp", "9b36eaac-bb2e-49bb-bb78-21c41c499900.local", false));
        assert!(!usable("udp", "example.org", true));
        assert!(!is_usable("candidate:1 1 udp", true) && !is_usable("", true));
    }
}
