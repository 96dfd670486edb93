//! How the network that a peer is in maps its addresses (RFC 4787, 4.1), as far as two peers have to know that to tell whether any way joins them.
//!
//! It says nothing of filtering: whether a NAT that keeps one port lets a packet in shows only when one comes.

use crate::coding::{DecodeError, Reader, Wire, Writer};

/// From this version on peers and servers tell each other of it; to older ones not a byte more is said than they know.
pub const TOLD_SINCE: u8 = 2;

/// A peer's class. Its own word, or a neighbour's: nobody has signed it, and who lies about its own makes links for itself rarer, or tries in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NatClass {
    /// It hasn't found out, or is older than this.
    #[default]
    Unknown,
    /// It is seen at an address that it has itself.
    Open,
    /// One port outside for all that it talks to.
    Independent,
    /// Another port outside for another address or port that it talks to: no peer can know where to send.
    Dependent,
    /// No STUN server answers it.
    Blocked,
}

const ALL: [NatClass; 5] =
    [NatClass::Unknown, NatClass::Open, NatClass::Independent, NatClass::Dependent, NatClass::Blocked];

impl NatClass {
    /// Whether no way joins two such peers but a relay, or a network that both are in.
    ///
    /// Two whose ports nobody can know never meet. One whom no STUN server answers gets out to nobody behind a NAT: who is asked says by its own class
    /// that servers do answer. To an open one it may get through all the same (a firewall that keeps STUN's port closed), and where both are
    /// unanswered it may be the servers that are away.
    pub fn is_hopeless_with(self, other: Self) -> bool {
        use NatClass::{Blocked, Dependent, Independent};
        matches!(
            (self, other),
            (Dependent | Blocked, Dependent) | (Dependent | Independent, Blocked) | (Blocked, Independent)
        )
    }

    /// With a flag in one byte, as it stands where there had only been the flag: unknown takes nothing.
    pub fn beside(self, flag: bool, w: &mut Writer) {
        w.byte(u8::from(flag) | (self as u8) << 1);
    }

    /// The flag, and the class beside it.
    pub fn and_flag(r: &mut Reader<'_>) -> (bool, Self) {
        let byte = r.byte();
        (byte & 1 == 1, class(byte >> 1, r))
    }
}

/// Most candidates of one connection that are looked at.
const MAX_GATHERED: usize = 16;

/// What one connection of a browser has gathered: candidates that STUN servers have shown it, two of which were asked from one port.
#[derive(Clone, Debug, Default)]
pub struct Gathered {
    /// Foundation, address and port of each.
    seen: Vec<[String; 3]>,
    /// It has an address of the internet, or may have.
    v6: bool,
}

impl Gathered {
    /// Takes a candidate line; told back: whether the NAT gives one port of ours several outside. Browsers don't tell one mapping twice, so of a NAT that
    /// gives one there is nothing to be seen.
    ///
    /// Which base a candidate is of shows in its foundation (RFC 8445, 5.1.1.3) where that names no server, as in Chromium; the address inside, which says
    /// it too, is hidden. Where foundations differ nothing is said.
    pub fn is_dependent(&mut self, line: &str) -> bool {
        let fields: Vec<&str> = line.split(' ').take(8).collect();
        let [foundation, _, _, _, address, port, _, kind] = fields[..] else { return false };
        self.v6 |= address.contains(':') && kind != "relay";
        if kind == "srflx" && self.seen.len() < MAX_GATHERED {
            self.seen.push([foundation, address, port].map(str::to_owned));
        }
        let differ = |one: &[String; 3]| self.seen.iter().any(|other| one[0] == other[0] && one != other);
        !self.v6 && self.seen.iter().any(differ)
    }
}

fn class(number: u8, r: &mut Reader<'_>) -> NatClass {
    ALL.get(usize::from(number)).copied().unwrap_or_else(|| {
        r.fail(DecodeError::Tag(number));
        NatClass::Unknown
    })
}

impl Wire for NatClass {
    fn encode(&self, w: &mut Writer) {
        w.byte(*self as u8);
    }
    fn decode(r: &mut Reader<'_>) -> Self {
        let number = r.byte();
        class(number, r)
    }
}

#[cfg(test)]
mod tests {
    use super::NatClass::{Blocked, Dependent, Independent, Open, Unknown};
    use super::*;

