//! Tickets (R8, R35, R41): what members get to show each other, its renewal, and the lists of those that count no more.

use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use rillcast_protocol::id::{Fingerprint, PeerId, Role};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{ClientMessage, Join, ServerMessage, Welcome};
use rillcast_protocol::ticket::{MAX_REVOKED, Signed, SignedRevocations, SignedTicket, Statement};
use rillcast_signaling::limits::Limits;
use rillcast_signaling::revocation::{Kind, Request};
use rillcast_signaling::swarm::tickets::MAX_DEPARTED;
use rillcast_signaling::{Options, Running, start};
use serde_json::{Value, json};

use crate::bearer::token;
use crate::kit::{Bench, Client, Puppet, join, key, loopback, now, with_token};
use crate::operator::Site;

fn holds<T: Statement>(signed: &Signed<T>) -> bool {
    let signature = Signature::from_bytes(&signed.signature);
    VerifyingKey::from_bytes(&signed.authority.0)
        .is_ok_and(|key| key.verify_strict(&signed.signed_bytes(), &signature).is_ok())
}

fn welcome(puppet: &mut Puppet) -> Welcome {
    let welcome = puppet.heard().into_iter().find_map(|m| match m {
        ServerMessage::Welcome { welcome } => Some(welcome),
        _ => None,
    });
    welcome.expect("welcomed")
}

fn renewed(puppet: &mut Puppet) -> Option<(SignedTicket, u64)> {
    puppet.heard().into_iter().find_map(|m| match m {
        ServerMessage::Ticket { ticket, server_time_ms } => Some((ticket, server_time_ms)),
        _ => None,
    })
}

fn revoked(puppet: &mut Puppet) -> Option<SignedRevocations> {
    puppet.heard().into_iter().rev().find_map(|m| match m {
        ServerMessage::Revoked { revocations } => Some(revocations),
        _ => None,
    })
}

/// A site that asks for tokens, and somebody who has one.
fn bench() -> Bench {
    Bench::new(Limits::default(), &key("sites.demo", 1, "one"))
}

fn as_user(user: &str) -> Join {
    with_token(join(Role::Viewer), &token(json!({ "sub": user })))
}

fn revoke(bench: &Bench, kind: Kind, name: &str) {
    let request = Request { kind, name: name.to_owned(), until: None, why: None };
    bench.hub.revoke("demo", request).expect("room");
}

// R8 R41
#[tokio::test]
async fn whoever_joins_gets_a_ticket_for_its_certificate_that_holds_under_the_announced_key() {
    let bench = Bench::new(Limits::default(), "");
    for role in [Role::Viewer, Role::Seed] {
        let asked = join(role);
        let mut member = bench.enter(asked.clone()).expect("room");
        let Welcome { ticket, authorities, server_time_ms, revocations, .. } = welcome(&mut member);
        assert!(holds(&ticket) && authorities[..] == [ticket.authority]);
        let body = ticket.body;
        assert_eq!((body.swarm, body.peer, body.role), (member.swarm, member.id, role));
        assert_eq!(
            (body.fingerprint, body.session, body.sealing),
            (asked.fingerprint, asked.session, asked.sealing)
        );
        assert_eq!(body.expires_ms, server_time_ms + 900_000);
        assert!(server_time_ms.abs_diff(now() * 1000) < 5000);
        assert_eq!(revocations, None);
    }
}

#[tokio::test]
async fn a_ticket_is_renewed_when_it_is_no_longer_young() {
    let bench = bench();
    let mut member = bench.enter_from(as_user("bob"), crate::bearer::at_home()).expect("joins");
    let first = welcome(&mut member);
    let given = first.server_time_ms;
    let mut ask = |at: u64| {
        bench.hub.message_at(member.swarm, member.id, ClientMessage::Renew {}, at);
        renewed(&mut member).expect("answered")
    };
    assert_eq!(
        ask(given + 200_000),
        (first.ticket.clone(), given + 200_000),
        "the one that it has, and the time"
    );
    let (second, time) = ask(given + 450_000);
    assert_eq!((time, second.body.expires_ms), (given + 450_000, given + 1_350_000), "at half-life");
    assert!(holds(&second));
    let same = SignedTicket { body: first.ticket.body, ..second.clone() };
    assert_eq!(
        rillcast_protocol::ticket::Ticket { expires_ms: second.body.expires_ms, ..same.body },
        second.body
    );
}

// R36
#[tokio::test]
async fn whoever_may_not_stay_gets_no_new_ticket() {
    let bench = bench();
    let mut bob = bench.enter_from(as_user("bob"), crate::bearer::at_home()).expect("joins");
    let given = welcome(&mut bob).server_time_ms;
    revoke(&bench, Kind::User, "bob");
    bench.hub.message_at(bob.swarm, bob.id, ClientMessage::Renew {}, given + 450_000);
    assert_eq!(renewed(&mut bob), None);
    assert!(bob.sent_away().is_some());
}

