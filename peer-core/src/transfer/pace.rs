//! How much may be on its way to all peers together.
//!
//! The uplink is shared by all links, and browsers give no control over SCTP, so the window is ours: bytes sent
//! and not yet reported as arrived. It is the highest rate seen of late times the mean round trip plus a fixed
//! queue, a little more than measured, so that it grows while the path takes more and stops where it doesn't (the idea of
//! BBR's startup, with a bounded standing queue). What yields is held back further: see [`Yielding`].

use super::yielding::Yielding;
use crate::time::{Duration, Instant, Rate, micros, times};

/// Never less: a block and a half, so that the next is queued while the last is on its way.
pub const MIN_WINDOW: u64 = 48 * 1024;
/// Never more.
pub const MAX_WINDOW: u64 = 8 * 1024 * 1024;
/// Standing queue that the window allows itself, in microseconds.
const QUEUE: u64 = 120_000;
/// A measured rate counts for so long.
const MEMORY: Duration = Duration::from_secs(10);
/// Patience of a receiver that says something about our uplink.
const FAILED: Duration = Duration::from_millis(1000);
/// The uplink must have been at work for so long, in microseconds, before its rate is known. What it idles doesn't count.
const SAMPLE: u64 = 400_000;
/// A burst takes at least so long, in microseconds: its reports may come together.
const BURST: u64 = 10_000;

/// The uplink's window and its cap.
#[derive(Clone, Debug)]
pub struct Pacer {
    in_flight: u64,
    window: u64,
    /// Of what yields.
    pub yielding: Yielding,
    best: Option<(Rate, Instant)>,
    sample: Sample,
    limited: bool,
    /// In microseconds: see [`Pacer::set_rtt`].
    rtt: u64,
    busy: u64,
    cap: Option<Rate>,
    tokens: u64,
    refilled: Instant,
}

/// What arrived while something was on its way.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    bytes: u64,
    /// In microseconds: of the bursts that have ended, and of the one that goes on.
    busy: u64,
    burst: u64,
    /// The burst's last report, or when its first one would come if nothing had to be carried.
    since: Option<Instant>,
}

impl Sample {
    fn arrived(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        self.burst += self.since.map_or(0, |since| micros(now.since(since)));
        self.since = self.since.max(Some(now));
    }

    fn ended(&mut self) {
        self.busy += self.burst.max(BURST);
        (self.burst, self.since) = (0, None);
    }

    /// The rate, once it is known; the next sample begins.
    fn take(&mut self) -> Option<Rate> {
        let time = self.busy + self.burst;
        (time >= SAMPLE).then(|| {
            let rate = Rate::of(self.bytes, Duration::from_micros(time));
            *self = Self { since: self.since, ..Self::default() };
            rate
        })
    }
}

impl Default for Pacer {
    fn default() -> Self {
        Self {
            in_flight: 0,
            window: MIN_WINDOW,
            yielding: Yielding::default(),
            best: None,
            sample: Sample::default(),
            limited: false,
            rtt: 0,
            busy: 0,
            cap: None,
            tokens: 0,
            refilled: Instant::ZERO,
        }
    }
}

impl Pacer {
    /// Sets or lifts the cap.
    pub fn set_cap(&mut self, cap: Option<Rate>) {
        self.cap = cap;
    }

    /// Takes the links' mean shortest round trip, in microseconds, and how much longer an answer is to be expected to take.
    pub fn set_rtt(&mut self, rtt: u64, busy: u64) {
        (self.rtt, self.busy) = (rtt, busy);
    }

    /// What an answer takes, in microseconds.
    pub fn answer(&self) -> u64 {
        self.rtt + self.busy
    }

    /// Whether `bytes` more may go now. A block that has begun is finished whatever the window: half of it is of no use to anybody.
    pub fn admits(&mut self, bytes: u64, begun: bool, yields: bool, now: Instant) -> bool {
        let window = if yields { self.yielding.window().clamp(MIN_WINDOW, self.window) } else { self.window };
        let fits = begun || self.in_flight == 0 || self.in_flight + bytes <= window;
        let goes = if yields { self.yielding.admits(fits, now) } else { fits };
        if !goes {
            self.limited = true;
            return false;
        }
        match self.cap {
            None => true,
            Some(cap) => {
                self.refill(cap, now);
                self.tokens >= bytes
            }
        }
    }

    /// When the cap lets `bytes` go, if it is the cap that holds them.
    pub fn wait(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let cap = self.cap?;
        let lacking = bytes.saturating_sub(self.tokens);
        // Rounded up: a microsecond too early would be a call for nothing.
        (lacking > 0).then(|| now + cap.time_for(lacking) + Duration::from_micros(1))
    }

