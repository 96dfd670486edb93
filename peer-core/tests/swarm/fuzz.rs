//! Random bytes and random sequences: no panic, the poll loop ends, nothing grows without bound (H3).

use proptest::collection::vec;
use proptest::prelude::*;
use rillcast_core::engine::{FetchId, Input, LinkId, SourceError, SourceHead};
use rillcast_core::media::Bits;
use rillcast_core::overlay::census::{SLOTS, Slot};
use rillcast_core::protocol::coding::{Blob, List, Wire};
use rillcast_core::protocol::digest::SegmentDigest;
use rillcast_core::protocol::id::{BlockIndex, Role, SegmentKey, TrackId};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::signal::Network;
use rillcast_core::protocol::ticket::{SignedRevocations, SignedTicket};
use rillcast_core::time::{Duration, Instant};
use rillcast_core::transfer::Priority;
use rillcast_core::wire::message::{Acquaintance, BlockName, HaveMap, MAX_ACQUAINTANCES, No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::tickets::{revocations, ticket};
use crate::lab::{Buf, MAIN, Solo, digest, peer_id, video};

/// Mostly what is being played, so that random messages meet the paths that matter.
fn any_key() -> impl Strategy<Value = SegmentKey> {
    let number = prop_oneof![4 => 18u64..24, 1 => any::<u64>()];
    let track = prop_oneof![4 => Just(MAIN), 1 => any::<u64>().prop_map(TrackId)];
    let rest = prop_oneof![4 => Just((0, 0)), 1 => any::<(u32, u16)>()];
    (track, number, rest).prop_map(|(track, number, (discontinuity, part))| SegmentKey {
        track,
        number,
        discontinuity,
        part,
    })
}

fn any_name() -> impl Strategy<Value = BlockName> {
    (any_key(), prop_oneof![4 => 0u16..14, 1 => any::<u16>()])
        .prop_map(|(key, block)| BlockName { key, block: BlockIndex(block) })
}

fn any_transfer() -> impl Strategy<Value = TransferId> {
    prop_oneof![
        (0u32..12).prop_map(TransferId::offer),
        (0u32..12).prop_map(TransferId::request),
        any::<u32>().prop_map(TransferId),
    ]
}

fn any_priority() -> impl Strategy<Value = Priority> {
    (0u8..5).prop_map(|priority| Priority::from_bytes(&[priority]).unwrap())
}

fn any_no() -> impl Strategy<Value = No> {
    (0u8..6).prop_map(|tag| No::from_bytes(&[tag]).unwrap())
}

fn any_digest() -> impl Strategy<Value = SegmentDigest> {
    (0u8..4, 18u64..24, any::<[u8; 8]>()).prop_map(|(kind, number, noise)| {
        let mut digest = digest(&video(MAIN, 800_000), number, false);
        match kind {
            1 => digest.signature[..8].copy_from_slice(&noise),
            2 => digest.swarm.0[..8].copy_from_slice(&noise),
            3 => digest.publisher.0[..8].copy_from_slice(&noise),
            _ => {}
        }
        digest
    })
}

/// True and false ones, of those who are linked with us and of others.
fn any_ticket() -> impl Strategy<Value = SignedTicket> {
    (0u8..5, 0usize..6, any::<bool>(), any::<[u8; 8]>()).prop_map(|(kind, n, seed, noise)| {
        let role = if seed { Role::Seed } else { Role::Viewer };
        let mut ticket = ticket(n, role, Instant::ZERO + Duration::from_secs(100 + u64::from(noise[0])));
        match kind {
            1 => ticket.signature[..8].copy_from_slice(&noise),
            2 => ticket.body.swarm.0[..8].copy_from_slice(&noise),
            3 => ticket.body.expires_ms = u64::from_be_bytes(noise),
            4 => ticket.authority.0[..8].copy_from_slice(&noise),
            _ => {}
        }
        ticket
    })
}

fn any_revocations() -> impl Strategy<Value = SignedRevocations> {
    let number = prop_oneof![0u64..4, any::<u64>()];
    (number, vec(0usize..12, 0..4), any::<bool>(), prop_oneof![Just(0), any::<u64>()]).prop_map(
        |(number, peers, good, void_until_ms)| {
            let mut list = revocations(number, peers.into_iter().map(peer_id));
            list.body.void_until_ms = void_until_ms;
            list.signature[0] ^= u8::from(!good);
            list
        },
    )
}

fn any_blocks() -> impl Strategy<Value = Bits> {
    vec(prop_oneof![4 => 0u16..14, 1 => 0u16..500], 0..20).prop_map(|blocks| {
        let mut bits = Bits::default();
        blocks.into_iter().for_each(|b| bits.insert(b));
        bits
    })
}

fn any_upload() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1u32..2_000_000, Just(u32::MAX)]
}

