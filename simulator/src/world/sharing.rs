//! How the source divides its capacity: all viewers that are being served get the same rate (processor sharing), none more
//! than what one viewer gets at most. A viewer has one connection (HTTP/2, 3), however many requests it sends: they take turns
//! on it, a step each.
//!
//! Each connection has to get so many bytes until its step ends, and all get them at one rate, so a single count of the bytes
//! that any of them has been given since the beginning says which ends next.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rillcast_core::engine::FetchId;
use rillcast_core::time::{Duration, Instant};

use crate::scenario::Source;

/// A step is what one viewer gets in this time, within the bounds below: what comes slowly comes in small pieces.
const GRAIN: f64 = 0.2;
const SMALLEST: u32 = 4 * 1024;

/// One step of one viewer's transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) fetch: FetchId,
    pub(super) bytes: u32,
}

/// When a connection's step ends, by the count; bits of positive floats are in their order.
type Place = (u64, u64);

/// The capacity and who is using it.
#[derive(Debug)]
pub(super) struct Sharing {
    /// Bytes/s.
    total: f64,
    each: f64,
    /// Bytes that a connection has got that was busy all the time, and until when that is reckoned.
    given: f64,
    until: Instant,
    running: BTreeMap<Place, Step>,
    /// Of each viewer that is being served: its place among those, and steps that wait for their turn.
    viewers: HashMap<u32, (Place, VecDeque<Step>)>,
    serial: u64,
}

impl Sharing {
    /// None where there is no limit.
    pub(super) fn new(source: &Source) -> Option<Self> {
        Some(Self {
            total: source.total_mbps? * 125_000.0,
            each: source.per_viewer_kbps * 125.0,
            given: 0.0,
            until: Instant::ZERO,
            running: BTreeMap::new(),
            viewers: HashMap::new(),
            serial: 0,
        })
    }

    /// How large steps are now, if they may be so large at most.
    pub(super) fn grain(&self, most: u32) -> u32 {
        ((self.rate() * GRAIN) as u32).clamp(SMALLEST, most)
    }

    fn rate(&self) -> f64 {
        self.each.min(self.total / self.running.len().max(1) as f64)
    }

    fn catch_up(&mut self, now: Instant) {
        self.given += self.rate() * now.since(self.until).as_secs_f64();
        self.until = now;
    }

    /// When the next step ends, and a number that says whether that still holds.
    pub(super) fn next(&self) -> Option<(Instant, u64)> {
        let ((bits, _), _) = self.running.first_key_value()?;
        let left = (f64::from_bits(*bits) - self.given).max(0.0);
        // A microsecond more, for what rounding takes away.
        Some((
            self.until + Duration::from_secs_f64(left / self.rate()) + Duration::from_micros(1),
            self.serial,
        ))
    }

    /// A step begins, or waits for its turn.
    pub(super) fn begin(&mut self, now: Instant, step: Step) {
        self.catch_up(now);
        self.serial += 1;
        match self.viewers.get_mut(&step.node) {
            Some((_, waiting)) => waiting.push_back(step),
            None => self.serve(step, VecDeque::new()),
        }
    }

    fn serve(&mut self, step: Step, waiting: VecDeque<Step>) {
        self.serial += 1;
        let place = ((self.given + f64::from(step.bytes)).to_bits(), self.serial);
        self.running.insert(place, step);
        self.viewers.insert(step.node, (place, waiting));
    }

    /// A viewer's connection has come to the end of a step.
    fn go_on(&mut self, node: u32) {
        if let Some((_, mut waiting)) = self.viewers.remove(&node)
            && let Some(step) = waiting.pop_front()
        {
            self.serve(step, waiting);
        }
    }

    /// A transfer is broken off, of which the source hears after `delay`. Told back: how much of its step is sent by then, if it had
    /// one to be sent.
    pub(super) fn break_off(
        &mut self,
        now: Instant,
        (node, fetch): (u32, FetchId),
        delay: Duration,
    ) -> Option<u32> {
        let (place, waiting) = self.viewers.get_mut(&node)?;
        if let Some(at) = waiting.iter().position(|s| s.fetch == fetch) {
            waiting.remove(at);
            return Some(0);
        }
        let place = *place;
        let step = *self.running.get(&place).filter(|s| s.fetch == fetch)?;
        self.catch_up(now);
        let late = self.rate() * delay.as_secs_f64();
        let left = (f64::from_bits(place.0) - self.given - late).max(0.0);
        self.running.remove(&place);
        self.serial += 1;
        self.go_on(node);
        Some(step.bytes.saturating_sub(left as u32))
    }

