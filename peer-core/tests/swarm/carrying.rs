//! Signals that a common neighbour carries between two that are making a link.

use rillcast_core::engine::{Input, LinkId};
use rillcast_core::protocol::coding::{Blob, List};
use rillcast_core::protocol::id::{Role, TrackId};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::{MAX_RELAY, PeerDescriptor};
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::{Acquaintance, Playing};

use crate::lab::solo::{described, profile};
use crate::lab::tickets::acquaintance;
use crate::lab::{MAIN, Solo, peer_id};

/// A rendition that we don't play.
const OTHER: TrackId = TrackId(99);
/// Signals that a neighbour may have carried, and in what time.
const CARRIED: usize = 64;
const CARRIED_IN: Duration = Duration::from_secs(10);

fn relay(to: usize, text: &[u8]) -> Message {
    Message::Relay { to: peer_id(to), payload: Blob::new(text).expect("short") }
}

fn relayed(from: usize, text: &[u8]) -> Message {
    let from = acquaintance(from, Role::Viewer, Some(Playing { track: MAIN, next: 9 }));
    Message::Relayed { from, payload: Blob::new(text).expect("short") }
}

fn tells_of(peer: usize) -> Message {
    let playing = Some(Playing { track: MAIN, next: 9 });
    Message::Shuffle { peers: List::clipped([acquaintance(peer, Role::Viewer, playing)]) }
}

fn carried(solo: &mut Solo, link: LinkId) -> Vec<(Acquaintance, Vec<u8>)> {
    let signal = |m| match m {
        Message::Relayed { from, payload } => Some((from, payload.as_slice().to_vec())),
        _ => None,
    };
    solo.take_said(link).into_iter().filter_map(signal).collect()
}

#[test]
fn a_signal_is_carried_to_a_neighbour_in_the_name_of_whoever_sent_it() {
    let mut solo = Solo::viewer();
    let (one, two) = (solo.neighbour(1), solo.neighbour(2));
    solo.take_said(two);
    solo.hear(one, relay(2, b"offer"));
    let (from, payload) = carried(&mut solo, two).pop().expect("carried");
    assert_eq!(
        (from.ticket.body.peer, from.playing.map(|p| p.track), payload.as_slice()),
        (peer_id(1), Some(MAIN), &b"offer"[..])
    );
    assert!(solo.signals.is_empty() && solo.signaled.is_empty(), "it is not for us");
}

#[test]
fn signals_are_carried_to_neighbours_alone() {
    let mut solo = Solo::viewer();
    let one = solo.neighbour(1);
    solo.introduce(2, Role::Viewer);
    solo.said.clear();
    for to in [0, 1, 2, 9] {
        solo.hear(one, relay(to, b"offer"));
    }
    let to_others = solo.said.iter().filter(|(l, _)| *l != one).count();
    assert_eq!((to_others, solo.signals.len(), solo.signaled.len()), (0, 0, 0));
    assert!(!solo.is_closed(1), "they may just have left");
}

#[test]
fn so_many_signals_are_carried_for_each_neighbour_in_such_a_time() {
    let mut solo = Solo::viewer();
    let links: Vec<_> = (1..4).map(|n| solo.neighbour(n)).collect();
    solo.wait(Duration::from_secs(1));
    solo.said.clear();
    let given = |solo: &mut Solo, n: usize| {
        (0..n).for_each(|_| solo.hear(links[0], relay(2, b"x")));
        carried(solo, links[1]).len()
    };
    assert_eq!(given(&mut solo, CARRIED - 1), CARRIED - 1);
    assert_eq!(given(&mut solo, 1), 1, "at the limit");
    assert_eq!(given(&mut solo, 100), 0, "over it");
    solo.hear(links[2], relay(2, b"y"));
    assert_eq!(carried(&mut solo, links[1]).len(), 1, "another's are counted by themselves");
    solo.wait(CARRIED_IN);
    assert_eq!(given(&mut solo, CARRIED + 9), CARRIED, "a new time begins");
    assert!(!solo.is_closed(1));
}

#[test]
fn whoever_calls_through_a_neighbour_is_answered_if_there_is_room() {
    for (max_links, lets_in) in [(1, false), (2, true)] {
        let mut solo = Solo::with(Role::Viewer, 1 << 20, Settings { max_links, ..Settings::default() });
        let link = solo.neighbour(1);
        solo.connects.clear();
        solo.hear(link, relayed(7, b"offer"));
        assert_eq!(solo.connects.len(), usize::from(lets_in), "{max_links}");
        assert_eq!(solo.signaled.len(), usize::from(lets_in));
        // What the shell answers goes back the way that the call came.
        solo.said.clear();
        solo.tell(Input::Signal { to: peer_id(7), payload: b"answer".to_vec() });
        let by_neighbour = solo.take_said(link).contains(&relay(7, b"answer"));
        assert_eq!((by_neighbour, solo.signals.len()), (lets_in, usize::from(!lets_in)));
    }
}

// Without a word the caller would wait, call again, and in the end take us for unreachable.
#[test]
fn a_caller_for_whom_there_is_no_room_is_told_so() {
    for (max_links, turned_away) in [(1, true), (2, false)] {
        let mut solo = Solo::with(Role::Viewer, 1 << 20, Settings { max_links, ..Settings::default() });
        let link = solo.neighbour(1);
        solo.take_said(link);
        solo.hear(link, relayed(7, b"offer"));
        assert_eq!(solo.take_said(link).contains(&relay(7, b"")), turned_away, "{max_links}");
    }
}

