//! Blocks that we offer, have promised or are sending to peers.
//!
//! Serially: one block to one receiver at full rate, then the next. What was asked for goes first, the soonest needed before the
//! rest, then what we offered.

use crate::map::Map;

use rillcast_protocol::id::SegmentKey;

use crate::engine::io::{BULK_PAYLOAD, LinkId};
use crate::time::{Duration, Instant, Rate};
use crate::wire::TransferId;
use crate::wire::message::BlockName;

/// Blocks waiting to be sent; one more is refused as busy. A slow uplink refuses sooner: see [`Uploads::queue`].
pub const MAX_QUEUE: usize = 64;
/// Blocks that may always wait, however slow the uplink.
pub const MIN_QUEUE: usize = 1;
/// What waits is to be sent within this time, or its receiver is better off asking elsewhere.
const QUEUE_TIME: Duration = Duration::from_millis(1200);
/// An offer that isn't answered counts as declined after this time.
pub const OFFER: Duration = Duration::from_millis(1200);
/// Bytes on their way to one receiver: one that takes them slowly keeps nobody else waiting.
const MAX_OUT: u32 = 64 * 1024;
/// Sent bytes that aren't reported as arrived count as lost after this time.
const UNREPORTED: Duration = Duration::from_millis(6000);
/// So much later than our uplink needs, they have left it at least, and wait at the receiver's end.
const LEFT: Duration = Duration::from_millis(200);

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
    offers: Map<(LinkId, TransferId), (BlockName, Instant, u32)>,
    unreported: Map<(LinkId, TransferId), (BlockName, u32, Instant)>,
    next: u32,
}

