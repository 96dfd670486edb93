//! Relays that leave, links that hang, servers that are gone.

use rillcast_core::engine::{Input, LinkId};
use rillcast_core::protocol::id::Role;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::time::Duration;
use rillcast_core::wire::{Message, TransferId};

use crate::lab::media::Buf;
use crate::lab::solo::{name, request};
use crate::lab::{Net, Setup, Solo, digest, key, peer_id};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

// R43 R61
#[test]
fn relays_that_vanish_without_a_word_cause_no_stall() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.at(secs(40), |net| net.vanish(0));
    net.at(secs(50), |net| {
        net.vanish(3);
        net.vanish(4);
    });
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert!(net.savings() > 0.6, "{}", net.summary());
    for n in [1, 2, 5, 6, 7] {
        assert!(net.engine(n).stats().links.len() == 4, "the dead are noticed");
    }
}

// R43
#[test]
fn relays_that_leave_in_mid_transfer_cause_no_stall() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    for (at, n) in [(30_110, 5), (41_730, 1), (52_290, 2), (61_030, 0)] {
        net.at(Duration::from_millis(at), move |net| net.leave(n));
    }
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert_eq!(net.liars(), [], "nobody is blamed for leaving");
}

// R43: it is asked elsewhere for what was on its way, at once.
#[test]
fn what_a_lost_link_was_to_bring_is_asked_of_another() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let (first, second) = (solo.neighbour(1), solo.neighbour(2));
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(first, 20, 0..all);
    solo.wait(Duration::from_millis(50));
    let asked = solo.take_requests(first);
    assert!(!asked.is_empty());
    let (transfer, name) = asked[0];
    solo.piece(first, transfer, 0, &solo.block(20, name.block.0)[..10_000]);
    solo.holds(second, 20, 0..all);
    solo.tell(Input::LinkClosed { peer: peer_id(1), link: Some(first) });
    let mut again = Vec::new();
    for _ in 0..20 {
        solo.wait(Duration::from_millis(20));
        for (transfer, name) in solo.take_requests(second) {
            again.push(name);
            solo.piece(second, transfer, 0, &solo.block(20, name.block.0));
        }
    }
    assert!(asked.iter().all(|(_, name)| again.contains(name)), "{again:?}");
    assert_eq!(solo.delivered.len(), 1);
    assert!(solo.fetches.is_empty());
}

// DESIGN 5: promises are leases.
#[test]
fn a_silent_neighbour_loses_its_lease_and_another_is_asked() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let silent = solo.neighbour(1);
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(silent, 20, 0..all);
    solo.wait(Duration::from_millis(50));
    let asked = solo.take_requests(silent);
    let other = solo.neighbour(2);
    solo.holds(other, 20, 0..all);
    // The lease of 2.5 s, and a second until somebody looks.
    solo.wait(Duration::from_millis(3600));
    let cancelled: Vec<_> = solo
        .take_said(silent)
        .into_iter()
        .filter_map(|m| match m {
            Message::Cancel { transfer } => Some(transfer),
            _ => None,
        })
        .collect();
    assert!(asked.iter().all(|(transfer, _)| cancelled.contains(transfer)));
}

// R4 R52: with a seed as publisher nothing needs the server once everybody is linked.
#[test]
fn with_the_server_gone_the_exchange_goes_on_and_new_segments_too() {
    let mut net = Net::new(Setup { seed_node: true, seed: 2, ..Setup::default() });
    net.at(secs(30), |net| net.signaling = false);
    net.run_until(secs(40));
    let before = (net.figures.source, net.bytes_from_peers());
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    let (source, peers) = (net.figures.source - before.0, net.bytes_from_peers() - before.1);
    assert!(peers > 40_000_000 && source * 20 < peers, "from peers {peers}, from the source {source}");
    assert!((0..8).all(|n| net.neighbours(n).len() == 8));
}

// R52 H12: the server restarts and says of everybody that they are gone; their links work on.
#[test]
fn a_server_that_lost_sight_of_everybody_breaks_no_link() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.at(secs(40), |net| {
        for (n, m) in (0..8).flat_map(|n| (0..8).map(move |m| (n, m))).filter(|(n, m)| n != m) {
            net.input(n, Input::Gone(peer_id(m)));
        }
    });
    net.run_until(secs(60));
    assert!((0..8).all(|n| net.neighbours(n).len() == 7));
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
}

// A built-in publisher goes with its server: everybody falls back to the source.
#[test]
fn without_server_and_seed_playback_goes_on_from_the_source() {
    let mut net = Net::new(Setup { viewers: 4, seed: 2, ..Setup::default() });
    net.at(secs(30), |net| net.signaling = false);
    net.run();
    assert_eq!(net.stalls(), 0, "{}", net.summary());
    assert!(net.player(3).got.len() >= 20);
}

