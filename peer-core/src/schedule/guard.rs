//! When the source must step in so that the player never stalls.

use crate::time::{Duration, Instant, Rate};

/// Believed of a source that hasn't been measured.
const UNKNOWN_SOURCE: Rate = Rate::new(400_000);
const UNKNOWN_FIRST_BYTE: Duration = Duration::from_millis(250);
const MIN_MARGIN: Duration = Duration::from_millis(900);
const MAX_MARGIN: Duration = Duration::from_millis(3000);

/// The adaptive margin.
#[derive(Clone, Debug)]
pub struct Guard {
    margin: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { margin: Duration::from_millis(1300) }
    }
}

impl Guard {
    /// The latest moment to ask the source for `bytes` that are needed at `deadline`.
    pub fn latest(
        &self,
        deadline: Instant,
        bytes: u64,
        rate: Option<Rate>,
        first_byte: Option<Duration>,
    ) -> Instant {
        let rate = rate.unwrap_or(UNKNOWN_SOURCE);
        // Sources have hiccups; half of what was measured is relied on.
        let transfer = rate.time_for(bytes.saturating_mul(2)).min(Duration::from_secs(10));
        let first = first_byte.unwrap_or(UNKNOWN_FIRST_BYTE).min(Duration::from_secs(3));
        deadline.minus(self.margin + transfer + first)
    }

    /// A segment came: too late doubles the caution, in time lets go of a little of it.
    pub fn learn(&mut self, late: bool) {
        self.margin =
            if late { self.margin * 3 / 2 } else { self.margin * 49 / 50 }.clamp(MIN_MARGIN, MAX_MARGIN);
    }

    /// The margin now.
    pub fn margin(&self) -> Duration {
        self.margin
    }
}
