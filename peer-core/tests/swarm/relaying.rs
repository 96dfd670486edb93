//! Blocks on their way through a viewer.

use rillcast_core::engine::{Input, SourceError};
use rillcast_core::time::Duration;
use rillcast_core::wire::message::{No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::solo::{got, grant, granted, name, offer, profile, request};
use crate::lab::{MAIN, Net, Setup, Solo};

/// A live viewer in want of segment 20, one neighbour that holds all of it and one that holds nothing.
fn between() -> (Solo, rillcast_core::engine::LinkId, rillcast_core::engine::LinkId) {
    let mut solo = Solo::viewer();
    solo.plays(17, 8, 20, true);
    solo.demand(20);
    let (holder, lacking) = (solo.neighbour(1), solo.neighbour(2));
    solo.hear(lacking, profile([Playing { track: MAIN, next: 19 }]));
    solo.describe(20);
    let all = solo.blocks(20);
    solo.holds(holder, 20, 0..all);
    (solo, holder, lacking)
}

// R58, DESIGN 3 (cut-through): a block is relayed as soon as it is verified.
#[test]
fn a_block_is_offered_and_given_on_before_its_segment_is_whole() {
    let (mut solo, holder, lacking) = between();
    let transfer = TransferId::offer(1);
    solo.hear(holder, offer(transfer, name(20, 3)));
    assert_eq!(granted(&solo.take_said(holder), transfer), Some(name(20, 3)));
    solo.take_said(lacking);
    solo.piece(holder, transfer, 0, &solo.block(20, 3));
    solo.wait(Duration::from_millis(100));
    let said = solo.take_said(lacking);
    let offered = |m: &Message| matches!(m, Message::Offer { name: n, .. } if *n == name(20, 3));
    assert!(said.iter().any(offered), "{said:?}");
    let told = |m: &Message| *m == got(name(20, 3));
    assert!(said.iter().any(told));
    solo.hear(lacking, request(TransferId::request(1), name(20, 3), 0));
    let given: Vec<u8> =
        solo.bulk.iter().filter(|(l, ..)| *l == lacking).flat_map(|(.., p)| p.0.to_vec()).collect();
    assert_eq!(given, solo.block(20, 3));
    assert!(solo.delivered.is_empty(), "the segment is still far from whole");
}

// H2 R10: no byte at all is relayed before it matches a signed digest.
#[test]
fn a_block_that_is_not_yet_verified_is_neither_offered_nor_given() {
    let (mut solo, holder, lacking) = between();
    solo.verifies = false;
    solo.hear(holder, offer(TransferId::offer(1), name(20, 3)));
    solo.piece(holder, TransferId::offer(1), 0, &solo.block(20, 3));
    solo.take_said(lacking);
    solo.wait(Duration::from_millis(300));
    let transfer = TransferId::request(1);
    solo.hear(lacking, request(transfer, name(20, 3), 0));
    let said = solo.take_said(lacking);
    assert!(said.contains(&Message::Refuse { transfer, why: No::NotHeld }));
    assert!(!said.iter().any(|m| matches!(m, Message::Offer { .. } | Message::Got { .. })), "{said:?}");
    assert!(solo.bulk.is_empty());
    assert_eq!(solo.checks.len(), 1);
}

// R44
#[test]
fn the_blocks_of_one_segment_come_from_several_peers_at_once() {
    let mut solo = Solo::viewer();
    solo.plays(15, 20, 24, false);
    solo.demand(20);
    let links: Vec<_> = (1..4).map(|n| solo.neighbour(n)).collect();
    solo.describe(20);
    let all = solo.blocks(20);
    links.iter().for_each(|l| solo.holds(*l, 20, 0..all));
    solo.wait(Duration::from_millis(50));
    let mut asked: Vec<Vec<_>> = links.iter().map(|l| solo.take_requests(*l)).collect();
    assert!(asked.iter().all(|a| !a.is_empty()), "{asked:?}");
    for _ in 0..20 {
        for (link, requests) in links.iter().zip(&mut asked) {
            for (transfer, name) in requests.drain(..) {
                solo.piece(*link, transfer, 0, &solo.block(20, name.block.0));
            }
        }
        solo.wait(Duration::from_millis(20));
        asked = links.iter().map(|l| solo.take_requests(*l)).collect();
    }
    let delivery = &solo.delivered[0];
    assert_eq!(delivery.share.peers as usize, solo.body(20).len(), "{:?}", delivery.share);
    assert!(solo.fetches.is_empty(), "{:?}", solo.fetches);
    let gave = solo.engine.stats().links.iter().filter(|l| l.received > 0).count();
    assert_eq!(gave, 3);
}

// Each block is asked of one neighbour only, so that nothing comes twice.
#[test]
fn in_a_whole_swarm_next_to_nothing_comes_twice() {
    let mut net = Net::new(Setup { seed: 2, ..Setup::default() });
    net.run();
    let wasted: u64 = (0..8).map(|n| net.engine(n).stats().wasted_bytes).sum();
    assert!(wasted * 50 < net.figures.delivered, "{wasted} of {}", net.figures.delivered);
}

// R14: a player that reports rarely, and a source that fails: the moment is past, and whatever peers have is still welcome.
#[test]
fn what_should_be_playing_already_is_taken_though_the_player_has_not_said_that_it_waits() {
    let mut solo = Solo::viewer();
    solo.plays(17, 4, 20, true);
    solo.demand(18);
    let link = solo.neighbour(1);
    solo.describe(18);
    for _ in 0..100 {
        solo.wait(Duration::from_millis(100));
        for asked in core::mem::take(&mut solo.fetches) {
            solo.tell(Input::SourceFailed { fetch: asked.fetch, error: SourceError::Status(503) });
        }
        if !solo.failed.is_empty() {
            solo.failed.clear();
            solo.demand(18);
        }
    }
    solo.take_said(link);
    let transfer = TransferId::offer(1);
    solo.hear(link, offer(transfer, name(18, 3)));
    let said = solo.take_said(link);
    assert_eq!(granted(&said, transfer), Some(name(18, 3)), "{said:?}");
}

// A grant that comes after its offer has ended is answered, or its sender would wait in vain.
#[test]
fn a_grant_that_comes_too_late_is_refused() {
    let (mut solo, holder, lacking) = between();
    solo.hear(holder, offer(TransferId::offer(1), name(20, 3)));
    solo.piece(holder, TransferId::offer(1), 0, &solo.block(20, 3));
    solo.take_said(lacking);
    solo.wait(Duration::from_millis(100));
    let offered = solo.take_said(lacking).into_iter().find_map(|m| match m {
        Message::Offer { transfer, .. } => Some(transfer),
        _ => None,
    });
    let transfer = offered.expect("an offer");
    solo.wait(Duration::from_secs(2));
    solo.take_said(lacking);
    solo.bulk.clear();
    solo.hear(lacking, grant(transfer, name(20, 3)));
    assert!(solo.take_said(lacking).contains(&Message::Refuse { transfer, why: No::Busy }));
    assert!(solo.bulk.is_empty());
}
