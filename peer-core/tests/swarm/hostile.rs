//! Messages that no honest neighbour sends: the link is dropped or the message ignored; never a panic, never a false byte (H3).

use rillcast_core::engine::{Event, MAX_CONTROL};
use rillcast_core::overlay::link::{MAX_PROMISED, MAX_PROMISED_AGAIN};
use rillcast_core::protocol::coding::Wire;
use rillcast_core::protocol::id::{BlockIndex, Role};
use rillcast_core::time::Duration;
use rillcast_core::trust::Refusal;
use rillcast_core::wire::message::{BlockName, No};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::solo::{decline, declined, grant, granted, name, offer, profile, request};
use crate::lab::tickets::ticket;
use crate::lab::{Solo, key};

/// A viewer that lacks segment 20, has its digest, and pulls it from neighbours.
fn pulling() -> Solo {
    let mut solo = Solo::viewer();
    solo.plays(18, 6, 24, false);
    solo.demand(20);
    solo.describe(20);
    solo
}

/// A neighbour of a pulling viewer, and the viewer's first request to it.
fn asked() -> (Solo, rillcast_core::engine::LinkId, TransferId, BlockName) {
    let mut solo = pulling();
    let link = solo.neighbour(1);
    let all = solo.blocks(20);
    solo.holds(link, 20, 0..all);
    solo.wait(Duration::from_millis(50));
    let (transfer, name) = solo.take_requests(link)[0];
    (solo, link, transfer, name)
}

/// Why somebody is let in no further than the gate, if so.
pub fn refused(solo: &Solo, n: usize) -> Option<Refusal> {
    let why = solo.events.iter().find_map(|e| match e {
        Event::Refused { peer, why } if *peer == crate::lab::peer_id(n) => Some(*why),
        _ => None,
    });
    assert!(why.is_none() || solo.is_closed(n), "whoever is refused is left");
    why
}

fn expelled(solo: &Solo, n: usize) -> bool {
    let liar =
        solo.events.iter().any(|e| matches!(e, Event::Liar { peer, .. } if *peer == crate::lab::peer_id(n)));
    assert_eq!(liar, solo.is_closed(n), "whoever is called a liar is cut off");
    liar
}

#[test]
fn a_link_that_speaks_before_its_hello_is_dropped() {
    for message in [Message::Ping { stamp: 1 }, profile([])] {
        let mut solo = Solo::viewer();
        let link = solo.stranger(1, Role::Viewer);
        solo.hear(link, message);
        assert_eq!(refused(&solo, 1), Some(Refusal::NoTicket));
        assert_eq!(solo.engine.stats().links.len(), 0);
    }
}

#[test]
fn a_hello_of_a_forgotten_version_is_dropped_and_one_of_a_later_version_is_not() {
    let mut solo = Solo::viewer();
    let (old, new) = (solo.stranger(1, Role::Viewer), solo.stranger(2, Role::Viewer));
    for (link, n, version) in [(old, 1, 0), (new, 2, 2)] {
        let ticket = ticket(n, Role::Viewer, solo.now);
        solo.hear(link, Message::Hello { version, ticket, revocations: 0 });
    }
    assert_eq!((refused(&solo, 1), refused(&solo, 2)), (Some(Refusal::Unreadable), None));
    assert_eq!(solo.engine.stats().links.len(), 1);
}

#[test]
fn unreadable_messages_drop_the_link() {
    let request = request(TransferId::request(1), name(20, 0), 5).to_bytes();
    let mut trailing = request.clone();
    trailing.push(0);
    let messages: [(&str, Vec<u8>); 7] = [
        ("empty", vec![]),
        ("unknown tag", vec![16, 0]),
        ("highest tag", vec![255]),
        ("cut short", request[..request.len() - 1].to_vec()),
        ("bytes left over", trailing),
        ("more than urgent", vec![20, 0, 5]),
        ("a count beyond the bytes", vec![3, 0xff, 0x7f]),
    ];
    for (what, bytes) in messages {
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        assert!(!expelled(&solo, 1));
        solo.hear_bytes(link, &bytes);
        assert!(expelled(&solo, 1), "{what}");
    }
}