fn any_network() -> impl Strategy<Value = Network> {
    let some = (0u32..3, 0u16..3, 0u32..3);
    prop_oneof![4 => some, 1 => any::<(u32, u16, u32)>()].prop_map(|(asn, country, site)| Network {
        asn,
        country,
        site,
    })
}

/// Ourselves and those who are linked with us among them.
fn any_acquaintance() -> impl Strategy<Value = Acquaintance> {
    let track = prop_oneof![Just(None), Just(Some(MAIN)), any::<u64>().prop_map(|t| Some(TrackId(t)))];
    (0usize..12, any::<(bool, bool, u64, u16)>(), any_network(), track, any_nat()).prop_map(
        |(n, (seed, holds, nonce, weight), net, track, nat)| {
            let role = if seed { Role::Seed } else { Role::Viewer };
            let mut ticket = ticket(n, role, Instant::ZERO);
            (ticket.body.nonce, ticket.body.weight, ticket.body.net) = (nonce, weight, net);
            ticket.signature[0] ^= u8::from(!holds && n > 8);
            Acquaintance { ticket, playing: track.map(|track| Playing { track, next: nonce }), nat }
        },
    )
}

fn any_nat() -> impl Strategy<Value = NatClass> {
    (0u8..5).prop_map(|class| NatClass::from_bytes(&[class]).unwrap())
}