    /// Steps that have ended by now; `None` if `turn` isn't the number of the latest change.
    pub(super) fn ended(&mut self, now: Instant, turn: u64) -> Option<Vec<Step>> {
        if turn != self.serial {
            return None;
        }
        self.catch_up(now);
        self.serial += 1;
        let mut ended = Vec::new();
        while let Some(first) = self.running.first_entry()
            && f64::from_bits(first.key().0) <= self.given
        {
            ended.push(first.remove());
        }
        ended.iter().for_each(|step| self.go_on(step.node));
        Some(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Begins these (at ms, bytes), in order of time; told back: when each ended, in ms.
    fn play(total_mbps: f64, each_kbps: f64, begins: &[(u64, u32)]) -> Vec<u64> {
        let source = Source { total_mbps: Some(total_mbps), per_viewer_kbps: each_kbps, ..Source::default() };
        let mut sharing = Sharing::new(&source).expect("limited");
        let mut ends = vec![0; begins.len()];
        let mut begins = begins.iter().enumerate().peekable();
        loop {
            let next = sharing.next();
            let due = next.map_or(Instant::NEVER, |n| n.0);
            if let Some((n, (ms, bytes))) = begins.next_if(|(_, (ms, _))| at(*ms) <= due) {
                sharing.begin(at(*ms), Step { node: n as u32, fetch: FetchId(0), bytes: *bytes });
            } else if let Some((when, turn)) = next {
                for step in sharing.ended(when, turn).expect("nothing came between") {
                    ends[step.node as usize] = (when.as_micros() + 500) / 1000;
                }
            } else {
                return ends;
            }
        }
    }

    #[test]
    fn one_alone_gets_no_more_than_its_own_line_takes() {
        assert_eq!(play(80.0, 8000.0, &[(0, 1_000_000)]), [1000]);
        assert_eq!(play(8.0, 80_000.0, &[(0, 1_000_000)]), [1000]);
    }

    #[test]
    fn what_is_broken_off_makes_room_for_the_others() {
        let source = Source { total_mbps: Some(8.0), per_viewer_kbps: 8000.0, ..Source::default() };
        let mut sharing = Sharing::new(&source).expect("limited");
        for node in 0..2 {
            sharing.begin(at(0), Step { node, fetch: FetchId(7), bytes: 100_000 });
        }
        let sent = sharing.break_off(at(100), (0, FetchId(7)), Duration::from_millis(20));
        assert_eq!(sent, Some(60_000), "half of the capacity, until the source hears of it");
        assert_eq!(sharing.break_off(at(100), (0, FetchId(7)), Duration::ZERO), None);
        let (when, turn) = sharing.next().expect("the other");
        assert_eq!((when.as_micros() + 500) / 1000, 150, "the other gets all of it");
        assert_eq!(sharing.ended(when, turn).map(|ended| ended.len()), Some(1));
        assert_eq!(sharing.break_off(at(150), (1, FetchId(7)), Duration::ZERO), None, "it has ended");
    }

    #[test]
    fn a_viewer_with_many_requests_gets_no_more_than_others() {
        let source = Source { total_mbps: Some(8.0), per_viewer_kbps: 8000.0, ..Source::default() };
        let mut sharing = Sharing::new(&source).expect("limited");
        for fetch in 0..3 {
            sharing.begin(at(0), Step { node: 1, fetch: FetchId(fetch), bytes: 100_000 });
        }
        sharing.begin(at(0), Step { node: 2, fetch: FetchId(0), bytes: 100_000 });
        assert_eq!(
            sharing.break_off(at(10), (1, FetchId(1)), Duration::ZERO),
            Some(0),
            "its turn hadn't come"
        );
        let mut ends = Vec::new();
        while let Some((when, turn)) = sharing.next() {
            let ended = sharing.ended(when, turn).expect("nothing came between");
            ends.extend(ended.iter().map(|s| (s.node, s.fetch.0, (when.as_micros() + 500) / 1000)));
        }
        assert_eq!(ends, [(1, 0, 200), (2, 0, 200), (1, 2, 300)]);
    }

    #[test]
    fn what_comes_slowly_comes_in_small_steps() {
        let source = Source { total_mbps: Some(8.0), per_viewer_kbps: 8000.0, ..Source::default() };
        let mut sharing = Sharing::new(&source).expect("limited");
        assert_eq!(sharing.grain(65_536), 65_536);
        (0..20).for_each(|node| sharing.begin(at(0), Step { node, fetch: FetchId(0), bytes: 9 }));
        assert_eq!(sharing.grain(65_536), 10_000);
        (20..900).for_each(|node| sharing.begin(at(0), Step { node, fetch: FetchId(0), bytes: 9 }));
        assert_eq!(sharing.grain(65_536), SMALLEST);
    }

    #[test]
    fn an_overloaded_source_makes_all_slow_alike() {
        // 8 Mbit/s are 1,000 bytes a millisecond.
        assert_eq!(play(8.0, 8000.0, &[(0, 100_000), (0, 100_000), (0, 200_000)]), [300, 300, 400]);
        // The second comes when the first has half of its bytes; both then go at half the rate.
        assert_eq!(play(8.0, 8000.0, &[(0, 100_000), (50, 100_000)]), [150, 200]);
    }
}