// R36 H1: effective within ten seconds: at once.
#[tokio::test]
async fn whoever_is_sent_away_is_named_to_all_others_and_to_those_who_come_later() {
    let bench = bench();
    let enter = |user: &str| bench.enter_from(as_user(user), crate::bearer::at_home()).expect("joins");
    let (mut bob, mut eve, mut ann) = (enter("bob"), enter("eve"), enter("ann"));
    for puppet in [&mut bob, &mut eve, &mut ann] {
        puppet.heard();
    }
    revoke(&bench, Kind::User, "bob");
    let list = revoked(&mut eve).expect("told");
    assert!(holds(&list));
    assert_eq!(
        (list.body.swarm, &list.body.peers[..], list.body.void_until_ms),
        (eve.swarm, &[bob.id][..], 0)
    );
    assert_eq!(revoked(&mut ann), Some(list.clone()));
    assert_eq!(welcome(&mut enter("joe")).revocations, Some(list.clone()));
    revoke(&bench, Kind::Peer, &eve.id.to_string());
    let second = revoked(&mut ann).expect("told");
    assert!(second.body.number > list.body.number);
    assert_eq!(second.body.peers[..], [eve.id, bob.id]);
    revoke(&bench, Kind::User, "nobody");
    assert_eq!(revoked(&mut ann), None, "nothing has changed");
}

// H1: its connection to the server is closed, its links aren't.
#[tokio::test]
async fn whoever_left_the_server_before_it_was_revoked_is_named_as_well() {
    let bench = bench();
    let enter = |user: &str| bench.enter_from(as_user(user), crate::bearer::at_home()).expect("joins");
    let (bob, mut eve) = (enter("bob"), enter("eve"));
    bench.hub.leave(bob.swarm, bob.id);
    eve.heard();
    revoke(&bench, Kind::User, "bob");
    assert_eq!(revoked(&mut eve).expect("told").body.peers[..], [bob.id]);
}

// H8: at, under and over the limit.
#[tokio::test]
async fn where_the_list_would_be_too_long_all_tickets_are_void_and_renewed() {
    for (gone, all) in [(MAX_REVOKED - 1, false), (MAX_REVOKED, false), (MAX_REVOKED + 1, true)] {
        let bench = bench();
        let enter = |user: &str| bench.enter_from(as_user(user), crate::bearer::at_home()).expect("joins");
        let members: Vec<_> = (0..gone).map(|_| enter("bob")).collect();
        let mut eve = enter("eve");
        let old = welcome(&mut eve);
        revoke(&bench, Kind::User, "bob");
        let list = revoked(&mut eve).expect("told").body;
        assert_eq!(list.peers.len(), if all { 0 } else { gone });
        assert_eq!(list.void_until_ms >= old.ticket.body.expires_ms, all, "{gone}");
        // A moment later, for a new ticket has to be newer than what is void.
        tokio::time::sleep(Duration::from_millis(3)).await;
        bench.say(&eve, ClientMessage::Renew {});
        let (ticket, _) = renewed(&mut eve).expect("answered");
        assert!(ticket.body.expires_ms > list.void_until_ms);
        assert_eq!(ticket == old.ticket, !all, "young, but void");
        drop(members);
    }
}

// H8
#[tokio::test]
async fn where_more_have_left_than_are_remembered_all_tickets_are_void() {
    for (left, all) in [(MAX_DEPARTED - 1, false), (MAX_DEPARTED, false), (MAX_DEPARTED + 1, true)] {
        let bench = bench();
        let enter = |user: &str| bench.enter_from(as_user(user), crate::bearer::at_home()).expect("joins");
        for n in 0..left {
            let member = enter(if n == 0 { "bob" } else { "joe" });
            bench.hub.leave(member.swarm, member.id);
        }
        let mut eve = enter("eve");
        eve.heard();
        revoke(&bench, Kind::User, "bob");
        let list = revoked(&mut eve).expect("told").body;
        assert_eq!(
            (list.peers.len(), list.void_until_ms > 0),
            if all { (0, true) } else { (1, false) },
            "{left}"
        );
    }
}

/// Comes back with this ticket.
fn back(bench: &Bench, join: &Join, ticket: &SignedTicket) -> PeerId {
    let join = Join { ticket: Some(ticket.clone()), ..join.clone() };
    bench.enter_from(join, crate::bearer::at_home()).expect("joins").id
}

