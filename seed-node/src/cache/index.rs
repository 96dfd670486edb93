//! Which copies there are, within a budget of bytes and a time. Who is used least goes first, so that what lies there follows demand; of those used
//! least, what other seeds hold.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use lru::LruCache;
use rillcast_protocol::id::{SegmentKey, SwarmId};
use rillcast_publisher::copies::Ours;

/// Files take up whole blocks of so many bytes.
pub const FILE_BLOCK: u64 = 4096;

/// Of so many copies that were used least, the first that others hold makes room.
pub const LOOKED_AT: usize = 64;
/// Swarms of which it is known what this node is to hold. With one more, all that is known is forgotten, and soon told again.
const MAX_PLACED: usize = 64;

/// A copy's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The swarm.
    pub swarm: SwarmId,
    /// The segment.
    pub key: SegmentKey,
}

/// What is allowed.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes, each file's rounded up to [`FILE_BLOCK`]s.
    pub bytes: u64,
    /// Copies.
    pub copies: usize,
    /// Age.
    pub keep: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    bytes: u64,
    made: SystemTime,
}

/// What this node is to hold, by swarm.
#[derive(Default)]
struct Placed(HashMap<SwarmId, Ours>);

impl std::fmt::Debug for Placed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.keys().fmt(f)
    }
}

/// The copies.
#[derive(Debug)]
pub struct Index {
    entries: LruCache<Name, Entry>,
    placed: Placed,
    bytes: u64,
    limits: Limits,
}

