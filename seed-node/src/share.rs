//! What all streams of a node may give together, divided among them by what each gives. The sum of what is granted is never above the cap:
//! who is to get more waits until others have been told that they get less.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Each stream may give at least this part of an equal share, so that it can begin at any time.
const FLOOR: u64 = 4;
/// A stream that uses what it has is granted so many hundredths more, as far as others leave something.
const GROWTH: u64 = 150;
/// Who hasn't reported for so long isn't running.
const SILENT: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
struct Stream {
    granted: u64,
    /// Bytes/s that it gave of late.
    used: u64,
    /// Bytes given up to its last report.
    given: u64,
    reported: Option<Instant>,
}

#[derive(Debug)]
struct Pool {
    cap: u64,
    streams: Mutex<Vec<Stream>>,
}

/// One stream's share.
#[derive(Clone, Debug)]
pub struct Share {
    pool: Arc<Pool>,
    own: usize,
}

/// Divides so many bytes/s into this many shares, equal ones at first.
pub fn divide(cap: u32, streams: usize) -> Vec<Share> {
    let granted = u64::from(cap) / streams.max(1) as u64;
    let stream = Stream { granted, used: 0, given: 0, reported: None };
    let pool = Arc::new(Pool { cap: cap.into(), streams: Mutex::new(vec![stream; streams]) });
    (0..streams).map(|own| Share { pool: Arc::clone(&pool), own }).collect()
}

impl Share {
    /// Bytes/s that the stream may give now; at least 1.
    pub fn granted(&self) -> u32 {
        let granted = self.streams()[self.own].granted;
        u32::try_from(granted).unwrap_or(u32::MAX).max(1)
    }

    /// Called once every `interval` with all bytes that the stream has given since its visit began. Told back: whether it may give more or less
    /// now than before.
    pub fn report(&self, given: u64, interval: Duration, now: Instant) -> bool {
        let mut streams = self.streams();
        let floor = (self.pool.cap / (streams.len() as u64 * FLOOR)).max(1);
        for (at, stream) in streams.iter_mut().enumerate() {
            let is_silent = stream.reported.is_none_or(|at| now.saturating_duration_since(at) > SILENT);
            if at != self.own && is_silent {
                (stream.granted, stream.used) = (stream.granted.min(floor), 0);
            }
        }
        let own = &mut streams[self.own];
        // Another visit counts from nothing.
        let bytes = given.checked_sub(own.given).unwrap_or(given);
        let millis = interval.as_millis().max(1) as u64;
        // A pause of a second, between two segments, say, takes nothing away at once.
        own.used = (bytes.saturating_mul(1000) / millis).max(own.used / 2);
        (own.given, own.reported) = (given, Some(now));
        let before = own.granted;
        let others: u64 =
            streams.iter().enumerate().filter(|(at, _)| *at != self.own).map(|(_, s)| s.granted).sum();
        let target = self.target(&streams, floor);
        streams[self.own].granted = target.min(self.pool.cap.saturating_sub(others)).max(1);
        streams[self.own].granted != before
    }

    /// What this stream should have: what it wants, or the part of the cap that is its own if all want too much.
    fn target(&self, streams: &[Stream], floor: u64) -> u64 {
        let wants = |stream: &Stream| stream.used.saturating_mul(GROWTH) / 100 + floor;
        let mut left = self.pool.cap;
        let mut unmet: Vec<(u64, bool)> =
            streams.iter().enumerate().map(|(at, stream)| (wants(stream), at == self.own)).collect();
        // Those who want least are served first; what they leave is divided among the others.
        unmet.sort_unstable();
        let mut count = unmet.len() as u64;
        for (want, is_own) in unmet {
            let given = want.min(left / count);
            if is_own {
                // Nobody else wants the rest.
                return if count == 1 { left } else { given };
            }
            (left, count) = (left - given, count - 1);
        }
        left
    }

    fn streams(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.pool.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const CAP: u32 = 1_000_000;

    /// Streams that would give so many bytes/s, and what they are granted after a while. The sum holds at every moment.
    fn settle(wishes: &[u64]) -> Vec<u64> {
        let shares = divide(CAP, wishes.len());
        let mut given = vec![0; wishes.len()];
        let begun = Instant::now();
        for second in 0..20 {
            for (at, share) in shares.iter().enumerate() {
                given[at] += wishes[at].min(share.granted().into());
                share.report(given[at], SECOND, begun + SECOND * second);
                let sum: u64 = shares.iter().map(|s| u64::from(s.granted())).sum();
                assert!(sum <= u64::from(CAP), "{sum} after {second} s");
            }
        }
        shares.iter().map(|share| share.granted().into()).collect()
    }

    #[test]
    fn one_stream_alone_has_all() {
        assert_eq!(settle(&[2_000_000]), [u64::from(CAP)]);
        assert_eq!(settle(&[0]), [u64::from(CAP)], "also before it needs it");
    }

    // R34
    #[test]
    fn what_one_leaves_another_may_use() {
        let granted = settle(&[50_000, 5_000_000]);
        assert!((50_000..250_000).contains(&granted[0]), "{granted:?}");
        assert!(granted[1] >= 750_000, "{granted:?}");
    }

    #[test]
    fn where_all_want_more_than_there_is_they_get_alike() {
        for granted in settle(&[5_000_000; 4]) {
            assert!((240_000..=250_000).contains(&granted), "{granted}");
        }
    }

    #[test]
    fn an_idle_stream_may_begin_at_any_time_and_is_soon_served() {
        let shares = divide(CAP, 2);
        let (mut given, begun) = ([0u64; 2], Instant::now());
        let mut second = 0;
        let mut run = |wishes: [u64; 2], seconds: u32| {
            for _ in 0..seconds {
                second += 1;
                for (at, share) in shares.iter().enumerate() {
                    given[at] += wishes[at].min(share.granted().into());
                    share.report(given[at], SECOND, begun + SECOND * second);
                }
            }
            [shares[0].granted(), shares[1].granted()]
        };
        let [idle, busy] = run([0, 5_000_000], 20);
        assert!(idle >= CAP / 8 && busy > CAP * 4 / 5, "{idle} {busy}");
        let [idle, busy] = run([5_000_000, 5_000_000], 10);
        assert!(idle.abs_diff(busy) < CAP / 20, "{idle} {busy}");
    }

    #[test]
    fn who_has_ended_keeps_nothing_from_others_but_room_to_begin() {
        let shares = divide(CAP, 2);
        let begun = Instant::now();
        shares[0].report(500_000, SECOND, begun);
        assert!(shares[1].granted() <= CAP / 2);
        shares[1].report(0, SECOND, begun + SILENT);
        let early = shares[1].granted();
        shares[1].report(500_000, SECOND, begun + SILENT + SECOND);
        assert!(shares[1].granted() > early.max(CAP * 4 / 5), "{}", shares[1].granted());
        assert_eq!(shares[0].granted(), CAP / 8);
    }
}
