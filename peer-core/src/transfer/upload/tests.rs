use rillcast_protocol::id::{BlockIndex, TrackId};

use super::*;

const LEN: u32 = 32 * 1024;

fn name(block: u16) -> BlockName {
    let key = SegmentKey { track: TrackId(1), number: 1, discontinuity: 0, part: 0 };
    BlockName { key, block: BlockIndex(block) }
}

fn promise(link: u32, transfer: TransferId, due_ms: u64) -> Promise {
    let due = Instant::ZERO + Duration::from_millis(due_ms);
    let priority = Priority::NORMAL;
    Promise { link: LinkId(link), transfer, name: name(transfer.0 as u16), len: LEN, due, priority }
}

fn request(n: u32, due_ms: u64) -> Promise {
    promise(1, TransferId::request(n), due_ms)
}

fn next(uploads: &mut Uploads) -> Option<Slice> {
    uploads.next_slice(|_| true, |_, _, _| true, Instant::ZERO)
}

#[test]
fn the_queue_is_bounded_and_what_is_needed_last_is_refused() {
    for (role, most) in [(Role::Viewer, MAX_QUEUE), (Role::Seed, MAX_QUEUE_OF_SEED)] {
        let mut uploads = Uploads::of(role);
        for n in 0..most as u32 {
            assert_eq!(uploads.queue(request(n, 1000 + u64::from(n)), None), None);
        }
        let last = (LinkId(1), TransferId::request(most as u32 - 1));
        assert_eq!(uploads.queue(request(5000, 0), None), Some(last), "one over");
        assert_eq!(uploads.queue(request(5001, 99_999), None), Some((LinkId(1), TransferId::request(5001))));
        assert_eq!(uploads.queued(), most);
    }
}

#[test]
fn a_slow_uplink_promises_no_more_than_it_can_send_in_time() {
    // Three blocks in 1.2 s; one in four seconds, but one may always wait.
    for (rate, promised) in [(LEN * 5 / 2, 3), (LEN / 4, MIN_QUEUE as u32)] {
        let slow = Some(Rate::new(u64::from(rate)));
        let mut uploads = Uploads::default();
        for n in 0..promised {
            assert_eq!(uploads.queue(request(n, 10), slow), None);
        }
        assert!(uploads.queue(request(9, 20), slow).is_some());
        let fast = Some(Rate::new(u64::from(LEN) * 5));
        assert_eq!(uploads.queue(request(9, 20), fast), None);
    }
}

#[test]
fn a_begun_block_is_finished_first_then_what_was_offered_then_the_soonest_needed() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 500), None);
    let begun = next(&mut uploads).expect("queued");
    uploads.queue(promise(2, TransferId::offer(2), 0), None);
    uploads.queue(request(3, 100), None);
    uploads.queue(request(4, 50), None);
    let mut order = vec![begun.transfer];
    while let Some(slice) = next(&mut uploads) {
        order.push(slice.transfer);
        uploads.arrived(slice.link, slice.transfer);
    }
    order.dedup();
    let requested = TransferId::request;
    assert_eq!(order, [requested(1), TransferId::offer(2), requested(4), requested(3)]);
}

#[test]
fn slices_cover_a_block_without_gap_or_overlap() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 0), None);
    let mut at = 0;
    while let Some(slice) = next(&mut uploads) {
        assert_eq!(slice.offset, at);
        assert!(slice.len as usize <= BULK_PAYLOAD);
        at += slice.len;
    }
    assert_eq!((at, uploads.queued()), (LEN, 0));
}

#[test]
fn a_full_link_does_not_hold_up_another() {
    let mut uploads = Uploads::default();
    uploads.queue(promise(1, TransferId::request(1), 0), None);
    uploads.queue(promise(2, TransferId::request(2), 9), None);
    let slice = uploads.next_slice(|link| link == LinkId(2), |_, _, _| true, Instant::ZERO).expect("a slice");
    assert_eq!(slice.link, LinkId(2));
    assert_eq!(uploads.next_slice(|_| true, |_, _, _| false, Instant::ZERO), None, "the window is closed");
}

#[test]
fn a_receiver_that_takes_nothing_is_sent_no_more_than_two_blocks() {
    let mut uploads = Uploads::default();
    for n in 1..4 {
        uploads.queue(request(n, 0), None);
    }
    uploads.queue(promise(2, TransferId::request(9), 100), None);
    let mut sent = [0; 2];
    while let Some(slice) = next(&mut uploads) {
        sent[slice.link.0 as usize - 1] += slice.len;
    }
    assert_eq!(sent, [MAX_OUT, LEN], "others get theirs");
    uploads.arrived(LinkId(1), TransferId::request(1));
    assert!(next(&mut uploads).is_some());
}

