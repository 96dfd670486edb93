//! Whoever is revoked is left, and let in no more (R8, R36, H1).

use rillcast_core::engine::Input;
use rillcast_core::protocol::coding::Wire;
use rillcast_core::protocol::id::{AuthorityKey, Role, SwarmId};
use rillcast_core::trust::Refusal;
use rillcast_core::wire::Message;

use crate::hostile::refused;
use crate::lab::tickets::{LIFE, certificate, hello, revocations, server_time, ticket};
use crate::lab::{Net, Setup, Solo, peer_id};
use crate::renewing::renew;
use crate::tickets::{changed, links, secs};

// R36 H1: also if it pays no heed to what the server says to it.
#[test]
fn whoever_is_revoked_is_left_and_not_let_in_again() {
    for by_server in [true, false] {
        let mut solo = Solo::viewer();
        let (one, two, three) = (solo.neighbour(1), solo.neighbour(2), solo.neighbour(3));
        solo.said.clear();
        let list = revocations(7, [peer_id(1), peer_id(9)]);
        if by_server {
            solo.tell(Input::Revoked(list.clone().into()));
        } else {
            solo.hear(two, Message::Revoked { revocations: list.clone() });
        }
        assert_eq!((links(&solo), refused(&solo, 1)), (2, Some(Refusal::Revoked)));
        assert!(solo.take_said(one).is_empty());
        let passed_on = Message::Revoked { revocations: list };
        assert!(solo.take_said(three).contains(&passed_on), "gossip");
        solo.closed.clear();
        solo.introduce(1, Role::Viewer);
        solo.introduce(9, Role::Viewer);
        solo.wait(secs(1));
        assert!(!solo.connects[3..].contains(&peer_id(1)), "it isn't called again");
        let again = solo.stranger(9, Role::Viewer);
        solo.greet(again);
        assert_eq!(refused(&solo, 9), Some(Refusal::Revoked));
        assert_eq!(links(&solo), 2);
    }
}

#[test]
fn an_older_list_or_a_false_one_revokes_nobody() {
    let mut solo = Solo::viewer();
    let (one, two) = (solo.neighbour(1), solo.neighbour(2));
    solo.hear(two, Message::Revoked { revocations: revocations(7, [peer_id(9)]) });
    for number in [0, 6, 7] {
        solo.hear(two, Message::Revoked { revocations: revocations(number, [peer_id(1)]) });
    }
    let mut elsewhere = revocations(8, [peer_id(1)]);
    elsewhere.body.swarm = SwarmId([1; 16]);
    let mut unknown = revocations(8, [peer_id(1)]);
    unknown.authority = AuthorityKey([9; 32]);
    for revocations in [elsewhere, unknown] {
        solo.hear(two, Message::Revoked { revocations });
    }
    assert_eq!(links(&solo), 2, "nobody is to blame for what is only old or unknown");
    let mut forged = revocations(8, [peer_id(1)]);
    forged.signature = [3; 64];
    solo.take_said(one);
    solo.hear(two, Message::Revoked { revocations: forged });
    assert!(solo.is_closed(2) && !solo.is_closed(1), "who made it up is cut off");
    assert!(
        !solo.take_said(one).iter().any(|m| matches!(m, Message::Revoked { .. })),
        "and it goes no further"
    );
}

// Once revoked, always revoked: a server that has begun anew has a list without those of before.
#[test]
fn those_revoked_by_the_list_before_stay_out_though_the_newest_has_them_no_more() {
    let refused_after = |lists: &[&[usize]]| {
        let mut solo = Solo::viewer();
        for (number, list) in lists.iter().enumerate() {
            let peers = list.iter().map(|n| peer_id(*n));
            solo.tell(Input::Revoked(revocations(number as u64 + 1, peers).into()));
        }
        let link = solo.stranger(9, Role::Viewer);
        solo.greet(link);
        refused(&solo, 9)
    };
    let revoked = Some(Refusal::Revoked);
    assert_eq!(refused_after(&[&[9]]), revoked);
    assert_eq!(refused_after(&[&[9], &[5]]), revoked, "begun anew");
    assert_eq!(refused_after(&[&[9], &[5], &[5, 6], &[5, 6, 7]]), revoked, "and gone on from there");
    assert_eq!(refused_after(&[&[9], &[5], &[6]]), None, "two lists are remembered, no more");
}

// For when a list of all would be too long.
#[test]
fn where_all_tickets_are_void_those_who_may_stay_show_new_ones_within_seconds() {
    let mut solo = Solo::viewer();
    let (stays, _goes) = (solo.neighbour(1), solo.neighbour(2));
    solo.wait(secs(1));
    let void = server_time(solo.now + LIFE);
    let mut list = revocations(7, []);
    list.body.void_until_ms = void;
    solo.now += secs(1);
    solo.tell(Input::Revoked(list.into()));
    assert_eq!(solo.renewals, 1, "our own too");
    renew(&mut solo, stays);
    assert_eq!(links(&solo), 2);
    solo.wait(secs(7));
    assert_eq!(links(&solo), 1, "within ten seconds");
    assert_eq!((refused(&solo, 1), refused(&solo, 2)), (None, Some(Refusal::Expired)));
    let link = solo.stranger(3, Role::Viewer);
    solo.hear(
        link,
        hello(changed(solo.now, |t| {
            (t.peer, t.fingerprint, t.expires_ms) = (peer_id(3), certificate(3), void);
        })),
    );
    assert_eq!(refused(&solo, 3), Some(Refusal::Revoked));
}

#[test]
fn a_new_neighbour_is_told_of_revocations_that_it_does_not_know() {
    let mut solo = Solo::viewer();
    solo.tell(Input::Revoked(revocations(7, [peer_id(9)]).into()));
    for (n, knows, told) in [(1, 0, true), (2, 6, true), (3, 7, false), (4, 8, false)] {
        let link = solo.stranger(n, Role::Viewer);
        let said = solo.take_said(link);
        assert!(matches!(said[..], [Message::Hello { revocations: 7, .. }]), "it says what it knows");
        let ticket = ticket(n, Role::Viewer, solo.now);
        solo.hear(link, Message::Hello { version: 1, ticket, revocations: knows });
        let said = solo.take_said(link);
        assert_eq!(said.iter().any(|m| matches!(m, Message::Revoked { .. })), told, "{knows}");
    }
}

// R36: effective within ten seconds, though the server reaches only one of them.
#[test]
fn a_revocation_told_to_one_reaches_a_running_swarm_by_gossip() {
    let mut net =
        Net::new(Setup { viewers: 12, introduce: 3, length: secs(70), seed: 2, ..Setup::default() });
    net.at(secs(50), |net| net.input(7, Input::Revoked(revocations(1, [peer_id(3)]).into())));
    net.run_until(secs(52));
    assert_eq!(net.neighbours(3), [0; 0], "nobody is linked with it any more");
    net.run();
    assert_eq!(net.neighbours(3), [0; 0]);
    assert_eq!(net.liars(), []);
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    let message = Message::Revoked { revocations: revocations(1, [peer_id(3)]) };
    assert!(message.to_bytes().len() < 200);
}
