//! The authority's time, as far as we know it: what it last said, and how long ago that was by the monotonic clock. Never the device's
//! own wall clock, which its owner may set as he likes.

use crate::time::{Instant, millis};

/// The authority's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    said_ms: u64,
    at: Instant,
}

impl Clock {
    /// It has said what time it is. Its last word stands, also where it is earlier than what we thought: it is our clock that has jumped.
    pub fn set(&mut self, server_time_ms: u64, now: Instant) {
        *self = Self { said_ms: server_time_ms, at: now };
    }

    /// Milliseconds since 1970.
    pub fn read(&self, now: Instant) -> u64 {
        self.said_ms.saturating_add(millis(now.since(self.at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn it_goes_on_by_the_monotonic_clock_and_believes_the_last_word() {
        let (mut clock, at) = (Clock::default(), |s| Instant::ZERO + Duration::from_secs(s));
        clock.set(1_000_000, at(10));
        assert_eq!(
            (clock.read(at(10)), clock.read(at(15)), clock.read(at(5))),
            (1_000_000, 1_005_000, 1_000_000)
        );
        clock.set(900_000, at(20));
        assert_eq!(clock.read(at(21)), 901_000);
        clock.set(u64::MAX, at(22));
        assert_eq!(clock.read(at(99)), u64::MAX);
    }
}
