//! Blocks that we offer, have promised or are sending to peers.
//!
//! Serially: one block to one receiver at full rate, then the next. Of normal blocks those that we offered go first, then the soonest
//! needed. To a receiver of urgent ones goes up to four times what goes to one of normal ones, while both wait. What yields goes when
//! nothing else can, and is interrupted.

use crate::map::{Map, keep};

use rillcast_protocol::id::{Role, SegmentKey};

use crate::engine::io::{BULK_PAYLOAD, LinkId};
use crate::time::{Duration, Instant, Rate};
use crate::transfer::Priority;
use crate::wire::TransferId;
use crate::wire::message::BlockName;

/// Blocks waiting to be sent; one more is refused as busy. A slow uplink refuses sooner: see [`Uploads::queue`].
pub const MAX_QUEUE: usize = 64;
/// The same of a seed, whose granted offers alone may be as many as 256.
pub const MAX_QUEUE_OF_SEED: usize = 512;
/// Blocks that may always wait, however slow the uplink.
pub const MIN_QUEUE: usize = 1;
/// What waits is to be sent within this time, or its receiver is better off asking elsewhere.
const QUEUE_TIME: Duration = Duration::from_millis(1200);
/// An offer that isn't answered counts as declined after this time.
pub const OFFER: Duration = Duration::from_millis(1200);
/// Bytes on their way to one receiver: one that takes them slowly keeps nobody else waiting. Of urgent ones as many times as much as they weigh.
const MAX_OUT: u32 = 64 * 1024;
/// What yields goes in messages of this length: less of a burst for others to lose packets by.
const SMALL: u32 = 8 * 1024;
/// No more may gather for the one or the other, should they have been unable to go: a turn of four of the larger blocks.
const MAX_CREDIT: i32 = 4 * 64 * 1024;
/// Sent bytes that aren't reported as arrived count as lost after this time.
const UNREPORTED: Duration = Duration::from_millis(6000);
/// Cancelled transfers that are remembered each by itself, until they have left.
pub const MAX_LEAVING: usize = 64;
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
    /// When its player needs it; `ZERO` for what we offered.
    pub due: Instant,
    /// Its share.
    pub priority: Priority,
}

#[derive(Clone, Debug)]
struct Upload {
    link: LinkId,
    transfer: TransferId,
    name: BlockName,
    due: Instant,
    priority: Priority,
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
    /// The transfer's.
    pub priority: Priority,
}

/// All uploads.
#[derive(Clone, Debug)]
pub struct Uploads {
    queue: Vec<Upload>,
    most: usize,
    offers: Map<(LinkId, TransferId), (BlockName, Instant, u32)>,
    unreported: Map<(LinkId, TransferId), (BlockName, u32, Instant)>,
    /// Of cancelled transfers, bytes that had gone out, and when: they are in our uplink's queue all the same.
    leaving: Vec<(u32, Instant)>,
    next: u32,
    /// Bytes that may go to receivers of urgent blocks before one goes to a receiver of normal ones.
    credit: i32,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            queue: Vec::new(),
            most: MAX_QUEUE,
            offers: Map::default(),
            unreported: Map::default(),
            leaving: Vec::new(),
            next: 0,
            credit: 0,
        }
    }
}

impl Uploads {
    /// None yet, of somebody in a role.
    pub fn of(role: Role) -> Self {
        Self { most: if role == Role::Seed { MAX_QUEUE_OF_SEED } else { MAX_QUEUE }, ..Self::default() }
    }

    /// Blocks not yet wholly sent.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether something waits that yields.
    pub fn has_background(&self) -> bool {
        self.queue.iter().any(|u| u.priority.yields())
    }

