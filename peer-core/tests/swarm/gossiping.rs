//! Neighbours introduce their neighbours, and tell how many there are.

use rillcast_core::engine::Input;
use rillcast_core::overlay::Populations;
use rillcast_core::overlay::census::Census;
use rillcast_core::protocol::coding::List;
use rillcast_core::protocol::id::Role;
use rillcast_core::protocol::signal::Network;
use rillcast_core::time::Duration;
use rillcast_core::wire::Message;
use rillcast_core::wire::message::Playing;

use crate::lab::solo::profile;
use crate::lab::tickets::acquaintance;
use crate::lab::{Buf, MAIN, Net, Setup, Solo, peer_id};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

// R4: the server introduces everybody to one other alone, and is then gone.
#[test]
fn viewers_get_links_through_their_one_neighbour_though_the_server_is_gone() {
    let mut net =
        Net::new(Setup { viewers: 10, introduce: 1, seed_node: true, length: secs(70), ..Setup::default() });
    net.at(Duration::from_millis(18_300), |net| {
        assert_eq!(net.neighbours(9), [], "the last one has only just come in");
        net.signaling = false;
    });
    net.run();
    for n in 0..10 {
        assert!(net.neighbours(n).len() >= 6, "node {n} has links to {:?}", net.neighbours(n));
    }
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert_eq!(net.liars(), []);
    assert!(net.savings() > 0.5, "{}", net.summary());
}

// The first neighbour may leave: links made through it stay.
#[test]
fn links_outlive_the_neighbour_that_they_were_made_through() {
    let mut net =
        Net::new(Setup { viewers: 8, introduce: 1, seed_node: true, length: secs(80), ..Setup::default() });
    net.at(secs(35), |net| {
        net.signaling = false;
        net.leave(0);
    });
    net.run();
    for n in 1..8 {
        assert!(net.neighbours(n).len() >= 5, "node {n} has links to {:?}", net.neighbours(n));
    }
    assert_eq!(net.stalls(), 0, "{}", net.summary());
}

/// How many play [`MAIN`], or are of a site, as each node has told others.
fn sizes(net: &Net, nodes: usize, of: u64) -> Vec<u64> {
    let size = |n| {
        let mut census = Census::new(None, net.now);
        census.hear(net.census.get(&(n, of))?, net.now);
        Some(census.size())
    };
    (0..nodes).filter_map(size).collect()
}

#[test]
fn sixty_viewers_of_one_site_know_roughly_that_they_are_sixty() {
    let site = Network { site: 7, ..Network::default() };
    let mut net = Net::new(Setup {
        viewers: 60,
        introduce: 4,
        join_gap: Duration::from_millis(300),
        length: secs(60),
        net: site,
        ..Setup::default()
    });
    net.run();
    for of in [Populations::of_track(MAIN), Populations::of_site(7)] {
        let sizes = sizes(&net, 60, of);
        assert_eq!(sizes.len(), 60, "everybody tells");
        assert!(sizes.iter().all(|s| (30..=120).contains(s)), "{sizes:?}");
    }
    let links: Vec<_> = (0..60).map(|n| net.neighbours(n).len()).collect();
    assert!(links.iter().all(|n| (12..=48).contains(n)), "enough, and never with all: {links:?}");
    assert_eq!(net.stalls(), 0, "{}", net.summary());
}

#[test]
fn a_newcomer_hears_at_once_of_others_and_of_how_many_there_are() {
    let mut solo = Solo::viewer();
    solo.plays(17, 12, 20, true);
    solo.demand(20);
    solo.neighbour(1);
    let newcomer = solo.stranger(2, Role::Viewer);
    solo.greet(newcomer);
    solo.take_said(newcomer);
    solo.hear(newcomer, profile([Playing { track: MAIN, next: 20 }]));
    let said = solo.take_said(newcomer);
    let told =
        |m: &Message| matches!(m, Message::Shuffle { peers } if peers[0].ticket.body.peer == peer_id(1));
    assert!(said.iter().any(told), "{said:?}");
    let counted = |m: &Message| matches!(m, Message::Census { of, .. } if *of == Populations::of_track(MAIN));
    assert!(said.iter().any(counted), "{said:?}");
}

// R5: on demand everybody is somewhere else; a newcomer is told of what it needs, not of what we have got last.
#[test]
fn on_demand_a_neighbour_is_shown_what_we_hold_of_what_it_needs_next() {
    let mut solo = Solo::viewer();
    solo.plays(80, 8, 120, false);
    solo.demand(82);
    for number in 20..80 {
        let (digest, body) = (crate::lab::digest(&solo.rendition, number, false), Buf(solo.body(number)));
        solo.tell(Input::Published { digest, body });
    }
    let link = solo.neighbour(1);
    let mut shown = |next| {
        solo.take_said(link);
        solo.hear(link, profile([Playing { track: MAIN, next }]));
        let numbers = |m| match m {
            Message::Have { maps } => Some(maps.iter().map(|map| map.key.number).collect::<Vec<_>>()),
            _ => None,
        };
        solo.take_said(link).into_iter().find_map(numbers).unwrap_or_default()
    };
    assert_eq!(shown(12), (20..52).collect::<Vec<_>>(), "from its place on, half a message");
    assert_eq!(shown(43), [], "it has some of that left");
    assert_eq!(shown(44), (44..76).collect::<Vec<_>>(), "it has few left");
    assert_eq!(shown(70), (70..80).collect::<Vec<_>>(), "to the end");
    assert_eq!(shown(79), [], "all that comes later it is told of");
    assert_eq!(shown(30), (30..62).collect::<Vec<_>>(), "it has jumped back");
    assert_eq!(shown(u64::MAX), [], "whatever it says");
}

#[test]
fn neither_we_ourselves_nor_seeds_nor_those_cut_off_are_taken_from_what_neighbours_tell() {
    let mut solo = Solo::viewer();
    let liar = solo.neighbour(3);
    solo.hear_bytes(liar, &[255]);
    assert!(solo.is_closed(3));
    let link = solo.neighbour(1);
    solo.connects.clear();
    let told = [(0, Role::Viewer), (2, Role::Seed), (3, Role::Viewer), (4, Role::Viewer)];
    let peers = told.map(|(n, role)| acquaintance(n, role, Some(Playing { track: MAIN, next: 9 })));
    solo.hear(link, Message::Shuffle { peers: List::clipped(peers) });
    solo.wait(secs(2));
    assert_eq!(solo.connects, [peer_id(4)]);
}
