//! The wire, byte for byte: golden vectors of every control message and the bulk header. A change here is a change of the protocol; peers of
//! version N and N-1 share a swarm.
//!
//! To write the vectors anew after a deliberate change: `RILLCAST_GOLDEN=write cargo nextest run --release -p rillcast-core golden`.

use rillcast_core::engine::{BULK_HEADER, MAX_CONTROL};
use rillcast_core::media::Bits;
use rillcast_core::overlay::census::{SLOTS, Slot};
use rillcast_core::protocol::coding::{Blob, List, Wire, Writer};
use rillcast_core::protocol::digest::{MAX_BLOCKS, MAX_SEGMENT, SegmentDigest};
use rillcast_core::protocol::id::{
    AuthorityKey, BlockIndex, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey, SessionKey,
    SwarmId, TrackId,
};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::receipt::Receipt;
use rillcast_core::protocol::signal::{MAX_RELAY, Network};
use rillcast_core::protocol::ticket::{
    MAX_REVOKED, Revocations, Signed, SignedRevocations, SignedTicket, Ticket,
};
use rillcast_core::transfer::Priority;
use rillcast_core::wire::message::{
    Acquaintance, BlockName, HaveMap, MAX_ACQUAINTANCES, MAX_KEYS, MAX_MAPS, No, Playing,
};
use rillcast_core::wire::{BulkHeader, Message, TransferId};

fn key() -> SegmentKey {
    SegmentKey { track: TrackId(0x0123_4567_89ab_cdef), number: 300, discontinuity: 2, part: 1 }
}

fn name() -> BlockName {
    BlockName { key: key(), block: BlockIndex(200) }
}

fn small_digest() -> SegmentDigest {
    SegmentDigest {
        swarm: SwarmId([0xa1; 16]),
        key: key(),
        length: 40_000,
        duration_ms: 4000,
        hashes: vec![[0xb2; 32], [0xc3; 32]],
        publisher: PublisherKey([0xd4; 32]),
        signature: [0xe5; 64],
        hosted: true,
    }
}

fn acquaintance(playing: Option<Playing>) -> Acquaintance {
    Acquaintance { ticket: ticket(), playing, nat: NatClass::Unknown }
}

fn behind(playing: Option<Playing>) -> Acquaintance {
    Acquaintance { nat: NatClass::Dependent, ..acquaintance(playing) }
}

fn ticket() -> SignedTicket {
    let body = Ticket {
        swarm: SwarmId([0xa1; 16]),
        peer: PeerId([0xf6; 16]),
        role: Role::Seed,
        fingerprint: Fingerprint([0x17; 32]),
        session: Some(SessionKey([0x18; 32])),
        sealing: Some(SealingKey([0x1b; 32])),
        nonce: 300,
        weight: 100,
        net: Network { asn: 3320, country: 0x4445, site: 0x8000_0001 },
        expires_ms: 1_800_000_000_000,
    };
    Signed { body, authority: AuthorityKey([0x19; 32]), signature: [0x1a; 64] }
}

fn revocations(peers: impl IntoIterator<Item = PeerId>) -> SignedRevocations {
    let (swarm, peers) = (SwarmId([0xa1; 16]), List::clipped(peers));
    let body = Revocations { swarm, number: 300, peers, void_until_ms: 7 };
    Signed { body, authority: AuthorityKey([0x19; 32]), signature: [0x1a; 64] }
}

fn receipt() -> Receipt {
    let (giver, receiver) = (PeerId([0xf6; 16]), PeerId([0x1b; 16]));
    Receipt { swarm: SwarmId([0xa1; 16]), giver, receiver, bytes: 300 }
}

