//! Whom no way leads to (R24, R31): pairs whose NATs let no link come about, and those that were tried in vain.

use rillcast_core::engine::Input;
use rillcast_core::overlay::routes::{MISSES, REMEMBERED};
use rillcast_core::protocol::coding::{Blob, List, Text};
use rillcast_core::protocol::id::Role;
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::settings::{IceServer, Settings};
use rillcast_core::protocol::signal::{Network, PeerDescriptor, Welcome};
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::{Acquaintance, Playing};

use crate::lab::solo::{described, profile};
use crate::lab::tickets::{acquaintance, ticket, welcome};
use crate::lab::{MAIN, Solo, peer_id};

const HOME: u32 = 7;
const ELSEWHERE: u32 = 8;
const ALL: [NatClass; 5] =
    [NatClass::Unknown, NatClass::Open, NatClass::Independent, NatClass::Dependent, NatClass::Blocked];

/// A viewer in a home, behind a NAT of this class, whose site may relay or not.
fn at_home(nat: NatClass, relays: bool) -> Solo {
    let mut solo = Solo::viewer();
    settle(&mut solo, HOME);
    if relays {
        solo.tell(Input::Settings(with_relay()));
    }
    solo.tell(Input::Nat(nat));
    solo
}

/// The server sees us there.
fn settle(solo: &mut Solo, site: u32) {
    let mut own = solo.own_ticket();
    own.body.net.site = site;
    own.body.expires_ms += u64::from(site);
    solo.tell(Input::Ticket(own.into()));
}

fn with_relay() -> Settings {
    let text = |text: &str| Text::new(text).unwrap();
    let turn = IceServer { url: text("turn:relay.example"), username: text("n"), credential: text("p") };
    Settings { ice: List::clipped([turn]), ..Settings::default() }
}

/// A peer at a site of its own.
fn elsewhere(n: usize, nat: NatClass) -> PeerDescriptor {
    let net = Network { site: ELSEWHERE, ..Network::default() };
    PeerDescriptor { nat, net, ..described(n, Role::Viewer) }
}

fn told_of(n: usize, nat: NatClass) -> Acquaintance {
    let mut known = acquaintance(n, Role::Viewer, Some(Playing { track: MAIN, next: 21 }));
    (known.ticket.body.net.site, known.nat) = (ELSEWHERE, nat);
    known
}

/// Whom it calls of peers of every class, numbered by class.
fn called(mut solo: Solo) -> Vec<NatClass> {
    for (n, nat) in ALL.into_iter().enumerate() {
        solo.tell(Input::Introduced(vec![elsewhere(20 + n, nat)]));
        solo.wait(Duration::from_secs(1));
    }
    (0..ALL.len()).filter(|n| solo.connects.contains(&peer_id(20 + n))).map(|n| ALL[n]).collect()
}

#[test]
fn nobody_is_called_whom_no_way_leads_to_and_with_a_relay_everybody_is() {
    use NatClass::{Blocked, Dependent, Independent, Open, Unknown};
    assert_eq!(called(at_home(Unknown, false)), ALL);
    assert_eq!(called(at_home(Open, false)), ALL);
    assert_eq!(called(at_home(Independent, false)), [Unknown, Open, Independent, Dependent]);
    assert_eq!(called(at_home(Dependent, false)), [Unknown, Open, Independent]);
    assert_eq!(called(at_home(Blocked, false)), [Unknown, Open, Blocked]);
    for nat in ALL {
        assert_eq!(called(at_home(nat, true)), ALL, "{nat:?}");
    }
}

#[test]
fn an_attempt_is_given_up_when_it_is_found_out_that_no_way_leads_there() {
    let mut solo = at_home(NatClass::Unknown, false);
    for (n, nat) in [(1, NatClass::Dependent), (2, NatClass::Open)] {
        solo.tell(Input::Introduced(vec![elsewhere(n, nat)]));
    }
    solo.wait(Duration::from_secs(1));
    assert_eq!(solo.connects.len(), 2);
    solo.tell(Input::Nat(NatClass::Dependent));
    assert!(solo.is_closed(1) && !solo.is_closed(2));
    solo.connects.clear();
    solo.wait(Duration::from_secs(30));
    assert!(!solo.connects.contains(&peer_id(1)), "nor is it tried again");
}

// The server told of it before it knew its own class.
#[test]
fn an_attempt_is_given_up_when_a_neighbour_tells_that_no_way_leads_there() {
    for (servers, neighbours, given_up) in [
        (NatClass::Unknown, NatClass::Dependent, true),
        (NatClass::Unknown, NatClass::Open, false),
        (NatClass::Open, NatClass::Dependent, false),
    ] {
        let mut solo = at_home(NatClass::Dependent, false);
        let link = solo.neighbour(1);
        solo.tell(Input::Introduced(vec![elsewhere(9, servers)]));
        solo.wait(Duration::from_secs(1));
        assert!(solo.connects.contains(&peer_id(9)));
        solo.hear(link, Message::Shuffle { peers: List::clipped([told_of(9, neighbours)]) });
        assert_eq!(solo.is_closed(9), given_up, "{servers:?}, then {neighbours:?}");
        solo.tell(Input::Introduced(vec![elsewhere(9, NatClass::Dependent)]));
        assert!(solo.is_closed(9), "the server has the last word");
    }
}

