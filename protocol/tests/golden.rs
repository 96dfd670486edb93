//! The wire as it is: bytes written down once. Whoever changes one of these changes the protocol, and has to raise its
//! version.

use rillcast_protocol::coding::{Blob, List, Text, Wire};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{
    AuthorityKey, Delivery, Fingerprint, PeerId, PublisherKey, Role, SealingKey, SegmentKey, SessionKey,
    SwarmId, TrackId,
};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::receipt::{Receipt, Voucher};
use rillcast_protocol::session::{Description, SessionSignal};
use rillcast_protocol::settings::{IceServer, Settings};
use rillcast_protocol::signal::{
    ClientMessage, Join, Network, PeerDescriptor, Popularity, RefusedCode, Report, ServerMessage,
    TrackSource, Welcome, hosted_path,
};
use rillcast_protocol::ticket::{
    Revocations, Signed, SignedRevocations, SignedTicket, Ticket, statement_bytes,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn text<const N: usize>(t: &str) -> Text<N> {
    Text::new(t).expect("short")
}

#[track_caller]
fn golden<T: Wire + PartialEq + std::fmt::Debug>(value: T, expected: &str) {
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex(&value.to_bytes()), expected);
    assert_eq!(T::from_bytes(&value.to_bytes()), Ok(value));
}

const KEY: SegmentKey =
    SegmentKey { track: TrackId(0x0102_0304_0506_0708), number: 300, discontinuity: 2, part: 1 };
const KEY_HEX: &str = "0102030405060708 ac02 02 01";

const NETWORK: Network = Network { asn: 3320, country: 0x4445, site: 1 << 31 };
const NETWORK_HEX: &str = "f819 c58801 8080808008";

fn id(n: u8) -> PeerId {
    PeerId([n; 16])
}

fn id_hex(n: u8) -> String {
    format!("{n:02x}").repeat(16)
}

fn digest() -> SegmentDigest {
    SegmentDigest {
        swarm: SwarmId([0xaa; 16]),
        key: KEY,
        length: 40_000,
        duration_ms: 4000,
        hashes: vec![[0x11; 32], [0x22; 32]],
        publisher: PublisherKey([0x33; 32]),
        signature: [0x44; 64],
        hosted: true,
    }
}

fn digest_hex() -> String {
    format!(
        "{} {KEY_HEX} c0b802 a01f {} {} {} {} 01",
        "aa".repeat(16),
        "11".repeat(32),
        "22".repeat(32),
        "33".repeat(32),
        "44".repeat(64)
    )
}

fn ticket() -> SignedTicket {
    Signed {
        body: Ticket {
            swarm: SwarmId([2; 16]),
            peer: id(1),
            role: Role::Seed,
            fingerprint: Fingerprint([0x55; 32]),
            session: Some(SessionKey([0x66; 32])),
            sealing: Some(SealingKey([0x99; 32])),
            nonce: 3,
            weight: 100,
            net: NETWORK,
            expires_ms: 300,
        },
        authority: AuthorityKey([0x77; 32]),
        signature: [0x88; 64],
    }
}

fn ticket_hex() -> String {
    format!(
        "{} {} 01 {} 01 {} 01 {} 03 64 {NETWORK_HEX} ac02 {} {}",
        id_hex(2),
        id_hex(1),
        "55".repeat(32),
        "66".repeat(32),
        "99".repeat(32),
        "77".repeat(32),
        "88".repeat(64)
    )
}

fn revocations() -> SignedRevocations {
    Signed {
        body: Revocations {
            swarm: SwarmId([2; 16]),
            number: 300,
            peers: List::clipped([id(8), id(9)]),
            void_until_ms: 5,
        },
        authority: AuthorityKey([0x77; 32]),
        signature: [0x88; 64],
    }
}

fn revocations_hex() -> String {
    format!("{} ac02 02 {} {} 05 {} {}", id_hex(2), id_hex(8), id_hex(9), "77".repeat(32), "88".repeat(64))
}

fn voucher() -> Voucher {
    let receipt = Receipt { swarm: SwarmId([2; 16]), giver: id(8), receiver: id(1), bytes: 300 };
    Voucher { receipt, ticket: ticket(), signature: [0x99; 64] }
}

fn voucher_hex() -> String {
    format!("{} {} {} ac02 {} {}", id_hex(2), id_hex(8), id_hex(1), ticket_hex(), "99".repeat(64))
}

