//! Inputs to begin with that are better computed than written by hand: real encodings and sequences of steps. A test
//! writes them into `fuzz/corpus`.

use rillcast_core::wire::Message;
use rillcast_protocol::coding::Wire;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::SegmentKey;
use rillcast_protocol::session::{Description, SessionSignal, Side};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{ClientMessage, Network, PeerDescriptor, ServerMessage};

use crate::engine::Step;
use crate::token::signed;
use crate::wire::{filled, samples};

/// An input to begin with.
#[derive(Clone, Debug)]
pub struct Seed {
    /// For which target.
    pub target: &'static str,
    /// What it is.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// All of them.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| {
        seeds.push(Seed { target, name: name.to_owned(), bytes });
    };
    for (name, bytes) in samples::<Message>() {
        add("peer_message", &format!("message-{name}"), bytes);
    }
    let client = samples::<ClientMessage>();
    let server = samples::<ServerMessage>();
    for (which, kind, samples) in [(0, "client", &client), (1, "server", &server)] {
        for (name, bytes) in samples {
            add("server_message", &format!("{kind}-{name}"), [&[which], &bytes[..]].concat());
        }
    }
    for (which, name, bytes) in [
        (2, "digest", filled::<SegmentDigest>(&[], 1).map(|v| v.to_bytes())),
        (3, "key", filled::<SegmentKey>(&[], 1).map(|v| v.to_bytes())),
        (4, "settings", Some(Settings::default().to_bytes())),
        (5, "network", filled::<Network>(&[], 1).map(|v| v.to_bytes())),
        (6, "peer", filled::<PeerDescriptor>(&[], 1).map(|v| v.to_bytes())),
    ] {
        add("server_message", name, [&[which], &bytes.unwrap_or_default()[..]].concat());
    }
    for (name, bytes) in samples::<SessionSignal>() {
        add("session", &format!("signal-{name}"), bytes);
    }
    if let Some(offer) = filled::<Description>(&[2, b'u', b'f', 2, b'p', b'w'], 7) {
        for (name, side) in [("sdp-offer", Side::Offer), ("sdp-answer", Side::Answer)] {
            add("session", name, offer.to_sdp(side).unwrap_or_default().into_bytes());
        }
        add("session", "signal-offer", SessionSignal::Offer { attempt: 1, description: offer }.to_bytes());
    }
    add("token", "raw", [b"a", signed(HEADER, CLAIMS).as_bytes()].concat());
    datagrams(&mut add);
    engines(&mut add, &server);
    hubs(&mut add, &client);
    connections(&mut add, &client);
    seeds
}

const HEADER: &str = r#"{"alg":"HS256","kid":"shared","typ":"JWT"}"#;
const CLAIMS: &str = r#"{"site":"demo","exp":1800000900}"#;

