//! What the shell itself waits for; the page has one timer for this and the engine together.

use core::time::Duration;

use rillcast_core::time::Instant;

/// What to look at when the time has come. Each names what it was set for, which may be gone by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// An attempt at a link should have opened.
    Attempt(u32),
    /// Signaling should be tried again, if this connection is still the last.
    Connect(u32),
    /// The signaling connection should be alive.
    Alive(u32),
    /// The operator wants counters.
    Report(u32),
}

/// Alarms that are set: one per attempt, and a few of signaling's.
#[derive(Default)]
pub(crate) struct Alarms(Vec<(Instant, Alarm)>);

impl Alarms {
    /// Sets an alarm.
    pub(crate) fn set(&mut self, at: Instant, alarm: Alarm) {
        self.0.push((at, alarm));
    }

    /// When the next one goes off.
    pub(crate) fn next(&self) -> Instant {
        self.0.iter().map(|a| a.0).min().unwrap_or(Instant::NEVER)
    }

    /// Takes one whose time has come.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Alarm> {
        let at = self.0.iter().position(|a| a.0 <= now)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// So many milliseconds.
pub(crate) const fn milliseconds(n: u32) -> Duration {
    Duration::from_millis(n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_goes_off_once_and_not_before_its_time() {
        let at = |ms| Instant::ZERO + milliseconds(ms);
        let mut alarms = Alarms::default();
        assert_eq!(alarms.next(), Instant::NEVER);
        alarms.set(at(20), Alarm::Report(1));
        alarms.set(at(10), Alarm::Attempt(7));
        assert_eq!(alarms.next(), at(10));
        assert_eq!(alarms.due(at(9)), None);
        assert_eq!(alarms.due(at(10)), Some(Alarm::Attempt(7)));
        assert_eq!(alarms.due(at(10)), None);
        assert_eq!(alarms.next(), at(20));
    }
}