#[tokio::test]
async fn whoever_comes_back_with_its_ticket_keeps_its_name() {
    let bench = bench();
    let asked = as_user("bob");
    let mut bob = bench.enter_from(asked.clone(), crate::bearer::at_home()).expect("joins");
    let ticket = welcome(&mut bob).ticket;
    assert_ne!(
        back(&bench, &asked, &ticket),
        bob.id,
        "while somebody has that name there is none for another"
    );
    bench.hub.leave(bob.swarm, bob.id);
    let mut forged = ticket.clone();
    forged.body.expires_ms += 1;
    assert_ne!(back(&bench, &asked, &forged), bob.id);
    let other = Join { fingerprint: Fingerprint([9; 32]), ..asked.clone() };
    assert_ne!(back(&bench, &other, &ticket), bob.id, "a stolen ticket");
    let join = Join { ticket: Some(ticket.clone()), ..asked.clone() };
    let mut again = bench.enter_from(join, crate::bearer::at_home()).expect("joins");
    assert_eq!(again.id, bob.id);
    let renewed = welcome(&mut again).ticket.body;
    assert_eq!((renewed.peer, renewed.nonce), (bob.id, ticket.body.nonce), "and its place in elections");
    bench.hub.leave(bob.swarm, bob.id);
    let mut witness = bench.enter_from(as_user("eve"), crate::bearer::at_home()).expect("joins");
    witness.heard();
    revoke(&bench, Kind::Peer, &bob.id.to_string());
    assert_ne!(back(&bench, &asked, &ticket), bob.id, "a revoked name is gone for good");
    revoke(&bench, Kind::User, "nobody");
    assert_eq!(revoked(&mut witness).expect("told").body.peers[..], [bob.id]);
}

async fn server(state: &std::path::Path, rotate: bool) -> Running {
    let options = Options {
        listen: vec![loopback()],
        state_dir: Some(state.to_owned()),
        rotate_authority: rotate,
        ..Options::default()
    };
    start(options).await.expect("starts")
}

// R52: a restart ends nobody's ticket.
#[tokio::test]
async fn with_a_state_directory_the_key_outlasts_the_server_and_can_be_replaced() {
    let dir = tempfile::tempdir().expect("dir");
    let mut tickets: Vec<(SignedTicket, PeerId)> = Vec::new();
    let asked = join(Role::Viewer);
    for (rotate, keys) in [(false, 1), (false, 1), (true, 2), (false, 2)] {
        let running = server(dir.path(), rotate).await;
        let ticket = tickets.last().map(|(ticket, _)| ticket.clone());
        let client = Client::join(&running, Join { ticket, ..asked.clone() }).await;
        let welcome = client.welcome.clone().expect("joined");
        assert_eq!(welcome.authorities.len(), keys);
        assert_eq!(welcome.authorities[0], welcome.ticket.authority, "the newest signs");
        assert!(tickets.iter().all(|(t, _)| welcome.authorities.contains(&t.authority)), "old ones count on");
        assert!(tickets.iter().all(|(_, id)| *id == client.id()), "it keeps its name over restarts");
        tickets.push((welcome.ticket, client.id()));
        running.stop().await;
    }
    assert_ne!(tickets[1].0.authority, tickets[2].0.authority, "rotated");
    let without = Options { listen: vec![loopback()], rotate_authority: true, ..Options::default() };
    let error = start(without).await.expect_err("no state directory");
    assert!(error.to_string().contains("--state-dir"), "{error}");
}

/// After a restart the server doesn't know under which names those were here whom it revoked before.
#[tokio::test]
async fn after_a_restart_tickets_of_before_become_void_where_somebody_was_revoked() {
    for anybody in [false, true] {
        let bench = bench();
        if anybody {
            revoke(&bench, Kind::User, "bob");
        }
        let mut eve = bench.enter_from(as_user("eve"), crate::bearer::at_home()).expect("joins");
        let Welcome { ticket, revocations, .. } = welcome(&mut eve);
        assert_eq!(revocations, None);
        let unix = now();
        bench.hub.tick_at(std::time::Instant::now(), unix + 110);
        assert_eq!(revoked(&mut eve), None, "others are still coming back");
        bench.hub.tick_at(std::time::Instant::now(), unix + 122);
        let list = revoked(&mut eve);
        assert_eq!(list.is_some(), anybody);
        if let Some(list) = list {
            assert!(ticket.body.expires_ms > list.body.void_until_ms, "those given since count");
            assert!(ticket.body.expires_ms - list.body.void_until_ms < 1000, "and none given before");
        }
    }
}

#[tokio::test]
async fn the_grace_is_a_setting_with_bounds() {
    let dir = tempfile::tempdir().expect("dir");
    let site = Site::start(dir.path(), "").await;
    let mut client = site.viewer("203.0.113.7", json!({})).await.expect("joins");
    let grace = |settings: &Settings| settings.grace_secs;
    assert_eq!(grace(&client.welcome.as_ref().expect("joined").settings), 3600);
    for (minutes, good) in [(0, true), (1440, true), (1441, false)] {
        let (status, answer) =
            site.admin(reqwest::Method::PUT, "sites/demo/ticket_grace_min", Some(Value::from(minutes))).await;
        assert_eq!(status.is_success(), good, "{minutes}: {answer}");
        if good {
            let told = client
                .until(|m| match m {
                    ServerMessage::Settings { settings } => Some(settings.grace_secs),
                    _ => None,
                })
                .await;
            assert_eq!(told, minutes * 60);
        }
    }
}
