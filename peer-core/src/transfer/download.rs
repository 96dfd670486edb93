//! Blocks on their way to us from peers.

use crate::map::{Map, put_in_order};

use rillcast_protocol::id::{BlockIndex, SegmentKey, TrackId};

use crate::engine::io::LinkId;
use crate::media::{Bits, Timeline};
use crate::payload::Payload;
use crate::time::{Duration, Instant};
use crate::transfer::Priority;
use crate::wire::TransferId;
use crate::wire::message::BlockName;

/// A transfer that brings nothing for so long is given up.
pub const LEASE: Duration = Duration::from_millis(2500);
/// A request that isn't answered by a first piece within this time waits in its sender's queue.
pub const WAITS: Duration = Duration::from_millis(700);
/// Blocks that may be on their way at once.
pub const MAX_DOWNLOADS: usize = 256;

/// Pieces that a block may come in: a 64 KiB block in messages of a kilobyte. Each is compared with those before it.
pub const MAX_PIECES: usize = 64;

/// One block on its way.
#[derive(Clone, Debug)]
pub struct Download<P> {
    /// From where.
    pub link: LinkId,
    /// Its number.
    pub transfer: TransferId,
    /// When something last came of it.
    pub moved: Instant,
    /// As its sender was told.
    pub priority: Priority,
    len: u32,
    got: u32,
    pieces: Vec<(u32, P)>,
}

impl<P> Download<P> {
    fn waits(&self, now: Instant) -> bool {
        self.transfer.is_requested() && self.got == 0 && now.since(self.moved) > WAITS
    }
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<P> {
    /// More to come.
    Partial,
    /// The block is complete.
    Complete(SegmentKey, u16, P),
    /// Nobody asked for it (any more).
    Unasked,
    /// It lies outside the block or on top of another piece, or is one of too many.
    Nonsense,
}

/// All blocks on their way.
#[derive(Clone, Debug)]
pub struct Downloads<P> {
    blocks: Map<(SegmentKey, u16), Download<P>>,
    by_transfer: Map<(LinkId, TransferId), (SegmentKey, u16)>,
}

impl<P> Default for Downloads<P> {
    fn default() -> Self {
        Self { blocks: Map::new(), by_transfer: Map::new() }
    }
}

impl<P: Payload> Downloads<P> {
    /// Whether the block is on its way.
    pub fn is_coming(&self, key: &SegmentKey, block: u16) -> bool {
        self.blocks.contains_key(&(*key, block))
    }

    /// The blocks of a segment that are on their way.
    pub fn coming_of(&self, key: &SegmentKey) -> Bits {
        let mut coming = Bits::default();
        let of = self.blocks.from(&(*key, 0)).take_while(|((k, _), _)| k == key);
        of.for_each(|((_, block), _)| coming.insert(*block));
        coming
    }

    /// The blocks of a segment that are on their way for sure: what was asked for a while ago, and hasn't begun to come, is not.
    pub fn sure_of(&self, key: &SegmentKey, now: Instant) -> Bits {
        let mut sure = Bits::default();
        let of = self.blocks.from(&(*key, 0)).take_while(|((k, _), _)| k == key);
        of.filter(|(_, d)| !d.waits(now)).for_each(|((_, block), _)| sure.insert(*block));
        sure
    }

    /// How many blocks are on their way for sure.
    pub fn sure(&self, now: Instant) -> usize {
        self.blocks.values().filter(|d| !d.waits(now)).count()
    }

    /// Gives up a request for a block that hasn't begun to come, for a neighbour that sends it at once; told back: what to cancel.
    pub fn give_way(&mut self, name: &BlockName, now: Instant) -> Option<(LinkId, TransferId)> {
        let waiting = self.coming(&name.key, name.block.0).filter(|d| d.waits(now))?;
        let (link, transfer) = (waiting.link, waiting.transfer);
        self.end(link, transfer);
        Some((link, transfer))
    }

    /// How it is coming.
    pub fn coming(&self, key: &SegmentKey, block: u16) -> Option<&Download<P>> {
        self.blocks.get(&(*key, block))
    }

