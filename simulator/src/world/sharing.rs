//! How the source divides its capacity: all running transfers get the same rate (processor sharing), none more than what one
//! viewer gets at most.
//!
//! Each transfer has to get so many bytes, and all get them at one rate, so a single count of the bytes that any of them has
//! been given since the beginning says which ends next.

use std::collections::BTreeMap;

use rillcast_core::engine::FetchId;
use rillcast_core::time::{Duration, Instant};

use crate::scenario::Source;

/// One step of one viewer's transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) fetch: FetchId,
    pub(super) bytes: u32,
}

/// The capacity and who is using it.
#[derive(Debug)]
pub(super) struct Sharing {
    /// Bytes/s.
    total: f64,
    each: f64,
    /// Bytes that a transfer has got that was there all the time, and until when that is reckoned.
    given: f64,
    until: Instant,
    /// By the count at which they end; bits of positive floats are in their order.
    running: BTreeMap<(u64, u64), Step>,
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
            serial: 0,
        })
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

    /// A step begins.
    pub(super) fn begin(&mut self, now: Instant, step: Step) {
        self.catch_up(now);
        self.serial += 1;
        let ends = self.given + f64::from(step.bytes);
        self.running.insert((ends.to_bits(), self.serial), step);
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
    fn an_overloaded_source_makes_all_slow_alike() {
        // 8 Mbit/s are 1,000 bytes a millisecond.
        assert_eq!(play(8.0, 8000.0, &[(0, 100_000), (0, 100_000), (0, 200_000)]), [300, 300, 400]);
        // The second comes when the first has half of its bytes; both then go at half the rate.
        assert_eq!(play(8.0, 8000.0, &[(0, 100_000), (50, 100_000)]), [150, 200]);
    }
}
