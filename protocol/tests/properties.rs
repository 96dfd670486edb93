//! Whatever is written can be read; whatever can be read has one form; nothing makes the reader panic or allocate more
//! than it was given.

use proptest::prelude::*;
use rillcast_protocol::coding::{Blob, DecodeError, List, Reader, Text, Wire, Writer};
use rillcast_protocol::digest::{
    BLOCK, LARGE_BLOCK, LARGE_SEGMENT, LEAST_THIN, MAX_BLOCKS, MAX_SEGMENT, SMALL_BLOCK, SegmentDigest, THIN,
    block_size,
};
use rillcast_protocol::id::{
    AuthorityKey, BlockIndex, Delivery, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey,
    SessionKey, SwarmId, TrackId, canonical_path,
};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::receipt::{MAX_VOUCHERS, Receipt, Voucher};
use rillcast_protocol::session::{Description, SessionSignal};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{
    ClientMessage, Join, MAX_MESSAGE, Network, PeerDescriptor, Report, ServerMessage, TrackSource, Welcome,
};
use rillcast_protocol::ticket::{
    MAX_AUTHORITIES, MAX_REVOKED, Revocations, Signed, SignedRevocations, SignedTicket, Ticket,
};

fn key() -> impl Strategy<Value = SegmentKey> {
    (any::<u64>(), any::<u64>(), any::<u32>(), any::<u16>()).prop_map(
        |(track, number, discontinuity, part)| SegmentKey {
            track: TrackId(track),
            number,
            discontinuity,
            part,
        },
    )
}

fn digest() -> impl Strategy<Value = SegmentDigest> {
    let length = prop_oneof![1u32..200_000, 1u32..=MAX_SEGMENT, Just(MAX_SEGMENT)];
    // Of the usual lengths some are thin.
    let duration = prop_oneof![any::<u32>(), 1u32..20_000];
    (any::<[u8; 16]>(), key(), length, duration, any::<[u8; 32]>(), any::<u8>(), any::<bool>()).prop_map(
        |(swarm, key, length, duration_ms, publisher, fill, hosted)| SegmentDigest {
            swarm: SwarmId(swarm),
            key,
            length,
            duration_ms,
            hashes: vec![[fill; 32]; length.div_ceil(block_size(length, duration_ms)) as usize],
            publisher: PublisherKey(publisher),
            signature: [fill; 64],
            hosted,
        },
    )
}

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    "\\PC{0,40}".prop_filter_map("too long", Text::new)
}

fn client_message() -> impl Strategy<Value = ClientMessage> {
    let ticket = || prop::option::of(ticket());
    let join =
        (text(), text(), any::<bool>(), any::<bool>(), any::<Option<[u8; 32]>>(), any::<u8>(), ticket())
            .prop_map(|(site, content, dash, seed, publisher, version, ticket)| ClientMessage::Join {
                join: Join {
                    version,
                    site,
                    content,
                    delivery: if dash { Delivery::Dash } else { Delivery::Hls },
                    role: if seed { Role::Seed } else { Role::Viewer },
                    token: Blob::default(),
                    publisher: publisher.map(PublisherKey),
                    fingerprint: Fingerprint([version; 32]),
                    session: publisher.map(SessionKey),
                    sealing: publisher.map(SealingKey),
                    ticket,
                },
            });
    let relay =
        (any::<[u8; 16]>(), prop::collection::vec(any::<u8>(), 0..=4096)).prop_map(|(to, payload)| {
            ClientMessage::Relay { to: PeerId(to), payload: Blob::new(payload).expect("in bounds") }
        });
    let source = (any::<u64>(), text()).prop_map(|(t, playlist)| TrackSource { track: TrackId(t), playlist });
    let tracks = prop::collection::vec(source, 0..=8);
    prop_oneof![
        join,
        any::<u8>().prop_map(|count| ClientMessage::WantPeers { count }),
        Just(ClientMessage::Renew {}),
        relay,
        tracks.prop_map(|t| ClientMessage::Playing { tracks: List::clipped(t) }),
        digest().prop_map(|digest| ClientMessage::Publish { digest }),
        any::<u64>().prop_map(|nonce| ClientMessage::Ping { nonce }),
        prop::collection::vec(voucher(), 0..=MAX_VOUCHERS)
            .prop_map(|vouchers| ClientMessage::Vouchers { vouchers: List::clipped(vouchers) }),
        (any::<u64>(), any::<u32>()).prop_map(|(a, b)| ClientMessage::Report {
            report: Report { peer_bytes: a, stalls: b, ..Report::default() }
        }),
        prop::collection::vec(key(), 0..=16)
            .prop_map(|keys| ClientMessage::WantDigests { keys: List::clipped(keys) }),
        nat().prop_map(|class| ClientMessage::Nat { class }),
    ]
}

