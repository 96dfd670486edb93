//! The window of a sender that backs off when packets are lost: TCP by NewReno (RFC 5681, 6582) or CUBIC (RFC 9438), and an
//! SCTP association, which behaves as NewReno does (RFC 9260, section 7).
//!
//! What is left out: timeouts (each loss is found out a round trip later), delayed acknowledgements, and slow start's
//! burst limits. Windows are in packets.

use rillcast_core::time::Instant;

use crate::scenario::tables::Tcp;

/// RFC 6928.
const FIRST_WINDOW: f64 = 10.0;
/// CUBIC's constants, RFC 9438 section 4.
const C: f64 = 0.4;
const BETA: f64 = 0.7;

/// A congestion window.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    law: Tcp,
    window: f64,
    threshold: f64,
    in_flight: u32,
    next: u64,
    /// Losses of packets before this one belong to a congestion that has been answered.
    answered: u64,
    /// CUBIC: the window before the last loss, and when that was.
    highest: f64,
    since: Option<Instant>,
}

impl Flow {
    pub(super) fn new(law: Tcp) -> Self {
        Self {
            law,
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            in_flight: 0,
            next: 0,
            answered: 0,
            highest: 0.0,
            since: None,
        }
    }

    /// Whether a packet more may go.
    pub(super) fn admits(&self) -> bool {
        f64::from(self.in_flight) < self.window.max(1.0)
    }

    /// A packet goes; told back: its number.
    pub(super) fn sent(&mut self) -> u64 {
        self.in_flight += 1;
        self.next += 1;
        self.next - 1
    }

    /// A packet is acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant, rtt: f64) {
        self.in_flight -= 1;
        if self.window < self.threshold {
            self.window += 1.0;
        } else if self.law == Tcp::NewReno {
            self.window += 1.0 / self.window;
        } else {
            self.cubic(now, rtt);
        }
    }

    fn cubic(&mut self, now: Instant, rtt: f64) {
        let since = *self.since.get_or_insert(now);
        if self.highest == 0.0 {
            self.highest = self.window;
        }
        let k = (self.highest * (1.0 - BETA) / C).cbrt();
        let t = now.since(since).as_secs_f64();
        let target = C * (t + rtt - k).powi(3) + self.highest;
        // Never slower than a NewReno with the same loss would be (section 4.3).
        let alpha = 3.0 * (1.0 - BETA) / (1.0 + BETA);
        let friendly = self.highest * BETA + alpha * t / rtt;
        let grown = target.max(friendly).min(1.5 * self.window);
        self.window += ((grown - self.window) / self.window).max(0.0);
    }

    /// A packet is found to be lost.
    pub(super) fn lost(&mut self, number: u64, now: Instant) {
        self.in_flight -= 1;
        if number < self.answered {
            return;
        }
        self.answered = self.next;
        let factor = if self.law == Tcp::Cubic { BETA } else { 0.5 };
        self.highest = self.window;
        self.since = Some(now);
        self.window = (self.window * factor).max(2.0);
        self.threshold = self.window;
    }

    /// A flow that has had nothing to send begins anew after a while (RFC 5681, section 4.1).
    pub(super) fn rested(&mut self) {
        self.window = self.window.min(FIRST_WINDOW);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_core::time::Duration;

    #[test]
    fn the_window_doubles_each_round_trip_until_the_first_loss_and_shrinks_once_for_many() {
        for (law, left) in [(Tcp::NewReno, 10.0), (Tcp::Cubic, 14.0)] {
            let mut flow = Flow::new(law);
            let now = Instant::ZERO + Duration::from_secs(1);
            while flow.admits() {
                flow.sent();
            }
            assert_eq!(flow.in_flight(), 10);
            (0..10).for_each(|_| flow.acknowledged(now, 0.05));
            assert_eq!(flow.window, 20.0);
            let numbers: Vec<u64> = (0..20).map(|_| flow.sent()).collect();
            numbers.iter().take(5).for_each(|n| flow.lost(*n, now));
            assert_eq!(flow.window, left, "five losses of one window are one congestion");
            let later = flow.sent();
            flow.lost(later, now);
            assert!(flow.window < left, "a packet sent afterwards is another");
        }
    }

    #[test]
    fn cubic_comes_back_to_where_it_was_and_goes_on() {
        let mut flow = Flow::new(Tcp::Cubic);
        flow.window = 100.0;
        let number = flow.sent();
        let mut now = Instant::ZERO + Duration::from_secs(1);
        flow.lost(number, now);
        assert_eq!(flow.window, 70.0);
        // K = cbrt(100 * 0.3 / 0.4) = 4.2 s.
        let mut seen = Vec::new();
        for _ in 0..50 {
            now += Duration::from_millis(200);
            for _ in 0..flow.window as u32 {
                flow.sent();
                flow.acknowledged(now, 0.2);
            }
            seen.push(flow.window);
        }
        let at = |s: f64| seen[(s / 0.2) as usize - 1];
        assert!((at(4.2) - 100.0).abs() < 3.0, "{} of {seen:?}", at(4.2));
        assert!(at(2.0) < 97.0 && at(8.0) > 115.0, "{} {}", at(2.0), at(8.0));
    }
}