fn datagrams(add: &mut impl FnMut(&'static str, &str, Vec<u8>)) {
    let stun = |attributes: &[(u16, &[u8])]| {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let length = (body.len() as u16).to_be_bytes();
        [&[0, 0, 1], &length[..], &[0x21, 0x12, 0xa4, 0x42], &[7; 12], &body].concat()
    };
    add("datagram", "stun-plain", stun(&[]));
    add("datagram", "stun-software", stun(&[(0x8022, b"a browser")]));
    let check: [(u16, &[u8]); 3] = [(0x24, &[0; 4]), (6, b"ours:theirs"), (0x8029, &[1; 8])];
    add("datagram", "stun-check", stun(&check));
    // RFC 8489, 14.7: over everything before it, with the length as if it were there already.
    let mut finger = stun(&[(0x8028, &[0; 4])]);
    let end = finger.len() - 8;
    let crc = !finger[1..end].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    finger[end + 4..].copy_from_slice(&(crc ^ 0x5354_554e).to_be_bytes());
    add("datagram", "stun-fingerprint", finger);
    add("datagram", "dtls", vec![0, 22, 254, 253, 0, 0]);
    let routes = [
        &[1][..],
        &[0, 0, b'a', b'a', 1],
        &[0, 0, b'b', b'b', 2],
        &[1, 2, b'a', b'a', 9],
        &[1, 2, b'b', b'b', 9],
        &[120, 2, b'b', b'b', 9],
        &[0, 3, 0, 5, 0, 3, 1, 5],
        &[0, 4, 9, 0, 1, 0, 0, 4, 9],
    ];
    add("datagram", "routes", routes.concat());
}

/// Bytes with their number before them, as [`crate::feed::Feed::bytes`] takes them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn engines(add: &mut impl FnMut(&'static str, &str, Vec<u8>), server: &[(String, Vec<u8>)]) {
    let step = |step: Step, how: &[u8]| [&[step as u8], how].concat();
    let viewer = vec![1];
    // Segment 20 is at 80 s: 40,000 times 2 ms.
    let plays = [
        step(Step::Timeline, &[14, 0]),
        step(Step::Play, &[0x4e, 0x20, 40, 25]),
        step(Step::Describe, &[10]),
        step(Step::Describe, &[11]),
    ]
    .concat();
    let meets = [step(Step::Open, &[0]), step(Step::Greet, &[1]), step(Step::Wait, &[20])].concat();
    let one = |message: &[u8]| [step(Step::Control, &[1]), counted(message)].concat();
    let source = [
        step(Step::Demand, &[10]),
        step(Step::Wait, &[30]),
        step(Step::Fulfil, &[]),
        step(Step::Wait, &[200]),
        step(Step::Fulfil, &[]),
        step(Step::Demand, &[11]),
        step(Step::Wait, &[200]),
        step(Step::Source, &[0, 0, 0, 0, 0, 1, 10, 0x40, 0]),
        step(Step::End, &[0, 3]),
        step(Step::Wait, &[200]),
    ]
    .concat();
    add("engine", "from-the-source", [viewer.clone(), plays.clone(), source].concat());
    // A neighbour that holds all blocks of segments 20 and 21.
    let have = |number: u8| {
        let head = [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, number, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0];
        filled::<Message>(&head, 0).map_or(Vec::new(), |message| message.to_bytes())
    };
    let peers = [
        one(&have(20)),
        one(&have(21)),
        step(Step::Demand, &[10]),
        step(Step::Wait, &[20]),
        step(Step::Serve, &[1]),
        step(Step::Serve, &[1]),
        step(Step::Wait, &[20]),
        step(Step::Serve, &[1]),
        step(Step::Wait, &[100]),
        step(Step::Cancel, &[10]),
        step(Step::Close, &[0, 1, 1]),
        step(Step::Wait, &[100]),
    ]
    .concat();
    add("engine", "from-a-neighbour", [viewer.clone(), plays.clone(), meets.clone(), peers].concat());
    let gives = [
        step(Step::Published, &[10]),
        step(Step::Published, &[11]),
        step(Step::Wait, &[20]),
        step(Step::Drained, &[1, 0, 0, 0, 0]),
        step(Step::Signal, &[0, 0, 9]),
        step(Step::Conditions, &[7, 0, 0, 1, 0]),
        step(Step::Wait, &[250]),
    ]
    .concat();
    for (name, role) in [("a-seed-gives", 0), ("a-viewer-gives", 1)] {
        add("engine", name, [vec![role], plays.clone(), meets.clone(), gives.clone()].concat());
    }
    // Each message behind a start of its own would be many files: a few in each.
    for (n, some) in samples::<Message>().chunks(8).enumerate() {
        let said: Vec<u8> = some.iter().flat_map(|(_, message)| one(message)).collect();
        add("engine", &format!("messages-{n}"), [&viewer, &plays, &meets, &said[..]].concat());
    }
    let told = |message: &[u8]| [step(Step::Server, &[]), counted(message)].concat();
    let said: Vec<u8> = server.iter().flat_map(|(_, message)| told(message)).collect();
    add("engine", "messages-of-the-server", [&viewer, &plays, &said[..], &meets].concat());
    let odd = [
        step(Step::Dawdle, &[]),
        step(Step::Bulk, &[1, 0x80, 0, 0, 0, 0, 0, 0, 0, 7, 0x10, 0]),
        step(Step::Verdict, &[0, 1]),
        step(Step::Dawdle, &[]),
        step(Step::Nat, &[3]),
        step(Step::NoWay, &[1]),
        step(Step::Nat, &[1]),
        step(Step::Wait, &[9]),
    ]
    .concat();
    add("engine", "odd-things", [viewer, plays, meets, odd].concat());
}

fn hubs(add: &mut impl FnMut(&'static str, &str, Vec<u8>), client: &[(String, Vec<u8>)]) {
    let meet = [1, 0, 1, 0, 1, 2, 3, 10];
    for (n, some) in client.chunks(6).enumerate() {
        let said: Vec<u8> =
            some.iter().flat_map(|(_, message)| [&[7, 0], &counted(message)[..]].concat()).collect();
        add("hub", &format!("messages-{n}"), [&meet, &said[..], &[4, 0, 1, 2, 0, 3, 200]].concat());
    }
    let joins: Vec<u8> =
        client.iter().take(2).flat_map(|(_, message)| [&[0], &counted(message)[..]].concat()).collect();
    add("hub", "joins", joins);
    // Two viewers and two seeds with keys of their own: thanks, digests that agree, one that doesn't, and time.
    let company = [1, 0, 1, 0, 1, 2, 1, 6];
    let thanks = [5, 0, 1, 0, 4, 5, 0, 1, 0, 8, 5, 2, 0, 0, 1, 5, 1, 1, 9, 9];
    let agree: Vec<u8> = (0..6).flat_map(|number| [6, 2, number, 0, 6, 3, number, 0]).collect();
    add(
        "hub",
        "thanks-and-digests",
        [&company, &thanks[..], &agree, &[6, 2, 7, 1, 6, 3, 7, 2, 3, 200]].concat(),
    );
}

/// A masked binary frame of a WebSocket (RFC 6455, 5.2), with zeros for a mask.
fn frame(bytes: &[u8]) -> Vec<u8> {
    match bytes.len() {
        n @ 0..126 => [&[0x82, 0x80 | n as u8, 0, 0, 0, 0], bytes].concat(),
        n => [&[0x82, 0xfe, (n >> 8) as u8, n as u8, 0, 0, 0, 0], bytes].concat(),
    }
}

fn connections(add: &mut impl FnMut(&'static str, &str, Vec<u8>), client: &[(String, Vec<u8>)]) {
    let upgrade = "aGET /ws HTTP/1.1\r\nhost: example:9100\r\norigin: https://www.example\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    // Version 1 of a join that is empty otherwise.
    let join = filled::<ClientMessage>(&[0, 1], 0).map_or(Vec::new(), |join| join.to_bytes());
    for (n, some) in client.chunks(8).enumerate() {
        let said: Vec<u8> = some.iter().flat_map(|(_, message)| frame(message)).collect();
        add("connection", &format!("websocket-{n}"), [upgrade.as_bytes(), &frame(&join), &said].concat());
    }
}
