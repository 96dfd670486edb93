//! Blocks that we offer, have promised or are sending to peers.
//!
//! Serially: one block to one receiver at full rate, then the next. What was asked for goes first, the soonest needed before the
//! rest, then what we offered.

use crate::map::Map;

use crate::engine::io::{BULK_PAYLOAD, LinkId};
use crate::time::{Duration, Instant, Rate};
use crate::wire::TransferId;
use crate::wire::message::BlockName;

/// Blocks waiting to be sent; one more is refused as busy. A slow uplink refuses sooner: see [`Uploads::queue`].
pub const MAX_QUEUE: usize = 64;
/// Blocks that may always wait, however slow the uplink.
pub const MIN_QUEUE: usize = 4;
/// What waits is to be sent within this time, or its receiver is better off asking elsewhere.
const QUEUE_TIME: Duration = Duration::from_millis(1200);
/// An offer that isn't answered counts as declined after this time.
pub const OFFER: Duration = Duration::from_millis(1200);
/// Sent bytes that aren't reported as arrived count as lost after this time.
const UNREPORTED: Duration = Duration::from_millis(6000);

/// A block that a receiver is to get.
#[derive(Clone, Copy, Debug)]
pub struct Promise {
    /// To whom.
    pub link: LinkId,
    /// Its number.
    pub transfer: TransferId,
    /// The block.
    pub name: BlockName,
    /// Its bytes.
    pub len: u32,
    /// When its player needs it; `NEVER` for what we offered.
    pub due: Instant,
}

#[derive(Clone, Debug)]
struct Upload {
    link: LinkId,
    transfer: TransferId,
    name: BlockName,
    due: Instant,
    len: u32,
    sent: u32,
}

/// A piece to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// To whom.
    pub link: LinkId,
    /// Which transfer.
    pub transfer: TransferId,
    /// Of which block.
    pub name: BlockName,
    /// From here.
    pub offset: u32,
    /// So many bytes.
    pub len: u32,
}

/// All uploads.
#[derive(Clone, Debug, Default)]
pub struct Uploads {
    queue: Vec<Upload>,
    offers: Map<(LinkId, TransferId), (BlockName, Instant)>,
    unreported: Map<(LinkId, TransferId), (BlockName, u32, Instant)>,
    next: u32,
}

impl Uploads {
    /// Blocks not yet wholly sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Offers not yet answered.
    pub fn offered(&self) -> usize {
        self.offers.len()
    }

    /// Blocks offered or promised to a receiver.
    pub fn pending_for(&self, link: LinkId) -> usize {
        self.offers.keys().filter(|(l, _)| *l == link).count()
            + self.queue.iter().filter(|u| u.link == link).count()
    }

    /// Whether a block is offered, promised or on its way to a receiver.
    pub fn is_pending(&self, link: LinkId, name: &BlockName) -> bool {
        self.offers.iter().any(|((l, _), (n, _))| *l == link && n == name)
            || self.unreported.iter().any(|((l, _), (n, _, _))| *l == link && n == name)
            || self.queue.iter().any(|u| u.link == link && u.name == *name)
    }

    /// Receivers to whom a block is offered, promised or on its way.
    pub fn receivers(&self, name: &BlockName) -> usize {
        self.offers.values().filter(|(n, _)| n == name).count()
            + self.unreported.values().filter(|(n, _, _)| n == name).count()
            + self.queue.iter().filter(|u| u.name == *name && u.sent == 0).count()
    }

    /// Makes an offer; told back: its number.
    pub fn offer(&mut self, link: LinkId, name: BlockName, now: Instant) -> TransferId {
        self.next = self.next.wrapping_add(1);
        let transfer = TransferId::offer(self.next);
        self.offers.insert((link, transfer), (name, now));
        transfer
    }

