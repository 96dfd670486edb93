//! Ranges of addresses, as operators and tokens name them: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A range of addresses with a common prefix (RFC 4632).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: IpAddr,
    length: u8,
}

/// Why a text is no range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CidrError {
    /// It has another form.
    #[error("{0:?} is no range of addresses; write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1")]
    Form(String),
    /// It names a host in the range: it isn't clear which of the two is meant.
    #[error(
        "{0:?} has bits beyond its prefix; write {1} for the range or leave the prefix out for one address"
    )]
    Bits(String, Cidr),
    /// IPv4 in IPv6's clothes: such callers count as IPv4, so the range would hold nobody.
    #[error("{0:?} is IPv4 in IPv6 form; write it as IPv4")]
    Mapped(String),
}

impl Cidr {
    /// Whether the address lies in it. An IPv4 address in IPv6 form counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        masked(address.to_canonical(), self.length) == Some(self.base)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form(text.to_owned());
        let (address, length) = match text.split_once('/') {
            // Digits only: `parse` would take a sign.
            Some((address, length)) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
                (address, Some(length.parse().map_err(|_| form())?))
            }
            Some(_) => return Err(form()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        if address.to_canonical() != address {
            return Err(CidrError::Mapped(text.to_owned()));
        }
        let length = length.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        let base = masked(address, length).ok_or_else(form)?;
        let range = Self { base, length };
        if base == address { Ok(range) } else { Err(CidrError::Bits(text.to_owned(), range)) }
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;

    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(range: Cidr) -> Self {
        range.to_string()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.length)
    }
}

/// The address with everything beyond the prefix cleared; `None` if it isn't so long.
fn masked(address: IpAddr, length: u8) -> Option<IpAddr> {
    let (bits, all) = match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
        IpAddr::V6(v6) => (u128::from(v6), 128),
    };
    let beyond = u32::from(all) - u32::from(length).min(u32::from(all));
    let mask = u128::MAX.checked_shl(beyond).unwrap_or(0);
    match address {
        _ if length > all => None,
        IpAddr::V4(_) => Some(IpAddr::from(((bits & mask) as u32).to_be_bytes())),
        IpAddr::V6(_) => Some(Ipv6Addr::from(bits & mask).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, address: &str) -> bool {
        let range: Cidr = range.parse().expect("a range");
        range.contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_range_holds_what_shares_its_prefix() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1/32", "::ffff:192.0.2.1", "::1"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::/127", "2001:db8::1", "2001:db8::2"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("::1", "::1", "::2"),
        ] {
            assert!(holds(range, inside), "{range} {inside}");
            assert!(!holds(range, outside), "{range} {outside}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_what_to_write() {
        for text in [
            "",
            "x",
            "10.0.0.0/",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "10.0.0.0/999",
            "10.0.0",
        ] {
            assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Form(_))), "{text}");
        }
        let error = "10.0.0.1/8".parse::<Cidr>().expect_err("bits");
        assert!(error.to_string().contains("write 10.0.0.0/8"), "{error}");
        assert!(matches!("::ffff:10.0.0.0/104".parse::<Cidr>(), Err(CidrError::Mapped(_))));
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["10.0.0.0/8", "2001:db8::/32", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Cidr>().expect("a range").to_string(), text);
        }
    }
}