#[test]
fn what_must_have_left_our_uplink_is_settled_once_and_its_receiver_lags() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 0), None);
    while next(&mut uploads).is_some() {}
    let rate = Some(Rate::new(u64::from(LEN)));
    let limit = Instant::ZERO + LEFT + Duration::from_millis(1125);
    let later = limit + Duration::from_micros(1);
    assert_eq!(uploads.settle(rate, |_| true, limit), 0, "at the limit");
    assert_eq!(uploads.settle(None, |_| true, later), 0, "an unknown uplink tells nothing");
    assert_eq!(uploads.settle(rate, |_| false, later), 0, "it waits at our own end");
    assert!(!uploads.is_lagging(LinkId(1)));
    assert_eq!(uploads.settle(rate, |_| true, later), u64::from(LEN));
    assert_eq!(uploads.settle(rate, |_| true, later), 0);
    assert!(uploads.is_lagging(LinkId(1)) && !uploads.is_lagging(LinkId(2)));
    assert_eq!(uploads.arrived(LinkId(1), TransferId::request(1)).map(|(_, b)| b), Some(0));
    assert!(!uploads.is_lagging(LinkId(1)));
}

#[test]
fn what_is_granted_and_what_is_likely_to_be_is_committed_and_requests_are_not() {
    let mut uploads = Uploads::default();
    let transfer = uploads.offer(LinkId(1), name(1), 1000, Instant::ZERO);
    uploads.offer(LinkId(1), name(2), 200, Instant::ZERO);
    uploads.queue(request(3, 0), None);
    assert_eq!(uploads.committed(), 1200);
    uploads.take_offer(LinkId(1), transfer);
    uploads.queue(promise(2, transfer, 0), None);
    assert_eq!(uploads.committed(), 200 + u64::from(LEN));
}

// Bytes that are never reported must leave the window again, whatever becomes of them.
#[test]
fn bytes_sent_in_vain_are_told_back_once() {
    let sent = || {
        let mut uploads = Uploads::default();
        uploads.queue(request(1, 0), None);
        let bytes = next(&mut uploads).expect("a slice").len;
        (uploads, bytes)
    };
    let (link, transfer) = (LinkId(1), TransferId::request(1));
    let (mut dropped, bytes) = sent();
    assert_eq!(dropped.drop_link(link), u64::from(bytes));
    assert_eq!(dropped.drop_link(link), 0);
    let over = Instant::ZERO + UNREPORTED + Duration::from_micros(1);
    let (silent, bytes) = sent();
    let (mut cancelled, _) = sent();
    cancelled.cancel(link, transfer, Instant::ZERO);
    for mut uploads in [silent, cancelled] {
        assert_eq!(uploads.reap(Instant::ZERO + UNREPORTED).1, 0, "at the limit");
        assert_eq!(uploads.reap(over).1, u64::from(bytes));
        assert_eq!(uploads.reap(over).1, 0);
    }
    let (mut arrived, bytes) = sent();
    assert_eq!(arrived.arrived(link, transfer).map(|(_, b)| b), Some(bytes));
    assert_eq!(arrived.arrived(link, transfer), None);
}

// R11: what has gone out stands in the modem's queue, whether anybody wants it or not. Taken for gone at once, it would be followed by more,
// and a slow uplink would never deliver anything in time.
#[test]
fn what_is_cancelled_is_still_on_its_way() {
    let at = |ms| Instant::ZERO + Duration::from_millis(ms);
    for (uplink, leaves) in [(Some(Rate::new(160_000)), 115 + 60), (None, 460 + 60)] {
        let mut uploads = Uploads::default();
        uploads.queue(request(1, 0), None);
        let bytes = next(&mut uploads).expect("a slice").len;
        let link = LinkId(1);
        let told = uploads.cancel(link, TransferId::request(1), at(100));
        assert_eq!(told, Some((u64::from(bytes), Duration::from_millis(100))), "all that is on its way");
        assert_eq!(uploads.cancel(link, TransferId::request(1), at(100)), None);
        assert_eq!(uploads.queued(), 0);
        assert_eq!(uploads.settle(uplink, |_| true, at(leaves)), 0, "it takes its time");
        assert_eq!(uploads.settle(uplink, |_| true, at(leaves + 2)), u64::from(bytes));
        assert_eq!(uploads.settle(uplink, |_| true, at(leaves + 2)), 0);
    }
}

