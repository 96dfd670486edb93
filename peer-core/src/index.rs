//! Which neighbour holds which blocks.
//!
//! By segment, then by neighbour: whoever plans looks at one segment and all of its holders at a time.

use rillcast_protocol::id::SegmentKey;

use crate::engine::io::LinkId;
use crate::map::Map;
use crate::media::Bits;

/// Segments remembered of one neighbour: on demand, picture and sound of some minutes.
pub const MAX_MAPS_PER_LINK: usize = 256;
/// When it is one more, so many numbers from the oldest on are forgotten at once: looking for them takes time.
pub const FORGOTTEN: u64 = 16;

/// Shells count links, so that the last bits of neighbours' numbers mostly differ.
const SIGNPOSTS: usize = 64;

/// All neighbours' have-maps.
///
/// Each neighbour has a place, its maps stand there in every segment's list: finding one costs no search.
#[derive(Clone, Debug)]
pub struct Index {
    segments: Map<SegmentKey, Vec<Option<Bits>>>,
    places: Vec<Option<LinkId>>,
    sizes: Vec<usize>,
    /// By the last bits of a link's number: where to look for its place first.
    signposts: [u8; SIGNPOSTS],
}

impl Default for Index {
    fn default() -> Self {
        let (segments, places, sizes) = Default::default();
        Self { segments, places, sizes, signposts: [0; SIGNPOSTS] }
    }
}

impl Index {
    /// A neighbour's place; `None` if nothing is known of it.
    pub fn place(&self, link: LinkId) -> Option<usize> {
        let at = usize::from(self.signposts[link.0 as usize % SIGNPOSTS]);
        if self.places.get(at) == Some(&Some(link)) {
            return Some(at);
        }
        self.places.iter().position(|l| *l == Some(link))
    }

    /// By places: what each neighbour holds of a segment; an empty set says that it has the digest, `None` not even that.
    pub fn maps(&self, key: &SegmentKey) -> &[Option<Bits>] {
        self.segments.get(key).map_or(&[], Vec::as_slice)
    }

    /// Who holds anything of a segment, or knows its digest.
    pub fn holders(&self, key: &SegmentKey) -> impl Iterator<Item = (LinkId, &Bits)> {
        self.places.iter().zip(self.maps(key)).filter_map(|(link, map)| Some(((*link)?, map.as_ref()?)))
    }

    /// What a neighbour holds of a segment; `None` if it hasn't even the digest.
    pub fn held(&self, link: LinkId, key: &SegmentKey) -> Option<&Bits> {
        self.maps(key).get(self.place(link)?)?.as_ref()
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
        *self.map_mut(link, key) = blocks;
    }

    /// Adds blocks to what a neighbour holds.
    pub fn gain(&mut self, link: LinkId, key: SegmentKey, blocks: Bits) {
        self.merge(link, key, &blocks);
    }

    /// Adds blocks to what a neighbour holds.
    pub fn merge(&mut self, link: LinkId, key: SegmentKey, blocks: &Bits) {
        self.map_mut(link, key).merge(blocks);
    }

    /// Adds a block to what a neighbour holds.
    pub fn add(&mut self, link: LinkId, key: SegmentKey, block: u16) {
        self.map_mut(link, key).insert(block);
    }

    /// A neighbour turned out not to hold a block.
    pub fn remove(&mut self, link: LinkId, key: &SegmentKey, block: u16) {
        if let (Some(place), Some(maps)) = (self.place(link), self.segments.get_mut(key))
            && let Some(Some(map)) = maps.get_mut(place)
        {
            map.remove(block);
        }
    }

    /// A neighbour is gone.
    pub fn drop_link(&mut self, link: LinkId) {
        let Some(place) = self.place(link) else { return };
        (self.places[place], self.sizes[place]) = (None, 0);
        self.segments.retain(|_, maps| {
            if let Some(map) = maps.get_mut(place) {
                *map = None;
            }
            maps.iter().any(Option::is_some)
        });
    }

    /// Forgets what nobody needs any more.
    pub fn keep(&mut self, keep: impl Fn(&SegmentKey) -> bool) {
        let sizes = &mut self.sizes;
        self.segments.retain(|key, maps| {
            let kept = keep(key);
            if !kept {
                let known = sizes.iter_mut().zip(maps).filter(|(_, map)| map.is_some());
                known.for_each(|(size, _)| *size -= 1);
            }
            kept
        });
    }