impl Index {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        Self { entries: LruCache::unbounded(), placed: Placed::default(), bytes: 0, limits }
    }

    /// Enters a copy of so many bytes as the last used; told back: which ones have to go for it. `None`: it is larger than the budget.
    pub fn insert(&mut self, name: Name, bytes: u64, made: SystemTime) -> Option<Vec<Name>> {
        let entry = Entry { bytes: on_disk(bytes), made };
        if entry.bytes > self.limits.bytes || self.limits.copies == 0 {
            return None;
        }
        if let Some(old) = self.entries.put(name, entry) {
            self.bytes -= old.bytes;
        }
        self.bytes += entry.bytes;
        let mut gone = Vec::new();
        while self.bytes > self.limits.bytes || self.entries.len() > self.limits.copies {
            let Some(least) = self.dispensable() else { break };
            self.remove(&least);
            gone.push(least);
        }
        Some(gone)
    }

    /// Which copy makes room, if one has to.
    fn dispensable(&self) -> Option<Name> {
        let least = || self.entries.iter().rev().map(|(name, _)| *name);
        let is_others =
            |name: &Name| self.placed.0.get(&name.swarm).is_some_and(|is_ours| !is_ours(&name.key));
        least().take(LOOKED_AT).find(is_others).or_else(|| least().next())
    }

    /// Of a swarm's segments these are this node's to hold.
    pub fn place(&mut self, swarm: SwarmId, ours: Ours) {
        if self.placed.0.len() >= MAX_PLACED && !self.placed.0.contains_key(&swarm) {
            self.placed.0.clear();
        }
        self.placed.0.insert(swarm, ours);
    }

    /// A copy is used now; told back: when it was made.
    pub fn touch(&mut self, name: &Name) -> Option<SystemTime> {
        self.entries.get(name).map(|entry| entry.made)
    }

    /// Bytes that a copy takes up, if there is one.
    pub fn length(&self, name: &Name) -> Option<u64> {
        self.entries.peek(name).map(|entry| entry.bytes)
    }

    /// Forgets a copy. False if there was none.
    pub fn remove(&mut self, name: &Name) -> bool {
        let gone = self.entries.pop(name);
        self.bytes -= gone.map_or(0, |entry| entry.bytes);
        gone.is_some()
    }

    /// Forgets what has been kept for longer than allowed; told back.
    pub fn expired(&mut self, now: SystemTime) -> Vec<Name> {
        let keep = self.limits.keep;
        let is_old = |entry: &Entry| now.duration_since(entry.made).is_ok_and(|age| age > keep);
        let old: Vec<Name> = self.entries.iter().filter(|(_, e)| is_old(e)).map(|(name, _)| *name).collect();
        old.iter().for_each(|name| {
            self.remove(name);
        });
        old
    }

    /// Bytes taken up.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Copies.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn on_disk(bytes: u64) -> u64 {
    bytes.div_ceil(FILE_BLOCK).max(1).saturating_mul(FILE_BLOCK)
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn name(number: u64) -> Name {
        let key = SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 };
        Name { swarm: SwarmId([1; 16]), key }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn index(blocks: u64, copies: usize) -> Index {
        Index::new(Limits { bytes: blocks * FILE_BLOCK, copies, keep: Duration::from_secs(100) })
    }

    // R31
    #[test]
    fn the_budget_of_bytes_holds_at_under_and_over() {
        for (budget, left) in [(4, 3), (3, 3), (2, 2), (1, 1), (0, 0)] {
            let mut index = index(budget, 10);
            for n in 0..3 {
                // A byte more than nothing takes up a block.
                index.insert(name(n), [1, FILE_BLOCK - 1, FILE_BLOCK][n as usize], at(n));
            }
            assert_eq!((index.len() as u64, index.bytes()), (left, left * FILE_BLOCK), "budget {budget}");
        }
    }

    #[test]
    fn what_is_larger_than_the_budget_drives_nothing_out() {
        let mut index = index(2, 10);
        assert_eq!(index.insert(name(0), 1, at(0)), Some(vec![]));
        assert_eq!(index.insert(name(1), 2 * FILE_BLOCK + 1, at(0)), None);
        assert_eq!(
            index.insert(name(2), 2 * FILE_BLOCK, at(0)),
            Some(vec![name(0)]),
            "as large as the budget"
        );
        assert_eq!((index.len(), index.bytes()), (1, 2 * FILE_BLOCK));
    }

    #[test]
    fn the_number_of_copies_is_bounded_too() {
        let mut index = index(100, 2);
        assert_eq!(index.insert(name(0), 1, at(0)), Some(vec![]));
        assert_eq!(index.insert(name(1), 1, at(0)), Some(vec![]));
        assert_eq!(index.insert(name(2), 1, at(0)), Some(vec![name(0)]));
        assert_eq!(index.len(), 2);
    }

    // R30 R31
    #[test]
    fn what_is_used_least_goes_first() {
        let mut index = index(3, 10);
        for n in 0..3 {
            index.insert(name(n), 1, at(n));
        }
        assert_eq!(index.touch(&name(0)), Some(at(0)));
        assert_eq!(index.insert(name(3), 1, at(3)), Some(vec![name(1)]));
        assert!(index.length(&name(0)).is_some() && index.touch(&name(1)).is_none());
    }

    // R30 R31
    #[test]
    fn of_what_is_used_least_what_others_hold_goes_first() {
        let one = || {
            let mut index = index(100, LOOKED_AT + 1);
            (0..=LOOKED_AT as u64).for_each(|n| drop(index.insert(name(n), 1, at(n))));
            index
        };
        let last = LOOKED_AT as u64;
        for (theirs, gone) in [(3, 3), (last - 1, last - 1), (last, 0), (999, 0)] {
            let mut index = one();
            index.place(name(0).swarm, std::sync::Arc::new(move |key: &SegmentKey| key.number != theirs));
            assert_eq!(index.insert(name(1000), 1, at(0)), Some(vec![name(gone)]), "{theirs} is others'");
        }
        let mut index = one();
        index.place(SwarmId([9; 16]), std::sync::Arc::new(|_: &SegmentKey| false));
        assert_eq!(index.insert(name(1000), 1, at(0)), Some(vec![name(0)]), "of another swarm");
    }

    #[test]
    fn a_copy_that_comes_again_takes_its_old_place() {
        let mut index = index(3, 10);
        index.insert(name(0), 2 * FILE_BLOCK, at(0));
        assert_eq!(index.insert(name(0), 3 * FILE_BLOCK, at(1)), Some(vec![]));
        assert_eq!((index.len(), index.bytes()), (1, 3 * FILE_BLOCK));
        assert!(index.remove(&name(0)) && !index.remove(&name(0)));
        assert_eq!(index.bytes(), 0);
    }

    // R37
    #[test]
    fn a_copy_is_kept_as_long_as_allowed_and_no_longer() {
        let mut index = index(3, 10);
        index.insert(name(0), 1, at(50));
        index.insert(name(1), 1, at(51));
        assert!(index.expired(at(149)).is_empty(), "under");
        assert!(index.expired(at(150)).is_empty(), "at");
        assert_eq!(index.expired(at(151)), [name(0)], "over");
        assert!(index.expired(at(0)).is_empty(), "a clock that was set back makes nothing older");
        assert_eq!((index.len(), index.bytes()), (1, FILE_BLOCK));
    }
}
