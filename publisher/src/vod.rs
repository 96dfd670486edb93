//! What to digest next of a finished playlist.
//!
//! Digesting all of a long film at once would fetch it whole, whether anybody sees the end or not. So each place that
//! a viewer asked for starts a cursor that runs ahead of play-out by a lead and then keeps pace with it.

use std::time::{Duration, Instant};

/// Most cursors at a time; the one that moved longest ago gives way.
pub const MAX_CURSORS: usize = 8;

/// How far ahead of the viewers to digest.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// Playing time digested at once from where a viewer begins.
    pub ahead: Duration,
    /// From then on, hundredths of play-out speed.
    pub speed_percent: u32,
}

impl Default for Lead {
    fn default() -> Self {
        Self { ahead: Duration::from_secs(60), speed_percent: 125 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// Index of the next segment.
    at: usize,
    began: Instant,
    /// Playing time handed out.
    handed: Duration,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The segment with this index.
    Segment(usize),
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing, unless somebody asks.
    Idle,
}

/// The cursors over one playlist.
#[derive(Clone, Debug)]
pub struct Plan {
    lead: Lead,
    durations: Vec<Duration>,
    handed: Vec<bool>,
    cursors: Vec<Cursor>,
}

impl Plan {
    /// A plan over segments of these durations, beginning at the first.
    pub fn new(lead: Lead, durations: Vec<Duration>, now: Instant) -> Self {
        let handed = vec![false; durations.len()];
        let mut plan = Self { lead, durations, handed, cursors: Vec::new() };
        plan.start(0, now);
        plan
    }

    /// A viewer is at this segment. Where a cursor is about to come by anyway, nothing changes.
    pub fn start(&mut self, index: usize, now: Instant) {
        if index >= self.durations.len() {
            return;
        }
        let near = |c: &Cursor| {
            c.at <= index && self.durations[c.at..index].iter().sum::<Duration>() < self.lead.ahead / 2
        };
        if self.cursors.iter().any(near) {
            return;
        }
        if self.cursors.len() == MAX_CURSORS {
            self.cursors.remove(0);
        }
        self.cursors.push(Cursor { at: index, began: now, handed: Duration::ZERO });
    }

    /// The next segment to digest. Each is handed out once.
    pub fn next(&mut self, now: Instant) -> Next {
        let mut wake: Option<Instant> = None;
        // The newest cursor first: its viewer waits for a start.
        for cursor in self.cursors.iter_mut().rev() {
            while let Some(duration) = self.durations.get(cursor.at).copied() {
                let allowed =
                    self.lead.ahead + now.duration_since(cursor.began) * self.lead.speed_percent / 100;
                if cursor.handed > allowed {
                    let wait = (cursor.handed - allowed) * 100 / self.lead.speed_percent.max(1);
                    let at = now + wait.max(Duration::from_millis(1));
                    wake = Some(wake.map_or(at, |w| w.min(at)));
                    break;
                }
                let index = cursor.at;
                cursor.at += 1;
                cursor.handed += duration;
                if !std::mem::replace(&mut self.handed[index], true) {
                    return Next::Segment(index);
                }
            }
        }
        self.cursors.retain(|c| c.at < self.durations.len());
        wake.map_or(Next::Idle, Next::Wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(plan: &mut Plan, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| match plan.next(now) {
            Next::Segment(i) => Some(i),
            _ => None,
        })
        .collect()
    }

    fn plan(segments: usize, now: Instant) -> Plan {
        let lead = Lead { ahead: Duration::from_secs(12), speed_percent: 100 };
        Plan::new(lead, vec![Duration::from_secs(4); segments], now)
    }

    #[test]
    fn it_runs_ahead_by_the_lead_and_then_keeps_pace() {
        let now = Instant::now();
        let mut plan = plan(100, now);
        assert_eq!(take(&mut plan, now), [0, 1, 2, 3]);
        assert_eq!(plan.next(now), Next::Wait(now + Duration::from_secs(4)));
        assert_eq!(take(&mut plan, now + Duration::from_secs(8)), [4, 5]);
    }

    #[test]
    fn a_seek_is_served_first_and_nothing_twice() {
        let now = Instant::now();
        let mut plan = plan(100, now);
        assert_eq!(plan.next(now), Next::Segment(0));
        plan.start(50, now);
        assert_eq!(take(&mut plan, now), [50, 51, 52, 53, 1, 2, 3]);
        plan.start(48, now);
        assert_eq!(take(&mut plan, now), [48, 49]);
    }

    #[test]
    fn at_the_end_it_is_idle_and_all_was_handed_out() {
        let mut now = Instant::now();
        let mut plan = plan(40, now);
        let mut all = Vec::new();
        loop {
            match plan.next(now) {
                Next::Segment(i) => all.push(i),
                Next::Wait(until) => {
                    assert!(until > now);
                    now = until;
                }
                Next::Idle => break,
            }
        }
        assert_eq!(all, (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn cursors_are_bounded_and_wrong_places_ignored() {
        let now = Instant::now();
        let mut plan = plan(1000, now);
        (0..100).for_each(|i| plan.start(i * 9, now));
        plan.start(1000, now);
        assert_eq!(plan.cursors.len(), MAX_CURSORS);
    }
}