fn network() -> impl Strategy<Value = Network> {
    (any::<u32>(), any::<u16>(), any::<u32>()).prop_map(|(asn, country, site)| Network { asn, country, site })
}

fn nat() -> impl Strategy<Value = NatClass> {
    use NatClass::{Blocked, Dependent, Independent, Open, Unknown};
    prop::sample::select(vec![Unknown, Open, Independent, Dependent, Blocked])
}

fn peer() -> impl Strategy<Value = PeerDescriptor> {
    let sealing = any::<Option<[u8; 32]>>();
    let last = (any::<bool>(), nat());
    (any::<[u8; 16]>(), any::<bool>(), any::<u64>(), any::<u16>(), network(), sealing, last).prop_map(
        |(id, seed, nonce, weight, net, sealing, (initiate, nat))| PeerDescriptor {
            id: PeerId(id),
            role: if seed { Role::Seed } else { Role::Viewer },
            nonce,
            weight,
            net,
            sealing: sealing.map(SealingKey),
            initiate,
            nat,
        },
    )
}

fn ticket() -> impl Strategy<Value = SignedTicket> {
    let session = any::<Option<[u8; 32]>>();
    (peer(), any::<[u8; 16]>(), any::<[u8; 32]>(), session, any::<u64>(), any::<u8>()).prop_map(
        |(peer, swarm, fingerprint, session, expires_ms, fill)| Signed {
            body: Ticket {
                swarm: SwarmId(swarm),
                peer: peer.id,
                role: peer.role,
                fingerprint: Fingerprint(fingerprint),
                session: session.map(SessionKey),
                sealing: peer.sealing,
                nonce: peer.nonce,
                weight: peer.weight,
                net: peer.net,
                expires_ms,
            },
            authority: AuthorityKey([fill; 32]),
            signature: [fill; 64],
        },
    )
}

fn revocations() -> impl Strategy<Value = SignedRevocations> {
    let peers = prop::collection::vec(any::<[u8; 16]>().prop_map(PeerId), 0..=MAX_REVOKED);
    (any::<[u8; 16]>(), any::<u64>(), peers, any::<u64>(), any::<u8>()).prop_map(
        |(swarm, number, peers, void_until_ms, fill)| Signed {
            body: Revocations { swarm: SwarmId(swarm), number, peers: List::clipped(peers), void_until_ms },
            authority: AuthorityKey([fill; 32]),
            signature: [fill; 64],
        },
    )
}

fn voucher() -> impl Strategy<Value = Voucher> {
    let ids = any::<([u8; 16], [u8; 16], [u8; 16])>();
    (ids, any::<u64>(), ticket(), any::<u8>()).prop_map(|((swarm, giver, receiver), bytes, ticket, fill)| {
        let (swarm, giver, receiver) = (SwarmId(swarm), PeerId(giver), PeerId(receiver));
        Voucher { receipt: Receipt { swarm, giver, receiver, bytes }, ticket, signature: [fill; 64] }
    })
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let keys = || prop::collection::vec(any::<[u8; 32]>().prop_map(PublisherKey), 0..=16);
    let authorities = prop::collection::vec(any::<[u8; 32]>().prop_map(AuthorityKey), 0..=MAX_AUTHORITIES);
    let lists = (authorities, prop::option::of(revocations()));
    let welcome = (ticket(), lists, any::<u64>(), any::<u8>(), keys(), text()).prop_map(
        |(ticket, (authorities, revocations), server_time_ms, version, keys, publisher_base)| {
            ServerMessage::Welcome {
                welcome: Welcome {
                    version,
                    ticket,
                    authorities: List::clipped(authorities),
                    revocations,
                    server_time_ms,
                    settings: Settings::default(),
                    publishers: List::clipped(keys),
                    publisher_base,
                },
            }
        },
    );
    prop_oneof![
        welcome,
        prop::collection::vec(peer(), 0..=32)
            .prop_map(|peers| ServerMessage::Introduce { peers: List::clipped(peers) }),
        digest().prop_map(|digest| ServerMessage::Digest { digest }),
        keys().prop_map(|keys| ServerMessage::Publishers { keys: List::clipped(keys) }),
        any::<[u8; 16]>().prop_map(|peer| ServerMessage::Gone { peer: PeerId(peer) }),
        (ticket(), any::<u64>())
            .prop_map(|(ticket, server_time_ms)| ServerMessage::Ticket { ticket, server_time_ms }),
        revocations().prop_map(|revocations| ServerMessage::Revoked { revocations }),
    ]
}

