//! An IP packet with UDP or TCP in it, taken apart and put together again with other addresses.

use std::net::{IpAddr, SocketAddr};

use etherparse::{NetHeaders, PacketHeaders, TransportHeader};

/// What is carried. All else is dropped: ICMP, fragments, extension headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Connections.
    Tcp,
}

/// A packet.
#[derive(Debug, Clone)]
pub struct Packet {
    net: NetHeaders,
    transport: TransportHeader,
    payload: Vec<u8>,
}

impl Packet {
    /// Reads one; `None` if it's none that is carried.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let headers = PacketHeaders::from_ip_slice(bytes).ok()?;
        let (net, transport) = (headers.net?, headers.transport?);
        let plain = match &net {
            NetHeaders::Ipv4(header, extensions) => !header.is_fragmenting_payload() && extensions.is_empty(),
            NetHeaders::Ipv6(_, extensions) => extensions.is_empty(),
            NetHeaders::Arp(_) => false,
        };
        let carried = matches!(transport, TransportHeader::Udp(_) | TransportHeader::Tcp(_));
        (plain && carried).then(|| Self { net, transport, payload: headers.payload.slice().to_vec() })
    }

    /// UDP or TCP.
    pub fn protocol(&self) -> Protocol {
        if matches!(self.transport, TransportHeader::Udp(_)) { Protocol::Udp } else { Protocol::Tcp }
    }

    /// From where.
    pub fn from(&self) -> SocketAddr {
        let port = match &self.transport {
            TransportHeader::Udp(header) => header.source_port,
            TransportHeader::Tcp(header) => header.source_port,
            _ => 0,
        };
        SocketAddr::new(self.addresses().0, port)
    }

    /// To where.
    pub fn to(&self) -> SocketAddr {
        let port = match &self.transport {
            TransportHeader::Udp(header) => header.destination_port,
            TransportHeader::Tcp(header) => header.destination_port,
            _ => 0,
        };
        SocketAddr::new(self.addresses().1, port)
    }

    fn addresses(&self) -> (IpAddr, IpAddr) {
        match &self.net {
            NetHeaders::Ipv4(header, _) => (header.source.into(), header.destination.into()),
            NetHeaders::Ipv6(header, _) => (header.source.into(), header.destination.into()),
            NetHeaders::Arp(_) => unreachable!("no such packet is read"),
        }
    }

    /// Has it come from elsewhere, of the same family.
    pub fn set_from(&mut self, from: SocketAddr) {
        match (&mut self.net, from.ip()) {
            (NetHeaders::Ipv4(header, _), IpAddr::V4(v4)) => header.source = v4.octets(),
            (NetHeaders::Ipv6(header, _), IpAddr::V6(v6)) => header.source = v6.octets(),
            _ => {}
        }
        match &mut self.transport {
            TransportHeader::Udp(header) => header.source_port = from.port(),
            TransportHeader::Tcp(header) => header.source_port = from.port(),
            _ => {}
        }
    }

    /// Sends it elsewhere, in the same family.
    pub fn set_to(&mut self, to: SocketAddr) {
        match (&mut self.net, to.ip()) {
            (NetHeaders::Ipv4(header, _), IpAddr::V4(v4)) => header.destination = v4.octets(),
            (NetHeaders::Ipv6(header, _), IpAddr::V6(v6)) => header.destination = v6.octets(),
            _ => {}
        }
        match &mut self.transport {
            TransportHeader::Udp(header) => header.destination_port = to.port(),
            TransportHeader::Tcp(header) => header.destination_port = to.port(),
            _ => {}
        }
    }

    /// Bytes behind the headers.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The bytes, with checksums that hold.
    pub fn write(mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + 80);
        // Lengths are those of the packet that was read, and writing into memory can't fail.
        match &self.net {
            NetHeaders::Ipv4(header, _) => {
                let _ = self.transport.update_checksum_ipv4(header, &self.payload);
                let _ = header.write(&mut bytes);
            }
            NetHeaders::Ipv6(header, _) => {
                let _ = self.transport.update_checksum_ipv6(header, &self.payload);
                let _ = header.write(&mut bytes);
            }
            NetHeaders::Arp(_) => {}
        }
        let _ = self.transport.write(&mut bytes);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// A UDP packet.
    pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Option<Self> {
        let builder = match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                etherparse::PacketBuilder::ipv4(from.octets(), to.octets(), 64)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                etherparse::PacketBuilder::ipv6(from.octets(), to.octets(), 64)
            }
            _ => return None,
        };
        let mut bytes = Vec::new();
        builder.udp(from.port(), to.port()).write(&mut bytes, payload).ok()?;
        Self::read(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_packet_with_other_addresses_has_checksums_that_hold() {
        for [from, to, other] in [
            ["10.0.0.1:1000", "198.18.0.1:53", "198.18.0.2:7"],
            ["[2001:db8::1]:1000", "[2001:db8::2]:53", "[2001:db8::3]:7"],
        ] {
            let [from, to, other] = [from, to, other].map(address);
            let mut packet = Packet::udp(from, to, b"hello").expect("a packet");
            assert_eq!((packet.protocol(), packet.from(), packet.to()), (Protocol::Udp, from, to));
            packet.set_from(other);
            packet.set_to(from);
            // As it would be if it had come from there.
            assert_eq!(packet.write(), Packet::udp(other, from, b"hello").expect("a packet").write());
        }
    }

    #[test]
    fn what_is_no_packet_is_none() {
        let whole =
            Packet::udp(address("10.0.0.1:1"), address("10.0.0.2:2"), &[7; 30]).expect("a packet").write();
        for length in 0..28 {
            assert!(Packet::read(&whole[..length]).is_none(), "{length}");
        }
        let mut fragment = whole.clone();
        fragment[6] = 0x20;
        assert!(Packet::read(&fragment).is_none());
        let mut icmp = whole;
        icmp[9] = 1;
        assert!(Packet::read(&icmp).is_none());
    }
}
