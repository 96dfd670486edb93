//! Nobody becomes a neighbour without a ticket (R8, R35, R41, H1).

use rillcast_core::engine::{Event, Input, LinkId};
use rillcast_core::protocol::coding::Blob;
use rillcast_core::protocol::id::{AuthorityKey, Role, SwarmId};
use rillcast_core::protocol::ticket::{SignedTicket, Ticket};
use rillcast_core::time::{Duration, Instant};
use rillcast_core::trust::Refusal;
use rillcast_core::trust::gate::{MAX_SAID, PATIENCE};
use rillcast_core::wire::Message;
use rillcast_core::wire::message::Playing;

use crate::hostile::refused;
use crate::lab::solo::profile;
use crate::lab::tickets::{acquaintance, certificate, hello, revocations, server_time, signed, ticket};
use crate::lab::{MAIN, Solo, peer_id};

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) fn links(solo: &Solo) -> usize {
    solo.engine.stats().links.len()
}

pub(crate) fn changed(now: Instant, change: impl FnOnce(&mut Ticket)) -> SignedTicket {
    let mut ticket = ticket(1, Role::Viewer, now);
    change(&mut ticket.body);
    ticket
}

/// A viewer with a link to node 1, which has shown this ticket.
fn shown(ticket: impl FnOnce(Instant) -> SignedTicket) -> Solo {
    let mut solo = Solo::viewer();
    let link = solo.stranger(1, Role::Viewer);
    solo.hear(link, hello(ticket(solo.now)));
    solo
}

/// Time passes, and the neighbours stay alive.
pub(crate) fn wait(solo: &mut Solo, time: Duration) {
    let end = solo.now + time;
    while solo.now < end {
        solo.wait(secs(5).min(end.since(solo.now)));
    }
}