// H8: the bound is on the message, whatever stands in it.
#[test]
fn a_control_message_over_16_kib_drops_the_link() {
    for (len, dropped) in [(MAX_CONTROL, "at"), (MAX_CONTROL + 1, "over")] {
        let bytes = vec![14; len];
        let error = Message::parse(&bytes).unwrap_err();
        let too_large = error == rillcast_core::protocol::coding::DecodeError::TooLarge;
        assert_eq!(too_large, len > MAX_CONTROL, "{dropped}: {error}");
        let mut solo = Solo::viewer();
        let link = solo.neighbour(1);
        solo.hear_bytes(link, &bytes);
        assert!(expelled(&solo, 1));
    }
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    for n in [0, 1, u32::MAX] {
        let transfer = TransferId(n);
        solo.hear(link, grant(transfer, name(20, 0)));
        solo.hear(link, decline(transfer, No::Busy));
        solo.hear(link, Message::Refuse { transfer, why: No::NotHeld });
        solo.hear(link, Message::Cancel { transfer });
        solo.hear(link, Message::Arrived { transfer });
    }
    solo.hear(link, Message::Claim { key: key(20), first: u16::MAX, count: u16::MAX });
    assert!(!expelled(&solo, 1));
}

#[test]
fn what_comes_over_an_unknown_or_closed_link_is_ignored() {
    let (mut solo, link, transfer, _) = asked();
    solo.tell(rillcast_core::engine::Input::LinkClosed { peer: crate::lab::peer_id(1), link: Some(link) });
    solo.said.clear();
    solo.hear(link, Message::Ping { stamp: 3 });
    solo.piece(link, transfer, 0, &[1; 100]);
    solo.hear_bytes(rillcast_core::engine::LinkId(999), &[255]);
    assert!(solo.said.is_empty() && solo.events.is_empty());
}

#[test]
fn a_pong_with_a_stamp_that_is_not_ours_teaches_nothing() {
    let mut solo = Solo::viewer();
    solo.answers_pings = false;
    let link = solo.neighbour(1);
    for stamp in [0, 1, u64::MAX, solo.now.as_micros() + 1] {
        solo.hear(link, Message::Pong { stamp });
    }
    assert_eq!(solo.engine.stats().links[0].rtt_ms, None);
    let stamp = solo.now.as_micros() - 30_000;
    solo.hear(link, Message::Pong { stamp });
    assert_eq!(solo.engine.stats().links[0].rtt_ms, Some(30));
}

#[test]
fn bytes_that_nobody_asked_for_are_thrown_away() {
    let (mut solo, link, _, _) = asked();
    solo.piece(link, TransferId::request(4711), 0, &[1; 100]);
    solo.piece(link, TransferId::offer(1), 0, &[1; 100]);
    assert!(!expelled(&solo, 1));
    let stats = solo.engine.stats();
    assert_eq!((stats.wasted_bytes, stats.peer_bytes, stats.stored_bytes), (200, 0, 0));
}

#[test]
fn a_piece_outside_its_block_drops_the_link() {
    let (solo, _, _, _) = asked();
    let len = solo.block(20, 0).len() as u32;
    // (offset, bytes, dropped): under, at and over the end; an offset whose end overflows 32 bits; nothing at all.
    let cases = [
        (len - 10, 9, false),
        (len - 10, 10, false),
        (len - 10, 11, true),
        (len, 1, true),
        (u32::MAX, 10, true),
        (0, 0, true),
    ];
    for (offset, bytes, dropped) in cases {
        let (mut solo, link, transfer, _) = asked();
        solo.piece(link, transfer, offset, &vec![0; bytes]);
        assert_eq!(expelled(&solo, 1), dropped, "{bytes} bytes at {offset}");
    }
}

#[test]
fn pieces_on_top_of_each_other_drop_the_link() {
    for (second, dropped) in [(1000, false), (999, true), (0, true), (500, true)] {
        let (mut solo, link, transfer, _) = asked();
        solo.piece(link, transfer, 0, &[0; 1000]);
        solo.piece(link, transfer, second, &[0; 100]);
        assert_eq!(expelled(&solo, 1), dropped, "at {second}");
    }
}

#[test]
fn pieces_in_any_order_make_the_block() {
    let (mut solo, link, transfer, name) = asked();
    let block = solo.block(20, name.block.0);
    for start in [20_000, 0, 10_000] {
        let end = (start + 10_000).min(block.len());
        let end = if start == 20_000 { block.len() } else { end };
        solo.piece(link, transfer, start as u32, &block[start..end]);
    }
    assert!(!expelled(&solo, 1));
    assert!(solo.take_said(link).contains(&Message::Arrived { transfer }));
    assert_eq!(solo.engine.stats().stored_bytes, block.len() as u64);
}

// H6: a block of 32 KiB in pieces of a byte would cost half a billion comparisons.
#[test]
fn a_block_in_crumbs_drops_the_link() {
    let pieces = |size: usize| {
        let (mut solo, link, transfer, name) = asked();
        let block = solo.block(20, name.block.0);
        for (i, piece) in block.chunks(size).enumerate() {
            solo.piece(link, transfer, (i * size) as u32, piece);
        }
        expelled(&solo, 1)
    };
    assert!(!pieces(512), "64 pieces");
    assert!(pieces(511), "65 pieces");
    assert!(pieces(1));
}

