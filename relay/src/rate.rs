//! A token bucket.

use std::time::{Duration, Instant};

/// Lets `per_sec` units pass in the long run and `burst` at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    per_sec: f64,
    burst: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    pub fn new(per_sec: f64, burst: f64, now: Instant) -> Self {
        Self { per_sec: per_sec.max(1e-6), burst, level: burst, at: now }
    }

    /// Takes units if they are there.
    pub fn take(&mut self, units: f64, now: Instant) -> bool {
        self.fill(now);
        let there = self.level >= units;
        if there {
            self.level -= units;
        }
        there
    }

    /// Whether units are there.
    pub fn has(&mut self, units: f64, now: Instant) -> bool {
        self.fill(now);
        self.level >= units
    }

    /// Takes as many whole units as are there, `most` at most.
    pub fn take_some(&mut self, most: usize, now: Instant) -> usize {
        self.fill(now);
        let some = most.min(self.level as usize);
        self.level -= some as f64;
        some
    }

    /// Takes units on credit; returns how long to pause until the debt is paid.
    pub fn borrow(&mut self, units: f64, now: Instant) -> Duration {
        self.fill(now);
        self.level -= units;
        let debt = (-self.level / self.per_sec).clamp(0.0, 86_400.0);
        Duration::from_secs_f64(debt)
    }

    /// Whether nothing of it is in use.
    pub fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= self.burst
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_sec).min(self.burst);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_is_what_is_there_and_no_more_than_is_asked_for() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1.0, 5.0, now);
        assert_eq!([2, 2, 2, 2].map(|most| bucket.take_some(most, now)), [2, 2, 1, 0]);
        assert_eq!(bucket.take_some(9, now + Duration::from_millis(2900)), 2, "whole ones");
    }

    #[test]
    fn the_burst_passes_and_one_more_does_not() {
        let now = Instant::now();
        let mut bucket = Bucket::new(2.0, 3.0, now);
        assert!((0..3).all(|_| bucket.take(1.0, now)));
        assert!(!bucket.take(1.0, now));
        assert!(!bucket.take(1.0, now + Duration::from_millis(499)));
        assert!(bucket.take(1.0, now + Duration::from_millis(500)));
    }

    #[test]
    fn it_never_holds_more_than_the_burst() {
        let now = Instant::now();
        let mut bucket = Bucket::new(100.0, 3.0, now);
        let later = now + Duration::from_secs(3600);
        assert!(bucket.take(3.0, later));
        assert!(!bucket.take(1.0, later));
    }

    #[test]
    fn a_debt_is_paid_at_the_rate() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, now);
        assert_eq!(bucket.borrow(5.0, now), Duration::ZERO);
        assert_eq!(bucket.borrow(1.0, now), Duration::from_millis(100));
        assert_eq!(bucket.borrow(1.0, now + Duration::from_millis(100)), Duration::from_millis(100));
    }
}