fn every_message() -> Vec<(&'static str, Message)> {
    let (offer, request) = (TransferId::offer(7), TransferId::request(7));
    let mut blocks = Bits::full(3);
    blocks.insert(64);
    let map = HaveMap { key: key(), blocks: blocks.clone() };
    let empty = HaveMap { key: key(), blocks: Bits::default() };
    let playing = Playing { track: key().track, next: 301 };
    let decline = |why| Message::Decline { transfer: offer, why, blocks: blocks.clone() };
    let payload = Blob::new(*b"hi").expect("short");
    let known = acquaintance(Some(playing));
    let slots = List::clipped((0..SLOTS as u32).map(|n| Slot { value: n << 24 | 7, age: n as u8 }));
    vec![
        ("hello", Message::Hello { version: 1, ticket: ticket(), revocations: 300 }),
        (
            "profile",
            Message::Profile {
                playing: List::clipped([playing]),
                passive: true,
                upload: 262_500,
                short: 7,
                helps: Some(key().track),
            },
        ),
        ("have", Message::Have { maps: List::clipped([map.clone(), empty]) }),
        ("got", Message::Got { maps: List::clipped([map]) }),
        ("want-digest", Message::WantDigest { keys: List::clipped([key()]) }),
        ("digest", Message::Digest { digest: small_digest() }),
        ("offer", Message::Offer { transfer: offer, name: name(), blocks: blocks.clone() }),
        ("grant", Message::Grant { transfer: offer, name: name(), blocks: blocks.clone() }),
        ("decline-held", decline(No::Held)),
        ("decline-in-flight", decline(No::InFlight)),
        ("decline-unwanted", decline(No::Unwanted)),
        ("decline-no-digest", decline(No::NoDigest)),
        (
            "request",
            Message::Request { transfer: request, name: name(), need_ms: 1500, priority: Priority::NORMAL },
        ),
        ("refuse-not-held", Message::Refuse { transfer: request, why: No::NotHeld }),
        ("refuse-busy", Message::Refuse { transfer: request, why: No::Busy }),
        ("cancel", Message::Cancel { transfer: request }),
        ("arrived", Message::Arrived { transfer: request }),
        ("claim", Message::Claim { key: key(), first: 4, count: 4 }),
        ("ping", Message::Ping { stamp: 1_000_000 }),
        ("pong", Message::Pong { stamp: 1_000_000 }),
        ("census", Message::Census { of: 0x0123_4567_89ab_cdef, slots }),
        ("shuffle", Message::Shuffle { peers: List::clipped([known.clone(), acquaintance(None)]) }),
        ("relay", Message::Relay { to: known.ticket.body.peer, payload: payload.clone() }),
        ("relayed", Message::Relayed { from: known, payload }),
        ("priority", Message::Priority { transfer: request, priority: Priority::URGENT }),
        ("revoked", Message::Revoked { revocations: revocations([PeerId([0x1b; 16])]) }),
        ("receipt", Message::Receipt { receipt: receipt(), signature: [0x1c; 64] }),
        ("nat", Message::Nat { class: NatClass::Dependent }),
        ("shuffle-nat", Message::Shuffle { peers: List::clipped([behind(Some(playing)), behind(None)]) }),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn golden_vectors_of_every_message_hold() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/messages.txt");
    let header = BulkHeader { transfer: TransferId::request(7), offset: 16_376 }.to_bytes();
    let mut now = String::from(
        "# Control messages between peers and the header of a bulk message. tests/swarm/wire.rs says how to write them anew.\n",
    );
    for (name, message) in every_message() {
        now += &format!("{name} {}\n", hex(&message.to_bytes()));
    }
    now += &format!("bulk-header {}\n", hex(&header));
    if std::env::var("RILLCAST_GOLDEN").is_ok_and(|v| v == "write") {
        std::fs::write(path, &now).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    for (now, golden) in now.lines().zip(golden.lines()) {
        assert_eq!(now, golden, "the wire has changed; if that is meant, see the top of this file");
    }
    assert_eq!(now.lines().count(), golden.lines().count());
}

#[test]
fn every_kind_of_message_has_a_golden_vector() {
    let tags: std::collections::BTreeSet<u8> = every_message().iter().map(|(_, m)| m.to_bytes()[0]).collect();
    assert_eq!(tags, (0..24).collect());
    for (name, message) in every_message() {
        assert_eq!(Message::parse(&message.to_bytes()), Ok(message), "{name}");
    }
    assert!(Message::parse(&[24]).is_err(), "a new tag wants a vector");
}

#[test]
fn a_priority_above_the_highest_is_refused() {
    let mut bytes = Message::Priority { transfer: TransferId(0), priority: Priority::NORMAL }.to_bytes();
    for (priority, fits) in [(0, true), (3, true), (4, true), (5, false), (255, false)] {
        *bytes.last_mut().unwrap() = priority;
        assert_eq!(Message::parse(&bytes).is_ok(), fits, "{priority}");
    }
}

#[test]
fn a_bulk_header_survives_the_wire() {
    for (transfer, offset) in [(0, 0), (u32::MAX, u32::MAX), (1 << 31, 1), (77, 65_535)] {
        let header = BulkHeader { transfer: TransferId(transfer), offset };
        assert_eq!(BulkHeader::from_bytes(header.to_bytes()), header);
    }
    assert_eq!(BULK_HEADER, 8);
}

// The longest of each kind that we may send must be one that the other end may take.
#[test]
fn the_longest_messages_fit_the_limit() {
    let key =
        SegmentKey { track: TrackId(u64::MAX), number: u64::MAX, discontinuity: u32::MAX, part: u16::MAX };
    let name = BlockName { key, block: BlockIndex(u16::MAX) };
    let full = Bits::full(MAX_BLOCKS as u16);
    let digest = SegmentDigest {
        key,
        length: MAX_SEGMENT,
        duration_ms: u32::MAX,
        hashes: vec![[1; 32]; MAX_BLOCKS],
        ..small_digest()
    };
    let net = Network { asn: u32::MAX, country: u16::MAX, site: u32::MAX };
    let mut ticket = ticket();
    let holder = &mut ticket.body;
    (holder.nonce, holder.weight, holder.net, holder.expires_ms) = (u64::MAX, u16::MAX, net, u64::MAX);
    let widest = Acquaintance {
        ticket,
        playing: Some(Playing { track: key.track, next: u64::MAX }),
        nat: NatClass::Blocked,
    };
    let longest = [
        Message::Have { maps: List::clipped(vec![HaveMap { key, blocks: full.clone() }; MAX_MAPS]) },
        Message::Got { maps: List::clipped(vec![HaveMap { key, blocks: full.clone() }; MAX_MAPS]) },
        Message::WantDigest { keys: List::clipped(vec![key; MAX_KEYS]) },
        Message::Digest { digest },
        Message::Offer { transfer: TransferId(u32::MAX), name, blocks: full.clone() },
        Message::Grant { transfer: TransferId(u32::MAX), name, blocks: full },
        Message::Shuffle { peers: List::clipped(vec![widest.clone(); MAX_ACQUAINTANCES]) },
        Message::Relayed { from: widest, payload: Blob::new(vec![1; MAX_RELAY]).expect("in bounds") },
        Message::Revoked { revocations: revocations([PeerId([1; 16]); MAX_REVOKED]) },
    ];
    for message in longest {
        let bytes = message.to_bytes();
        assert!(bytes.len() <= MAX_CONTROL, "{} bytes of {:?}", bytes.len(), bytes[0]);
        assert_eq!(Message::parse(&bytes), Ok(message));
    }
}

// Each list at, under and over its limit.
#[test]
fn a_list_of_one_too_many_is_refused() {
    let list = |tag: u8, n: usize, item: &[u8]| {
        let mut w = Writer::new();
        w.byte(tag);
        w.varint(n as u64);
        (0..n).for_each(|_| w.raw(item));
        w.into_bytes()
    };
    let (map, key) = (HaveMap { key: key(), blocks: Bits::default() }.to_bytes(), key().to_bytes());
    let known = acquaintance(None).to_bytes();
    let lists =
        [(2, MAX_MAPS, map.clone()), (3, MAX_MAPS, map), (4, MAX_KEYS, key), (17, MAX_ACQUAINTANCES, known)];
    for (tag, limit, item) in lists {
        for (n, fits) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            assert_eq!(Message::parse(&list(tag, n, &item)).is_ok(), fits, "{n} items under tag {tag}");
        }
    }
}

#[test]
fn a_signal_that_is_too_long_or_a_census_of_too_many_is_refused() {
    let signal = |tag: u8, head: &[u8], n: usize| {
        let mut w = Writer::new();
        w.byte(tag);
        w.raw(head);
        w.bytes(&vec![1; n]);
        Message::parse(&w.into_bytes()).is_ok()
    };
    for (n, fits) in [(MAX_RELAY - 1, true), (MAX_RELAY, true), (MAX_RELAY + 1, false)] {
        assert_eq!(signal(18, &[7; 16], n), fits, "{n} bytes to be carried");
        assert_eq!(signal(19, &acquaintance(None).to_bytes(), n), fits, "{n} bytes carried");
    }
    let census = |n: usize| {
        let mut w = Writer::new();
        w.byte(16);
        w.varint(5);
        w.varint(n as u64);
        (0..n).for_each(|_| w.raw(&Slot { value: 1, age: 0 }.to_bytes()));
        Message::parse(&w.into_bytes()).is_ok()
    };
    assert_eq!([SLOTS - 1, SLOTS, SLOTS + 1].map(census), [true, true, false]);
}
