//! Idle uplinks spread other renditions.

use rillcast_core::engine::{Conditions, Input, LinkId};
use rillcast_core::media::Bits;
use rillcast_core::protocol::coding::List;
use rillcast_core::protocol::id::{BlockIndex, Role, TrackId};
use rillcast_core::time::Duration;
use rillcast_core::wire::message::{BlockName, HaveMap, No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::media::{HIGH, digest, key_of, video};
use crate::lab::solo::{declined, granted, offer};
use crate::lab::{MAIN, Solo, key};

const FREE: Conditions = Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 };

fn plays(track: TrackId, short: u8, helps: Option<TrackId>) -> Message {
    let playing = List::clipped([Playing { track, next: 21 }]);
    Message::Profile { playing, passive: false, upload: 0, short, helps }
}

fn high(block: u16) -> BlockName {
    BlockName { key: key_of(HIGH, 21), block: BlockIndex(block) }
}

/// A live viewer of one rendition with nothing to give, a good downlink, and so many neighbours who play another and lack so much of it.
fn idle(neighbours: usize, short: u8) -> (Solo, Vec<LinkId>) {
    let mut solo = Solo::viewer();
    solo.plays(17, 8, 20, true);
    let (first_byte, transfer) = (Duration::from_millis(50), Duration::from_millis(500));
    solo.tell(Input::Handed { key: key(19), bytes: 1_000_000, first_byte, transfer });
    let mut links = Vec::new();
    for n in 1..=neighbours {
        links.push(solo.neighbour(n));
        solo.hear(links[n - 1], plays(HIGH, short, None));
    }
    (solo, links)
}

/// What the neighbours were last told that is helped with.
fn helped(solo: &Solo) -> Option<TrackId> {
    let profiles = solo.said.iter().rev();
    profiles
        .into_iter()
        .find_map(|(_, m)| if let Message::Profile { helps, .. } = m { Some(*helps) } else { None })?
}

/// The same, helping already.
fn helping() -> (Solo, Vec<LinkId>) {
    let (mut solo, links) = idle(3, 20);
    solo.wait(Duration::from_secs(11));
    assert_eq!(helped(&solo), Some(HIGH));
    solo.tell(Input::Digest(digest(&video(HIGH, 800_000), 21, false)));
    solo.said.clear();
    (solo, links)
}

fn holds(solo: &mut Solo, link: LinkId, blocks: impl IntoIterator<Item = u16>) {
    let mut held = Bits::default();
    blocks.into_iter().for_each(|block| held.insert(block));
    solo.hear(link, Message::Have { maps: List::clipped([HaveMap { key: key_of(HIGH, 21), blocks: held }]) });
}

// R58
#[test]
fn whoever_has_room_helps_a_rendition_that_lacks_blocks() {
    for (short, helps) in [(0, None), (1, None), (2, Some(HIGH)), (255, Some(HIGH))] {
        let (mut solo, _) = idle(2, short);
        solo.wait(Duration::from_secs(11));
        assert_eq!(helped(&solo), helps, "{short} hundredths");
    }
}

// R56 H6 H7
#[test]
fn who_may_not_give_or_is_hidden_helps_nobody() {
    for conditions in [
        Conditions { may_upload: false, ..FREE },
        Conditions { may_download: false, ..FREE },
        Conditions { hidden: true, ..FREE },
    ] {
        let (mut solo, links) = helping();
        solo.tell(Input::Conditions(conditions));
        solo.hear(links[0], offer(TransferId::offer(1), high(0)));
        assert_eq!(declined(&solo.take_said(links[0]), TransferId::offer(1)), Some(No::Unwanted));
        solo.wait(Duration::from_secs(11));
        assert_eq!(helped(&solo), None, "{conditions:?}");
    }
}

// R58
#[test]
fn a_block_that_two_lack_is_taken_and_one_that_a_single_one_lacks_is_not() {
    for (others, lacking) in [(0, 2), (1, 1), (2, 0)] {
        let (mut solo, links) = helping();
        links.iter().skip(1).take(others).for_each(|link| holds(&mut solo, *link, [3]));
        solo.hear(links[0], offer(TransferId::offer(1), high(3)));
        let said = solo.take_said(links[0]);
        if lacking == 2 {
            assert_eq!(granted(&said, TransferId::offer(1)), Some(high(3)));
        } else {
            assert_eq!(declined(&said, TransferId::offer(1)), Some(No::Held));
        }
    }
}