    /// What a neighbour holds of a segment, to be added to: nothing so far, if nothing is known.
    pub fn map_mut(&mut self, link: LinkId, key: SegmentKey) -> &mut Bits {
        let place = self.place(link).unwrap_or_else(|| self.settle(link));
        let mut at = self.segments.position(&key);
        if !at.is_ok_and(|at| self.segments.nth(at).get(place).is_some_and(Option::is_some)) {
            self.make_room(place);
            self.sizes[place] += 1;
            at = self.segments.position(&key);
        }
        let at = at.unwrap_or_else(|at| {
            self.segments.insert_at(at, key, Vec::new());
            at
        });
        let maps = self.segments.nth_mut(at);
        if maps.len() <= place {
            maps.resize(place + 1, None);
        }
        maps[place].get_or_insert_default()
    }

    /// Gives a neighbour a place.
    fn settle(&mut self, link: LinkId) -> usize {
        let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
            self.sizes.push(0);
        }
        self.places[place] = Some(link);
        self.signposts[link.0 as usize % SIGNPOSTS] = place as u8;
        place
    }

    /// The lowest numbers are the oldest media; a neighbour that floods us with names only loses its own.
    fn make_room(&mut self, place: usize) {
        if self.sizes[place] < MAX_MAPS_PER_LINK {
            return;
        }
        let theirs = |maps: &[Option<Bits>]| maps.get(place).is_some_and(Option::is_some);
        let numbers = self.segments.iter().filter(|(_, maps)| theirs(maps)).map(|(key, _)| key.number);
        let Some(oldest) = numbers.min() else { return };
        let size = &mut self.sizes[place];
        self.segments.retain(|key, maps| {
            if key.number - oldest.min(key.number) < FORGOTTEN
                && let Some(map) = maps.get_mut(place)
                && map.take().is_some()
            {
                *size -= 1;
            }
            maps.iter().any(Option::is_some)
        });
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
        assert!(!index.knows(ONE, &key(FORGOTTEN - 1)), "one over: the oldest go, some at once");
        assert!(index.holds(ONE, &key(FORGOTTEN), 0), "and no others");
        (1..FORGOTTEN).for_each(|number| index.add(ONE, key(1000 + number), 0));
        assert!(index.holds(ONE, &key(FORGOTTEN), 0), "at the limit again");
        index.add(ONE, key(2000), 0);
        assert!(!index.knows(ONE, &key(FORGOTTEN)));
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
        index.add(LinkId(3), key(1), 4);
        assert!(
            index.holds(LinkId(3), &key(1), 4) && index.place(LinkId(3)) == Some(0),
            "its place is another's now"
        );
    }

    #[test]
    fn what_is_forgotten_no_longer_counts_against_a_neighbour() {
        let mut index = Index::default();
        (0..MAX_MAPS_PER_LINK as u64).for_each(|number| index.add(ONE, key(number), 0));
        index.keep(|key| key.number > 0);
        index.add(ONE, key(1000), 0);
        assert!(!index.knows(ONE, &key(0)) && index.knows(ONE, &key(1)) && index.knows(ONE, &key(1000)));
    }

    // A seed has hundreds of links, and numbers that end alike: a place is found all the same.
    #[test]
    fn neighbours_whose_numbers_end_alike_are_told_apart() {
        let mut index = Index::default();
        let links: Vec<_> = (0..400).map(|n| LinkId(n * SIGNPOSTS as u32 / 2)).collect();
        for (block, link) in (0..).zip(&links) {
            index.add(*link, key(1), block);
        }
        for (block, link) in (0..).zip(&links) {
            assert_eq!(index.held(*link, &key(1)).map(Bits::list), Some(vec![block]));
        }
        assert_eq!(index.place(LinkId(1)), None);
    }

    // R39
    #[test]
    fn what_neighbours_hold_follows_what_they_say() {
        let mut index = Index::default();
        index.set(ONE, key(1), Bits::full(3));
        index.remove(ONE, &key(1), 1);
        index.add(TWO, key(1), 1);
        let holders = |block| -> Vec<_> {
            index
                .holders(&key(1))
                .filter(|(_, blocks)| blocks.contains(block))
                .map(|(link, _)| link)
                .collect()
        };
        assert_eq!((holders(0), holders(1), holders(9)), (vec![ONE], vec![TWO], vec![]));
        assert!(index.holders(&key(2)).next().is_none());
    }
}
