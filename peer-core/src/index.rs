//! Which neighbour holds which blocks.
//!
//! By segment, then by neighbour: whoever plans looks at one segment and all of its holders at a time.

use rillcast_protocol::id::SegmentKey;

use crate::engine::io::LinkId;
use crate::map::Map;
use crate::media::Bits;

/// Segments remembered of one neighbour.
pub const MAX_MAPS_PER_LINK: usize = 128;

/// What one neighbour holds of a segment. An empty set says that it has the digest.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The neighbour.
    pub link: LinkId,
    /// Its blocks.
    pub blocks: Bits,
}

/// All neighbours' have-maps.
#[derive(Clone, Debug, Default)]
pub struct Index {
    segments: Map<SegmentKey, Vec<Holding>>,
    sizes: Map<LinkId, usize>,
}

impl Index {
    /// Who holds anything of a segment, or knows its digest.
    pub fn holders(&self, key: &SegmentKey) -> &[Holding] {
        self.segments.get(key).map_or(&[], Vec::as_slice)
    }

    /// What a neighbour holds of a segment; `None` if it hasn't even the digest.
    pub fn held(&self, link: LinkId, key: &SegmentKey) -> Option<&Bits> {
        self.holders(key).iter().find(|h| h.link == link).map(|h| &h.blocks)
    }

    /// Whether a neighbour holds the block.
    pub fn holds(&self, link: LinkId, key: &SegmentKey, block: u16) -> bool {
        self.held(link, key).is_some_and(|blocks| blocks.contains(block))
    }

    /// Whether a neighbour has the segment's digest.
    pub fn knows(&self, link: LinkId, key: &SegmentKey) -> bool {
        self.held(link, key).is_some()
    }

    /// Replaces what a neighbour holds of a segment.
    pub fn set(&mut self, link: LinkId, key: SegmentKey, blocks: Bits) {
        *self.entry(link, key) = blocks;
        self.bound(link);
    }

    /// Adds blocks to what a neighbour holds.
    pub fn merge(&mut self, link: LinkId, key: SegmentKey, blocks: &Bits) {
        self.entry(link, key).merge(blocks);
        self.bound(link);
    }

    /// Adds a block to what a neighbour holds.
    pub fn add(&mut self, link: LinkId, key: SegmentKey, block: u16) {
        self.entry(link, key).insert(block);
        self.bound(link);
    }

    /// A neighbour turned out not to hold a block.
    pub fn remove(&mut self, link: LinkId, key: &SegmentKey, block: u16) {
        let holding = self.segments.get_mut(key).and_then(|all| all.iter_mut().find(|h| h.link == link));
        if let Some(holding) = holding {
            holding.blocks.remove(block);
        }
    }

    /// A neighbour is gone.
    pub fn drop_link(&mut self, link: LinkId) {
        if self.sizes.remove(&link).is_some() {
            self.segments.retain(|_, all| {
                all.retain(|h| h.link != link);
                !all.is_empty()
            });
        }
    }

    fn entry(&mut self, link: LinkId, key: SegmentKey) -> &mut Bits {
        let all = self.segments.or_insert_with(key, Vec::new);
        let at = match all.iter().position(|h| h.link == link) {
            Some(at) => at,
            None => {
                all.push(Holding { link, blocks: Bits::default() });
                *self.sizes.or_insert_with(link, || 0) += 1;
                all.len() - 1
            }
        };
        &mut all[at].blocks
    }

    /// The lowest numbers are the oldest media; a neighbour that floods us with names only loses its own.
    fn bound(&mut self, link: LinkId) {
        if self.sizes.get(&link).is_none_or(|size| *size <= MAX_MAPS_PER_LINK) {
            return;
        }
        let theirs = |all: &[Holding]| all.iter().any(|h| h.link == link);
        let mut keys = self.segments.iter().filter(|(_, all)| theirs(all)).map(|(key, _)| *key);
        let Some(oldest) = keys.by_ref().min_by_key(|key| key.number) else { return };
        drop(keys);
        if let Some(all) = self.segments.get_mut(&oldest) {
            all.retain(|h| h.link != link);
            if all.is_empty() {
                self.segments.remove(&oldest);
            }
        }
        *self.sizes.or_insert_with(link, || 1) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    const ONE: LinkId = LinkId(1);
    const TWO: LinkId = LinkId(2);

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
    }

    // H6 H11: whoever floods us with names loses its own oldest.
    #[test]
    fn the_maps_of_a_neighbour_are_bounded_and_the_newest_stay() {
        let mut index = Index::default();
        index.add(TWO, key(0), 0);
        for number in 0..MAX_MAPS_PER_LINK as u64 {
            index.add(ONE, key(number), 0);
        }
        assert!(index.holds(ONE, &key(0), 0), "at the limit");
        index.set(ONE, key(1000), Bits::full(3));
        assert!(!index.knows(ONE, &key(0)) && index.holds(ONE, &key(1), 0), "one over: the oldest goes");
        assert_eq!(index.held(ONE, &key(1000)).map(Bits::count), Some(3));
        assert!(index.holds(TWO, &key(0), 0), "another's are its own affair");
    }

    #[test]
    fn a_lost_neighbour_holds_nothing() {
        let mut index = Index::default();
        index.add(ONE, key(1), 4);
        index.set(TWO, key(1), Bits::default());
        index.drop_link(ONE);
        assert!(!index.knows(ONE, &key(1)) && index.knows(TWO, &key(1)));
        index.drop_link(TWO);
        assert!(index.segments.is_empty());
    }

    // R39
    #[test]
    fn what_neighbours_hold_follows_what_they_say() {
        let mut index = Index::default();
        index.set(ONE, key(1), Bits::full(3));
        index.remove(ONE, &key(1), 1);
        index.add(TWO, key(1), 1);
        let holders = |block| -> Vec<_> {
            index.holders(&key(1)).iter().filter(|h| h.blocks.contains(block)).map(|h| h.link).collect()
        };
        assert_eq!((holders(0), holders(1), holders(9)), (vec![ONE], vec![TWO], vec![]));
        assert!(index.holders(&key(2)).is_empty());
    }
}
