//! When to look at a live playlist again.
//!
//! A packager adds a segment when it has finished encoding it, so the next one is due one segment's duration after the
//! last appeared. *When* that was lies between two looks; looking next time in the middle of that span halves it. So
//! after a few segments each is found within a small part of [`Pace::quick`] by about three requests: one just before
//! it is due (it may have come earlier than it should), one in the middle of the span, one at its end. A segment that
//! is late is waited for at the quick interval, and a playlist that stands still is looked at ever less often.

use std::time::{Duration, Instant};

/// How often, at most and at least.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks while a segment is due. Around the moment itself a few looks come as close as a quarter of it.
    pub quick: Duration,
    /// Between two looks at a playlist that stands still or can't be had.
    pub slow: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { quick: Duration::from_millis(200), slow: Duration::from_secs(5) }
    }
}

/// A span in which something happened or will happen.
#[derive(Clone, Copy, Debug)]
struct Span {
    after: Instant,
    until: Instant,
}

/// What was seen of one playlist, and what follows for the next look.
#[derive(Clone, Debug)]
pub struct Edge {
    pace: Pace,
    /// When the next segment ought to appear, once one was seen appearing.
    due: Option<Span>,
    /// Since when we wait for a segment without knowing the phase.
    since: Instant,
    /// How long a segment may be late before we slow down.
    patience: Duration,
    failures: u32,
    looked: Option<Instant>,
    next: Instant,
}

impl Edge {
    /// A playlist not yet looked at.
    pub fn new(pace: Pace, now: Instant) -> Self {
        Self { pace, due: None, since: now, patience: pace.slow, failures: 0, looked: None, next: now }
    }

    /// When to look again.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// The look that began at `looked` showed new segments. `segment` is the newest one's duration; `first` says that
    /// nothing was known before, so that it may have appeared long ago.
    pub fn appeared(&mut self, looked: Instant, segment: Duration, first: bool) {
        let before = self.looked.replace(looked);
        let expected = self.due.take();
        self.failures = 0;
        self.patience = segment.max(self.pace.quick);
        self.since = looked;
        if !first && let Some(before) = before {
            // Where there was no look for long, it isn't likely to have been there for long.
            let earliest = looked.checked_sub(2 * self.pace.quick).unwrap_or(before);
            let seen = Span { after: before.max(earliest).min(looked), until: looked };
            let span = expected
                .filter(|e| e.after < seen.until && seen.after < e.until)
                .map_or(seen, |e| Span { after: e.after.max(seen.after), until: e.until.min(seen.until) });
            self.due = Some(Span { after: span.after + segment, until: span.until + segment });
        }
        self.plan(looked);
    }

    /// The look that began at `looked` showed nothing new.
    pub fn unchanged(&mut self, looked: Instant) {
        self.looked = Some(looked);
        self.failures = 0;
        self.plan(looked);
    }

    fn plan(&mut self, looked: Instant) {
        let quick = self.pace.quick;
        let soonest = looked + quick / 4;
        if let Some(due) = self.due {
            let width = due.until - due.after;
            let early = due.after - (quick / 2).min(self.patience / 2);
            let middle = due.after + width / 2;
            let looks =
                [early, middle, due.until, due.until + quick / 4, due.until + quick / 2, due.until + quick];
            let narrow = width <= quick / 4;
            let planned = looks.into_iter().enumerate().filter(|(i, _)| *i != 1 || !narrow);
            if let Some(at) = planned.map(|(_, at)| at).find(|at| *at >= soonest) {
                self.next = at;
                return;
            }
        }
        let late = match self.due {
            Some(due) => looked.saturating_duration_since(due.until),
            None => looked.saturating_duration_since(self.since + self.patience),
        };
        let wait = if late <= self.patience { quick } else { late / 8 };
        self.next = looked + wait.clamp(quick, self.pace.slow.max(quick));
    }

    /// The next segment is there at that moment, and not sooner: no look before that shows anything.
    pub fn due_at(&mut self, at: Instant) {
        let soonest = self.looked.map_or(at, |looked| looked + self.pace.quick / 4);
        self.next = at.max(soonest);
    }

    /// Somebody has seen a newer playlist than we have: look now, though never more often than is quick.
    pub fn hurry(&mut self, now: Instant) {
        if self.failures == 0 {
            let earliest = self.looked.map_or(now, |looked| (looked + self.pace.quick).max(now));
            self.next = self.next.min(earliest);
        }
    }

    /// The origin itself says that the playlist has changed: look at once, whatever came of the last look.
    pub fn told(&mut self, now: Instant) {
        let earliest = self.looked.map_or(now, |looked| (looked + self.pace.quick / 4).max(now));
        self.next = self.next.min(earliest);
    }