#[test]
fn whoever_turns_us_away_is_called_again_later_and_not_at_once() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.hear(link, tells_of(7));
    let calls = |solo: &Solo| solo.connects.iter().filter(|peer| **peer == peer_id(7)).count();
    // More often than a peer that can't be reached is tried.
    for n in 1..=5 {
        solo.wait(Duration::from_secs(1));
        assert_eq!((calls(&solo), solo.is_closed(7)), (n, false));
        solo.hear(link, relayed(7, b""));
        assert!(solo.is_closed(7), "the attempt ends at once");
        solo.closed.clear();
        solo.wait(Duration::from_secs(18));
        assert_eq!(calls(&solo), n);
        solo.wait(Duration::from_secs(2));
    }
    // Who isn't being called can't turn us away.
    solo.hear(link, relayed(1, b""));
    assert!(!solo.is_closed(1));
}

// R6
#[test]
fn a_caller_that_suits_better_gets_the_place_of_the_least_useful_link() {
    let far = Some(Playing { track: OTHER, next: 9 });
    let near = Some(Playing { track: MAIN, next: 9 });
    for (playing, links, lets_in) in [(near, 4, true), (near, 3, false), (far, 4, false)] {
        let settings = Settings { max_links: links, ..Settings::default() };
        let mut solo = Solo::with(Role::Viewer, 1 << 20, settings);
        solo.plays(17, 12, 20, true);
        solo.demand(20);
        let all: Vec<_> = (1..=usize::from(links)).map(|n| solo.neighbour(n)).collect();
        all.iter().for_each(|l| solo.hear(*l, profile([Playing { track: OTHER, next: 20 }])));
        solo.wait(Duration::from_secs(40));
        solo.closed.clear();
        let from = acquaintance(77, Role::Viewer, playing);
        let payload = Blob::new(*b"offer").expect("short");
        solo.hear(all[0], Message::Relayed { from, payload });
        assert_eq!(
            (solo.closed.len(), solo.signaled.len()),
            (usize::from(lets_in), usize::from(lets_in)),
            "{links}"
        );
    }
}

#[test]
fn nobody_is_called_in_our_own_name_or_in_that_of_one_cut_off_or_while_switched_off() {
    let mut solo = Solo::viewer();
    let liar = solo.neighbour(2);
    solo.hear_bytes(liar, &[255]);
    let link = solo.neighbour(1);
    solo.connects.clear();
    solo.hear(link, relayed(0, b"offer"));
    solo.hear(link, relayed(2, b"offer"));
    solo.tell(Input::Settings(Settings { enabled: false, ..Settings::default() }));
    solo.hear(link, relayed(5, b"offer"));
    assert!(solo.connects.is_empty() && solo.signaled.is_empty());
}

// H11: a neighbour makes up a call by another. The shell would give the link to that one up for it.
#[test]
fn a_call_in_the_name_of_a_neighbour_leaves_the_link_to_it_alone() {
    let mut solo = Solo::viewer();
    let (link, other) = (solo.neighbour(1), solo.neighbour(2));
    solo.hear(link, relayed(2, b"offer"));
    solo.hear(link, relayed(2, b""));
    assert!(solo.signaled.is_empty() && !solo.is_closed(2));
    // With the link gone, it may be that it really calls.
    solo.tell(Input::LinkClosed { peer: peer_id(2), link: Some(other) });
    solo.hear(link, relayed(2, b"offer"));
    assert_eq!(solo.signaled.len(), 1);
}

#[test]
fn signals_go_the_way_by_which_their_receiver_became_known() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.hear(link, tells_of(7));
    solo.introduce(8, Role::Viewer);
    solo.wait(Duration::from_millis(600));
    assert!([7, 8].iter().all(|n| solo.connects.contains(&peer_id(*n))), "{:?}", solo.connects);
    let by_server = |solo: &mut Solo, to: usize, len: usize| {
        solo.said.clear();
        solo.signals.clear();
        let payload = vec![3; len];
        solo.tell(Input::Signal { to: peer_id(to), payload: payload.clone() });
        let carried = solo.said.iter().any(|(l, m)| *l == link && *m == relay(to, &payload));
        assert_eq!(solo.signals.len(), usize::from(!carried), "one way or the other");
        !carried
    };
    assert!(!by_server(&mut solo, 7, 5), "a neighbour told of it");
    assert!(!by_server(&mut solo, 7, MAX_RELAY), "at the limit");
    assert!(by_server(&mut solo, 8, 5), "the server introduced it");
    assert!(by_server(&mut solo, 9, 5), "nobody knows it");
    let known = PeerDescriptor { initiate: false, ..described(7, Role::Viewer) };
    solo.tell(Input::Introduced(vec![known]));
    assert!(by_server(&mut solo, 7, 5), "the server's word stands before a neighbour's");
}

#[test]
fn with_the_common_neighbour_gone_the_server_is_the_way() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.hear(link, relayed(7, b"offer"));
    solo.tell(Input::LinkClosed { peer: peer_id(1), link: Some(link) });
    solo.tell(Input::Signal { to: peer_id(7), payload: b"answer".to_vec() });
    assert_eq!(solo.signals, [(peer_id(7), b"answer".to_vec())]);
}
