//! When the source must step in so that the player never stalls.

use crate::time::{Duration, Instant, Rate, micros, times};

/// Believed of a source that hasn't been measured.
const UNKNOWN_SOURCE: Rate = Rate::new(400_000);
const UNKNOWN_FIRST_BYTE: Duration = Duration::from_millis(250);
const MIN_MARGIN: Duration = Duration::from_millis(900);
const MAX_MARGIN: Duration = Duration::from_millis(3000);

/// The adaptive margin.
#[derive(Clone, Debug)]
pub struct Guard {
    margin: Duration,
    /// The margin follows what happens.
    pub adapts: bool,
    /// So much of the margin is taken, in thousandths: see [`Timeline::haste`](crate::media::Timeline::haste).
    pub share: u32,
}

impl Default for Guard {
    fn default() -> Self {
        Self { margin: Duration::from_millis(1300), adapts: true, share: 1000 }
    }
}

impl Guard {
    /// Bytes that the source can still bring until `deadline` if it is asked for them a moment later.
    pub fn can_wait(
        &self,
        deadline: Instant,
        rate: Option<Rate>,
        first_byte: Option<Duration>,
        now: Instant,
    ) -> u64 {
        let rate = rate.unwrap_or(UNKNOWN_SOURCE).bytes_per_second();
        let first = first_byte.unwrap_or(UNKNOWN_FIRST_BYTE).min(Duration::from_secs(3));
        let time = deadline.since(now + self.margin() + first);
        times(rate, micros(time)) / 1_000_000
    }

    /// The latest moment to ask the source for `bytes` that are needed at `deadline`.
    pub fn latest(
        &self,
        deadline: Instant,
        bytes: u64,
        rate: Option<Rate>,
        first_byte: Option<Duration>,
    ) -> Instant {
        let rate = rate.unwrap_or(UNKNOWN_SOURCE);
        let transfer = rate.time_for(bytes).min(Duration::from_secs(10));
        let first = first_byte.unwrap_or(UNKNOWN_FIRST_BYTE).min(Duration::from_secs(3));
        deadline.minus(self.margin() + transfer + first)
    }

    /// A segment came: too late doubles the caution, in time lets go of a little of it.
    pub fn learn(&mut self, late: bool) {
        if !self.adapts {
            return;
        }
        self.margin =
            if late { self.margin * 3 / 2 } else { self.margin * 49 / 50 }.clamp(MIN_MARGIN, MAX_MARGIN);
    }

    /// The margin now.
    pub fn margin(&self) -> Duration {
        self.margin * self.share / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Instant = Instant::from_micros(60_000_000);

    #[test]
    fn more_bytes_or_a_slower_source_are_asked_for_earlier() {
        let guard = Guard::default();
        let at = |bytes, rate| guard.latest(DEADLINE, bytes, Some(Rate::new(rate)), None);
        assert!(at(200_000, 1_000_000) < at(100_000, 1_000_000));
        assert!(at(100_000, 500_000) < at(100_000, 1_000_000));
        assert!(at(0, 1_000_000) < DEADLINE.minus(guard.margin()), "a first byte takes its time too");
    }

    #[test]
    fn an_unknown_source_is_taken_for_a_modest_one() {
        let guard = Guard::default();
        let known = guard.latest(DEADLINE, 400_000, Some(UNKNOWN_SOURCE), Some(UNKNOWN_FIRST_BYTE));
        assert_eq!(guard.latest(DEADLINE, 400_000, None, None), known);
    }

    #[test]
    fn a_hopeless_source_does_not_push_the_moment_out_of_all_bounds() {
        let at =
            Guard::default().latest(DEADLINE, u64::MAX, Some(Rate::new(0)), Some(Duration::from_secs(900)));
        assert!(DEADLINE.since(at) <= MAX_MARGIN + Duration::from_secs(13));
    }

    #[test]
    fn lateness_makes_it_careful_at_once_and_success_lets_go_slowly() {
        let mut guard = Guard::default();
        let before = guard.margin();
        guard.learn(true);
        assert!(guard.margin() >= before * 3 / 2);
        let careful = guard.margin();
        guard.learn(false);
        assert!(guard.margin() < careful && guard.margin() > careful * 9 / 10);
        (0..20).for_each(|_| guard.learn(true));
        assert_eq!(guard.margin(), MAX_MARGIN);
        (0..500).for_each(|_| guard.learn(false));
        assert_eq!(guard.margin(), MIN_MARGIN);
    }

    // R2
    #[test]
    fn near_the_live_edge_it_leaves_time_to_peers_too() {
        let mut guard = Guard::default();
        let (at_leisure, margin) = (guard.latest(DEADLINE, 0, None, None), guard.margin());
        guard.share = 250;
        assert_eq!(guard.margin(), margin / 4);
        assert_eq!(guard.latest(DEADLINE, 0, None, None).since(at_leisure), margin * 3 / 4);
    }

    #[test]
    fn what_can_wait_is_what_the_source_brings_in_the_time_that_is_left() {
        let guard = Guard::default();
        let first = Some(Duration::from_millis(200));
        let rate = Some(Rate::new(100_000));
        let left = |ms: u64| guard.can_wait(DEADLINE, rate, first, DEADLINE.minus(Duration::from_millis(ms)));
        assert_eq!(left(0), 0);
        assert_eq!(left(1500), 0, "margin and first byte");
        assert_eq!(left(2500), 100_000);
    }
}
