//! Reverse proxies whose word about the client's address is believed.
//!
//! Every proxy appends to `X-Forwarded-For` whom it heard from, so the list is true from its right end up to the first
//! address that isn't a trusted proxy's: that is the client. What stands left of it is whatever the client claimed (H8).

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName};

use rillcast_relay::cidr::Cidr;

/// The header that is read.
pub const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The addresses of trusted proxies.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Arc<[Cidr]>);

impl Proxies {
    /// These ranges.
    pub fn new(ranges: &[Cidr]) -> Self {
        Self(ranges.into())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is a trusted proxy.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// For whom a trusted proxy asks. `None` if it doesn't say, or says it in a way that can't be read: then nobody
    /// knows, and taking the proxy's own address would make strangers neighbours of this machine.
    ///
    /// Where all addresses are proxies', it is the first one.
    pub fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = None;
        for line in headers.get_all(FORWARDED_FOR).iter().rev() {
            for hop in line.to_str().ok()?.rsplit(',') {
                let address = address(hop.trim())?;
                client = Some(address);
                if !self.trusts(address) {
                    return client;
                }
            }
        }
        client
    }
}

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => {
            let (v6, port) = rest.split_once(']')?;
            let port = port.strip_prefix(':').or(port.is_empty().then_some("0"))?;
            port.parse::<u16>().ok()?;
            v6
        }
        None => match text.split_once(':') {
            // A single colon: IPv4 with a port.
            Some((v4, port)) if !port.contains(':') => {
                port.parse::<u16>().ok()?;
                v4
            }
            _ => text,
        },
    };
    Some(bare.parse::<IpAddr>().ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(lines: &[&str]) -> Option<String> {
        let ranges = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|r| r.parse().expect("a range"));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().expect("a value"));
        }
        Proxies::new(&ranges).client(&headers).map(|a| a.to_string())
    }

    #[test]
    fn the_client_is_the_rightmost_that_is_no_trusted_proxy() {
        for (lines, who) in [
            (&["203.0.113.7"][..], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            (&["198.51.100.1, 203.0.113.7,10.1.1.1 , 127.0.0.1"], "203.0.113.7"),
            (&["198.51.100.1", "203.0.113.7", "10.1.1.1"], "203.0.113.7"),
            (&["nonsense, 203.0.113.7"], "203.0.113.7"),
            (&["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
            (&["203.0.113.7:4711"], "203.0.113.7"),
            (&["[2001:db8::1]:4711, fd00::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["::ffff:203.0.113.7"], "203.0.113.7"),
        ] {
            assert_eq!(client(lines).as_deref(), Some(who), "{lines:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_nobody() {
        for lines in [
            &[][..],
            &[""],
            &["unknown"],
            &["203.0.113.7, unknown"],
            &["203.0.113.7, _hidden, 10.1.1.1"],
            &["203.0.113.7,"],
            &["203.0.113.7:x"],
            &["[203.0.113.7"],
            &["[::1]x"],
            &["203.0.113.7:99999"],
        ] {
            assert_eq!(client(lines), None, "{lines:?}");
        }
    }

    #[test]
    fn only_listed_addresses_are_trusted() {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().expect("a range")]);
        let trusts = |text: &str| proxies.trusts(text.parse().expect("an address"));
        assert!(trusts("10.0.0.1") && trusts("::ffff:10.0.0.1"));
        assert!(!trusts("11.0.0.1") && !trusts("127.0.0.1"));
        assert!(!Proxies::default().trusts(IpAddr::from([127, 0, 0, 1])));
    }
}
