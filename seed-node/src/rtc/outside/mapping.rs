//! How the NAT before us maps our port: what two servers say of it that are asked from there, one after the other's answer or at once (RFC 5780, 4.3). Pure.
//!
//! Servers are asked in rounds. A class is found in a round in which two have answered, for an older answer may be from before a change; a round in which
//! fewer do changes nothing of what is known, for it may be the servers that are away.

use std::net::{IpAddr, SocketAddr};

use rillcast_protocol::nat::NatClass;

/// What is known.
#[derive(Debug, Default)]
pub struct Mapping {
    /// In this round: which server, and our address as it saw it. At most one for each server asked.
    answers: Vec<(SocketAddr, SocketAddr)>,
    /// Found so far.
    class: NatClass,
    /// Who has told what peers are told.
    teller: Option<(SocketAddr, SocketAddr)>,
}

impl Mapping {
    /// Servers are asked anew.
    pub fn begin(&mut self) {
        self.answers.clear();
    }

    /// A server has answered. `own` are the addresses that we have ourselves.
    pub fn answered(&mut self, server: SocketAddr, mapped: SocketAddr, own: &[SocketAddr]) {
        self.answers.retain(|(known, _)| *known != server);
        self.answers.push((server, mapped));
        // One server's word is told for as long as it answers: to another our port may be another.
        if self.teller.is_none_or(|(known, _)| known == server) {
            self.teller = Some((server, mapped));
        }
        let others = self.answers.iter().filter(|(_, seen)| seen.is_ipv4() == mapped.is_ipv4());
        let mut differ = others.clone().map(|(_, seen)| *seen != mapped);
        let count = others.count();
        if own.contains(&mapped) || own.iter().any(|address| is_global_v6(address.ip())) {
            self.class = NatClass::Open;
        } else if count > 1 {
            self.class =
                if differ.any(|differs| differs) { NatClass::Dependent } else { NatClass::Independent };
        } else if matches!(self.class, NatClass::Blocked) {
            self.class = NatClass::Unknown;
        }
    }

    /// The round is over.
    pub fn end(&mut self, own: &[SocketAddr]) {
        if self.answers.is_empty() && self.class == NatClass::Unknown && self.teller.is_none() {
            let open = own.iter().any(|address| is_global_v6(address.ip()));
            self.class = if open { NatClass::Open } else { NatClass::Blocked };
        }
        let silent = |(known, _)| self.answers.iter().all(|(server, _)| *server != known);
        if self.teller.is_some_and(silent)
            && let Some(other) = self.answers.first()
        {
            self.teller = Some(*other);
        }
    }

    /// Whether a server has answered in this round.
    pub fn has(&self, server: SocketAddr) -> bool {
        self.answers.iter().any(|(known, _)| *known == server)
    }

    /// Whether any has.
    pub fn has_any(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Our address as seen from outside.
    pub fn address(&self) -> Option<SocketAddr> {
        self.teller.map(|(_, mapped)| mapped)
    }

    /// How the NAT maps.
    pub fn class(&self) -> NatClass {
        self.class
    }
}

/// Whether it is an address of the internet (RFC 4291, 2.4): nothing translates those, whatever is done to IPv4.
fn is_global_v6(ip: IpAddr) -> bool {
    matches!(ip.to_canonical(), IpAddr::V6(v6) if v6.segments()[0] & 0xe000 == 0x2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// The class after one round in which servers at these ports have said this.
    fn found(own: &str, answers: &[(u16, &str)]) -> NatClass {
        let (mut mapping, own) = (Mapping::default(), [at(own)]);
        mapping.begin();
        for (port, seen) in answers {
            mapping.answered(SocketAddr::from(([192, 0, 2, 1], *port)), at(seen), &own);
        }
        mapping.end(&own);
        mapping.class()
    }

    // R31
    #[test]
    fn two_servers_tell_a_nats_mapping_and_one_tells_only_whether_there_is_a_nat() {
        use NatClass::{Blocked, Dependent, Independent, Open, Unknown};
        let (home, seen) = ("10.0.0.2:7000", "198.51.100.7:4000");
        assert_eq!(found(home, &[(1, seen), (2, seen)]), Independent);
        assert_eq!(found(home, &[(1, seen), (2, "198.51.100.7:4001")]), Dependent);
        assert_eq!(found(home, &[(1, seen), (2, "198.51.100.8:4000")]), Dependent, "another address");
        assert_eq!(found(home, &[(1, seen), (2, seen), (3, "198.51.100.7:4001")]), Dependent);
        assert_eq!(found(home, &[(1, seen)]), Unknown);
        assert_eq!(found(home, &[(1, seen), (1, "198.51.100.7:4001")]), Unknown, "the same server twice");
        assert_eq!(found(home, &[(1, seen), (2, "[2001:db8::7]:4000")]), Unknown, "another family");
        assert_eq!(found(home, &[(1, home)]), Open);
        assert_eq!(found(home, &[]), Blocked);
        assert_eq!(found("[fe80::2]:7000", &[]), Blocked);
        assert_eq!(found("[2001:db8::2]:7000", &[(1, seen), (2, "198.51.100.7:4001")]), Open, "by IPv6");
        assert_eq!(found("[2001:db8::2]:7000", &[]), Open);
    }

    #[test]
    fn what_was_found_stays_while_servers_are_away_and_changes_when_two_say_so() {
        let (own, mut mapping) = ([at("10.0.0.2:7000")], Mapping::default());
        let (one, other) = (at("192.0.2.1:1"), at("192.0.2.1:2"));
        let mut round = |answers: &[(SocketAddr, &str)]| {
            mapping.begin();
            answers.iter().for_each(|(server, seen)| mapping.answered(*server, at(seen), &own));
            mapping.end(&own);
            (mapping.class(), mapping.address())
        };
        let (here, there) = ("198.51.100.7:4000", "203.0.113.9:5000");
        assert_eq!(round(&[]), (NatClass::Blocked, None));
        assert_eq!(round(&[(one, here)]), (NatClass::Unknown, Some(at(here))), "they do answer");
        assert_eq!(round(&[(other, there), (one, here)]), (NatClass::Dependent, Some(at(here))));
        assert_eq!(round(&[]), (NatClass::Dependent, Some(at(here))));
        assert_eq!(round(&[(other, there)]), (NatClass::Dependent, Some(at(there))), "the teller is away");
        assert_eq!(round(&[(one, there), (other, there)]), (NatClass::Independent, Some(at(there))));
    }
}