    /// Blocks on their way over a link.
    pub fn over(&self, link: LinkId) -> usize {
        self.by_transfer.from(&(link, TransferId(0))).take_while(|((l, _), _)| *l == link).count()
    }

    /// Blocks on their way over a link that its other end offered.
    pub fn promised(&self, link: LinkId) -> usize {
        let over = self.by_transfer.from(&(link, TransferId::offer(0)));
        over.take_while(|((l, transfer), _)| *l == link && !transfer.is_requested()).count()
    }

    /// Blocks of a track on their way.
    pub fn of_track(&self, track: TrackId) -> usize {
        self.blocks.keys().filter(|(key, _)| key.track == track).count()
    }

    /// Blocks on their way.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// A block is promised, and expected to arrive at `expected`: its lease begins then. False if it is on its way already, its number is in use, or there are too many.
    pub fn begin(
        &mut self,
        link: LinkId,
        transfer: TransferId,
        name: BlockName,
        len: u32,
        priority: Priority,
        expected: Instant,
    ) -> bool {
        let id = (name.key, name.block.0);
        let taken = self.blocks.contains_key(&id) || self.by_transfer.contains_key(&(link, transfer));
        if taken || self.blocks.len() >= MAX_DOWNLOADS {
            return false;
        }
        self.by_transfer.insert((link, transfer), id);
        let pieces = Vec::new();
        self.blocks.insert(id, Download { link, transfer, moved: expected, priority, len, got: 0, pieces });
        true
    }

    /// A block that we asked for whose priority is another now; told back, for its sender to know. As often as there is one.
    pub fn reprioritize(
        &mut self,
        timeline: &Timeline,
        now: Instant,
    ) -> Option<(LinkId, TransferId, Priority)> {
        for ((key, _), download) in self.blocks.iter_mut() {
            let priority = Priority::of(timeline, key, timeline.deadline(key, now), now);
            if download.transfer.is_requested() && download.priority != priority {
                download.priority = priority;
                return Some((download.link, download.transfer, priority));
            }
        }
        None
    }

    /// A piece has come.
    pub fn piece(
        &mut self,
        link: LinkId,
        transfer: TransferId,
        offset: u32,
        payload: P,
        now: Instant,
    ) -> Piece<P> {
        let Some(id) = self.by_transfer.get(&(link, transfer)).copied() else { return Piece::Unasked };
        let Some(download) = self.blocks.get_mut(&id) else { return Piece::Unasked };
        let (start, end) = (u64::from(offset), u64::from(offset) + payload.len() as u64);
        let overlaps =
            |(at, piece): &(u32, P)| start < u64::from(*at) + piece.len() as u64 && u64::from(*at) < end;
        let crumbs = download.pieces.len() >= MAX_PIECES;
        if crumbs
            || payload.is_empty()
            || end > u64::from(download.len)
            || download.pieces.iter().any(overlaps)
        {
            return Piece::Nonsense;
        }
        download.got += payload.len() as u32;
        download.moved = now;
        put_in_order(&mut download.pieces, (offset, payload), |(at, _)| *at);
        if download.got < download.len {
            return Piece::Partial;
        }
        let done = self.blocks.remove(&id).map_or(Vec::new(), |d| d.pieces);
        self.by_transfer.remove(&(link, transfer));
        let parts: Vec<P> = done.into_iter().map(|(_, p)| p).collect();
        let block = if parts.len() == 1 { parts[0].clone() } else { P::concat(&parts) };
        Piece::Complete(id.0, id.1, block)
    }

    /// A transfer is refused or given up; told back: what it was to bring.
    pub fn end(&mut self, link: LinkId, transfer: TransferId) -> Option<BlockName> {
        let (key, block) = self.by_transfer.remove(&(link, transfer))?;
        self.blocks.remove(&(key, block));
        Some(BlockName { key, block: BlockIndex(block) })
    }