    // R24 R31: each pair, either way round.
    #[test]
    fn a_pair_is_hopeless_where_no_port_can_be_known_or_no_datagram_gets_out() {
        let hopeless = [(Dependent, Dependent), (Dependent, Blocked), (Independent, Blocked)];
        for one in ALL {
            for other in ALL {
                let expected = hopeless.contains(&(one, other)) || hopeless.contains(&(other, one));
                assert_eq!(one.is_hopeless_with(other), expected, "{one:?} and {other:?}");
            }
        }
        assert!(ALL.iter().all(|class| !Unknown.is_hopeless_with(*class) && !Open.is_hopeless_with(*class)));
    }

    #[test]
    fn a_class_stands_beside_a_flag_and_an_unknown_one_takes_nothing() {
        for class in ALL {
            for flag in [false, true] {
                let mut w = Writer::new();
                class.beside(flag, &mut w);
                let bytes = w.into_bytes();
                assert_eq!(bytes.len(), 1);
                assert_eq!(class == Unknown, bytes == flag.to_bytes());
                let mut r = Reader::new(&bytes);
                assert_eq!(NatClass::and_flag(&mut r), (flag, class));
                assert_eq!(r.end(), Ok(()));
            }
        }
    }

    // R31
    #[test]
    fn a_browser_sees_that_two_servers_see_one_port_of_its_own_differently() {
        let line = |foundation: &str, address: &str, port: u16, kind: &str| {
            format!(
                "candidate:{foundation} 1 udp 1677729535 {address} {port} typ {kind} raddr 0.0.0.0 rport 0"
            )
        };
        let gathered = |lines: &[String]| {
            let mut gathered = Gathered::default();
            lines.iter().map(|line| gathered.is_dependent(line)).last()
        };
        let host = line("1", "9b36eaac-bb2e-49bb-bb78-21c41c499900.local", 5000, "host");
        let one = line("2", "198.51.100.7", 4000, "srflx");
        let other = line("2", "198.51.100.7", 4001, "srflx");
        let elsewhere = line("3", "198.51.100.7", 4001, "srflx");
        assert_eq!(gathered(&[host.clone(), one.clone()]), Some(false));
        assert_eq!(gathered(&[host.clone(), one.clone(), one.clone()]), Some(false), "the same once more");
        assert_eq!(gathered(&[host, one.clone(), other.clone()]), Some(true));
        assert_eq!(gathered(&[one.clone(), elsewhere]), Some(false), "perhaps of another interface");
        assert_eq!(gathered(&[one.clone(), line("2", "198.51.100.8", 4000, "srflx")]), Some(true));
        assert_eq!(gathered(&[one.clone(), line("2", "198.51.100.7", 4001, "relay")]), Some(false));
        let v6 = line("4", "2001:db8::7", 5000, "host");
        assert_eq!(gathered(&[v6, one, other]), Some(false), "IPv6 has no NAT");
        for broken in ["", "candidate:2 1 udp", "candidate:2 1 udp 1 198.51.100.7 x typ srflx"] {
            assert_eq!(gathered(&[broken.to_owned()]), Some(false));
        }
    }

    #[test]
    fn so_many_candidates_are_looked_at() {
        for (count, seen) in [(MAX_GATHERED - 1, true), (MAX_GATHERED, false), (MAX_GATHERED + 1, false)] {
            let mut gathered = Gathered::default();
            let line = |f: usize| format!("candidate:{f} 1 udp 1 198.51.100.7 {f} typ srflx");
            (0..count).for_each(|f| assert!(!gathered.is_dependent(&line(f))));
            assert_eq!(
                gathered.is_dependent("candidate:0 1 udp 1 198.51.100.7 9 typ srflx"),
                seen,
                "{count}"
            );
        }
    }

    #[test]
    fn the_last_class_is_read_and_nothing_above_it() {
        assert_eq!(NatClass::from_bytes(&[4]), Ok(Blocked));
        for byte in 5..=u8::MAX {
            assert_eq!(NatClass::from_bytes(&[byte]), Err(DecodeError::Tag(byte)), "{byte}");
        }
        for byte in 0..=u8::MAX {
            let bytes = [byte];
            let mut r = Reader::new(&bytes);
            NatClass::and_flag(&mut r);
            assert_eq!(r.end().is_ok(), byte <= 9, "{byte}");
        }
    }
}
