//! Which copies to read back into memory: those that most linked viewers are about to need go first, and in a second no more than a part of
//! memory, or what was just read would drive out what was read before it.

use std::collections::HashMap;

use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::id::SegmentKey;

/// Segments looked at ahead of each viewer.
pub const AHEAD: usize = 4;
/// Of the memory so much is filled from disk in a second at most.
const SHARE: u64 = 8;
/// One that was asked for isn't asked for again before that time: it is on its way, or isn't true.
const AGAIN: Duration = Duration::from_secs(10);

/// What was asked for lately.
#[derive(Debug)]
pub struct Recall {
    budget: u64,
    asked: HashMap<SegmentKey, Instant>,
}

impl Recall {
    /// For a store of so many bytes.
    pub fn new(store: u64) -> Self {
        Self { budget: store / SHARE, asked: HashMap::new() }
    }

    /// Whether a segment was asked for lately.
    pub fn has_asked(&self, key: &SegmentKey) -> bool {
        self.asked.contains_key(key)
    }

    /// Called once in a second with what viewers lack, once for each of them; told back: what to read. `length` is that of a copy, if there
    /// is one.
    pub fn choose(
        &mut self,
        now: Instant,
        lacking: Vec<SegmentKey>,
        length: impl Fn(SegmentKey) -> Option<u64>,
    ) -> Vec<SegmentKey> {
        self.asked.retain(|_, at| now.since(*at) < AGAIN);
        let mut wanted: HashMap<SegmentKey, usize> = HashMap::new();
        lacking.into_iter().for_each(|key| *wanted.entry(key).or_default() += 1);
        wanted.retain(|key, _| !self.asked.contains_key(key));
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        wanted.sort_unstable_by_key(|(key, viewers)| (std::cmp::Reverse(*viewers), *key));
        let mut room = self.budget;
        let mut chosen = Vec::new();
        for (key, bytes) in wanted.into_iter().filter_map(|(key, _)| Some((key, length(key)?))) {
            // One at least, however long segments are.
            if bytes > room && !chosen.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            self.asked.insert(key, now);
            chosen.push(key);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part: 0 }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn numbers(keys: Vec<SegmentKey>) -> Vec<u64> {
        keys.into_iter().map(|key| key.number).collect()
    }

    // R30 R31
    #[test]
    fn what_most_viewers_lack_is_read_first_and_no_more_than_fits() {
        let lacking = || [5, 1, 2, 5, 2, 5, 9].map(key).to_vec();
        let read = |store: u64| numbers(Recall::new(store).choose(at(0), lacking(), |_| Some(100)));
        assert_eq!(read(8 * 400), [5, 2, 1, 9], "all");
        assert_eq!(read(8 * 399), [5, 2, 1]);
        assert_eq!(read(8 * 200), [5, 2]);
        assert_eq!(read(8 * 199), [5]);
        assert_eq!(read(0), [5], "one at least");
    }

    #[test]
    fn one_that_was_asked_for_is_left_alone_for_a_while() {
        let mut recall = Recall::new(8000);
        let mut choose =
            |second, has: bool| numbers(recall.choose(at(second), vec![key(1)], |_| has.then_some(100)));
        assert_eq!(choose(0, false), [0; 0], "there is no copy");
        assert_eq!(choose(0, true), [1]);
        assert_eq!(choose(9, true), [0; 0]);
        assert_eq!(choose(10, true), [1]);
    }
}
