//! Misbehaviour on request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the origin does wrong. The default is nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Answer media segments with this status instead of their bytes.
    pub segment_status: Option<u16>,
    /// Wait this long before answering anything but control paths, in ms.
    pub latency_ms: u64,
    /// Send at most this many bytes of media per second on each connection.
    pub connection_bytes_per_s: Option<u64>,
    /// Send at most this many bytes of media per second in all.
    pub total_bytes_per_s: Option<u64>,
    /// Ignore `Range` and don't announce it.
    pub no_range: bool,
    /// Send no CORS headers.
    pub no_cors: bool,
    /// End all of this after so many ms.
    pub for_ms: Option<u64>,
}

/// The faults in force, and the pace that they impose.
#[derive(Debug, Default)]
pub(crate) struct FaultBox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    until: Option<Instant>,
    total: Arc<Pace>,
}

impl FaultBox {
    pub(super) fn set(&self, faults: Faults) {
        let until = faults.for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        *self.lock() = State { faults, until, total: Arc::default() };
    }

    /// What is wrong now.
    pub(super) fn now(&self) -> Faults {
        let mut state = self.lock();
        if state.until.is_some_and(|until| Instant::now() >= until) {
            *state = State::default();
        }
        state.faults.clone()
    }

    /// The pace that all connections share.
    pub(super) fn total_pace(&self) -> Arc<Pace> {
        self.lock().total.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands out moments to send at, so that a rate is kept.
#[derive(Debug, Default)]
pub(super) struct Pace {
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Reserves `bytes` at `rate` bytes per second; they may go out at the returned moment.
    pub(super) fn reserve(&self, bytes: usize, rate: u64) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_adds_up_over_its_users() {
        let pace = Pace::default();
        let first = pace.reserve(1000, 1000);
        let second = pace.reserve(500, 1000);
        let third = pace.reserve(1, 1000);
        assert_eq!(second - first, Duration::from_secs(1));
        assert_eq!(third - second, Duration::from_millis(500));
    }

    #[test]
    fn faults_end_by_themselves() {
        let faults = FaultBox::default();
        faults.set(Faults { segment_status: Some(404), for_ms: Some(0), ..Faults::default() });
        assert_eq!(faults.now(), Faults::default());
        faults.set(Faults { segment_status: Some(404), ..Faults::default() });
        assert_eq!(faults.now().segment_status, Some(404));
    }
}
