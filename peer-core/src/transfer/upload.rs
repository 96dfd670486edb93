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
/// Believed of an uplink of which nothing is known, for the time that cancelled bytes take to leave it.
const UNKNOWN: Rate = Rate::new(40_000);
/// So much later than our uplink needs, they have left it at least, and wait at the receiver's end.
const LEFT: Duration = Duration::from_millis(60);

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
    /// Of cancelled transfers, bytes that had gone out, and when: they are in our uplink's queue all the same.
    leaving: Vec<(u32, Instant)>,
    next: u32,
}

impl Uploads {
    /// Blocks not yet wholly sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing is offered or waits to be sent.
    #[inline]
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
    #[inline]
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

    /// The receiver wants no more of it. Told back: what is on its way to all receivers, and for how long what had gone out of this has been.
    pub fn cancel(&mut self, link: LinkId, transfer: TransferId, now: Instant) -> Option<(u64, Duration)> {
        self.offers.remove(&(link, transfer));
        self.queue.retain(|u| !(u.link == link && u.transfer == transfer));
        let out = self.out();
        let (_, bytes, at) = self.unreported.remove(&(link, transfer))?;
        self.leaving.push((bytes, at));
        Some((out, now.since(at)))
    }

    /// A piece that was about to go out can't.
    pub fn take_back(&mut self, slice: &Slice) {
        if let Some((_, bytes, _)) = self.unreported.get_mut(&(slice.link, slice.transfer)) {
            *bytes -= slice.len;
        }
    }

    /// Bytes on their way, as far as we know.
    fn out(&self) -> u64 {
        let unreported = self.unreported.values().map(|(_, bytes, _)| u64::from(*bytes));
        unreported.chain(self.leaving.iter().map(|(bytes, _)| u64::from(*bytes))).sum()
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
    #[inline]
    pub fn is_lagging(&self, link: LinkId) -> bool {
        self.unreported.iter().any(|((l, _), (_, bytes, _))| *l == link && *bytes == 0)
    }

    /// Bytes that no longer burden our own uplink, though their arrival hasn't been reported: counted once.
    pub fn settle(&mut self, uplink: Option<Rate>, has_left: impl Fn(LinkId) -> bool, now: Instant) -> u64 {
        let out = self.out();
        let limit = LEFT + uplink.unwrap_or(UNKNOWN).time_for(out + out / 8);
        let mut left = 0;
        self.leaving.retain(|(bytes, at)| {
            let gone = now.since(*at) > limit;
            left += if gone { u64::from(*bytes) } else { 0 };
            !gone
        });
        if uplink.is_none() {
            return left;
        }
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
        let before = self.out();
        self.unreported.retain(|_, (_, _, at)| !stale(at, UNREPORTED));
        self.leaving.retain(|(_, at)| !stale(at, UNREPORTED));
        (offers, before - self.out())
    }
}

#[cfg(test)]
mod tests;