    fn refill(&mut self, cap: Rate, now: Instant) {
        let earned = times(cap.bytes_per_second(), micros(now.since(self.refilled))) / 1_000_000;
        if earned > 0 {
            // A quarter of a second's worth may gather, and always a block's.
            self.tokens = (self.tokens + earned).min((cap.bytes_per_second() / 4).max(64 * 1024));
            self.refilled = now;
        }
    }

    /// Bytes have gone out.
    pub fn sent(&mut self, bytes: u64, yields: bool, now: Instant) {
        if yields {
            self.yielding.sent(bytes, self.rtt, now);
        }
        if self.in_flight == 0 {
            self.sample.since = Some(now + Duration::from_micros(self.answer()));
        }
        self.in_flight += bytes;
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// Bytes have arrived.
    pub fn arrived(&mut self, bytes: u64, now: Instant) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.sample.arrived(bytes, now);
        if self.in_flight == 0 {
            self.sample.ended();
        }
        if let Some(rate) = self.sample.take() {
            let stale = self.best.is_none_or(|(best, at)| rate >= best || now.since(at) > MEMORY);
            if stale && (self.limited || self.best.is_none_or(|(best, _)| rate > best)) {
                self.best = Some((rate, now));
            }
            self.limited = false;
            self.resize();
        }
    }

    /// What was on its way hadn't arrived after such a time, when its receiver gave it up. Of an uplink that nothing is known of, and that is
    /// too slow for anybody's patience, nothing else would ever be learnt.
    pub fn failed(&mut self, out: u64, time: Duration, now: Instant) {
        if self.best.is_none() && time >= FAILED {
            self.best = Some((Rate::of(out, time), now));
        }
    }

    /// Something that yields waits: whether a round trip is to be measured now.
    pub fn probes(&mut self, now: Instant) -> bool {
        self.yielding.probes(self.rtt, now)
    }