// R58
#[test]
fn what_was_taken_for_others_is_offered_to_them() {
    let (mut solo, links) = helping();
    solo.hear(links[0], offer(TransferId::offer(1), high(3)));
    let body = crate::lab::media::body(&video(HIGH, 800_000), 21, 0);
    solo.piece(links[0], TransferId::offer(1), 0, &body[3 * 32 * 1024..4 * 32 * 1024]);
    solo.wait(Duration::from_millis(200));
    let offers = |solo: &mut Solo, link| {
        let said = solo.take_said(link);
        said.iter().filter(|m| matches!(m, Message::Offer { name, .. } if *name == high(3))).count()
    };
    assert_eq!([0, 1, 2].map(|n| offers(&mut solo, links[n])), [0, 1, 1]);
}

// H6
#[test]
fn no_more_than_six_blocks_come_for_others_at_a_time() {
    let (mut solo, links) = helping();
    for n in 0..7 {
        solo.hear(links[0], offer(TransferId::offer(n), high(n as u16)));
        let said = solo.take_said(links[0]);
        if n < 6 {
            assert_eq!(granted(&said, TransferId::offer(n)), Some(high(n as u16)));
        } else {
            assert_eq!(declined(&said, TransferId::offer(n)), Some(No::Busy));
        }
    }
}

// R2
#[test]
fn a_rendition_that_is_played_now_is_taken_as_such() {
    let (mut solo, links) = helping();
    for link in &links[1..] {
        holds(&mut solo, *link, [3]);
    }
    let segments = (10..=20).map(|n| crate::lab::media::entry(key_of(HIGH, n))).collect();
    let kind = rillcast_core::engine::MediaKind::Main;
    solo.tell(Input::Timeline { track: HIGH, kind, segments, live: true });
    solo.tell(Input::Demand {
        key: key_of(HIGH, 20),
        patience: rillcast_core::engine::Patience {
            first_byte: Duration::from_secs(20),
            whole: Duration::from_secs(120),
        },
    });
    solo.take_said(links[0]);
    solo.hear(links[0], offer(TransferId::offer(1), high(3)));
    assert_eq!(
        granted(&solo.take_said(links[0]), TransferId::offer(1)),
        Some(high(3)),
        "though nobody lacks it"
    );
}

// R58
#[test]
fn a_helper_is_offered_what_no_more_than_one_neighbour_has() {
    for (holders, offered) in [(1, true), (2, false)] {
        let (mut solo, link) = crate::switches::holding(Default::default());
        solo.plays(17, 12, 20, true);
        let all = solo.blocks(20);
        for n in 0..holders {
            let viewer = if n == 0 { link } else { solo.neighbour(5 + n) };
            solo.hear(viewer, plays(MAIN, 0, None));
            solo.hear(viewer, crate::lab::solo::profile([Playing { track: MAIN, next: 20 }]));
            solo.holds(viewer, 20, 0..all);
        }
        let helper = solo.stranger(9, Role::Viewer);
        solo.greet(helper);
        solo.hear(helper, plays(HIGH, 0, Some(MAIN)));
        solo.wait(Duration::from_millis(200));
        let said = solo.take_said(helper);
        assert_eq!(said.iter().any(|m| matches!(m, Message::Offer { .. })), offered, "{holders}: {said:?}");
    }
}

// R6
#[test]
fn who_comes_to_our_help_is_told_who_plays_what_we_play() {
    let mut solo = Solo::viewer();
    solo.plays(17, 8, 20, true);
    solo.demand(20);
    solo.neighbour(1);
    let helper = solo.neighbour(2);
    solo.hear(helper, plays(HIGH, 0, None));
    solo.take_said(helper);
    solo.hear(helper, plays(HIGH, 0, Some(MAIN)));
    let shuffles = |said: Vec<Message>| said.iter().filter(|m| matches!(m, Message::Shuffle { .. })).count();
    assert_eq!(shuffles(solo.take_said(helper)), 1);
    solo.hear(helper, plays(HIGH, 0, Some(MAIN)));
    assert_eq!(shuffles(solo.take_said(helper)), 0, "once");
}