fn any_gossip() -> impl Strategy<Value = Message> {
    let slot = any::<(u32, u8)>().prop_map(|(value, age)| Slot { value, age });
    let slots = prop_oneof![4 => vec(slot.clone(), SLOTS), 1 => vec(slot, 0..SLOTS)];
    let of = prop_oneof![Just(MAIN.0), any::<u64>()];
    let payload = || vec(any::<u8>(), 0..60).prop_map(|bytes| Blob::new(bytes).expect("short"));
    prop_oneof![
        (of, slots).prop_map(|(of, slots)| Message::Census { of, slots: List::clipped(slots) }),
        vec(any_acquaintance(), 0..=MAX_ACQUAINTANCES)
            .prop_map(|peers| Message::Shuffle { peers: List::clipped(peers) }),
        (0usize..12, payload()).prop_map(|(n, payload)| Message::Relay { to: peer_id(n), payload }),
        (any_acquaintance(), payload()).prop_map(|(from, payload)| Message::Relayed { from, payload }),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let map = || (any_key(), any_blocks()).prop_map(|(key, blocks)| HaveMap { key, blocks });
    let playing = (any_key()).prop_map(|k| Playing { track: k.track, next: k.number });
    prop_oneof![
        (1u8..3, any_ticket(), any::<u64>()).prop_map(|(version, ticket, revocations)| Message::Hello {
            version,
            ticket,
            revocations
        }),
        any_revocations().prop_map(|revocations| Message::Revoked { revocations }),
        (vec(playing, 0..4), any::<bool>(), any_upload(), any::<u8>(), any::<bool>()).prop_map(
            |(p, passive, upload, short, helps)| Message::Profile {
                helps: p.last().filter(|_| helps).map(|p| p.track),
                playing: List::clipped(p),
                passive,
                upload,
                short,
            }
        ),
        vec(map(), 0..6).prop_map(|maps| Message::Have { maps: List::clipped(maps) }),
        vec(map(), 0..6).prop_map(|maps| Message::Got { maps: List::clipped(maps) }),
        vec(any_key(), 0..16).prop_map(|keys| Message::WantDigest { keys: List::clipped(keys) }),
        any_digest().prop_map(|digest| Message::Digest { digest }),
        (any_transfer(), any_name(), any_blocks()).prop_map(|(transfer, name, blocks)| Message::Offer {
            transfer,
            name,
            blocks
        }),
        (any_transfer(), any_name(), any_blocks()).prop_map(|(transfer, name, blocks)| Message::Grant {
            transfer,
            name,
            blocks
        }),
        (any_transfer(), any_no(), any_blocks()).prop_map(|(transfer, why, blocks)| Message::Decline {
            transfer,
            why,
            blocks
        }),
        (any_transfer(), any_name(), any::<u32>(), any_priority()).prop_map(
            |(transfer, name, need_ms, priority)| { Message::Request { transfer, name, need_ms, priority } }
        ),
        (any_transfer(), any_priority())
            .prop_map(|(transfer, priority)| Message::Priority { transfer, priority }),
        (any_transfer(), any_no()).prop_map(|(transfer, why)| Message::Refuse { transfer, why }),
        any_transfer().prop_map(|transfer| Message::Cancel { transfer }),
        any_transfer().prop_map(|transfer| Message::Arrived { transfer }),
        (any_key(), any::<u16>(), any::<u16>()).prop_map(|(key, first, count)| Message::Claim {
            key,
            first,
            count
        }),
        any::<u64>().prop_map(|stamp| Message::Ping { stamp }),
        any::<u64>().prop_map(|stamp| Message::Pong { stamp }),
        any_nat().prop_map(|class| Message::Nat { class }),
        any_gossip(),
    ]
}

/// One thing that happens to an engine.
#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Greet(u32),
    Close(usize, u32),
    Say(u32, Box<Message>),
    /// The shell has something for a peer that it is connecting with.
    Signal(usize, usize),
    Noise(u32, Vec<u8>),
    Bulk(u32, TransferId, u32, usize),
    /// Answers the newest request to a link as it should be.
    Serve(u32),
    Wait(u64),
    Demand(u64),
    Cancel(u64),
    Play(u64, u64),
    Describe(u64),
    Source(u32, usize),
    SourceEnds(u32, bool),
    Drained(u32, u32),
    Nat(NatClass),
    NoWay(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    let link = 1u32..6;
    prop_oneof![
        2 => (1usize..5).prop_map(Step::Open),
        3 => link.clone().prop_map(Step::Greet),
        1 => (1usize..5, link.clone()).prop_map(|(n, l)| Step::Close(n, l)),
        24 => (link.clone(), any_message()).prop_map(|(l, m)| Step::Say(l, m.into())),
        1 => (0usize..12, 0usize..5000).prop_map(|(n, len)| Step::Signal(n, len)),
        1 => (link.clone(), vec(any::<u8>(), 0..60)).prop_map(|(l, b)| Step::Noise(l, b)),
        4 => (link.clone(), any_transfer(), any::<u32>(), 0usize..20_000).prop_map(|(l, t, o, n)| Step::Bulk(l, t, o, n)),
        6 => link.clone().prop_map(Step::Serve),
        5 => (0u64..3000).prop_map(Step::Wait),
        3 => (18u64..26).prop_map(Step::Demand),
        1 => (18u64..26).prop_map(Step::Cancel),
        2 => (14u64..24, 0u64..20).prop_map(|(at, buffer)| Step::Play(at, buffer)),
        4 => (18u64..26).prop_map(Step::Describe),
        4 => (0u32..10, 0usize..200_000).prop_map(|(f, n)| Step::Source(f, n)),
        2 => (0u32..10, any::<bool>()).prop_map(|(f, ok)| Step::SourceEnds(f, ok)),
        1 => (link, any::<u32>()).prop_map(|(l, n)| Step::Drained(l, n)),
        1 => any_nat().prop_map(Step::Nat),
        1 => (1usize..12).prop_map(Step::NoWay),
    ]
}

fn apply(solo: &mut Solo, step: Step) {
    match step {
        Step::Open(n) => drop(solo.stranger(n, if n == 4 { Role::Seed } else { Role::Viewer })),
        Step::Greet(l) => solo.greet(LinkId(l)),
        Step::Close(n, l) => solo.tell(Input::LinkClosed { peer: peer_id(n), link: Some(LinkId(l)) }),
        Step::Say(l, message) => solo.hear(LinkId(l), *message),
        Step::Signal(n, len) => solo.tell(Input::Signal { to: peer_id(n), payload: vec![5; len] }),
        Step::Noise(l, bytes) => solo.hear_bytes(LinkId(l), &bytes),
        Step::Bulk(l, transfer, offset, len) => solo.piece(LinkId(l), transfer, offset, &vec![7; len]),
        Step::Serve(l) => {
            if let Some((transfer, name)) = solo.take_requests(LinkId(l)).pop() {
                let block = solo.block(name.key.number, name.block.0);
                solo.piece(LinkId(l), transfer, 0, &block);
            }
        }
        Step::Wait(ms) => solo.wait(Duration::from_millis(ms)),
        Step::Demand(number) => solo.demand(number),
        Step::Cancel(number) => solo.tell(Input::Cancel { key: crate::lab::key(number) }),
        Step::Play(at, buffer) => solo.plays(at, buffer, 25, true),
        Step::Describe(number) => solo.describe(number),
        Step::Source(f, len) => {
            let fetch = FetchId(f);
            solo.tell(Input::SourceHead { fetch, head: SourceHead::Whole { total: None } });
            solo.tell(Input::SourceData { fetch, data: Buf(vec![9; len].into()) });
        }
        Step::SourceEnds(f, ok) => solo.tell(match ok {
            true => Input::SourceEnd { fetch: FetchId(f) },
            false => Input::SourceFailed { fetch: FetchId(f), error: SourceError::Network },
        }),
        Step::Nat(class) => solo.tell(Input::Nat(class)),
        Step::NoWay(n) => solo.tell(Input::NoWay { peer: peer_id(n) }),
        Step::Drained(l, buffered) => solo.tell(Input::Drained { link: LinkId(l), buffered }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_read_in_one_way_or_not_at_all(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes);
        }
    }

    #[test]
    fn tagged_bytes_are_read_in_one_way_or_not_at_all(tag in 0u8..25, bytes in vec(0u8..4, 0..120)) {
        let bytes = [vec![tag], bytes].concat();
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(message.to_bytes(), bytes);
        }
    }

    #[test]
    fn every_message_survives_the_wire(message in any_message()) {
        let bytes = message.to_bytes();
        prop_assert_eq!(Message::parse(&bytes), Ok(message));
        for cut in 0..bytes.len().min(200) {
            prop_assert!(Message::parse(&bytes[..cut]).is_err(), "no message is the beginning of another");
        }
    }

    #[test]
    fn a_message_with_a_flipped_bit_does_no_harm(message in any_message(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = message.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let mut solo = Solo::viewer();
        solo.plays(18, 4, 22, true);
        solo.demand(20);
        solo.describe(20);
        let link = solo.neighbour(1);
        solo.hear_bytes(link, &bytes);
        solo.wait(Duration::from_secs(1));
    }

    // Solo::wait fails on an engine that asks for calls without end; what a player gets is checked byte for byte.
    #[test]
    fn no_sequence_of_events_brings_an_engine_down(steps in vec(any_step(), 1..150)) {
        let mut solo = Solo::viewer();
        solo.plays(17, 8, 25, true);
        for step in steps {
            apply(&mut solo, step);
            let stats = solo.engine.stats();
            prop_assert!(stats.links.len() <= 4);
            prop_assert!(stats.stored_bytes <= 80 << 20);
        }
        for delivery in &solo.delivered {
            let got: Vec<u8> = delivery.parts.iter().flat_map(|p| p.0.to_vec()).collect();
            let made_up = got.iter().all(|b| *b == 9);
            prop_assert!(made_up || got == solo.body(delivery.key.number), "a mixture of two versions");
        }
        solo.wait(Duration::from_secs(30));
    }
}