#[test]
fn a_call_is_answered_only_where_a_way_may_lead() {
    for (nat, answered) in [(NatClass::Dependent, false), (NatClass::Independent, true)] {
        let mut solo = at_home(NatClass::Dependent, false);
        let link = solo.neighbour(1);
        let payload = Blob::new(*b"offer").unwrap();
        solo.hear(link, Message::Relayed { from: told_of(9, nat), payload });
        assert_eq!(solo.connects.contains(&peer_id(9)), answered, "{nat:?}");
        assert_eq!(!solo.signaled.is_empty(), answered);
    }
}

#[test]
fn neighbours_and_server_are_told_of_the_class_and_older_ones_hear_nothing_new() {
    let mut solo = at_home(NatClass::Unknown, false);
    let mut open = |n: usize, version| {
        let link = solo.stranger(n, Role::Viewer);
        let ticket = ticket(n, Role::Viewer, solo.now);
        solo.hear(link, Message::Hello { version, ticket, revocations: 0 });
        solo.hear(link, profile([Playing { track: MAIN, next: 21 }]));
        link
    };
    let (old, new) = (open(1, 1), open(2, 2));
    let nat = |said: Vec<Message>| -> Vec<NatClass> {
        let class = |m: &Message| if let Message::Nat { class } = m { Some(*class) } else { None };
        said.iter().filter_map(class).collect()
    };
    assert_eq!(nat(solo.take_said(new)), [], "nothing is known");
    solo.tell(Input::Nat(NatClass::Dependent));
    solo.tell(Input::Nat(NatClass::Dependent));
    assert_eq!(nat(solo.take_said(new)), [NatClass::Dependent], "once");
    assert_eq!(nat(solo.take_said(old)), []);
    assert_eq!(solo.told_nat, [], "nor does an older server");
    let own = solo.own_ticket();
    let again = Welcome { version: 2, ..welcome(own, Settings::default(), None, solo.now) };
    solo.tell(Input::Welcome(again.into()));
    solo.tell(Input::Nat(NatClass::Independent));
    assert_eq!(solo.told_nat.last(), Some(&NatClass::Independent));
    // What a neighbour says of itself is told on, to those who can read it.
    solo.hear(new, Message::Nat { class: NatClass::Blocked });
    let shown = |solo: &mut Solo, n: usize, version: u8| {
        let link = solo.stranger(n, Role::Viewer);
        let ticket = ticket(n, Role::Viewer, solo.now);
        solo.hear(link, Message::Hello { version, ticket, revocations: 0 });
        solo.hear(link, profile([Playing { track: MAIN, next: 21 }]));
        let said = solo.take_said(link);
        let known = said.iter().find_map(|m| match m {
            Message::Shuffle { peers } => {
                peers.iter().find(|p| p.ticket.body.peer == peer_id(2)).map(|p| p.nat)
            }
            _ => None,
        });
        (known, nat(said))
    };
    assert_eq!(shown(&mut solo, 3, 2), (Some(NatClass::Blocked), vec![NatClass::Independent]));
    assert_eq!(shown(&mut solo, 4, 1), (Some(NatClass::Unknown), vec![]));
}

/// Attempts at a peer that the server introduces again and again fail so many times; told back: whether it's called once more.
fn called_after(solo: &mut Solo, misses: u8, then: impl FnOnce(&mut Solo)) -> bool {
    for miss in 0..misses {
        solo.tell(Input::Introduced(vec![elsewhere(9, NatClass::Unknown)]));
        solo.wait(Duration::from_secs(1));
        assert!(solo.connects.contains(&peer_id(9)), "attempt {miss}");
        solo.connects.clear();
        solo.tell(Input::NoWay { peer: peer_id(9) });
    }
    then(solo);
    solo.connects.clear();
    solo.tell(Input::Introduced(vec![elsewhere(9, NatClass::Unknown)]));
    solo.wait(Duration::from_secs(1));
    solo.connects.contains(&peer_id(9))
}

#[test]
fn who_was_tried_in_vain_is_neither_called_nor_answered_for_a_while_or_until_we_move() {
    let calls = |misses, then: &dyn Fn(&mut Solo)| {
        let mut solo = at_home(NatClass::Unknown, false);
        solo.server = false;
        called_after(&mut solo, misses, then)
    };
    assert!(calls(MISSES - 1, &|_| ()), "one may have been lost datagrams");
    assert!(!calls(MISSES, &|_| ()));
    let later = |solo: &mut Solo, time| {
        solo.now += time;
        settle(solo, HOME);
    };
    assert!(!calls(MISSES, &|solo| later(solo, REMEMBERED - Duration::from_secs(5))));
    assert!(calls(MISSES, &|solo| later(solo, REMEMBERED)));
    assert!(calls(MISSES, &|solo| settle(solo, ELSEWHERE + 1)), "the server sees us elsewhere");
    assert!(!calls(MISSES, &|solo| settle(solo, HOME)), "a new ticket for the same place");
    assert!(!calls(MISSES, &|solo| solo.tell(Input::Nat(NatClass::Independent))), "now it is known");
    assert!(calls(MISSES, &|solo| {
        solo.tell(Input::Nat(NatClass::Independent));
        solo.tell(Input::Nat(NatClass::Open));
    }));

    let mut solo = at_home(NatClass::Unknown, false);
    let link = solo.neighbour(1);
    assert!(!called_after(&mut solo, MISSES, |_| ()));
    let payload = Blob::new(*b"offer").unwrap();
    solo.hear(link, Message::Relayed { from: told_of(9, NatClass::Unknown), payload });
    assert!(solo.connects.is_empty() && solo.signaled.is_empty(), "nor answered");

    let mut solo = at_home(NatClass::Unknown, true);
    assert!(called_after(&mut solo, MISSES, |_| ()), "a relay would have been there");
}
