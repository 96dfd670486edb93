//! A STUN binding responder (RFC 8489): tells a browser its own address as seen from outside.
//!
//! It answers well-formed binding requests only, with the one attribute they are about; the answer is 12 (IPv4) or 24
//! (IPv6) bytes longer than the smallest request, the least that the RFC allows, and rates are limited per address and
//! in all, so that it is of no use for flooding others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UdpSocket;

use crate::count::Counters;
use crate::group::group;
use crate::limits::Limits;
use crate::random;
use crate::rate::Bucket;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
/// Longest request: browsers send 20 to some 100 bytes.
const MAX_REQUEST: usize = 548;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// Addresses share this many buckets by a keyed hash: bounded memory, and nobody can choose whose bucket to drain.
const BUCKETS: usize = 4096;

/// The answer to a datagram; `None` where it isn't a binding request to be answered.
pub fn answer(request: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    let header = request.get(..HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let well_formed = header[..2] == [0, 1] && header[4..8] == COOKIE && request.len() == HEADER + length;
    if !well_formed || length % 4 != 0 {
        return None;
    }
    let fingerprint = attributes(request)?;
    let mut answer = Vec::with_capacity(64);
    answer.extend_from_slice(&[1, 1, 0, 0]);
    answer.extend_from_slice(&header[4..HEADER]);
    let port = from.port() ^ u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
    let (family, address): (u8, Vec<u8>) = match from.ip().to_canonical() {
        IpAddr::V4(v4) => (1, v4.octets().iter().zip(COOKIE).map(|(a, c)| a ^ c).collect()),
        IpAddr::V6(v6) => (2, v6.octets().iter().zip(&header[4..HEADER]).map(|(a, c)| a ^ c).collect()),
    };
    answer.extend_from_slice(&[0, 0x20, 0, 4 + address.len() as u8, 0, family]);
    answer.extend_from_slice(&port.to_be_bytes());
    answer.extend_from_slice(&address);
    // Only whoever shows that it knows of fingerprints gets one: everybody else gets the shorter answer.
    let body = answer.len() - HEADER + if fingerprint { 8 } else { 0 };
    answer[2..4].copy_from_slice(&(body as u16).to_be_bytes());
    if fingerprint {
        let crc = crc32(&answer) ^ FINGERPRINT_XOR;
        answer.extend_from_slice(&FINGERPRINT.to_be_bytes());
        answer.extend_from_slice(&[0, 4]);
        answer.extend_from_slice(&crc.to_be_bytes());
    }
    Some(answer)
}

/// Walks the attributes; `None` if they're broken, ask for something we don't know, or carry a wrong fingerprint.
fn attributes(request: &[u8]) -> Option<bool> {
    let mut at = HEADER;
    while at < request.len() {
        let head = request.get(at..at + 4)?;
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = request.get(at + 4..at + 4 + length)?;
        let next = at + 4 + length.next_multiple_of(4);
        if kind == FINGERPRINT {
            let sound = length == 4
                && next == request.len()
                && value == (crc32(&request[..at]) ^ FINGERPRINT_XOR).to_be_bytes();
            return sound.then_some(true);
        }
        at = next;
    }
    (at == request.len()).then_some(false)
}

/// CRC-32 as in ISO 3309, bit by bit: requests are short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Who may have how many answers.
#[derive(Debug)]
pub struct Guard {
    all: Bucket,
    buckets: Vec<Bucket>,
    secret: [u8; 32],
}

impl Guard {
    /// By the limits.
    pub fn new(limits: &Limits, now: Instant) -> Self {
        Self::of(limits.stun_per_address, limits.stun_per_sec, now)
    }

    /// So many per second to one address, and in all.
    pub fn of(per_address: u32, in_all: u32, now: Instant) -> Self {
        let bucket = |rate: u32| Bucket::new(f64::from(rate), f64::from(rate), now);
        Self { all: bucket(in_all), buckets: vec![bucket(per_address); BUCKETS], secret: random::fresh() }
    }

    /// Whether this address may have an answer now.
    pub fn allows(&mut self, address: IpAddr, now: Instant) -> bool {
        let text = match group(address) {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let hash = blake3::keyed_hash(&self.secret, &text);
        let slot = usize::from(u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])) % BUCKETS;
        self.buckets[slot].take(1.0, now) && self.all.take(1.0, now)
    }
}