impl Uploads {
    /// Blocks not yet wholly sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is offered or waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.offers.is_empty()
    }

    /// Bytes that the uplink is going to send of what we offered: what is granted, and of open offers as much as is to be expected.
    /// Requests don't count: they give way.
    pub fn committed(&self) -> u64 {
        let granted = self.queue.iter().filter(|u| !u.transfer.is_requested() && !self.is_lagging(u.link));
        let waiting: u64 = granted.map(|u| u64::from(u.len - u.sent)).sum();
        waiting + self.offers.values().map(|(_, _, expected)| u64::from(*expected)).sum::<u64>()
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

    /// Receivers and blocks of a segment that are offered, promised or on their way.
    pub fn pending_of<'a>(&'a self, key: &'a SegmentKey) -> impl Iterator<Item = (LinkId, u16)> + 'a {
        let offered = self.offers.iter().map(|((l, _), (n, ..))| (*l, n));
        let sent = self.unreported.iter().map(|((l, _), (n, _, _))| (*l, n));
        let queued = self.queue.iter().filter(|u| u.sent == 0).map(|u| (u.link, &u.name));
        offered.chain(sent).chain(queued).filter(|(_, n)| n.key == *key).map(|(l, n)| (l, n.block.0))
    }

    /// Makes an offer of which so many bytes are likely to be sent; told back: its number.
    pub fn offer(&mut self, link: LinkId, name: BlockName, expected: u32, now: Instant) -> TransferId {
        self.next = self.next.wrapping_add(1);
        let transfer = TransferId::offer(self.next);
        self.offers.insert((link, transfer), (name, now, expected));
        transfer
    }

    /// An offer is declined, withdrawn or granted; told back: what it was.
    pub fn take_offer(&mut self, link: LinkId, transfer: TransferId) -> Option<BlockName> {
        self.offers.remove(&(link, transfer)).map(|(name, ..)| name)
    }

    /// Queues a block, the soonest needed first. Where more waits than the uplink, as last measured, sends in a little over a second,
    /// what is needed last is refused: told back.
    pub fn queue(&mut self, promise: Promise, uplink: Option<Rate>) -> Option<(LinkId, TransferId)> {
        let Promise { link, transfer, name, len, due } = promise;
        let upload = Upload { link, transfer, name, due, len, sent: 0 };
        self.insert(upload);
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
        mut admits: impl FnMut(u64, bool) -> bool,
        now: Instant,
    ) -> Option<Slice> {
        let unreported = &self.unreported;
        let out = |link: LinkId| -> u32 {
            unreported.iter().filter(|((l, _), _)| *l == link).map(|(_, (_, bytes, _))| *bytes).sum()
        };
        let at = self.queue.iter().position(|u| has_room(u.link) && out(u.link) < MAX_OUT)?;
        let upload = &mut self.queue[at];
        let len = (upload.len - upload.sent).min(BULK_PAYLOAD as u32);
        if !admits(u64::from(len), upload.sent > 0) {
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

    /// A block is needed earlier or later than was said.
    pub fn reprioritise(&mut self, link: LinkId, transfer: TransferId, due: Instant) {
        let waiting = |u: &Upload| u.link == link && u.transfer == transfer && u.sent == 0;
        if let Some(at) = self.queue.iter().position(waiting) {
            let upload = Upload { due, ..self.queue.remove(at) };
            self.insert(upload);
        }
    }

    /// A block that has begun is finished first, whatever comes: half a block is of no use to anybody.
    fn insert(&mut self, upload: Upload) {
        let due = upload.due;
        let at = self.queue.iter().position(|u| u.sent == 0 && u.due > due).unwrap_or(self.queue.len());
        self.queue.insert(at, upload);
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

    /// Whether a receiver is slow to take what has left our uplink long ago.
    pub fn is_lagging(&self, link: LinkId) -> bool {
        self.unreported.iter().any(|((l, _), (_, bytes, _))| *l == link && *bytes == 0)
    }

    /// Bytes that no longer burden our own uplink, though their arrival hasn't been reported: counted once.
    pub fn settle(&mut self, uplink: Option<Rate>, has_left: impl Fn(LinkId) -> bool, now: Instant) -> u64 {
        let Some(uplink) = uplink else { return 0 };
        let out: u64 = self.unreported.values().map(|(_, bytes, _)| u64::from(*bytes)).sum();
        let limit = LEFT + uplink.time_for(out + out / 2);
        let mut left = 0;
        for ((link, _), (_, bytes, at)) in self.unreported.iter_mut() {
            if now.since(*at) > limit && has_left(*link) {
                left += u64::from(core::mem::take(bytes));
            }
        }
        left
    }

    /// Forgets offers nobody answered and bytes nobody reported; told back: stale offers, and bytes lost.
    pub fn reap(&mut self, now: Instant) -> (Vec<(LinkId, BlockName)>, u64) {
        let stale = |at: &Instant, limit| now.since(*at) > limit;
        let offers = self
            .offers
            .iter()
            .filter(|(_, (_, at, _))| stale(at, OFFER))
            .map(|((l, _), (n, ..))| (*l, *n))
            .collect();
        self.offers.retain(|_, (_, at, _)| !stale(at, OFFER));
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
        let slice =
            uploads.next_slice(|link| link == LinkId(2), |_, _| true, Instant::ZERO).expect("a slice");
        assert_eq!(slice.link, LinkId(2));
        assert_eq!(uploads.next_slice(|_| true, |_, _| false, Instant::ZERO), None, "the window is closed");
    }

    #[test]
    fn a_block_needed_sooner_than_was_said_moves_up_unless_it_has_begun() {
        let mut uploads = Uploads::default();
        uploads.queue(request(1, 0), None);
        next(&mut uploads);
        for n in 2..5 {
            uploads.queue(request(n, u64::from(n) * 100), None);
        }
        let soon = Instant::ZERO + Duration::from_millis(50);
        uploads.reprioritise(LinkId(1), TransferId::request(4), soon);
        uploads.reprioritise(LinkId(1), TransferId::request(1), Instant::NEVER);
        uploads.reprioritise(LinkId(2), TransferId::request(3), Instant::ZERO);
        let mut order = Vec::new();
        while let Some(slice) = next(&mut uploads) {
            order.push(slice.transfer);
            uploads.arrived(slice.link, slice.transfer);
        }
        order.dedup();
        assert_eq!(order, [1, 4, 2, 3].map(TransferId::request));
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
        let limit = Instant::ZERO + LEFT + Duration::from_millis(1500);
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
}
