//! Datagrams: at signaling's STUN responder, and at a seed's one UDP port.

use std::net::SocketAddr;

use rillcast_core::time::{Duration, Instant};
use rillcast_relay::stun::answer;
use rillcast_seed::rtc::datagram::{Datagram, MAX_UFRAG, classify};
use rillcast_seed::rtc::routes::{MAX_ADDRESSES, Routes};

use crate::choice;
use crate::feed::Feed;

/// Reads a datagram, or plays a sequence of them to the table of links.
pub fn run(data: &[u8]) {
    match choice(data, 2) {
        Some((0, datagram)) => one(datagram),
        Some((_, script)) => several(&mut Feed::new(script)),
        None => {}
    }
}

fn one(datagram: &[u8]) {
    let kind = classify(datagram);
    if let Datagram::Check { ufrag } = kind {
        assert!((1..=MAX_UFRAG).contains(&ufrag.len()) && !ufrag.contains(&b':'));
    }
    for from in ["192.0.2.1:32853", "[::ffff:192.0.2.1]:1", "[2001:db8::1]:65535"] {
        let from: SocketAddr = from.parse().expect("an address");
        let Some(answer) = answer(datagram, from) else { continue };
        assert!(answer.len() <= datagram.len() + 24, "of no use for flooding others");
        assert_eq!(answer[8..20], datagram[8..20], "the transaction's own number");
        assert_eq!(classify(&answer), Datagram::Answer, "what we answer is what we would understand");
        assert_ne!(kind, Datagram::Dtls);
    }
}

/// Nothing that arrives makes the table grow beyond what the links may have.
fn several(feed: &mut Feed<'_>) {
    const LINKS: usize = 4;
    let mut routes = Routes::new(LINKS);
    let mut now = Instant::ZERO;
    let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 4000));
    while !feed.is_over() {
        now += Duration::from_millis(u64::from(feed.byte()) * 100);
        match feed.below(5) {
            0 => drop(routes.insert(feed.take(2), feed.byte())),
            1 => drop(routes.remove(u64::from(feed.byte()))),
            2 => drop(routes.by_ufrag(now, feed.take(2), address(feed.byte())).copied()),
            3 => routes.sent(now, u64::from(feed.byte()), address(feed.byte())),
            _ => drop(routes.by_address(address(feed.byte())).copied()),
        }
        assert!(routes.len() <= LINKS && routes.addresses() <= routes.len() * MAX_ADDRESSES);
    }
}
