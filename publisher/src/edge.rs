//! When to look at a live playlist again.
//!
//! A packager adds a segment when it has finished encoding it, so the next one is due about one segment's duration
//! after the last appeared. Around that time we look often, otherwise not at all: two or three requests per segment
//! find it within one [`Pace::quick`] of its appearance. A playlist that is late is looked at ever less often.

use std::time::{Duration, Instant};

/// How often, at most and at least.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks while a segment is due.
    pub quick: Duration,
    /// Between two looks at a playlist that stands still or can't be had.
    pub slow: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { quick: Duration::from_millis(200), slow: Duration::from_secs(5) }
    }
}

/// What was seen of one playlist, and what follows for the next look.
#[derive(Clone, Debug)]
pub struct Edge {
    pace: Pace,
    /// When the next segment ought to appear, once a first one was seen appearing.
    due: Option<Instant>,
    /// Since when we wait for it without knowing the phase.
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
        self.looked = Some(looked);
        self.failures = 0;
        self.patience = segment.max(self.pace.quick);
        self.since = looked;
        if first {
            self.due = None;
            self.next = looked + self.pace.quick;
        } else {
            let due = looked + segment;
            self.due = Some(due);
            self.next = (due - self.pace.quick.min(segment)).max(looked + self.pace.quick);
        }
    }

    /// The look that began at `looked` showed nothing new.
    pub fn unchanged(&mut self, looked: Instant) {
        self.looked = Some(looked);
        self.failures = 0;
        let late = match self.due {
            Some(due) => looked.saturating_duration_since(due),
            None => looked.saturating_duration_since(self.since + self.patience),
        };
        let wait = if late <= self.patience { self.pace.quick } else { late / 8 };
        self.next = looked + wait.clamp(self.pace.quick, self.pace.slow);
    }

    /// Somebody has seen a newer playlist than we have: look now, though never more often than is quick.
    pub fn hurry(&mut self, now: Instant) {
        if self.failures == 0 {
            let earliest = self.looked.map_or(now, |looked| (looked + self.pace.quick).max(now));
            self.next = self.next.min(earliest);
        }
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

    /// Looks at a stream whose segments appear every `SEGMENT` from `phase` on; returns the delays of their discovery
    /// and the number of looks.
    fn follow(phase: Duration, segments: u32) -> (Vec<Duration>, u32) {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        let (mut seen, mut looks, mut delays) = (None, 0, Vec::new());
        while delays.len() < segments as usize {
            let now = edge.next();
            looks += 1;
            let newest =
                (now - start).checked_sub(phase).map(|t| (t.as_millis() / SEGMENT.as_millis()) as u32);
            if newest != seen || looks == 1 {
                let first = looks == 1;
                if !first && let Some(n) = newest {
                    delays.push(now - (start + phase + SEGMENT * n));
                }
                seen = newest;
                edge.appeared(now, SEGMENT, first);
            } else {
                edge.unchanged(now);
            }
        }
        (delays, looks)
    }

    #[test]
    fn each_segment_is_found_within_one_quick_interval_by_few_looks() {
        for phase in [0, 1, 130, 1999, 3900] {
            let (delays, looks) = follow(Duration::from_millis(phase), 50);
            assert!(delays.iter().all(|d| *d <= Pace::default().quick), "{delays:?}");
            // Up to 20 looks to find the phase, then at most three per segment.
            assert!(looks <= 20 + 3 * 50, "{looks}");
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
    fn a_hint_brings_the_next_look_forward_but_not_below_the_quick_interval() {
        let start = Instant::now();
        let mut edge = Edge::new(Pace::default(), start);
        edge.appeared(start, SEGMENT, false);
        edge.hurry(start + Duration::from_secs(1));
        assert_eq!(edge.next(), start + Duration::from_secs(1));
        edge.unchanged(edge.next());
        edge.hurry(start + Duration::from_secs(1));
        assert_eq!(edge.next(), start + Duration::from_secs(1) + Pace::default().quick);
        edge.failed(edge.next());
        let next = edge.next();
        edge.hurry(start);
        assert_eq!(edge.next(), next, "no hint helps an origin that fails");
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