    /// An offer is declined, withdrawn or granted; told back: what it was.
    pub fn take_offer(&mut self, link: LinkId, transfer: TransferId) -> Option<BlockName> {
        self.offers.remove(&(link, transfer)).map(|(name, _)| name)
    }

    /// Queues a block, the soonest needed first. Where more waits than the uplink, as last measured, sends in a little over a second,
    /// what is needed last is refused: told back.
    pub fn queue(&mut self, promise: Promise, uplink: Option<Rate>) -> Option<(LinkId, TransferId)> {
        let Promise { link, transfer, name, len, due } = promise;
        let upload = Upload { link, transfer, name, due, len, sent: 0 };
        // A block that has begun is finished first, whatever comes: half a block is of no use to anybody.
        let at = self.queue.iter().position(|u| u.sent == 0 && u.due > due).unwrap_or(self.queue.len());
        self.queue.insert(at, upload);
        let waiting: u64 = self.queue.iter().map(|u| u64::from(u.len - u.sent)).sum();
        let slow = uplink.is_some_and(|rate| rate.time_for(waiting) > QUEUE_TIME);
        if self.queue.len() <= if slow { MIN_QUEUE } else { MAX_QUEUE } {
            return None;
        }
        // Offers are few and granted already; a request can go elsewhere.
        let last = self.queue.iter().rposition(|u| u.sent == 0 && u.transfer.is_requested())?;
        let refused = self.queue.remove(last);
        Some((refused.link, refused.transfer))
    }

    /// The next piece for one of the links that have room. `admits` says whether so many bytes may go now.
    pub fn next_slice(
        &mut self,
        has_room: impl Fn(LinkId) -> bool,
        mut admits: impl FnMut(u64) -> bool,
        now: Instant,
    ) -> Option<Slice> {
        let at = self.queue.iter().position(|u| has_room(u.link))?;
        let upload = &mut self.queue[at];
        let len = (upload.len - upload.sent).min(BULK_PAYLOAD as u32);
        if !admits(u64::from(len)) {
            return None;
        }
        let slice = Slice {
            link: upload.link,
            transfer: upload.transfer,
            name: upload.name,
            offset: upload.sent,
            len,
        };
        upload.sent += len;
        let entry = self.unreported.or_insert_with((upload.link, upload.transfer), || (upload.name, 0, now));
        entry.1 += len;
        entry.2 = now;
        if upload.sent >= upload.len {
            self.queue.remove(at);
        }
        Some(slice)
    }

    /// A block has arrived; told back: how many bytes that settles.
    pub fn arrived(&mut self, link: LinkId, transfer: TransferId) -> Option<(BlockName, u32)> {
        self.unreported.remove(&(link, transfer)).map(|(name, bytes, _)| (name, bytes))
    }

    /// The receiver wants no more of it; told back: bytes sent in vain.
    pub fn cancel(&mut self, link: LinkId, transfer: TransferId) -> u32 {
        self.offers.remove(&(link, transfer));
        self.queue.retain(|u| !(u.link == link && u.transfer == transfer));
        self.unreported.remove(&(link, transfer)).map_or(0, |(_, bytes, _)| bytes)
    }

    /// A link is gone; told back: bytes sent to it that nobody will report.
    pub fn drop_link(&mut self, link: LinkId) -> u64 {
        self.queue.retain(|u| u.link != link);
        self.offers.retain(|(l, _), _| *l != link);
        let lost =
            self.unreported.iter().filter(|((l, _), _)| *l == link).map(|(_, (_, b, _))| u64::from(*b)).sum();
        self.unreported.retain(|(l, _), _| *l != link);
        lost
    }

    /// Gives up what hasn't begun: a limit is reached. Told back: receivers to refuse.
    pub fn give_up_waiting(&mut self) -> Vec<(LinkId, TransferId)> {
        self.offers.clear();
        let refused = self.queue.iter().filter(|u| u.sent == 0).map(|u| (u.link, u.transfer)).collect();
        self.queue.retain(|u| u.sent > 0);
        refused
    }