// H6
#[test]
fn who_asks_and_cancels_without_end_fills_no_memory_and_no_byte_is_forgotten() {
    let mut uploads = Uploads::default();
    let mut bytes = 0;
    for n in 1..=MAX_LEAVING as u32 + 2 {
        uploads.queue(request(n, 0), None);
        bytes += u64::from(next(&mut uploads).expect("a slice").len);
        uploads.cancel(LinkId(1), TransferId::request(n), Instant::ZERO);
        assert_eq!(uploads.leaving.len(), MAX_LEAVING.min(n as usize));
    }
    assert_eq!(uploads.settle(None, |_| true, Instant::ZERO + Duration::from_secs(3600)), bytes);
    assert!(uploads.leaving.is_empty());
}

#[test]
fn an_offer_that_nobody_answers_ends() {
    let mut uploads = Uploads::default();
    let transfer = uploads.offer(LinkId(1), name(3), LEN, Instant::ZERO);
    assert_eq!(uploads.pending_of(&name(3).key).collect::<Vec<_>>(), [(LinkId(1), 3)]);
    assert!(uploads.reap(Instant::ZERO + OFFER).0.is_empty(), "at the limit");
    let (stale, _) = uploads.reap(Instant::ZERO + OFFER + Duration::from_micros(1));
    assert_eq!(stale, [(LinkId(1), name(3))]);
    assert_eq!(uploads.take_offer(LinkId(1), transfer), None);
}

#[test]
fn at_the_ratio_the_begun_block_is_finished_and_without_consent_it_is_not() {
    let two = || {
        let mut uploads = Uploads::default();
        uploads.queue(request(1, 0), None);
        next(&mut uploads);
        uploads.queue(request(2, 0), None);
        uploads.offer(LinkId(1), name(7), LEN, Instant::ZERO);
        uploads
    };
    let mut limited = two();
    assert_eq!(limited.give_up_waiting(), [(LinkId(1), TransferId::request(2))]);
    assert_eq!((limited.queued(), limited.offered()), (1, 0));
    let mut stopped = two();
    assert_eq!(stopped.give_up().len(), 2);
    assert_eq!((stopped.queued(), stopped.offered()), (0, 0));
}

#[test]
fn what_waits_at_a_slow_receiver_stops_counting_but_the_receiver_gets_no_more() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 0), None);
    while next(&mut uploads).is_some() {}
    let rate = Some(Rate::new(1_000_000));
    let at = |ms| Instant::ZERO + Duration::from_millis(ms);
    // 32 KiB and an eighth more take 37 ms at this rate.
    assert_eq!(uploads.settle(rate, |_| true, at(96)), 0, "it may still be leaving");
    assert_eq!(uploads.settle(rate, |_| false, at(300)), 0, "it is in our own buffer");
    assert!(!uploads.is_lagging(LinkId(1)));
    assert_eq!(uploads.settle(rate, |_| true, at(300)), u64::from(LEN));
    assert!(uploads.is_lagging(LinkId(1)) && !uploads.is_lagging(LinkId(2)));
    assert_eq!(uploads.settle(rate, |_| true, at(400)), 0, "counted once");
    assert_eq!(uploads.arrived(LinkId(1), TransferId::request(1)).map(|(_, bytes)| bytes), Some(0));
    assert!(!uploads.is_lagging(LinkId(1)));
}

#[test]
fn offers_and_grants_are_committed_and_requests_are_not() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 0), None);
    assert_eq!(uploads.committed(), 0);
    let transfer = uploads.offer(LinkId(2), name(5), 10_000, Instant::ZERO);
    assert_eq!(uploads.committed(), 10_000);
    uploads.take_offer(LinkId(2), transfer);
    uploads.queue(promise(2, transfer, 0), None);
    assert_eq!(uploads.committed(), u64::from(LEN));
}

/// Sends so many blocks, each to its end and at once reported; told back: to how many receivers' numbers.
fn send(uploads: &mut Uploads, n: usize) -> Vec<LinkId> {
    let mut order = Vec::new();
    while order.len() < n {
        let slice = next(uploads).expect("queued");
        if slice.offset + slice.len == LEN {
            uploads.arrived(slice.link, slice.transfer);
            order.push(slice.link);
        }
    }
    order
}