    /// The look that began at `looked` failed.
    pub fn failed(&mut self, looked: Instant) {
        self.looked = Some(looked);
        self.failures = (self.failures + 1).min(16);
        self.next = looked + (self.pace.quick * (1 << self.failures)).min(self.pace.slow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Duration = Duration::from_secs(4);
    const QUICK: Duration = Duration::from_millis(200);

    /// Looks at a stream whose segment `n` appears at `when(n)` milliseconds; returns the delays of their discovery and
    /// the number of looks.
    fn follow(segments: u64, when: impl Fn(u64) -> u64) -> (Vec<Duration>, usize) {
        let start = Instant::now();
        let at = |n| start + Duration::from_millis(when(n));
        let mut edge = Edge::new(Pace::default(), start);
        let (mut seen, mut looks, mut delays) = (0, 0, Vec::new());
        while (delays.len() as u64) < segments {
            let now = edge.next();
            let first = looks == 0;
            looks += 1;
            let mut newest = seen;
            while at(newest) <= now {
                newest += 1;
            }
            if newest > seen || first {
                if !first {
                    delays.push(now - at(newest - 1));
                }
                edge.appeared(now, SEGMENT, first);
                seen = newest;
            } else {
                edge.unchanged(now);
            }
        }
        (delays, looks)
    }

    #[test]
    fn a_regular_stream_is_found_ever_sooner_by_few_looks() {
        for phase in [0, 1, 130, 1999, 3900] {
            let (delays, looks) = follow(60, |n| phase + 4000 * n);
            assert!(delays.iter().all(|d| *d <= QUICK), "{delays:?}");
            assert!(delays[8..].iter().all(|d| *d <= QUICK / 4), "{delays:?}");
            // Up to 21 looks to find the phase, then three per segment, or four while the span narrows.
            assert!(looks <= 21 + 3 * 60 + 12, "{looks}");
        }
    }

    #[test]
    fn an_irregular_one_is_found_within_the_quick_interval_by_a_few_more() {
        let mut random = 7u64;
        let jitter: Vec<u64> = (0..202)
            .map(|_| {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % 300
            })
            .collect();
        let (delays, looks) = follow(200, |n| 500 + 4000 * n + jitter[n as usize]);
        let mut sorted = delays.clone();
        sorted.sort();
        assert!(sorted[190] <= QUICK, "{sorted:?}");
        assert!(looks <= 21 + 6 * 200, "{looks}");
    }

    #[test]
    fn a_clock_that_runs_fast_or_slow_is_followed() {
        for drift in [3990, 4010] {
            let (delays, looks) = follow(200, |n| 500 + drift * n);
            assert!(delays[8..].iter().all(|d| *d <= QUICK), "{drift} {delays:?}");
            assert!(looks <= 21 + 5 * 200, "{drift} {looks}");
        }
    }

    #[test]
    fn a_playlist_that_stands_still_is_looked_at_ever_less() {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        edge.appeared(start, SEGMENT, true);
        let mut looks = 0;
        while edge.next() < start + Duration::from_secs(600) {
            edge.unchanged(edge.next());
            looks += 1;
        }
        assert!(looks < 240, "{looks}");
        let last = edge.next();
        edge.unchanged(last);
        assert_eq!(edge.next() - last, Pace::default().slow);
    }

    #[test]
    fn looks_are_never_closer_than_a_quarter_of_the_quick_interval() {
        for phase in 0..40 {
            let start = Instant::now();
            let mut edge = Edge::new(Pace::default(), start);
            edge.appeared(start, SEGMENT, true);
            for n in 0..400u32 {
                let at = edge.next();
                if n % 7 == phase % 7 {
                    edge.appeared(at, SEGMENT, false)
                } else {
                    edge.unchanged(at)
                }
                assert!(edge.next() >= at + QUICK / 4);
            }
        }
    }

    #[test]
    fn a_hint_brings_the_next_look_forward_but_not_below_the_quick_interval() {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        edge.appeared(start, SEGMENT, false);
        edge.unchanged(start + SEGMENT * 3);
        let at = start + SEGMENT * 3 + Duration::from_millis(10);
        edge.hurry(at);
        assert_eq!(edge.next(), start + SEGMENT * 3 + QUICK);
        edge.hurry(at + SEGMENT);
        assert_eq!(edge.next(), start + SEGMENT * 3 + QUICK, "never later than planned");
        edge.failed(edge.next());
        let next = edge.next();
        edge.hurry(start);
        assert_eq!(edge.next(), next, "no hint helps an origin that fails");
    }

    // R22
    #[test]
    fn what_is_due_by_the_clock_is_looked_for_at_that_moment_and_no_sooner_than_looks_may_follow() {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        edge.appeared(start, SEGMENT, true);
        edge.due_at(start + SEGMENT);
        assert_eq!(edge.next(), start + SEGMENT);
        edge.unchanged(start);
        for (left, next) in [(QUICK / 4 - Duration::from_millis(1), QUICK / 4), (QUICK / 4, QUICK / 4)] {
            edge.due_at(start + left);
            assert_eq!(edge.next(), start + next);
        }
        edge.due_at(start + SEGMENT);
        edge.told(start + QUICK);
        assert_eq!(edge.next(), start + QUICK, "the origin's word comes before the clock's");
    }

    #[test]
    fn failures_slow_down_and_one_success_ends_that() {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        let mut waits = Vec::new();
        for _ in 0..20 {
            let at = edge.next();
            edge.failed(at);
            waits.push(edge.next() - at);
        }
        assert!(waits.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!(waits.last(), Some(&Pace::default().slow));
        let at = edge.next();
        edge.appeared(at, SEGMENT, false);
        assert!(edge.next() <= at + SEGMENT);
    }
}