    /// Whether nothing is offered or waits to be sent.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.offers.is_empty()
    }

    /// Whether, besides, all that was sent has been reported.
    pub fn is_settled(&self) -> bool {
        self.is_idle() && self.unreported.is_empty()
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
    pub fn take_offer(&mut self, link: LinkId, transfer: TransferId) -> Option<(BlockName, Instant)> {
        self.offers.remove(&(link, transfer)).map(|(name, at, _)| (name, at))
    }

    /// Queues a block, the soonest needed first. Where more waits than the uplink, as last measured, sends in a little over a second,
    /// what is needed last is refused: told back.
    pub fn queue(&mut self, promise: Promise, uplink: Option<Rate>) -> Option<(LinkId, TransferId)> {
        let Promise { link, transfer, name, len, due, priority } = promise;
        let upload = Upload { link, transfer, name, due, priority, len, sent: 0 };
        self.insert(upload);
        let waiting: u64 = self.queue.iter().map(|u| u64::from(u.len - u.sent)).sum();
        let slow = uplink.is_some_and(|rate| rate.time_for(waiting) > QUEUE_TIME);
        if self.queue.len() <= if slow { MIN_QUEUE } else { self.most } {
            return None;
        }
        // Offers are few and granted already; a request can go elsewhere.
        let last = self.queue.iter().rposition(|u| u.sent == 0 && u.transfer.is_requested())?;
        let refused = self.queue.remove(last);
        Some((refused.link, refused.transfer))
    }

    /// The next piece for one of the links that have room. `admits` says whether so many bytes may go now, of a block that has begun or
    /// not, and of this priority.
    pub fn next_slice(
        &mut self,
        has_room: impl Fn(LinkId) -> bool,
        mut admits: impl FnMut(u64, bool, Priority) -> bool,
        now: Instant,
    ) -> Option<Slice> {
        let unreported = &self.unreported;
        let out = |link: LinkId| -> u32 {
            unreported.iter().filter(|((l, _), _)| *l == link).map(|(_, (_, bytes, _))| *bytes).sum()
        };
        // Receivers of urgent and of normal blocks, as bits; and whose turn it is.
        let (mut urgent, mut normal) = (0u64, 0u64);
        let mut first = (u8::MAX, 0);
        for (at, upload) in self.queue.iter().enumerate() {
            let receiver = 1 << (upload.link.0 % 64);
            let turn = match upload.priority {
                Priority::BACKGROUND => 4 - u8::from(upload.sent > 0),
                // Half a block is of no use to anybody: what has begun is finished, whatever comes.
                _ if upload.sent > 0 => 0,
                Priority::NORMAL => 1 + u8::from(self.credit >= 0),
                _ => 1 + u8::from(self.credit < 0),
            };
            match upload.priority {
                Priority::BACKGROUND => {}
                Priority::NORMAL => normal |= receiver,
                _ => urgent |= receiver,
            }
            if turn < first.0
                && has_room(upload.link)
                && out(upload.link) < MAX_OUT * upload.priority.weight().max(1) as u32
            {
                first = (turn, at);
            }
        }
        let at = first.1;
        let upload = self.queue.get_mut(at).filter(|_| first.0 < u8::MAX)?;
        let priority = upload.priority;
        let most = if priority.yields() { SMALL } else { BULK_PAYLOAD as u32 };
        let len = (upload.len - upload.sent).min(most);
        if !admits(u64::from(len), upload.sent > 0, priority) {
            return None;
        }
        if !priority.yields() && normal > 0 {
            let (most, bytes) = (Priority::URGENT.weight(), len as i32);
            self.credit += match priority {
                Priority::NORMAL => bytes * most * urgent.count_ones() as i32 / normal.count_ones() as i32,
                _ => -bytes * most / priority.weight(),
            };
            self.credit = self.credit.clamp(-MAX_CREDIT, MAX_CREDIT);
        }
        let slice = Slice {
            link: upload.link,
            transfer: upload.transfer,
            name: upload.name,
            offset: upload.sent,
            len,
            priority,
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

    /// A block that waits has become more or less urgent.
    pub fn set_priority(&mut self, link: LinkId, transfer: TransferId, priority: Priority) {
        for upload in &mut self.queue {
            if (upload.link, upload.transfer) == (link, transfer) {
                upload.priority = priority;
            }
        }
    }

    /// The soonest needed first, after what has begun.
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
        keep(&mut self.queue, |u| !(u.link == link && u.transfer == transfer));
        let (out, full) = (self.out(), self.leaving.len() >= MAX_LEAVING);
        let (_, bytes, at) = self.unreported.remove(&(link, transfer))?;
        // A receiver that cancels as fast as it asks fills no memory.
        match self.leaving.last_mut().filter(|_| full) {
            Some(last) => *last = (last.0 + bytes, at),
            None => self.leaving.push((bytes, at)),
        }
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
        keep(&mut self.queue, |u| u.link != link);
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
        keep(&mut self.queue, |u| u.sent > 0);
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
        keep(&mut self.leaving, |(bytes, at)| {
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
        keep(&mut self.leaving, |(_, at)| !stale(at, UNREPORTED));
        (offers, before - self.out())
    }
}

#[cfg(test)]
mod tests;
