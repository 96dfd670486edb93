//! Contribution receipts (R60).

use rillcast_core::engine::{Event, LinkId};
use rillcast_core::protocol::id::SwarmId;
use rillcast_core::protocol::receipt::Receipt;
use rillcast_core::time::Duration;
use rillcast_core::trust::ledger::{SHOW_EVERY, WORTHWHILE};
use rillcast_core::wire::Message;

use crate::lab::media::{SIGNATURE, SWARM};
use crate::lab::{Net, Setup, Solo, peer_id};

/// What neighbour 1 says that it has had from us, who are 0.
fn receipt(bytes: u64) -> Receipt {
    Receipt { swarm: SWARM, giver: peer_id(0), receiver: peer_id(1), bytes }
}

fn thanked(solo: &mut Solo, link: LinkId, receipt: Receipt, signature: [u8; 64]) {
    solo.hear(link, Message::Receipt { receipt, signature });
}

/// Bytes of the vouchers that the server is shown within one period.
fn shown(solo: &mut Solo) -> Vec<u64> {
    solo.vouchers.clear();
    let end = solo.now + SHOW_EVERY + Duration::from_secs(2);
    while solo.now < end {
        solo.wait(Duration::from_secs(5));
    }
    solo.vouchers.iter().map(|voucher| voucher.receipt.bytes).collect()
}

// R60: whoever gives gets its receivers' word for it, and no more than it has given.
#[test]
fn in_a_swarm_receivers_thank_those_who_gave() {
    let mut net = Net::new(Setup { viewers: 5, length: Duration::from_secs(240), ..Setup::default() });
    net.run();
    assert!(!net.vouchers.is_empty());
    let mut newest = std::collections::BTreeMap::new();
    for (giver, voucher) in &net.vouchers {
        let receipt = voucher.receipt;
        assert!(voucher.is_sound() && receipt.giver == peer_id(*giver) && receipt.bytes >= WORTHWHILE);
        let before = newest.insert((*giver, receipt.receiver), receipt.bytes);
        assert!(before.is_none_or(|before| receipt.bytes > before), "totals grow");
    }
    for n in 0..5 {
        let vouched: u64 = newest.iter().filter(|((giver, _), _)| *giver == n).map(|(_, bytes)| bytes).sum();
        assert!(vouched <= net.engine(n).stats().uploaded_bytes, "node {n} is thanked for {vouched}");
    }
    let total: u64 = newest.values().sum();
    assert!(2 * total > net.bytes_from_peers(), "{total} of {}", net.bytes_from_peers());
    assert!(net.accusations.is_empty());
}

#[test]
fn a_receipt_is_kept_if_it_is_for_us_by_whom_it_names_and_larger_than_the_last() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    thanked(&mut solo, link, receipt(1000), SIGNATURE);
    assert_eq!(shown(&mut solo), [1000]);
    for useless in [
        receipt(1000),
        receipt(999),
        Receipt { giver: peer_id(2), ..receipt(2000) },
        Receipt { receiver: peer_id(2), ..receipt(2000) },
        Receipt { receiver: peer_id(0), ..receipt(2000) },
        Receipt { swarm: SwarmId([1; 16]), ..receipt(2000) },
    ] {
        thanked(&mut solo, link, useless, SIGNATURE);
        assert_eq!(shown(&mut solo), [0; 0], "{useless:?}");
    }
    assert!(!solo.is_closed(1), "none of it is a lie");
    thanked(&mut solo, link, receipt(1001), SIGNATURE);
    assert_eq!(shown(&mut solo), [1001]);
}

#[test]
fn a_receipt_with_a_false_signature_costs_the_link() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    thanked(&mut solo, link, receipt(1000), [2; 64]);
    assert!(solo.is_closed(1) && shown(&mut solo).is_empty());
    assert!(matches!(solo.events[..], [Event::Liar { peer, .. }] if peer == peer_id(1)));
}

// H8: verifying costs more than sending.
#[test]
fn one_receipt_of_a_neighbour_is_verified_at_a_time() {
    let mut solo = Solo::viewer();
    let link = solo.neighbour(1);
    solo.verifies = false;
    for bytes in 1..50 {
        thanked(&mut solo, link, receipt(bytes), SIGNATURE);
    }
    assert_eq!(solo.checks.len(), 1);
}
