use rillcast_protocol::id::{BlockIndex, TrackId};

use super::*;

const LEN: u32 = 32 * 1024;

fn name(block: u16) -> BlockName {
    let key = SegmentKey { track: TrackId(1), number: 1, discontinuity: 0, part: 0 };
    BlockName { key, block: BlockIndex(block) }
}

fn promise(link: u32, transfer: TransferId, due_ms: u64) -> Promise {
    let due = Instant::ZERO + Duration::from_millis(due_ms);
    Promise { link: LinkId(link), transfer, name: name(transfer.0 as u16), len: LEN, due }
}

fn request(n: u32, due_ms: u64) -> Promise {
    promise(1, TransferId::request(n), due_ms)
}

fn next(uploads: &mut Uploads) -> Option<Slice> {
    uploads.next_slice(|_| true, |_, _| true, Instant::ZERO)
}

#[test]
fn the_queue_is_bounded_and_what_is_needed_last_is_refused() {
    let mut uploads = Uploads::default();
    for n in 0..MAX_QUEUE as u32 {
        assert_eq!(uploads.queue(request(n, 1000 + u64::from(n)), None), None);
    }
    let last = (LinkId(1), TransferId::request(MAX_QUEUE as u32 - 1));
    assert_eq!(uploads.queue(request(500, 0), None), Some(last), "one over");
    assert_eq!(uploads.queue(request(501, 99_999), None), Some((LinkId(1), TransferId::request(501))));
    assert_eq!(uploads.queued(), MAX_QUEUE);
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
fn a_begun_block_is_finished_first_then_the_soonest_needed_then_what_was_offered() {
    let mut uploads = Uploads::default();
    uploads.queue(request(1, 500), None);
    let begun = next(&mut uploads).expect("queued");
    uploads.queue(Promise { due: Instant::NEVER, ..promise(2, TransferId::offer(2), 0) }, None);
    uploads.queue(request(3, 100), None);
    uploads.queue(request(4, 50), None);
    let mut order = vec![begun.transfer];
    while let Some(slice) = next(&mut uploads) {
        order.push(slice.transfer);
        uploads.arrived(slice.link, slice.transfer);
    }
    order.dedup();
    let requested = TransferId::request;
    assert_eq!(order, [requested(1), requested(4), requested(3), TransferId::offer(2)]);
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
    let slice = uploads.next_slice(|link| link == LinkId(2), |_, _| true, Instant::ZERO).expect("a slice");
    assert_eq!(slice.link, LinkId(2));
    assert_eq!(uploads.next_slice(|_| true, |_, _| false, Instant::ZERO), None, "the window is closed");
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
