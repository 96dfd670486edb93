//! What neighbours tell of others counts once the authority's signature speaks for it (H4, H11).

use rillcast_core::engine::{Event, Input, LinkId};
use rillcast_core::protocol::coding::{Blob, List};
use rillcast_core::protocol::id::{AuthorityKey, Role, SwarmId};
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::{Acquaintance, MAX_ACQUAINTANCES, Playing};

use crate::lab::tickets::{acquaintance, revocations, sealing};
use crate::lab::{MAIN, Solo, peer_id};
use crate::tickets::secs;

/// Signals of a stranger that wait for the verdict.
const MAX_SAID: usize = 16;
/// Times that a neighbour may tell of others in [`SHUFFLES_IN`].
const MAX_SHUFFLES: usize = 16;
const SHUFFLES_IN: Duration = Duration::from_secs(10);

fn somebody(n: usize) -> Acquaintance {
    acquaintance(n, Role::Viewer, Some(Playing { track: MAIN, next: 9 }))
}

fn tells(peers: impl IntoIterator<Item = Acquaintance>) -> Message {
    Message::Shuffle { peers: List::clipped(peers) }
}

fn calls(from: Acquaintance, text: &[u8]) -> Message {
    Message::Relayed { from, payload: Blob::new(text).expect("short") }
}

/// A viewer with one neighbour, and its link.
fn viewer() -> (Solo, LinkId) {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.connects.clear();
    solo.keys.clear();
    (solo, link)
}

fn forged(n: usize) -> Acquaintance {
    let mut known = somebody(n);
    known.ticket.signature = [9; 64];
    known
}

fn is_cut_off(solo: &Solo) -> bool {
    solo.is_closed(1)
        && solo.events.iter().any(|e| matches!(e, Event::Liar { peer, .. } if *peer == peer_id(1)))
}

#[test]
fn nobody_can_be_made_up() {
    for message in [tells([somebody(7), forged(8)]), calls(forged(8), b"offer")] {
        let (mut solo, link) = viewer();
        solo.hear(link, message);
        assert!(is_cut_off(&solo), "whoever tells of them has verified their tickets itself");
        solo.wait(secs(2));
        assert!(!solo.connects.contains(&peer_id(8)) && solo.signaled.is_empty());
    }
}

// What was good when it was sent need not be good any more: nobody is to blame.
#[test]
fn who_may_not_be_a_neighbour_is_left_alone_and_whoever_tells_of_it_keeps_its_link() {
    let elsewhere = |n| {
        let mut known = somebody(n);
        known.ticket.body.swarm = SwarmId([3; 16]);
        known
    };
    let by_another = |n| {
        let mut known = somebody(n);
        known.ticket.authority = AuthorityKey([3; 32]);
        known
    };
    let expired = |n| {
        let mut known = somebody(n);
        known.ticket.body.expires_ms = 5;
        known
    };
    let (mut solo, link) = viewer();
    solo.tell(Input::Revoked(revocations(1, [peer_id(9)]).into()));
    for known in [elsewhere(5), by_another(6), expired(7), somebody(9)] {
        solo.hear(link, tells([known.clone()]));
        solo.hear(link, calls(known, b"offer"));
    }
    solo.wait(secs(2));
    assert!(solo.connects.is_empty() && solo.signaled.is_empty(), "{:?}", solo.connects);
    assert!(!solo.is_closed(1));
}

#[test]
fn a_stranger_s_call_waits_for_the_verdict_and_keeps_its_order() {
    let (mut solo, link) = viewer();
    solo.verifies = false;
    // One more than there is room for.
    for n in 0..=MAX_SAID as u8 {
        solo.hear(link, calls(somebody(7), &[n]));
    }
    assert!(solo.connects.is_empty() && solo.signaled.is_empty(), "nobody is answered before");
    assert_eq!(solo.checks.len(), 1, "one verification for all of it");
    let verdict = solo.checks.remove(0);
    solo.tell(verdict);
    assert_eq!(solo.connects, [peer_id(7)]);
    let said: Vec<_> = solo.signaled.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(said, (0..MAX_SAID as u8).collect::<Vec<_>>());
    // It is known now.
    solo.hear(link, calls(somebody(7), b"more"));
    assert_eq!((solo.checks.len(), solo.signaled.len()), (0, MAX_SAID + 1));
}

#[test]
fn whoever_is_revoked_while_its_call_waits_is_not_answered() {
    let (mut solo, link) = viewer();
    solo.verifies = false;
    solo.hear(link, calls(somebody(7), b"offer"));
    let call = solo.checks.remove(0);
    solo.tell(Input::Revoked(revocations(1, [peer_id(7)]).into()));
    let list = solo.checks.remove(0);
    solo.tell(list);
    solo.tell(call);
    assert!(solo.connects.is_empty() && solo.signaled.is_empty());
    assert!(!solo.is_closed(1));
}

// H4: a call and its answer are sealed with the key that the ticket names, whoever brings the peer.
#[test]
fn links_are_made_with_the_key_of_the_ticket() {
    let (mut solo, link) = viewer();
    solo.hear(link, tells([somebody(6)]));
    solo.hear(link, calls(somebody(7), b"offer"));
    solo.introduce(8, Role::Viewer);
    solo.wait(secs(2));
    let mut made: Vec<_> = solo.connects.iter().copied().zip(solo.keys.iter().copied()).collect();
    made.sort();
    let mut expected = [6, 7, 8].map(|n| (peer_id(n), Some(sealing(n))));
    expected.sort();
    assert_eq!(made, expected);
}

#[test]
fn strangers_are_verified_so_many_at_a_time_and_tellers_heard_so_often() {
    let (mut solo, link) = viewer();
    solo.verifies = false;
    solo.hear(link, tells((10..10 + MAX_ACQUAINTANCES - 1).map(somebody)));
    assert_eq!(solo.checks.len(), MAX_ACQUAINTANCES - 1);
    solo.hear(link, tells([somebody(50)]));
    assert_eq!(solo.checks.len(), MAX_ACQUAINTANCES, "at the limit");
    solo.hear(link, tells([somebody(51)]));
    solo.hear(link, calls(somebody(52), b"offer"));
    assert_eq!(solo.checks.len(), MAX_ACQUAINTANCES, "over it");
    solo.checks.clear();

    let (mut solo, link) = viewer();
    solo.verifies = false;
    let told = |solo: &mut Solo, n: usize| {
        solo.hear(link, tells([somebody(100 + n)]));
        let asked = solo.checks.len();
        solo.checks.drain(..).collect::<Vec<_>>().into_iter().for_each(|verdict| solo.tell(verdict));
        asked
    };
    let heard: usize = (0..MAX_SHUFFLES + 5).map(|n| told(&mut solo, n)).sum();
    assert_eq!(heard, MAX_SHUFFLES);
    solo.wait(SHUFFLES_IN);
    assert_eq!(told(&mut solo, 99), 1, "a new time begins");
    assert!(!solo.is_closed(1));
}
