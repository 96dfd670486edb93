//! Where relays are, as the operator says it.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use thiserror::Error;

/// An address that relays are reached at, and the one that they are bound to where a NAT translates one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// As peers see it.
    pub public: IpAddr,
    /// As this machine has it.
    pub local: IpAddr,
}

/// Ports of relays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports(RangeInclusive<u16>);

/// Why a text on the command line can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// `--turn-relay`, `--relay-address`.
    #[error(
        "{0:?} is no relay address; write PUBLIC or PUBLIC/LOCAL, such as 203.0.113.7 or 203.0.113.7/10.0.0.7"
    )]
    Address(String),
    /// The same of two kinds.
    #[error(
        "{0:?} names addresses of two families; a relay's public and local address are both IPv4 or both IPv6"
    )]
    Families(String),
    /// The same, unspecified.
    #[error("{0:?} is no address that peers could reach; name the machine's public one")]
    Unspecified(String),
    /// `--turn-ports`, `--relay-ports`.
    #[error("{0:?} is no range of ports; write it like 49152-65535, from 1024 on")]
    Ports(String),
}

impl FromStr for RelayAddress {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let parse = |part: &str| part.parse::<IpAddr>().map_err(|_| OptionError::Address(text.to_owned()));
        let address = match text.split_once('/') {
            Some((public, local)) => Self { public: parse(public)?, local: parse(local)? },
            None => Self { public: parse(text)?, local: parse(text)? },
        };
        if address.public.is_ipv4() != address.local.is_ipv4() {
            return Err(OptionError::Families(text.to_owned()));
        }
        if address.public.is_unspecified() {
            return Err(OptionError::Unspecified(text.to_owned()));
        }
        Ok(address)
    }
}

impl Ports {
    /// How many.
    pub fn count(&self) -> usize {
        usize::from(self.0.end() - self.0.start()) + 1
    }

    /// The one at a place, counted from 0 and round again.
    pub fn at(&self, place: usize) -> u16 {
        self.0.start() + (place % self.count()) as u16
    }
}

/// The ports that nobody is given for good (RFC 6335).
impl Default for Ports {
    fn default() -> Self {
        Self(49_152..=65_535)
    }
}

impl FromStr for Ports {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        let wrong = || OptionError::Ports(text.to_owned());
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let parse = |part: &str| part.parse::<u16>().map_err(|_| wrong());
        let (from, to) = (parse(from)?, parse(to)?);
        if from < 1024 || to < from { Err(wrong()) } else { Ok(Self(from..=to)) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_has_a_public_address_and_may_have_another_one_here() {
        let read = |text: &str| text.parse::<RelayAddress>();
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let (public, local) = (ip("203.0.113.7"), ip("10.0.0.7"));
        assert_eq!(read("203.0.113.7"), Ok(RelayAddress { public, local: public }));
        assert_eq!(read("203.0.113.7/10.0.0.7"), Ok(RelayAddress { public, local }));
        assert!(matches!(read("x"), Err(OptionError::Address(_))));
        assert!(matches!(read("203.0.113.7/"), Err(OptionError::Address(_))));
        assert!(matches!(read("203.0.113.7/::1"), Err(OptionError::Families(_))));
        assert!(matches!(read("0.0.0.0"), Err(OptionError::Unspecified(_))));
    }

    #[test]
    fn ports_are_a_range_above_those_of_the_system() {
        let read = |text: &str| text.parse::<Ports>();
        assert_eq!(read("1024-1024").map(|ports| ports.count()), Ok(1));
        let ports = read("50000-50009").expect("a range");
        assert_eq!((ports.count(), ports.at(0), ports.at(9), ports.at(10)), (10, 50_000, 50_009, 50_000));
        assert_eq!((Ports::default().count(), Ports::default().at(16_383)), (16_384, 65_535));
        for wrong in ["", "1023-2000", "2000-1999", "2000", "2000-70000", "a-b"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