/// Answers on a socket, for ever.
pub async fn serve(socket: UdpSocket, mut guard: Guard, metrics: Arc<Counters>) {
    let mut buffer = [0; MAX_REQUEST + 1];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            // An ICMP error for an earlier answer; it says nothing about the next request.
            tokio::task::yield_now().await;
            continue;
        };
        let answer = Some(&buffer[..length]).filter(|r| r.len() <= MAX_REQUEST).and_then(|r| answer(r, from));
        match answer.filter(|_| guard.allows(from.ip(), Instant::now())) {
            Some(answer) => {
                metrics.stun_answers_total.up();
                let _ = socket.send_to(&answer, from).await;
            }
            None => metrics.stun_dropped_total.up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in: no panic, and never more than the address on top.
        #[test]
        fn no_datagram_is_answered_with_much_more(
            mut bytes in prop::collection::vec(any::<u8>(), 0..120), binding in any::<bool>(),
        ) {
            if binding && bytes.len() >= HEADER {
                let length = (bytes.len() - HEADER) as u8;
                bytes[..8].copy_from_slice(&[0, 1, 0, length, COOKIE[0], COOKIE[1], COOKIE[2], COOKIE[3]]);
            }
            if let Some(answer) = answer(&bytes, from()) {
                prop_assert!(answer.len() <= bytes.len() + 12);
            }
        }
    }

    fn from() -> SocketAddr {
        "192.0.2.1:32853".parse().expect("address")
    }

    fn request(attributes: &[u8]) -> Vec<u8> {
        let mut request = vec![0, 1, 0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42];
        request.extend_from_slice(b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae");
        request.extend_from_slice(attributes);
        request
    }

    fn with_fingerprint(attributes: &[u8]) -> Vec<u8> {
        let mut request = request(attributes);
        request[3] += 8;
        let crc = crc32(&request) ^ FINGERPRINT_XOR;
        request.extend([0x80, 0x28, 0, 4]);
        request.extend(crc.to_be_bytes());
        request
    }

    #[test]
    fn the_mapped_address_is_that_of_the_rfcs_test_vectors() {
        // RFC 5769, 2.2 and 2.3: the same transaction id, 192.0.2.1 port 32853 and the IPv6 address, port 32853.
        let v4 = answer(&request(&[]), from()).expect("answered");
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[4..20], request(&[])[4..20]);
        assert_eq!(v4[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let v6 =
            answer(&request(&[]), "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().expect("address"));
        let expected = [
            0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25,
            0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9,
        ];
        assert_eq!(v6.expect("answered")[20..], expected);
        assert_eq!(answer(&request(&[]), "[::ffff:192.0.2.1]:32853".parse().expect("address")), Some(v4));
    }

    #[test]
    fn a_fingerprint_is_answered_with_one_and_a_wrong_one_with_silence() {
        let mut good = with_fingerprint(&[0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        let answered = answer(&good, from()).expect("answered");
        assert_eq!(answered.len(), 40);
        let crc = crc32(&answered[..32]) ^ FINGERPRINT_XOR;
        assert_eq!(answered[36..], crc.to_be_bytes());
        *good.last_mut().expect("there is one") ^= 1;
        assert_eq!(answer(&good, from()), None);
    }

    #[test]
    fn an_answer_is_at_most_the_mapped_address_longer_than_its_request() {
        let v6 = "[2001:db8::1]:1".parse().expect("address");
        for request in [request(&[]), request(&[0, 3, 0, 4, 0, 0, 0, 2]), with_fingerprint(&[])] {
            assert!(answer(&request, from()).expect("answered").len() <= request.len() + 12);
            assert!(answer(&request, v6).expect("answered").len() <= request.len() + 24);
        }
    }

    #[test]
    fn whatever_is_no_binding_request_is_not_answered() {
        let good = request(&[0x80, 0x22, 0, 1, b'a', 0, 0, 0]);
        assert!(answer(&good, from()).is_some());
        for length in 0..good.len() {
            assert_eq!(answer(&good[..length], from()), None, "{length}");
        }
        let mut longer = good.clone();
        longer.extend([0; 4]);
        assert_eq!(answer(&longer, from()), None);
        for (at, value) in [(0, 1), (1, 2), (1, 0x11), (3, 7), (4, 0), (23, 200)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(answer(&bad, from()), None, "{at} {value}");
        }
    }

    #[test]
    fn answers_are_limited_per_address_and_in_all() {
        let limits = Limits { stun_per_address: 3, stun_per_sec: 5, ..Limits::default() };
        let now = Instant::now();
        let mut guard = Guard::new(&limits, now);
        let count = |guard: &mut Guard, n: u8, now| {
            (0..10).filter(|_| guard.allows(IpAddr::from([10, 0, 0, n]), now)).count()
        };
        assert_eq!(count(&mut guard, 1, now), 3);
        assert_eq!(count(&mut guard, 2, now), 2, "the rest of what all may have");
        assert_eq!(count(&mut guard, 1, now + Duration::from_secs(10)), 3);
    }
}