    /// Bytes sent will never be reported: their link or transfer is gone.
    pub fn lost(&mut self, bytes: u64) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_flight == 0 {
            self.sample.ended();
        }
    }

    fn resize(&mut self) {
        let Some((best, _)) = self.best else { return };
        let time = self.answer() + QUEUE;
        let window = times(best.bytes_per_second(), time) / 1_000_000;
        // Some receivers report late. What would fill half a second isn't too much, if it isn't more than three blocks.
        let least = (best.bytes_per_second() / 2).clamp(MIN_WINDOW, 2 * MIN_WINDOW);
        self.window = (window + window / 4).clamp(least, MAX_WINDOW);
    }

    /// The best rate measured of late, or the cap: what goes in bursts under it says what the uplink carries, not what it may.
    pub fn rate(&self) -> Option<Rate> {
        let rate = self.best?.0;
        Some(self.cap.map_or(rate, |cap| rate.min(cap)))
    }

    /// Bytes on their way.
    pub fn in_flight(&self) -> u64 {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: u64 = 16_376;

    fn after(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Sends all that is admitted over a path of `rate` bytes/s and `rtt` for `secs`; told back: bytes that arrived and the most that was
    /// ever on its way.
    fn over(pacer: &mut Pacer, rate: u64, rtt_ms: u64, secs: u64) -> (u64, u64) {
        pacer.set_rtt(rtt_ms * 1000, 0);
        let mut reports = std::collections::VecDeque::new();
        let (mut free_at, mut arrived, mut most) = (0u64, 0, 0);
        for now in 0..secs * 1000 {
            while reports.front().is_some_and(|at| *at <= now) {
                reports.pop_front();
                pacer.arrived(MESSAGE, after(now));
                arrived += MESSAGE;
            }
            while pacer.admits(MESSAGE, false, false, after(now)) {
                pacer.sent(MESSAGE, false, after(now));
                free_at = free_at.max(now) + (MESSAGE * 1000 / rate).max(1);
                reports.push_back(free_at + rtt_ms);
            }
            most = most.max(pacer.in_flight());
        }
        (arrived, most)
    }

    // R11 R12
    #[test]
    fn the_window_grows_while_the_path_takes_more() {
        for (rate, rtt) in [(250_000, 20), (2_000_000, 50), (5_000_000, 100)] {
            let (arrived, most) = over(&mut Pacer::default(), rate, rtt, 20);
            assert!(arrived > rate * 20 * 7 / 10, "{arrived} of {} bytes", rate * 20);
            let path = rate * (rtt + 120) / 1000;
            assert!(most < path * 2 + 2 * MIN_WINDOW, "a standing queue of {most} on a path of {path}");
        }
    }

    #[test]
    fn the_window_has_a_least_and_a_most() {
        let mut pacer = Pacer::default();
        assert!(pacer.admits(MIN_WINDOW, false, false, Instant::ZERO));
        pacer.sent(MIN_WINDOW, false, Instant::ZERO);
        assert!(!pacer.admits(1, false, false, Instant::ZERO), "one over the least window");
        let (_, most) = over(&mut Pacer::default(), 400_000_000, 400, 12);
        assert!(most <= MAX_WINDOW, "{most}");
    }

    /// A block every quarter of a second, over a path of `rate` bytes/s.
    fn trickle(pacer: &mut Pacer, rate: u64, secs: u64) {
        pacer.set_rtt(20_000, 0);
        for n in 0..secs * 4 {
            let at = n * 250;
            assert!(pacer.admits(2 * MESSAGE, false, false, after(at)));
            pacer.sent(MESSAGE, false, after(at));
            pacer.sent(MESSAGE, false, after(at));
            let takes = |messages| 20 + messages * MESSAGE * 1000 / rate;
            pacer.arrived(MESSAGE, after(at + takes(1)));
            pacer.arrived(MESSAGE, after(at + takes(2)));
        }
    }

    // R5 R12
    #[test]
    fn an_uplink_that_is_seldom_used_is_no_slower_for_it() {
        for rate in [200_000, 500_000, 2_000_000] {
            let mut pacer = Pacer::default();
            trickle(&mut pacer, rate, 20);
            let known = pacer.rate().expect("it was measured").bytes_per_second();
            assert!(known > rate * 9 / 10 && known < rate * 11 / 10, "{known} of {rate}");
        }
        let mut pacer = Pacer::default();
        trickle(&mut pacer, 500_000_000, 20);
        let known = pacer.rate().expect("it was measured").bytes_per_second();
        assert!(
            known < 2 * MESSAGE * 1_000_000 / BURST + 1,
            "{known}: reports that come together prove little"
        );
        pacer.set_cap(Some(Rate::new(50_000)));
        assert_eq!(pacer.rate(), Some(Rate::new(50_000)), "what it may give is no more");
    }

    #[test]
    fn an_uplink_too_slow_for_anybody_s_patience_is_known_to_be_slow() {
        let mut pacer = Pacer::default();
        pacer.failed(32_000, FAILED - Duration::from_millis(1), after(0));
        assert_eq!(pacer.rate(), None, "they may have got it elsewhere");
        pacer.failed(32_000, FAILED * 4, after(0));
        assert_eq!(pacer.rate(), Some(Rate::new(8000)));
        pacer.failed(32_000, FAILED * 8, after(0));
        assert_eq!(pacer.rate(), Some(Rate::new(8000)), "what was measured counts for more");
    }

    #[test]
    fn something_may_always_go_when_nothing_is_on_its_way() {
        let mut pacer = Pacer::default();
        assert!(
            pacer.admits(MAX_WINDOW * 2, false, false, Instant::ZERO),
            "or a block larger than the window would never go"
        );
    }

    #[test]
    fn lost_bytes_leave_the_window() {
        let mut pacer = Pacer::default();
        pacer.sent(MIN_WINDOW, false, Instant::ZERO);
        assert!(!pacer.admits(MESSAGE, false, false, Instant::ZERO));
        pacer.lost(MESSAGE);
        assert!(pacer.admits(MESSAGE, false, false, Instant::ZERO));
        pacer.lost(u64::MAX);
        assert_eq!(pacer.in_flight(), 0, "more lost than sent is none on its way");
    }

    // H6
    #[test]
    fn the_cap_holds_and_is_used() {
        for cap in [20_000, 100_000, 1_000_000] {
            let mut pacer = Pacer::default();
            pacer.set_cap(Some(Rate::new(cap)));
            let (arrived, _) = over(&mut pacer, 10_000_000, 10, 30);
            let burst = (cap / 4).max(64 * 1024);
            assert!(arrived <= cap * 30 + burst, "{arrived} bytes under a cap of {cap}");
            assert!(arrived >= cap * 30 * 8 / 10, "{arrived} bytes under a cap of {cap}");
        }
    }

    #[test]
    fn the_cap_says_when_to_come_back_and_the_window_does_not() {
        let mut pacer = Pacer::default();
        assert_eq!(pacer.wait(MESSAGE, after(5000)), None);
        pacer.set_cap(Some(Rate::new(16_376)));
        while pacer.admits(MESSAGE, false, false, after(5000)) {
            pacer.sent(MESSAGE, false, Instant::ZERO);
            pacer.arrived(MESSAGE, after(5000));
        }
        let at = pacer.wait(MESSAGE, after(5000)).expect("held by the cap");
        assert!(at > after(5000) && at <= after(6000));
        assert!(pacer.admits(MESSAGE, false, false, at));
    }
}