#[test]
fn a_link_that_falls_silent_is_pinged_and_then_closed() {
    let mut solo = Solo::viewer();
    solo.answers_pings = false;
    let link = solo.neighbour(1);
    solo.wait(secs(5));
    let pings = solo.take_said(link).into_iter().filter(|m| matches!(m, Message::Ping { .. })).count();
    assert!(pings >= 2, "{pings}");
    assert!(!solo.is_closed(1));
    solo.wait(secs(2));
    assert!(solo.is_closed(1));
    assert!(solo.events.is_empty(), "silence is no lie");
}

// H4: who must hide its address has no direct link for longer than it takes to say so, and gets new ones.
#[test]
fn whoever_is_to_be_relayed_from_now_on_makes_its_links_anew() {
    let mut solo = Solo::viewer();
    solo.neighbour(1);
    solo.neighbour(2);
    let settings = Settings { relay_only: true, ..Settings::default() };
    solo.tell(Input::Settings(settings.clone()));
    assert!(solo.is_closed(1) && solo.is_closed(2));
    solo.connects.clear();
    solo.wait(Duration::from_secs(30));
    assert!(
        solo.connects.contains(&peer_id(1)) && solo.connects.contains(&peer_id(2)),
        "{:?}",
        solo.connects
    );
    // Said again it changes nothing, and neither does its end: a relayed link does no harm.
    solo.neighbour(3);
    solo.closed.clear();
    solo.tell(Input::Settings(settings));
    solo.tell(Input::Settings(Settings::default()));
    assert!(!solo.is_closed(3));
}

/// A seed that holds segment 20, and one neighbour.
fn seed(settings: Settings) -> (Solo, LinkId) {
    let mut solo = Solo::with(Role::Seed, 64 << 20, settings);
    let viewer = solo.neighbour(1);
    let body = Buf(solo.body(20));
    solo.tell(Input::Published { digest: digest(&solo.rendition, 20, false), body });
    (solo, viewer)
}

// R43
#[test]
fn who_is_about_to_leave_finishes_what_it_promised_and_promises_nothing_more() {
    let (mut solo, viewer) = seed(Settings { upload_cap: 200_000, ..Settings::default() });
    let transfer = |n: u16| TransferId::request(u32::from(n));
    let ask = |solo: &mut Solo, n| solo.hear(viewer, request(transfer(n), name(20, n), 3000));
    (0..3).for_each(|n| ask(&mut solo, n));
    assert!(solo.engine.is_giving());
    solo.take_said(viewer);
    solo.tell(Input::Leaving);
    ask(&mut solo, 3);
    let refused = |solo: &mut Solo| {
        let said = solo.take_said(viewer);
        let refused = |m: &Message| match m {
            Message::Refuse { transfer, .. } => Some(*transfer),
            _ => None,
        };
        said.iter().filter_map(refused).collect::<Vec<_>>()
    };
    assert_eq!(refused(&mut solo), [transfer(3)]);
    solo.wait(secs(3));
    assert_eq!(refused(&mut solo), []);
    for n in 0..3 {
        let pieces = solo.bulk.iter().filter(|(_, header, _)| header.transfer == transfer(n));
        let bytes: usize = pieces.map(|(_, _, piece)| piece.0.len()).sum();
        assert_eq!(bytes, solo.block(20, n).len(), "block {n}");
        assert!(solo.engine.is_giving(), "what is sent may still be on its way");
        solo.hear(viewer, Message::Arrived { transfer: transfer(n) });
    }
    assert!(!solo.engine.is_giving());
}

#[test]
fn who_is_about_to_leave_takes_no_new_neighbours_and_keeps_the_old() {
    let (mut solo, _) = seed(Settings::default());
    solo.introduce(2, Role::Viewer);
    assert!(solo.connects.contains(&peer_id(2)));
    solo.tell(Input::Leaving);
    solo.introduce(3, Role::Viewer);
    solo.wait(secs(3));
    assert!(!solo.connects.contains(&peer_id(3)) && !solo.is_closed(1));
}

// R31
#[test]
fn what_comes_from_disk_is_told_to_those_who_play_it_and_costs_the_source_nothing() {
    let (mut solo, viewer) = seed(Settings::default());
    let source = solo.engine.stats().source_bytes;
    solo.take_said(viewer);
    let body = Buf(solo.body(22));
    assert!(!solo.engine.holds(&key(22)));
    solo.tell(Input::Recalled { digest: digest(&solo.rendition, 22, false), body });
    assert!(solo.engine.holds(&key(22)));
    let tells = |m: &Message| matches!(m, Message::Have { maps } if maps.iter().any(|m| m.key == key(22)));
    assert!(solo.take_said(viewer).iter().any(tells));
    assert_eq!(solo.engine.stats().source_bytes, source);
}