/// A queue in which each receiver has so many blocks waiting, of this priority: receiver 1 the first, and so on.
fn waiting(receivers: &[(u32, Priority)]) -> Uploads {
    let mut uploads = Uploads::default();
    for (at, (blocks, priority)) in receivers.iter().enumerate() {
        for n in 0..*blocks {
            let transfer = TransferId::request(100 * at as u32 + n);
            let promise = promise(1 + at as u32, transfer, 500 + u64::from(n));
            assert_eq!(uploads.queue(Promise { priority: *priority, ..promise }, None), None);
        }
    }
    uploads
}

fn count(order: &[LinkId], link: u32) -> usize {
    order.iter().filter(|l| **l == LinkId(link)).count()
}

fn weight(weight: u8) -> Priority {
    use rillcast_protocol::coding::Wire;
    Priority::from_bytes(&[weight]).expect("a priority")
}

// R12
#[test]
fn an_urgent_receiver_gets_as_many_times_a_normal_ones_share_as_its_priority_says() {
    for times in [2, 3, 4] {
        let mut uploads = waiting(&[(20, Priority::NORMAL), (40, weight(times))]);
        let order = send(&mut uploads, 5 * (usize::from(times) + 1));
        assert!(count(&order, 1).abs_diff(5) <= 1, "{times}: {order:?}");
    }
}

// R12: whatever it says of itself, and however much it asks for.
#[test]
fn one_urgent_receiver_among_many_gets_no_more_than_four_times_what_each_of_them_gets() {
    let normal = (6, Priority::NORMAL);
    let mut uploads = waiting(&[normal, normal, normal, normal, (40, Priority::URGENT)]);
    let order = send(&mut uploads, 32);
    assert!((15..=17).contains(&count(&order, 5)), "{order:?}");
}

// R14
#[test]
fn what_yields_goes_when_nothing_else_can_and_is_interrupted() {
    let mut uploads = waiting(&[(3, Priority::BACKGROUND), (3, Priority::NORMAL), (3, Priority::URGENT)]);
    assert!(uploads.has_background());
    assert_eq!(count(&send(&mut uploads, 6), 1), 0);
    let begun = next(&mut uploads).expect("queued");
    assert_eq!((begun.link, begun.offset, begun.len), (LinkId(1), 0, SMALL));
    uploads.queue(promise(2, TransferId::request(900), 9000), None);
    uploads
        .queue(Promise { priority: Priority::BACKGROUND, ..promise(3, TransferId::request(901), 0) }, None);
    assert_eq!(send(&mut uploads, 5), [2, 1, 3, 1, 1].map(LinkId), "the rest of it afterwards");
    assert!(!uploads.has_background());
}

// R12
#[test]
fn a_change_of_priority_counts_from_the_next_piece_on() {
    let mut uploads = waiting(&[(4, Priority::BACKGROUND), (4, Priority::NORMAL)]);
    assert_eq!(send(&mut uploads, 1), [LinkId(2)]);
    for n in 0..4 {
        uploads.set_priority(LinkId(1), TransferId::request(n), Priority::NORMAL);
        uploads.set_priority(LinkId(2), TransferId::request(100 + n), Priority::BACKGROUND);
    }
    assert_eq!(send(&mut uploads, 5), [1, 1, 1, 1, 2].map(LinkId));
    for (link, n) in [(1, 103), (2, 3), (9, 103)] {
        uploads.set_priority(LinkId(link), TransferId::request(n), Priority::URGENT);
    }
    assert!(uploads.queue.iter().all(|u| u.priority.yields()), "nobody else's, and none that is over");
}

#[test]
fn no_more_than_a_turn_gathers_for_those_that_can_not_go() {
    let only = |link: u32, n: usize| {
        let mut uploads = waiting(&[(30, Priority::NORMAL), (30, Priority::URGENT)]);
        for _ in 0..2 * n {
            let slice =
                uploads.next_slice(|l| l == LinkId(link), |_, _, _| true, Instant::ZERO).expect("room");
            uploads.arrived(slice.link, slice.transfer);
        }
        uploads
    };
    let turn = MAX_CREDIT as usize / LEN as usize;
    for n in [1, turn / 4, turn, 20] {
        let order = send(&mut only(1, n), 20);
        let first = order.iter().take_while(|l| **l == LinkId(2)).count();
        assert_eq!(first, (4 * n).min(turn) + 1, "after {n} normal ones: {order:?}");
        let order = send(&mut only(2, n), 10);
        let first = order.iter().take_while(|l| **l == LinkId(1)).count();
        assert!((1..=turn.div_ceil(4)).contains(&first), "after {n} urgent ones: {order:?}");
    }
}