/// What was read must be written as it was found.
fn one_form<T: Wire>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(value) = T::from_bytes(bytes) {
        prop_assert_eq!(value.to_bytes(), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn integers_survive_and_have_one_form(n in any::<u64>()) {
        let bytes = n.to_bytes();
        prop_assert_eq!(u64::from_bytes(&bytes), Ok(n));
        prop_assert!(bytes.len() <= 10);
        // The same value with a byte of padding is refused.
        if bytes.len() < 10 {
            let mut padded = bytes.clone();
            *padded.last_mut().expect("one at least") |= 0x80;
            padded.push(0);
            prop_assert_eq!(u64::from_bytes(&padded), Err(DecodeError::NotCanonical));
        }
        prop_assert_eq!(u32::from_bytes(&bytes).is_ok(), u32::try_from(n).is_ok());
        prop_assert_eq!(u16::from_bytes(&bytes).is_ok(), u16::try_from(n).is_ok());
    }

    #[test]
    fn messages_survive_and_fit(message in client_message()) {
        let bytes = message.to_bytes();
        prop_assert!(bytes.len() <= MAX_MESSAGE);
        prop_assert_eq!(ClientMessage::from_bytes(&bytes), Ok(message));
    }

    #[test]
    fn the_servers_messages_survive_and_fit_and_are_refused_when_cut_short(
        message in server_message(), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = message.to_bytes();
        prop_assert!(bytes.len() <= MAX_MESSAGE);
        prop_assert!(ServerMessage::from_bytes(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert_eq!(ServerMessage::from_bytes(&bytes), Ok(message));
    }

    #[test]
    fn a_changed_byte_of_a_servers_message_is_refused_or_read_in_its_one_form(
        message in server_message(), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut bytes = message.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        one_form::<ServerMessage>(&bytes)?;
    }

    #[test]
    fn a_message_cut_short_or_with_more_behind_it_is_refused(message in client_message(), cut in any::<prop::sample::Index>()) {
        let mut bytes = message.to_bytes();
        let cut = cut.index(bytes.len());
        prop_assert!(ClientMessage::from_bytes(&bytes[..cut]).is_err());
        bytes.push(0);
        prop_assert_eq!(ClientMessage::from_bytes(&bytes), Err(DecodeError::Trailing));
    }

    #[test]
    fn a_changed_byte_is_refused_or_read_in_its_one_form(
        message in client_message(), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut bytes = message.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = value;
        one_form::<ClientMessage>(&bytes)?;
    }

    #[test]
    fn any_bytes_are_refused_or_read_in_their_one_form(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        one_form::<ClientMessage>(&bytes)?;
        one_form::<ServerMessage>(&bytes)?;
        one_form::<SegmentDigest>(&bytes)?;
        one_form::<SegmentKey>(&bytes)?;
        one_form::<Settings>(&bytes)?;
        one_form::<Network>(&bytes)?;
        one_form::<PeerDescriptor>(&bytes)?;
        one_form::<SessionSignal>(&bytes)?;
        one_form::<SignedTicket>(&bytes)?;
        one_form::<SignedRevocations>(&bytes)?;
        one_form::<Voucher>(&bytes)?;
    }

    #[test]
    fn the_blocks_of_a_digest_cover_its_segment_once(digest in digest()) {
        let mut at = 0;
        for block in 0..digest.blocks() {
            let range = digest.range(BlockIndex(block));
            prop_assert_eq!(range.start, at);
            prop_assert!(range.end > range.start && range.end - range.start <= digest.block_size());
            at = range.end;
        }
        prop_assert_eq!(at, digest.length);
        prop_assert!(digest.hashes.len() <= MAX_BLOCKS);
        prop_assert!(digest.to_bytes().len() <= 16 * 1024);
    }

    #[test]
    fn a_canonical_path_has_no_host_query_or_fragment_and_is_its_own(url in "\\PC{0,60}") {
        let path = canonical_path(&url);
        prop_assert!(!path.contains(['?', '#']));
        if !path.contains("://") {
            prop_assert_eq!(canonical_path(path), path);
        }
    }

    #[test]
    fn a_description_from_any_text_makes_an_sdp_or_nothing(ufrag in "\\PC{0,20}", password in "[ -~]{0,30}") {
        let (Some(ufrag), Some(password)) = (Text::new(ufrag), Text::new(password)) else { return Ok(()) };
        let description = Description { ufrag, password, fingerprint: Fingerprint([7; 32]) };
        for side in [rillcast_protocol::session::Side::Offer, rillcast_protocol::session::Side::Answer] {
            if let Some(sdp) = description.to_sdp(side) {
                prop_assert_eq!(sdp.matches("a=ice-ufrag:").count(), 1);
                prop_assert_eq!(sdp.matches("\r\nm=").count(), 1);
                prop_assert_eq!(Description::from_sdp(&sdp), Some(description.clone()));
            }
        }
    }
}

#[test]
fn every_bounded_field_takes_its_limit_and_no_more() {
    fn bytes(n: usize) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&vec![b'a'; n]);
        w.into_bytes()
    }
    assert!(Text::<64>::from_bytes(&bytes(63)).is_ok() && Text::<64>::from_bytes(&bytes(64)).is_ok());
    assert_eq!(Text::<64>::from_bytes(&bytes(65)), Err(DecodeError::TooLarge));
    assert!(Blob::<64>::from_bytes(&bytes(64)).is_ok());
    assert_eq!(Blob::<64>::from_bytes(&bytes(65)), Err(DecodeError::TooLarge));
    assert!(Text::<3>::new("abc").is_some() && Text::<3>::new("abcd").is_none());
    assert_eq!(Text::<3>::clipped("aäöü").as_str(), "aä");
    let list = |n: u8| {
        let mut w = Writer::new();
        w.list(&vec![1u8; usize::from(n)]);
        w.into_bytes()
    };
    assert!(List::<u8, 8>::from_bytes(&list(7)).is_ok() && List::<u8, 8>::from_bytes(&list(8)).is_ok());
    assert_eq!(List::<u8, 8>::from_bytes(&list(9)), Err(DecodeError::TooLarge));
    // Text has to be UTF-8.
    assert_eq!(Text::<8>::from_bytes(&[1, 0xff]), Err(DecodeError::NotCanonical));
}

#[test]
fn lists_of_the_revoked_and_of_authorities_at_under_and_over_the_limit() {
    let counted = |n: usize, of: usize| {
        let mut w = Writer::new();
        w.varint(n as u64);
        w.raw(&vec![5; n * of]);
        w.into_bytes()
    };
    for (n, good) in [(MAX_REVOKED - 1, true), (MAX_REVOKED, true), (MAX_REVOKED + 1, false)] {
        let list = [vec![2; 16], vec![1], counted(n, 16), vec![0]].concat();
        assert_eq!(Revocations::from_bytes(&list).is_ok(), good, "{n}");
    }
    for (n, good) in [(MAX_AUTHORITIES - 1, true), (MAX_AUTHORITIES, true), (MAX_AUTHORITIES + 1, false)] {
        assert_eq!(List::<AuthorityKey, MAX_AUTHORITIES>::from_bytes(&counted(n, 32)).is_ok(), good, "{n}");
    }
}

#[test]
fn a_count_that_the_bytes_cannot_hold_allocates_nothing_of_that_size() {
    let mut w = Writer::new();
    w.varint(1 << 40);
    let bytes = w.into_bytes();
    let mut r = Reader::new(&bytes);
    assert!(r.list::<[u8; 32]>(usize::MAX).len() <= 1);
    assert_eq!(r.end(), Err(DecodeError::Short));
}

#[test]
fn segment_lengths_at_under_and_over_the_limit() {
    let digest = |length: u32| SegmentDigest {
        swarm: SwarmId([0; 16]),
        key: SegmentKey { track: TrackId(0), number: 0, discontinuity: 0, part: 0 },
        length,
        duration_ms: 0,
        hashes: vec![[0; 32]; length.div_ceil(block_size(length.max(1), 0)) as usize],
        publisher: PublisherKey([0; 32]),
        signature: [0; 64],
        hosted: false,
    };
    for (length, good) in [
        (0, false),
        (1, true),
        (BLOCK, true),
        (LARGE_SEGMENT, true),
        (LARGE_SEGMENT + 1, true),
        (MAX_SEGMENT - 1, true),
        (MAX_SEGMENT, true),
        (MAX_SEGMENT + 1, false),
    ] {
        assert_eq!(SegmentDigest::from_bytes(&digest(length).to_bytes()).is_ok(), good, "{length}");
    }
    assert_eq!((block_size(LARGE_SEGMENT, 0), block_size(LARGE_SEGMENT + 1, 0)), (BLOCK, LARGE_BLOCK));
}

// At, under and over: as many bytes a second, and as many bytes.
#[test]
fn blocks_of_thin_streams_are_small_and_those_of_short_pieces_are_not() {
    let second = THIN as u32;
    assert!(second < LEAST_THIN, "a second of it is too short");
    assert_eq!([4 * second - 1, 4 * second].map(|length| block_size(length, 4000)), [SMALL_BLOCK, BLOCK]);
    assert_eq!([3999, 4000, 4001].map(|ms| block_size(4 * second, ms)), [BLOCK, BLOCK, SMALL_BLOCK]);
    assert_eq!([LEAST_THIN - 1, LEAST_THIN].map(|length| block_size(length, 4000)), [BLOCK, SMALL_BLOCK]);
    assert_eq!(
        [LARGE_SEGMENT, LARGE_SEGMENT + 1].map(|length| block_size(length, u32::MAX)),
        [SMALL_BLOCK, LARGE_BLOCK]
    );
    assert!(LARGE_SEGMENT.div_ceil(SMALL_BLOCK) as usize <= MAX_BLOCKS);
}