    /// Gives everything up: nothing may go out any more. Told back: receivers to refuse.
    pub fn give_up(&mut self) -> Vec<(LinkId, TransferId)> {
        self.offers.clear();
        self.queue.drain(..).map(|u| (u.link, u.transfer)).collect()
    }

    /// Forgets offers nobody answered and bytes nobody reported; told back: stale offers, and bytes lost.
    pub fn reap(&mut self, now: Instant) -> (Vec<(LinkId, BlockName)>, u64) {
        let stale = |at: &Instant, limit| now.since(*at) > limit;
        let offers = self
            .offers
            .iter()
            .filter(|(_, (_, at))| stale(at, OFFER))
            .map(|((l, _), (n, _))| (*l, *n))
            .collect();
        self.offers.retain(|_, (_, at)| !stale(at, OFFER));
        let lost = self
            .unreported
            .values()
            .filter(|(_, _, at)| stale(at, UNREPORTED))
            .map(|(_, bytes, _)| u64::from(*bytes))
            .sum();
        self.unreported.retain(|_, (_, _, at)| !stale(at, UNREPORTED));
        (offers, lost)
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::{BlockIndex, SegmentKey, TrackId};

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
        uploads.next_slice(|_| true, |_| true, Instant::ZERO)
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
        // Three blocks in 1.2 s; but four may always wait.
        let slow = Some(Rate::new(u64::from(LEN) * 5 / 2));
        let mut uploads = Uploads::default();
        for n in 0..MIN_QUEUE as u32 {
            assert_eq!(uploads.queue(request(n, 10), slow), None);
        }
        assert!(uploads.queue(request(9, 20), slow).is_some());
        let fast = Some(Rate::new(u64::from(LEN) * 5));
        assert_eq!(uploads.queue(request(9, 20), fast), None);
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
        let slice = uploads.next_slice(|link| link == LinkId(2), |_| true, Instant::ZERO).expect("a slice");
        assert_eq!(slice.link, LinkId(2));
        assert_eq!(uploads.next_slice(|_| true, |_| false, Instant::ZERO), None, "the window is closed");
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
        let (mut cancelled, bytes) = sent();
        assert_eq!(cancelled.cancel(link, transfer), bytes);
        assert_eq!((cancelled.cancel(link, transfer), cancelled.queued()), (0, 0));
        let (mut dropped, bytes) = sent();
        assert_eq!(dropped.drop_link(link), u64::from(bytes));
        assert_eq!(dropped.drop_link(link), 0);
        let (mut silent, bytes) = sent();
        assert_eq!(silent.reap(Instant::ZERO + UNREPORTED).1, 0, "at the limit");
        let over = Instant::ZERO + UNREPORTED + Duration::from_micros(1);
        assert_eq!(silent.reap(over).1, u64::from(bytes));
        assert_eq!(silent.reap(over).1, 0);
        let (mut arrived, bytes) = sent();
        assert_eq!(arrived.arrived(link, transfer).map(|(_, b)| b), Some(bytes));
        assert_eq!(arrived.arrived(link, transfer), None);
    }

    #[test]
    fn an_offer_that_nobody_answers_ends() {
        let mut uploads = Uploads::default();
        let transfer = uploads.offer(LinkId(1), name(3), Instant::ZERO);
        assert!(uploads.is_pending(LinkId(1), &name(3)));
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
            uploads.offer(LinkId(1), name(7), Instant::ZERO);
            uploads
        };
        let mut limited = two();
        assert_eq!(limited.give_up_waiting(), [(LinkId(1), TransferId::request(2))]);
        assert_eq!((limited.queued(), limited.offered()), (1, 0));
        let mut stopped = two();
        assert_eq!(stopped.give_up().len(), 2);
        assert_eq!((stopped.queued(), stopped.offered()), (0, 0));
    }
}
