//! An offer is answered with a block of the receiver's choice.

use rillcast_core::engine::LinkId;
use rillcast_core::media::Bits;
use rillcast_core::time::Duration;
use rillcast_core::wire::message::{No, Playing};
use rillcast_core::wire::{Message, TransferId};

use crate::lab::solo::{declined, granted, name, offer, profile};
use crate::lab::{MAIN, Solo};

fn bits(blocks: &[u16]) -> Bits {
    let mut bits = Bits::default();
    blocks.iter().for_each(|b| bits.insert(*b));
    bits
}

fn offer_of(n: u32, block: u16, holds: &[u16]) -> Message {
    Message::Offer { transfer: TransferId::offer(n), name: name(20, block), blocks: bits(holds) }
}

/// A live viewer in want of segment 20 to which a neighbour has offered block 3, and another neighbour.
fn taking() -> (Solo, LinkId, LinkId) {
    let mut solo = Solo::viewer();
    solo.plays(17, 8, 20, true);
    solo.demand(20);
    let (one, two) = (solo.neighbour(1), solo.neighbour(2));
    solo.describe(20);
    solo.hear(one, offer(TransferId::offer(1), name(20, 3)));
    assert_eq!(granted(&solo.take_said(one), TransferId::offer(1)), Some(name(20, 3)));
    (solo, one, two)
}

#[test]
fn of_a_block_that_is_coming_already_another_is_taken() {
    let (mut solo, _, two) = taking();
    solo.hear(two, offer_of(1, 3, &[3, 5]));
    let said = solo.take_said(two);
    assert_eq!(granted(&said, TransferId::offer(1)), Some(name(20, 5)), "{said:?}");
    let tells = |m: &Message| matches!(m, Message::Grant { blocks, .. } if *blocks == bits(&[3, 5]));
    assert!(said.iter().any(tells), "what comes need not be offered: {said:?}");
    solo.piece(two, TransferId::offer(1), 0, &solo.block(20, 5));
    assert_eq!(solo.engine.stats().stored_bytes, 32 * 1024, "it is what was agreed");
}

#[test]
fn where_the_sender_has_nothing_else_the_offer_is_declined() {
    let (mut solo, one, two) = taking();
    solo.hear(two, offer_of(1, 3, &[3]));
    assert_eq!(declined(&solo.take_said(two), TransferId::offer(1)), Some(No::InFlight));
    solo.piece(one, TransferId::offer(1), 0, &solo.block(20, 3));
    solo.hear(two, offer_of(2, 3, &[3]));
    let said = solo.take_said(two);
    assert_eq!(declined(&said, TransferId::offer(2)), Some(No::Held));
    let tells = |m: &Message| matches!(m, Message::Decline { blocks, .. } if *blocks == bits(&[3]));
    assert!(said.iter().any(tells), "{said:?}");
}

#[test]
fn a_block_of_another_segment_will_do() {
    let (mut solo, _, two) = taking();
    solo.plays(17, 8, 21, true);
    solo.describe(21);
    solo.holds(two, 21, [4]);
    solo.hear(two, offer_of(1, 3, &[3]));
    assert_eq!(granted(&solo.take_said(two), TransferId::offer(1)), Some(name(21, 4)));
}

// R2 R58
#[test]
fn what_is_needed_in_less_than_half_of_the_time_to_the_live_edge_is_taken_before_what_is_offered() {
    for (later_ms, taken) in [(0, 21), (10, 20)] {
        let mut solo = Solo::viewer();
        solo.plays(18, 8, 20, true);
        solo.demand(20);
        let link = solo.neighbour(1);
        solo.describe(20);
        solo.describe(21);
        solo.holds(link, 20, [5]);
        solo.wait(Duration::from_millis(40));
        // Of the 8 s to the live edge half are left until segment 20 is needed, or a little less. The engine thinks again a little later.
        solo.plays(19, 4, 20, true);
        solo.wait(Duration::from_millis(later_ms));
        solo.take_said(link);
        solo.hear(link, offer(TransferId::offer(1), name(21, 3)));
        let block = if taken == 21 { 3 } else { 5 };
        assert_eq!(granted(&solo.take_said(link), TransferId::offer(1)), Some(name(taken, block)));
    }
}

/// A live viewer that holds all of segment 20 and has just offered a block of it.
fn giving() -> (Solo, LinkId, TransferId, u16) {
    let (mut solo, link) = crate::switches::holding(Default::default());
    solo.plays(17, 12, 20, true);
    solo.hear(link, profile([Playing { track: MAIN, next: 19 }]));
    solo.wait(Duration::from_millis(200));
    let said = solo.take_said(link);
    let offered = said.iter().find_map(|m| match m {
        Message::Offer { transfer, name, .. } => Some((*transfer, name.block.0)),
        _ => None,
    });
    let (transfer, block) = offered.unwrap_or_else(|| panic!("an offer: {said:?}"));
    (solo, link, transfer, block)
}

fn grant_of(transfer: TransferId, number: u64, block: u16) -> Message {
    Message::Grant { transfer, name: name(number, block), blocks: Bits::default() }
}

#[test]
fn whoever_answers_with_another_block_gets_that_block() {
    let (mut solo, link, transfer, offered) = giving();
    let other = (offered + 1) % solo.blocks(20);
    solo.hear(link, grant_of(transfer, 20, other));
    solo.wait(Duration::from_millis(100));
    let pieces: Vec<_> = solo.bulk.iter().filter(|(_, h, _)| h.transfer == transfer).collect();
    let given: Vec<u8> = pieces.iter().flat_map(|(.., p)| p.0.to_vec()).collect();
    assert_eq!(given, solo.block(20, other));
    assert_eq!(pieces.len(), given.len().div_ceil(16 * 1024), "in halves");
}

#[test]
fn whoever_answers_with_a_block_that_is_not_here_is_refused() {
    for (number, block) in [(20, 999), (77, 0)] {
        let (mut solo, link, transfer, _) = giving();
        solo.hear(link, grant_of(transfer, number, block));
        solo.wait(Duration::from_millis(100));
        assert!(solo.take_said(link).contains(&Message::Refuse { transfer, why: No::NotHeld }));
        assert!(solo.bulk.is_empty());
    }
}

#[test]
fn an_offer_is_granted_once() {
    let (mut solo, link, transfer, offered) = giving();
    solo.hear(link, grant_of(transfer, 20, offered));
    solo.hear(link, grant_of(transfer, 20, (offered + 1) % solo.blocks(20)));
    assert!(solo.take_said(link).contains(&Message::Refuse { transfer, why: No::Busy }));
}