// R60
#[test]
fn receipts() {
    golden(voucher(), &voucher_hex());
    let signed = statement_bytes(&voucher().receipt);
    assert!(signed.starts_with(b"rillcast receipt v1\0"));
    assert_eq!(signed[20..], voucher().receipt.to_bytes());
    let vouchers = ClientMessage::Vouchers { vouchers: List::clipped([voucher()]) };
    golden(vouchers, &format!("09 01 {}", voucher_hex()));
    golden(ClientMessage::Accuse { peer: id(8), key: KEY }, &format!("0a {} {KEY_HEX}", id_hex(8)));
}

#[test]
fn a_voucher_is_sound_if_receipt_and_ticket_are_of_one_receiver_who_is_not_the_giver() {
    assert!(voucher().is_sound());
    let changed = |change: fn(&mut Voucher)| {
        let mut voucher = voucher();
        change(&mut voucher);
        voucher.is_sound()
    };
    assert!(!changed(|v| v.receipt.receiver = id(9)));
    assert!(!changed(|v| v.receipt.giver = v.receipt.receiver));
    assert!(!changed(|v| v.receipt.swarm = SwarmId([3; 16])));
    assert!(!changed(|v| v.ticket.body.session = None));
}

#[test]
fn tickets_and_revocations() {
    golden(ticket(), &ticket_hex());
    golden(revocations(), &revocations_hex());
    let signed = ticket().signed_bytes();
    assert!(signed.starts_with(b"rillcast ticket v1\0"));
    assert_eq!(signed[19..], ticket().body.to_bytes());
    let signed = revocations().signed_bytes();
    assert!(signed.starts_with(b"rillcast revocations v1\0"));
    assert_eq!(signed[24..], revocations().body.to_bytes());
    let without_key = Ticket { session: None, ..ticket().body };
    assert_eq!(without_key.to_bytes().len() + 32, ticket().body.to_bytes().len());
}

#[test]
fn segment_keys_and_digests() {
    golden(KEY, KEY_HEX);
    golden(digest(), &digest_hex());
    let signed = digest().signed_bytes();
    assert!(signed.starts_with(b"rillcast segment digest v1\0"));
    assert_eq!(signed.len(), 27 + 16 + 12 + 3 + 2 + 64);
}

#[test]
fn the_path_of_a_hosted_segment() {
    let path = hosted_path(SwarmId([0xaa; 16]), KEY);
    assert_eq!(path, format!("{}/{}", "aa".repeat(16), "0102030405060708ac020201"));
}

#[test]
fn where_a_peer_is() {
    golden(NETWORK, NETWORK_HEX);
    golden(Network::default(), "00 00 00");
}

#[test]
fn what_peers_say() {
    let join = Join {
        version: 1,
        site: text("s"),
        content: text("c"),
        delivery: Delivery::Dash,
        role: Role::Seed,
        token: Blob::new([9]).expect("short"),
        publisher: Some(PublisherKey([5; 32])),
        fingerprint: Fingerprint([6; 32]),
        session: None,
        sealing: None,
        ticket: None,
    };
    let join_hex = format!("00 01 0173 0163 01 01 0109 01 {} {} 00 00", "05".repeat(32), "06".repeat(32));
    golden(ClientMessage::Join { join: join.clone() }, &format!("{join_hex} 00"));
    let back = Join { ticket: Some(ticket()), ..join };
    golden(ClientMessage::Join { join: back }, &format!("{join_hex} 01 {}", ticket_hex()));
    golden(ClientMessage::WantPeers { count: 200 }, "01 c801");
    let payload = Blob::new(*b"hi").expect("short");
    golden(ClientMessage::Relay { to: id(7), payload }, &format!("02 {} 026869", id_hex(7)));
    let tracks = List::clipped([TrackSource { track: TrackId(1), playlist: text("/a") }]);
    golden(ClientMessage::Playing { tracks }, "03 01 0000000000000001 022f61");
    golden(ClientMessage::Publish { digest: digest() }, &format!("04 {}", digest_hex()));
    golden(ClientMessage::Ping { nonce: u64::MAX }, "05 ffffffffffffffffff01");
    let report = Report {
        source_bytes: 1,
        publisher_bytes: 2,
        peer_bytes: 3,
        seed_bytes: 4,
        uploaded_bytes: 5,
        played_bytes: 6,
        stalls: 7,
        stall_ms: 8,
        played_ms: 9,
        links: 10,
    };
    golden(ClientMessage::Report { report }, "06 01 02 03 04 05 06 07 08 09 0a");
    golden(ClientMessage::WantDigests { keys: List::clipped([KEY]) }, &format!("07 01 {KEY_HEX}"));
    golden(ClientMessage::Renew {}, "08");
    golden(ClientMessage::Nat { class: NatClass::Dependent }, "0b 03");
}