#[test]
fn an_offer_under_a_requests_number_drops_the_link() {
    let (mut solo, link, transfer, _) = asked();
    solo.hear(link, offer(transfer, name(20, 0)));
    assert!(expelled(&solo, 1));
}

#[test]
fn a_request_under_an_offers_number_drops_the_link() {
    let mut solo = pulling();
    let link = solo.neighbour(1);
    solo.hear(link, request(TransferId::offer(1), name(20, 0), 1));
    assert!(expelled(&solo, 1));
}

// Two blocks under one number would leave one of them forever on its way.
#[test]
fn a_second_offer_under_the_same_number_is_declined() {
    let mut solo = pulling();
    let link = solo.neighbour(1);
    let transfer = TransferId::offer(5);
    solo.hear(link, offer(transfer, name(20, 0)));
    solo.hear(link, offer(transfer, name(20, 1)));
    let said = solo.take_said(link);
    assert_eq!(granted(&said, transfer), Some(name(20, 0)));
    assert_eq!(declined(&said, transfer), Some(No::Busy), "{said:?}");
    let block = solo.block(20, 0);
    solo.piece(link, transfer, 0, &block);
    assert_eq!(solo.engine.stats().stored_bytes, block.len() as u64, "the first one still counts");
}

#[test]
fn a_block_that_the_segment_does_not_have_is_neither_taken_nor_given() {
    let mut solo = pulling();
    let link = solo.neighbour(1);
    let beyond = BlockName { key: key(20), block: BlockIndex(solo.blocks(20)) };
    solo.hear(link, offer(TransferId::offer(1), beyond));
    solo.hear(link, request(TransferId::request(1), beyond, 0));
    let said = solo.take_said(link);
    assert_eq!(declined(&said, TransferId::offer(1)), Some(No::Unwanted));
    assert!(said.contains(&Message::Refuse { transfer: TransferId::request(1), why: No::NotHeld }));
    assert!(!expelled(&solo, 1));
}

// H6 H11: one who promises everything would otherwise be believed again every 2.5 s, seven times here, for all that is played.
#[test]
fn whoever_does_not_keep_its_word_is_believed_more_and_more_seldom() {
    let mut solo = pulling();
    let link = solo.neighbour(1);
    let mut believed = 0;
    for number in 1..=80 {
        let transfer = TransferId::offer(number);
        solo.hear(link, offer(transfer, name(20, 0)));
        believed += usize::from(granted(&solo.take_said(link), transfer).is_some());
        solo.wait(Duration::from_millis(250));
    }
    assert!((2..=4).contains(&believed), "{believed} in 20 s");
    assert!(!expelled(&solo, 1), "it may be a slow one");
}

// H6 H11: what one has promised nobody else may give. Whoever promises a whole segment keeps others from giving a little of it, and once it
// has broken its word hardly anything.
#[test]
fn no_neighbour_may_promise_more_than_honest_ones_have_on_their_way() {
    let mut solo = pulling();
    let (link, solo_blocks) = (solo.neighbour(1), solo.blocks(20));
    let promises = |solo: &mut Solo, number: u64| -> usize {
        let granted_to = |block: &u16| {
            let transfer = TransferId::offer(number as u32 * 100 + u32::from(*block));
            solo.hear(link, offer(transfer, name(number, *block)));
            granted(&solo.take_said(link), transfer).is_some()
        };
        (0..solo_blocks).filter(granted_to).count()
    };
    assert!(usize::from(solo_blocks) > MAX_PROMISED, "or there is nothing to see");
    assert_eq!(promises(&mut solo, 20), MAX_PROMISED);
    solo.wait(Duration::from_secs(5));
    solo.describe(21);
    assert_eq!(promises(&mut solo, 21), MAX_PROMISED_AGAIN, "none of them came");
}

// H2 H11: signaling may introduce it again, and so may it itself under the same id.
#[test]
fn whoever_was_cut_off_is_not_linked_with_again() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.hear_bytes(link, &[255]);
    assert!(expelled(&solo, 1));
    solo.connects.clear();
    solo.closed.clear();
    solo.introduce(1, Role::Viewer);
    solo.introduce(2, Role::Viewer);
    solo.wait(Duration::from_secs(5));
    assert_eq!(solo.connects, [crate::lab::peer_id(2)]);
    solo.stranger(1, Role::Viewer);
    assert_eq!(solo.engine.stats().links.len(), 0);
    assert!(solo.is_closed(1));
}
