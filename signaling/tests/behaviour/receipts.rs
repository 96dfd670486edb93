//! Contribution receipts (R60), and what becomes of those who are accused (H2).

use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use rillcast_protocol::coding::{List, Wire};
use rillcast_protocol::id::{AuthorityKey, PeerId, Role, SegmentKey, SessionKey, TrackId};
use rillcast_protocol::receipt::{MAX_VOUCHERS, Receipt, Voucher};
use rillcast_protocol::signal::{ClientMessage, Join, ServerMessage};
use rillcast_protocol::ticket::{SignedTicket, statement_bytes};
use rillcast_signaling::auth::Asker;
use rillcast_signaling::hub::Hub;
use rillcast_signaling::limits::Limits;
use rillcast_signaling::receipts::{Sealed, Worthless, check, to_hex};
use rillcast_signaling::swarm::accounts::VOUCHERS_BURST;
use rillcast_signaling::{Options, Running, start};
use serde_json::json;

use crate::bearer::token;
use crate::kit::{Bench, Client, Puppet, join, key, loopback, server_with, with_token};

fn session(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// A join whose visit has session key `n`.
fn keyed(n: u8) -> Join {
    Join { session: Some(SessionKey(session(n).verifying_key().to_bytes())), ..join(Role::Viewer) }
}

/// A member with session key `n`, and its ticket.
fn member(bench: &Bench, n: u8) -> (Puppet, SignedTicket) {
    let mut member = bench.enter(keyed(n)).expect("room");
    let ticket = ticket_of(&mut member);
    (member, ticket)
}

fn ticket_of(member: &mut Puppet) -> SignedTicket {
    let ticket = member.heard().into_iter().find_map(|message| match message {
        ServerMessage::Welcome { welcome } => Some(welcome.ticket),
        _ => None,
    });
    ticket.expect("welcomed")
}

/// The holder of this ticket and of session key `n` vouches for what `giver` has given it.
fn voucher(giver: PeerId, ticket: &SignedTicket, n: u8, bytes: u64) -> Voucher {
    let body = ticket.body;
    let receipt = Receipt { swarm: body.swarm, giver, receiver: body.peer, bytes };
    let signature = session(n).sign(&statement_bytes(&receipt)).to_bytes();
    Voucher { receipt, ticket: ticket.clone(), signature }
}

fn show(bench: &Bench, giver: &Puppet, vouchers: impl IntoIterator<Item = Voucher>) {
    bench.say(giver, ClientMessage::Vouchers { vouchers: List::clipped(vouchers) });
}

fn counts(hub: &Arc<Hub>) -> (u64, u64, u64) {
    let m = &hub.metrics;
    (m.receipts_total.value(), m.receipts_refused_total.value(), m.receipts_bytes_total.value())
}

// R60
#[tokio::test]
async fn receipts_count_by_their_growth_if_their_receivers_have_signed_them() {
    let bench = Bench::new(Limits::default(), "");
    let (giver, own) = member(&bench, 1);
    let (receiver, ticket) = member(&bench, 2);
    show(&bench, &giver, [voucher(giver.id, &ticket, 2, 1000)]);
    show(&bench, &giver, [voucher(giver.id, &ticket, 2, 1500)]);
    assert_eq!(counts(&bench.hub), (2, 0, 1500));
    let good = voucher(giver.id, &ticket, 2, 2000);
    for (what, bad) in [
        ("signed by another", voucher(giver.id, &ticket, 3, 2000)),
        ("for somebody else", voucher(receiver.id, &ticket, 2, 2000)),
        ("thanking itself", voucher(giver.id, &own, 1, 2000)),
        (
            "more than was signed",
            Voucher { receipt: Receipt { bytes: 9000, ..good.receipt }, ..good.clone() },
        ),
        ("over a forged ticket", {
            let mut ticket = ticket.clone();
            ticket.body.session = Some(SessionKey(session(3).verifying_key().to_bytes()));
            voucher(giver.id, &ticket, 3, 2000)
        }),
    ] {
        let refused = counts(&bench.hub).1;
        show(&bench, &giver, [bad]);
        assert_eq!(counts(&bench.hub), (2, refused + 1, 1500), "{what}");
    }
    // A receiver may have left: its ticket speaks for it.
    bench.hub.leave(receiver.swarm, receiver.id);
    show(&bench, &giver, [good]);
    assert_eq!((counts(&bench.hub).0, counts(&bench.hub).2), (3, 2000));
}

// H8: at, under and over.
#[tokio::test]
async fn receipts_beyond_the_limit_are_not_even_checked() {
    let bench = Bench::new(Limits::default(), "");
    let (giver, _) = member(&bench, 1);
    let (_, ticket) = member(&bench, 2);
    let burst = VOUCHERS_BURST as u64;
    let all: Vec<_> = (1..=burst + 8).map(|bytes| voucher(giver.id, &ticket, 2, bytes)).collect();
    for some in all.chunks(MAX_VOUCHERS) {
        show(&bench, &giver, some.iter().cloned());
    }
    let (good, refused, _) = counts(&bench.hub);
    assert!((burst..burst + 4).contains(&good) && good + refused == burst + 8, "{good} and {refused}");
}

fn segment() -> SegmentKey {
    SegmentKey { track: TrackId(1), number: 7, discontinuity: 0, part: 0 }
}

/// A swarm: the one who is accused, and its neighbours, each at the address given.
struct Court {
    bench: Bench,
    accused: Puppet,
    ticket: SignedTicket,
    neighbours: Vec<(Puppet, SignedTicket)>,
}

impl Court {
    fn new(limits: Limits, addresses: &[&str]) -> Self {
        let bench = Bench::new(limits, &key("sites.demo", 1, "one"));
        let enter = |n: u8, address: &str, user: &str| {
            let join = with_token(keyed(n), &token(json!({ "sub": user })));
            let address: IpAddr = address.parse().expect("an address");
            let asker = Asker { address, origin: Some(crate::bearer::PAGE), forwarded: false };
            let mut member = bench.enter_from(join, asker).expect("joins");
            let ticket = ticket_of(&mut member);
            (member, ticket)
        };
        let (accused, ticket) = enter(1, "192.0.2.1", "accused");
        let neighbours =
            addresses.iter().zip(2..).map(|(address, n)| enter(n, address, &format!("user {n}")));
        let neighbours = neighbours.collect();
        Self { bench, accused, ticket, neighbours }
    }

    fn accused_by(&self, n: usize) {
        self.bench
            .say(&self.neighbours[n].0, ClientMessage::Accuse { peer: self.accused.id, key: segment() });
    }

    fn is_gone(&mut self) -> bool {
        let refused = self
            .accused
            .heard()
            .iter()
            .any(|m| matches!(m, ServerMessage::Settings { settings } if !settings.enabled));
        assert_eq!(self.bench.hub.metrics.quarantined_total.value(), u64::from(refused));
        refused
    }
}

const FIVE_NETWORKS: [&str; 5] = ["198.18.1.1", "198.18.2.1", "198.18.3.1", "198.18.4.1", "198.18.5.1"];

// H2
#[tokio::test]
async fn whoever_most_of_its_neighbours_accuse_is_sent_away_and_its_ticket_revoked() {
    let mut court = Court::new(Limits::default(), &FIVE_NETWORKS);
    court.accused_by(0);
    court.accused_by(1);
    assert!(!court.is_gone(), "two witnesses");
    court.accused_by(2);
    assert!(court.is_gone(), "three of five");
    let revoked = court.neighbours[4].0.heard().into_iter().find_map(|message| match message {
        ServerMessage::Revoked { revocations } => Some(revocations.body.peers.into_vec()),
        _ => None,
    });
    assert_eq!(revoked, Some(vec![court.ticket.body.peer]));
    let entries = court.bench.hub.revocations.of("demo");
    let why: Vec<_> = entries.entries(crate::kit::now()).filter_map(|entry| entry.why.clone()).collect();
    assert_eq!(why.len(), 2, "the peer and its user");
    assert!(why[0].contains("3 independent neighbours"), "{why:?}");
    // Not under another name, either.
    let again = with_token(keyed(1), &token(json!({ "sub": "accused" })));
    let asker = Asker { address: [192, 0, 2, 1].into(), origin: Some(crate::bearer::PAGE), forwarded: false };
    assert!(court.bench.enter_from(again, asker).is_err());
}

// H2 H11: framing an honest peer.
#[tokio::test]
async fn an_honest_peer_is_not_framed() {
    // Ten pages in one network are one witness.
    let mut court = Court::new(Limits::default(), &["198.18.1.1"; 10]);
    (0..10).for_each(|n| court.accused_by(n));
    assert!(!court.is_gone());

    // Those whom it has served speak for it.
    let mut court = Court::new(Limits::default(), &FIVE_NETWORKS);
    let giver = court.accused.id;
    show(
        &court.bench,
        &court.accused,
        (3..5).map(|n| voucher(giver, &court.neighbours[n].1, n as u8 + 2, 1_000_000)),
    );
    (0..2).for_each(|n| court.accused_by(n));
    assert!(!court.is_gone());

    // Whoever repeats itself says nothing new, and nobody speaks against itself or for strangers.
    let mut court = Court::new(Limits::default(), &FIVE_NETWORKS);
    (0..20).for_each(|_| court.accused_by(0));
    court.bench.say(&court.accused, ClientMessage::Accuse { peer: giver, key: segment() });
    court.bench.say(&court.accused, ClientMessage::Accuse { peer: PeerId([9; 16]), key: segment() });
    assert!(!court.is_gone());
    println!(
        "framing: nobody is sent away by ten pages of one network, by fewer than those it serves, or by one who repeats itself"
    );
}

// H11: whoever gathers around a victim by way of neighbours isn't heard.
#[tokio::test]
async fn only_those_who_were_introduced_are_heard() {
    // A swarm in which newcomers are introduced to one member each; so the accused has met few of the thirty.
    let limits = Limits { introduce: 1, introduced: 4, ..Limits::default() };
    let addresses: Vec<String> = (0..30).map(|n| format!("198.18.{n}.1")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut court = Court::new(limits, &addresses);
    let accused = court.accused.id;
    let met = court.accused.heard().into_iter().filter_map(|message| match message {
        ServerMessage::Introduce { peers } => Some(peers.into_vec()),
        _ => None,
    });
    let met: Vec<PeerId> = met.flatten().map(|peer| peer.id).collect();
    let strangers: Vec<usize> = (0..30).filter(|n| !met.contains(&court.neighbours[*n].0.id)).collect();
    assert!(strangers.len() >= 3, "{} of 30 are strangers to {accused}", strangers.len());
    strangers.iter().for_each(|&n| court.accused_by(n));
    assert!(!court.is_gone());
    assert_eq!(court.bench.hub.metrics.accusations_total.value(), strangers.len() as u64, "all are counted");
}

// At, under and over: 0 turns it off.
#[tokio::test]
async fn how_many_witnesses_it_takes_can_be_set() {
    for (least, gone) in [(0, false), (2, true), (3, true), (4, false)] {
        let mut court =
            Court::new(Limits { quarantine_witnesses: least, ..Limits::default() }, &FIVE_NETWORKS);
        (0..3).for_each(|n| court.accused_by(n));
        assert_eq!(court.is_gone(), gone, "{least}");
    }
}

// R60: what a visit has given is written down when it ends, and can be checked by anybody.
#[tokio::test]
async fn the_log_of_receipts_can_be_checked_with_the_authoritys_key_alone() {
    let dir = tempfile::tempdir().expect("dir");
    let log = dir.path().join("receipts.jsonl");
    let server = server_with_log(&log).await;
    let mut giver = Client::join(&server, keyed(1)).await;
    let receiver = Client::join(&server, keyed(2)).await;
    let ticket = receiver.welcome.as_ref().expect("joined").ticket.clone();
    let shown = voucher(giver.id(), &ticket, 2, 123_456);
    giver.send(&ClientMessage::Vouchers { vouchers: List::clipped([shown.clone()]) }).await;
    giver.settle().await;
    let (peer, authority) = (giver.id().to_string(), ticket.authority);
    drop(giver);
    let line = loop {
        if let Some(line) = std::fs::read_to_string(&log).unwrap_or_default().lines().next() {
            let sealed = serde_json::from_str::<Sealed>(line).expect("a line");
            assert!(sealed.is_whole(&[authority]) && !sealed.is_whole(&[AuthorityKey([9; 32])]));
            break sealed.line;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!((line.peer.as_str(), line.bytes, line.role.as_str()), (peer.as_str(), 123_456, "viewer"));
    assert_eq!(check(&line.vouchers[0], &peer, &[authority]), Ok(shown.receipt));

    let other = AuthorityKey([9; 32]);
    let forged = Voucher { receipt: Receipt { bytes: 1 << 40, ..shown.receipt }, ..shown.clone() };
    let sessionless = {
        let mut voucher = shown.clone();
        voucher.ticket.body.session = None;
        voucher
    };
    for (voucher, peer, authority, why) in [
        (to_hex(&shown), "00", authority, Worthless::Giver),
        (to_hex(&shown), peer.as_str(), other, Worthless::Authority),
        (to_hex(&forged), peer.as_str(), authority, Worthless::Signature),
        (to_hex(&sessionless), peer.as_str(), authority, Worthless::Unsound),
        ("xyz".to_owned(), peer.as_str(), authority, Worthless::Unreadable),
        ("€€".to_owned(), peer.as_str(), authority, Worthless::Unreadable),
        ("00".to_owned(), peer.as_str(), authority, Worthless::Unreadable),
    ] {
        assert_eq!(check(&voucher, peer, &[authority]), Err(why));
    }

    // By the program.
    let program = || {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rillcast-receipts"));
        program.arg("--authority").arg(authority.to_string()).arg(&log);
        program
    };
    let output = program().output().expect("runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("123456"), "{told}");
    // Whatever is changed in a line, it isn't the one that was written; and whoever copies one earns nothing by it.
    let whole = std::fs::read_to_string(&log).expect("read");
    let edited = |from: &str, to: &str| {
        let line = whole.replace(from, to);
        assert_ne!(line, whole, "{from}");
        line
    };
    let lines = [
        whole.clone(),
        edited(&to_hex(&shown), &to_hex(&forged)),
        edited("\"bytes\":123456", "\"bytes\":999999"),
        edited("\"role\":", "\"user\":\"mallory\",\"role\":"),
        "not a line\n".to_owned(),
        whole.clone(),
    ];
    std::fs::write(&log, lines.concat()).expect("written");
    let output = program().output().expect("runs");
    let (told, complaints) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(!output.status.success() && told.contains(" 123456"), "what holds is added up, once: {told}");
    for complaint in [
        "line 2: none of these authorities has written it so",
        "line 3: none of these authorities has written it so",
        "line 4: none of these authorities has written it so",
        "line 5: not a line of receipts",
        "line 6: a copy of line 1",
    ] {
        assert!(complaints.contains(complaint), "{complaint}: {complaints}");
    }
    assert_eq!(shown.to_bytes().len() * 2, to_hex(&shown).len());
}

async fn server_with_log(log: &Path) -> Running {
    let options = Options { listen: vec![loopback()], receipts: Some(log.to_owned()), ..Options::default() };
    start(options).await.expect("starts")
}

#[tokio::test]
async fn without_a_log_nothing_is_kept() {
    let (server, _dir) = server_with("", &[]).await;
    let mut giver = Client::join(&server, keyed(1)).await;
    let receiver = Client::join(&server, keyed(2)).await;
    let ticket = receiver.welcome.as_ref().expect("joined").ticket.clone();
    let vouchers = List::clipped([voucher(giver.id(), &ticket, 2, 5)]);
    giver.send(&ClientMessage::Vouchers { vouchers }).await;
    giver.settle().await;
}
