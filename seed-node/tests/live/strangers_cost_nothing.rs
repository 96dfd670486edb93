//! What anybody may send to the port: malformed STUN, unknown user names, floods. All of it is dropped, nothing is kept,
//! and a link goes on through it.

use crate::support;

use std::sync::atomic::Ordering::Relaxed;

use rillcast_seed::rtc::mux::{MAX_QUEUED, Mux};
use rillcast_seed::rtc::socket;
use tokio::net::UdpSocket;
use webrtc::runtime::AsyncUdpSocket;

fn check_for(ufrag: &str) -> Vec<u8> {
    let name = format!("{ufrag}:them");
    let mut body = vec![0, 6, 0, name.len() as u8];
    body.extend(name.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
    let mut message = vec![0, 1, 0, body.len() as u8, 0x21, 0x12, 0xa4, 0x42];
    message.extend([9; 12]);
    message.extend(body);
    message
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn strangers_are_dropped_and_nothing_is_kept_of_them() {
    let socket = socket::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let (mux, _tasks) = Mux::start(socket, 2).expect("a runtime");
    let at = mux.local_addr().expect("bound");
    let port = mux.open("ours").expect("room");
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let mut sent = 0;
    // Sent in rounds, so that none is lost on the way and every one is counted.
    for round in 0..200u32 {
        let mut cut = check_for("ours");
        cut.truncate(30);
        let mut lying = check_for("ours");
        lying[3] ^= 4;
        let random: Vec<u8> = (0..1200).map(|i| support::byte(round, i)).collect();
        for datagram in [
            &check_for("nobody")[..],
            &cut,
            &lying,
            &[22, 254, 253, 0, 0],
            &[0; 1400],
            &[255; 9],
            &random,
            b"",
        ] {
            stranger.send_to(datagram, at).await.expect("sent");
            sent += u64::from(!datagram.is_empty());
        }
        until(|| mux.stats.unknown.load(Relaxed) >= sent).await;
    }
    assert_eq!(mux.stats.unknown.load(Relaxed), sent);
    assert_eq!(mux.stats.received.load(Relaxed), 0);
    assert_eq!(mux.routes(), (1, 0), "no stranger's address is remembered");
    drop(port);
    assert_eq!(mux.routes(), (0, 0));
}

#[tokio::test]
async fn a_flood_on_one_link_is_bounded_and_the_other_link_is_served() {
    let socket = socket::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let (mux, _tasks) = Mux::start(socket, 2).expect("a runtime");
    let at = mux.local_addr().expect("bound");
    let flooded = mux.open("flooded").expect("room");
    let calm = mux.open("calm").expect("room").socket("127.0.0.1:1".parse().expect("an address"));
    assert!(mux.open("third").is_err(), "the number of links is limited");
    let flooder = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    flooder.send_to(&check_for("flooded"), at).await.expect("sent");
    until(|| mux.stats.received.load(Relaxed) == 1).await;
    let record = [22u8; 1200];
    let mut sent = 1;
    while mux.stats.overflowed.load(Relaxed) == 0 {
        for _ in 0..50 {
            flooder.send_to(&record, at).await.expect("sent");
            sent += 1;
        }
        let seen = || mux.stats.received.load(Relaxed) + mux.stats.overflowed.load(Relaxed);
        until(|| seen() >= sent).await;
        assert!(mux.stats.received_bytes.load(Relaxed) <= MAX_QUEUED as u64);
    }
    assert!(
        mux.stats.received_bytes.load(Relaxed) > MAX_QUEUED as u64 - 1200,
        "and up to the limit nothing is lost"
    );
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    peer.send_to(&check_for("calm"), at).await.expect("sent");
    let mut buffer = [0; 2000];
    let (length, from) = calm.recv_from(&mut buffer).await.expect("received");
    assert_eq!((&buffer[..length], from), (&check_for("calm")[..], peer.local_addr().expect("bound")));
    drop(flooded);
}