    /// A link is gone.
    pub fn drop_link(&mut self, link: LinkId) {
        self.blocks.retain(|_, d| d.link != link);
        self.by_transfer.retain(|(l, _), _| *l != link);
    }

    /// Gives up transfers whose block is no longer wanted, or that haven't moved within the lease: these with `true`, for it is their
    /// sender who didn't keep its word.
    pub fn reap(
        &mut self,
        now: Instant,
        wanted: impl Fn(&SegmentKey) -> bool,
    ) -> Vec<(LinkId, TransferId, bool)> {
        let late = |d: &Download<P>| now.since(d.moved) > LEASE;
        let stale: Vec<_> = self
            .blocks
            .iter()
            .filter(|((key, _), d)| late(d) || !wanted(key))
            .map(|(_, d)| (d.link, d.transfer, late(d)))
            .collect();
        for (link, transfer, _) in &stale {
            self.end(*link, *transfer);
        }
        stale
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    const LINK: LinkId = LinkId(1);

    fn name(number: u64, block: u16) -> BlockName {
        let key = SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
        BlockName { key, block: BlockIndex(block) }
    }

    fn one() -> Downloads<Vec<u8>> {
        let mut downloads = Downloads::default();
        assert!(downloads.begin(LINK, TransferId(1), name(1, 0), 100, Priority::NORMAL, Instant::ZERO));
        downloads
    }

    #[test]
    fn blocks_on_their_way_are_bounded() {
        let mut downloads = Downloads::<Vec<u8>>::default();
        let mut begin = |n: usize| {
            downloads.begin(
                LINK,
                TransferId(n as u32),
                name(n as u64, 0),
                100,
                Priority::NORMAL,
                Instant::ZERO,
            )
        };
        assert!((0..MAX_DOWNLOADS).all(&mut begin), "up to the limit");
        assert!(!begin(MAX_DOWNLOADS), "one over");
    }

    #[test]
    fn a_block_comes_from_one_at_a_time_and_a_number_is_used_once() {
        let mut downloads = one();
        assert!(
            !downloads.begin(LinkId(2), TransferId(9), name(1, 0), 100, Priority::NORMAL, Instant::ZERO),
            "the same block"
        );
        assert!(
            !downloads.begin(LINK, TransferId(1), name(1, 1), 100, Priority::NORMAL, Instant::ZERO),
            "the same number"
        );
        assert!(
            downloads.begin(LinkId(2), TransferId(1), name(1, 1), 100, Priority::NORMAL, Instant::ZERO),
            "another's number"
        );
        assert_eq!((downloads.over(LINK), downloads.over(LinkId(2)), downloads.len()), (1, 1, 2));
    }

    #[test]
    fn a_lease_ends_when_nothing_moves() {
        let mut downloads = one();
        let half = Instant::ZERO + LEASE / 2;
        assert_eq!(downloads.piece(LINK, TransferId(1), 0, vec![0; 10], half), Piece::Partial);
        assert!(downloads.reap(half + LEASE, |_| true).is_empty(), "at the limit");
        let over = half + LEASE + Duration::from_micros(1);
        assert_eq!(downloads.reap(over, |_| true), [(LINK, TransferId(1), true)]);
        assert!(downloads.is_empty());
        assert_eq!(downloads.piece(LINK, TransferId(1), 10, vec![0; 90], over), Piece::Unasked);
    }

    #[test]
    fn what_is_no_longer_wanted_is_given_up() {
        let mut downloads = one();
        assert_eq!(downloads.reap(Instant::ZERO, |key| key.number != 1), [(LINK, TransferId(1), false)]);
    }

    #[test]
    fn a_lost_link_takes_its_transfers_with_it() {
        let mut downloads = one();
        downloads.begin(LinkId(2), TransferId(1), name(1, 1), 100, Priority::NORMAL, Instant::ZERO);
        downloads.drop_link(LINK);
        assert!(!downloads.is_coming(&name(1, 0).key, 0) && downloads.is_coming(&name(1, 0).key, 1));
        assert_eq!(downloads.end(LINK, TransferId(1)), None);
    }
}