#[test]
fn what_the_server_says() {
    let ice = IceServer { url: text("stun:h:1"), username: text("u"), credential: text("p") };
    let settings = Settings {
        enabled: true,
        holdout: false,
        ratio_percent: 200,
        upload_cap: 1,
        yields: true,
        max_links: 16,
        ice: List::clipped([ice]),
        relay_only: true,
        report_secs: 10,
        grace_secs: 3600,
    };
    let settings_hex = "01 00 c801 01 01 10 01 087374756e3a683a31 0175 0170 01 0a 901c";
    let welcome = Welcome {
        version: 1,
        ticket: ticket(),
        authorities: List::clipped([AuthorityKey([0x77; 32])]),
        revocations: Some(revocations()),
        server_time_ms: 4,
        settings: settings.clone(),
        publishers: List::clipped([PublisherKey([5; 32])]),
        publisher_base: text("/h"),
    };
    golden(
        ServerMessage::Welcome { welcome },
        &format!(
            "00 01 {} 01 {} 01 {} 04 {settings_hex} 01 {} 022f68",
            ticket_hex(),
            "77".repeat(32),
            revocations_hex(),
            "05".repeat(32)
        ),
    );
    let peer = PeerDescriptor {
        id: id(6),
        role: Role::Viewer,
        nonce: 7,
        weight: 300,
        net: NETWORK,
        sealing: None,
        initiate: true,
        nat: NatClass::Unknown,
    };
    golden(
        ServerMessage::Introduce { peers: List::clipped([peer]) },
        &format!("01 01 {} 00 07 ac02 {NETWORK_HEX} 00 01", id_hex(6)),
    );
    golden(
        ServerMessage::Introduce {
            peers: List::clipped([PeerDescriptor { nat: NatClass::Dependent, ..peer }]),
        },
        &format!("01 01 {} 00 07 ac02 {NETWORK_HEX} 00 07", id_hex(6)),
    );
    let payload = Blob::default();
    golden(ServerMessage::Relayed { from: id(8), payload }, &format!("02 {} 00", id_hex(8)));
    golden(ServerMessage::Digest { digest: digest() }, &format!("03 {}", digest_hex()));
    golden(ServerMessage::Settings { settings }, &format!("04 {settings_hex}"));
    golden(ServerMessage::Publishers { keys: List::clipped([]) }, "05 00");
    golden(ServerMessage::Pong { nonce: 1, server_time_ms: 2 }, "06 01 02");
    golden(ServerMessage::Refused { code: RefusedCode::RateLimited, message: text("no") }, "07 04 026e6f");
    golden(ServerMessage::Gone { peer: id(9) }, &format!("08 {}", id_hex(9)));
    let renewed = ServerMessage::Ticket { ticket: ticket(), server_time_ms: 2 };
    golden(renewed, &format!("09 {} 02", ticket_hex()));
    let revoked = ServerMessage::Revoked { revocations: revocations() };
    golden(revoked, &format!("0a {}", revocations_hex()));
    let tracks = List::clipped([Popularity { track: TrackId(1), viewers: 256 }]);
    let seeds = ServerMessage::Seeds { keys: List::clipped([PublisherKey([5; 32])]), tracks };
    golden(seeds, &format!("0b 01 {} 01 0000000000000001 8002", "05".repeat(32)));
}

#[test]
fn refusals_have_fixed_numbers() {
    use RefusedCode::{Malformed, RateLimited, Site, Unauthorised, Unavailable, Version};
    for (number, code) in
        [Malformed, Version, Site, Unauthorised, RateLimited, Unavailable].into_iter().enumerate()
    {
        assert_eq!(code.to_bytes(), [number as u8]);
        assert_eq!(RefusedCode::from_bytes(&[number as u8]), Ok(code));
    }
    assert!(RefusedCode::from_bytes(&[6]).is_err());
}

#[test]
fn session_signals() {
    let description =
        Description { ufrag: text("u"), password: text("p"), fingerprint: Fingerprint([0xee; 32]) };
    let description_hex = format!("0175 0170 {}", "ee".repeat(32));
    let offer = SessionSignal::Offer { attempt: 1, description: description.clone() };
    golden(offer, &format!("00 01 {description_hex}"));
    golden(SessionSignal::Answer { attempt: 2, description }, &format!("01 02 {description_hex}"));
    golden(SessionSignal::Candidate { attempt: 3, candidate: text("c") }, "02 03 0163");
    golden(SessionSignal::Abort { attempt: 300 }, "03 ac02");
}
