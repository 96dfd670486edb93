//! What counts as one address.

use std::net::IpAddr;

/// What counts as one address: an IPv4 address, or the /64 that an IPv6 host has to itself.
pub fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        v4 => v4,
    }
}