// R41 H1: a ticket is no secret, so others may show it; but they haven't got the certificate.
#[test]
fn whoever_shows_a_ticket_that_is_not_its_own_or_does_not_count_is_refused() {
    type Case = (&'static str, fn(Instant) -> SignedTicket, Option<Refusal>);
    let cases: [Case; 9] = [
        ("a good one", |now| changed(now, |_| ()), None),
        (
            "stolen, over an own certificate",
            |now| changed(now, |t| t.fingerprint = certificate(2)),
            Some(Refusal::Certificate),
        ),
        ("another peer's", |now| changed(now, |t| t.peer = peer_id(2)), Some(Refusal::Peer)),
        ("of another swarm", |now| changed(now, |t| t.swarm = SwarmId([1; 16])), Some(Refusal::Swarm)),
        (
            "forged",
            |now| SignedTicket { signature: [2; 64], ..ticket(1, Role::Viewer, now) },
            Some(Refusal::Signature),
        ),
        (
            "by somebody else",
            |now| SignedTicket { authority: AuthorityKey([9; 32]), ..ticket(1, Role::Viewer, now) },
            Some(Refusal::Authority),
        ),
        ("in its last moment", |now| changed(now, |t| t.expires_ms = server_time(now)), None),
        (
            "over by a millisecond",
            |now| changed(now, |t| t.expires_ms = server_time(now) - 1),
            Some(Refusal::Expired),
        ),
        ("from the beginning of time", |now| changed(now, |t| t.expires_ms = 0), Some(Refusal::Revoked)),
    ];
    for (what, ticket, why) in cases {
        let solo = shown(ticket);
        assert_eq!(refused(&solo, 1), why, "{what}");
        assert_eq!(links(&solo), usize::from(why.is_none()), "{what}");
        assert_eq!(solo.engine.stats().refused_links, u64::from(why.is_some()), "{what}");
        assert!(!solo.events.iter().any(|e| matches!(e, Event::Liar { .. })), "nobody is blamed: {what}");
    }
}

// R41: fail closed.
#[test]
fn without_a_ticket_of_our_own_no_link_is_made() {
    let mut solo = Solo::outsider();
    let link = solo.stranger(1, Role::Viewer);
    assert!(solo.is_closed(1) && solo.said.is_empty());
    solo.greet(link);
    assert_eq!(links(&solo), 0);
}

// Somebody else may have answered in its name, so the name is no worse for it.
#[test]
fn a_peer_in_whose_name_a_false_ticket_was_shown_is_linked_with_later() {
    let mut solo = shown(|now| changed(now, |t| t.peer = peer_id(2)));
    assert!(solo.is_closed(1));
    solo.connects.clear();
    solo.introduce(1, Role::Viewer);
    solo.wait(secs(5));
    assert_eq!(solo.connects, [peer_id(1)]);
    solo.neighbour(1);
    assert_eq!(links(&solo), 1);
}

// R41: until the verdict is here nothing is told, and nothing that was said is looked at.
#[test]
fn nothing_is_told_or_heard_before_the_ticket_is_verified() {
    let mut solo = Solo::viewer();
    solo.plays(17, 12, 20, true);
    solo.demand(20);
    solo.describe(20);
    solo.verifies = false;
    let link = solo.stranger(1, Role::Viewer);
    let told = solo.take_said(link);
    assert!(matches!(told[..], [Message::Hello { .. }]), "{told:?}");
    solo.greet(link);
    solo.hear(link, profile([Playing { track: MAIN, next: 21 }]));
    solo.hear(link, Message::Ping { stamp: 7 });
    solo.wait(secs(1));
    assert!(solo.take_said(link).is_empty());
    assert_eq!(links(&solo), 0);
    let verdict = solo.checks.remove(0);
    solo.tell(verdict);
    let told = solo.take_said(link);
    assert!(matches!(told[0], Message::Profile { .. }), "{told:?}");
    assert!(told.contains(&Message::Pong { stamp: 7 }), "what it said meanwhile is answered: {told:?}");
    assert_eq!(solo.engine.stats().links[0].playing, Some((MAIN.0, 21)));
}

// H8: at, under and over the limit.
#[test]
fn who_says_too_much_before_its_ticket_is_verified_is_refused() {
    for (messages, refusal) in [(MAX_SAID - 1, None), (MAX_SAID, None), (MAX_SAID + 1, Some(Refusal::Flood))]
    {
        let mut solo = Solo::viewer();
        solo.verifies = false;
        let link = solo.stranger(1, Role::Viewer);
        solo.greet(link);
        (0..messages).for_each(|_| solo.hear(link, Message::Ping { stamp: 7 }));
        assert_eq!(refused(&solo, 1), refusal, "{messages}");
        solo.checks.drain(..).collect::<Vec<_>>().into_iter().for_each(|verdict| solo.tell(verdict));
        assert_eq!(links(&solo), usize::from(refusal.is_none()), "{messages}");
    }
}

#[test]
fn media_before_the_ticket_is_verified_drop_the_link() {
    let mut solo = Solo::viewer();
    let link = solo.stranger(1, Role::Viewer);
    solo.piece(link, rillcast_core::wire::TransferId(1), 0, &[1; 100]);
    assert_eq!(refused(&solo, 1), Some(Refusal::NoTicket));
    assert_eq!(solo.engine.stats().wasted_bytes, 0);
}

#[test]
fn who_shows_no_ticket_in_time_is_refused() {
    for shows in [false, true] {
        let mut solo = Solo::viewer();
        // A browser without Ed25519 that can't load our own: nobody is let in.
        solo.verifies = false;
        let link = solo.stranger(1, Role::Viewer);
        if shows {
            solo.greet(link);
        }
        solo.wait(PATIENCE);
        assert_eq!(refused(&solo, 1), None);
        solo.wait(secs(1));
        assert_eq!(refused(&solo, 1), Some(Refusal::Late));
        solo.checks.drain(..).collect::<Vec<_>>().into_iter().for_each(|verdict| solo.tell(verdict));
        assert_eq!(links(&solo), 0, "a verdict that comes later lets nobody in");
    }
}

// H11: what a neighbour tells of somebody is a hint for whom to call, and no more.
#[test]
fn what_somebody_is_stands_in_its_ticket_and_not_in_what_others_say() {
    let mut solo = Solo::viewer();
    let one = solo.neighbour(1);
    let from = acquaintance(7, Role::Viewer, Some(Playing { track: MAIN, next: 9 }));
    solo.hear(one, Message::Relayed { from, payload: Blob::new(*b"offer").expect("short") });
    assert_eq!(solo.signaled.len(), 1, "it is let call");
    let link = LinkId(77);
    solo.tell(Input::LinkOpen { link, peer: peer_id(7), fingerprint: certificate(7) });
    solo.hear(link, hello(ticket(7, Role::Viewer, solo.now)));
    let stats = solo.engine.stats();
    let role = stats.links.iter().find(|l| l.peer == peer_id(7)).map(|l| l.role);
    assert_eq!(role, Some(Role::Viewer), "a viewer stays one, whoever calls it a seed");
    solo.hear(link, profile([Playing { track: MAIN, next: 9 }]));
    let newcomer = solo.neighbour(2);
    let told = solo.take_said(newcomer).into_iter().find_map(|m| match m {
        Message::Shuffle { peers } => peers.iter().map(|a| a.ticket.body).find(|t| t.peer == peer_id(7)),
        _ => None,
    });
    let told = told.expect("described to others");
    assert_eq!((told.role, told.weight, told.net.site), (Role::Viewer, 100, 0), "as its ticket says");
}

// A peer that comes back to a server that has forgotten it has two names for a while.
#[test]
fn of_two_links_to_one_certificate_the_newer_is_closed() {
    let mut solo = Solo::viewer();
    solo.neighbour(1);
    solo.introduce(2, Role::Viewer);
    let link = LinkId(90);
    solo.tell(Input::LinkOpen { link, peer: peer_id(2), fingerprint: certificate(1) });
    let body = Ticket { fingerprint: certificate(1), ..ticket(2, Role::Viewer, solo.now).body };
    solo.hear(link, hello(signed(body)));
    assert!(solo.is_closed(2) && !solo.is_closed(1));
    assert!(solo.events.is_empty(), "nobody is to blame");
    assert_eq!(links(&solo), 1);
}

#[test]
fn a_neighbour_with_a_new_name_is_known_to_others_by_that_one() {
    let mut solo = Solo::viewer();
    let (one, two) = (solo.neighbour(1), solo.neighbour(2));
    let renamed = Ticket { peer: peer_id(11), ..ticket(1, Role::Viewer, solo.now + secs(1)).body };
    solo.hear(one, hello(signed(renamed)));
    solo.said.clear();
    let payload = || Blob::new(*b"offer").expect("short");
    for to in [11, 1] {
        solo.hear(two, Message::Relay { to: peer_id(to), payload: payload() });
    }
    assert_eq!(solo.take_said(one).len(), 2, "found by both");
    solo.hear(one, Message::Relay { to: peer_id(2), payload: payload() });
    let said = solo.take_said(two);
    assert!(
        matches!(&said[..], [Message::Relayed { from, .. }] if from.ticket.body.peer == peer_id(11)),
        "{said:?}"
    );
    // And revoked by it as well.
    solo.tell(Input::Revoked(revocations(7, [peer_id(11)]).into()));
    assert_eq!(refused(&solo, 1), Some(Refusal::Revoked));
}
