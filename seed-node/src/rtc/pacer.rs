//! How much may be on its way on one link's bulk channel. Pure logic: no clock, no channel.
//!
//! SCTP's own window starts with a burst that a browser on a short path can't take in: its receive buffer (208 KiB,
//! of which packet overhead takes half) overflows, and the retransmission time-out of a second or more freezes the
//! link, sometimes for good. So what is handed to SCTP is held to a window of our own:
//!
//! - It starts at [`START`], which no browser has been seen to lose.
//! - It grows by what is acknowledged in a round trip, but only while it is what limits the link, and to no more
//!   than [`GAIN`] times the measured rate times the shortest round trip (the idea of BBR's window: Cardwell et al.,
//!   ACM Queue 14(5), 2016). A long path thus gets what it needs, up to [`CEILING`]; a short one stays at the start,
//!   where 64 KiB per millisecond is more than enough.
//! - It shrinks when the queueing delay exceeds [`TARGET`] (LEDBAT++'s figure), to [`FLOOR`] at least.
//! - A window larger than a burst is spread over the round trip.
//!
//! Acknowledged means that SCTP has let go of the bytes. Their order isn't known (the channel is unordered), so
//! round trips are taken from the cumulative count, which errs on the long side by the spread of a window.

use std::collections::VecDeque;

use rillcast_core::time::{Duration, Instant};

/// The window at first.
pub const START: usize = 32 * 1024;
/// The window at least: a full message.
pub const FLOOR: usize = 16 * 1024;
/// The window at most. At 100 ms it is 10 MB/s.
pub const CEILING: usize = 1024 * 1024;
/// Most bytes handed over at once.
pub const BURST: usize = 32 * 1024;
/// Queueing delay above which the window shrinks.
pub const TARGET: Duration = Duration::from_millis(60);
/// No acknowledgement for so long while bytes are on their way: the link is dead or as good as dead. SCTP's
/// retransmission time-outs are 1, 2 and 4 s apart, so two retransmissions have been lost by then.
pub const STALL: Duration = Duration::from_secs(5);

/// While bytes are on their way and nothing of them has been acknowledged for so long beyond a round trip, the other end is nudged. Whoever waits with an
/// acknowledgement waits 200 ms (RFC 9260, 6.2).
pub const QUIET: Duration = Duration::from_millis(250);
/// So often: what is missing is sent again when three acknowledgements have come without it (RFC 9260, 7.2.4), and one may get lost.
pub const NUDGES: u32 = 4;
/// Far enough apart that each is a packet of its own, and is acknowledged by itself.
const BETWEEN_NUDGES: Duration = Duration::from_millis(15);

/// Window over measured bandwidth-delay product, in percent.
const GAIN: u64 = 150;
/// A rate above which no link needs a larger window (100 Mbit/s); it keeps the window small where the path is short.
const ENOUGH: u64 = 12_500_000;
/// The shortest round trip is forgotten after two of these, so that a changed path is noticed.
const BASE_AGE: Duration = Duration::from_secs(30);
/// Rounds for which the best rate is remembered.
const RATE_ROUNDS: usize = 8;
/// Most sends remembered for timing; more are counted together with the last.
const MAX_MARKS: usize = 128;

/// One link's window.
#[derive(Debug)]
pub struct Pacer {
    window: usize,
    sent: u64,
    acked: u64,
    marks: VecDeque<Mark>,
    base: BaseDelay,
    smoothed: Option<Duration>,
    rates: VecDeque<u64>,
    round: Round,
    credit: u64,
    credited_at: Instant,
    progress_at: Instant,
    /// Nudges since then.
    nudged: u32,
}

/// One send, to be timed when its last byte is acknowledged.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u64,
    at: Instant,
    acked_then: u64,
}

/// From the first send of a round trip to its acknowledgement.
#[derive(Debug, Default)]
struct Round {
    /// Acknowledging this many bytes ends it.
    end: u64,
    acked_at_start: u64,
    /// Of the sends that weren't the last on their way.
    shortest: Option<Duration>,
    best_rate: u64,
    /// The window, and not the sender's supply, held something back.
    limited: bool,
}

#[derive(Debug, Default)]
struct BaseDelay {
    current: Option<Duration>,
    previous: Option<Duration>,
    since: Instant,
}

impl BaseDelay {
    fn sample(&mut self, now: Instant, rtt: Duration) {
        if now.since(self.since) > BASE_AGE {
            self.previous = self.current.take();
            self.since = now;
        }
        self.current = Some(self.current.map_or(rtt, |c| c.min(rtt)));
    }

    fn shortest(&self) -> Option<Duration> {
        match (self.current, self.previous) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Pacer {
    /// A link that has sent nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            window: START,
            sent: 0,
            acked: 0,
            marks: VecDeque::new(),
            base: BaseDelay { since: now, ..BaseDelay::default() },
            smoothed: None,
            rates: VecDeque::new(),
            round: Round::default(),
            credit: BURST as u64,
            credited_at: now,
            progress_at: now,
            nudged: 0,
        }
    }

    /// Whether a message of so many bytes may be handed over now. Something always may when nothing is on its way.
    pub fn may_send(&mut self, now: Instant, bytes: usize) -> bool {
        self.refill(now);
        let in_flight = self.in_flight();
        if in_flight == 0 {
            return true;
        }
        if in_flight + bytes > self.window {
            self.round.limited = true;
            return false;
        }
        self.credit >= bytes as u64
    }

    /// A message was handed over.
    pub fn sent(&mut self, now: Instant, bytes: usize) {
        if self.in_flight() == 0 {
            (self.progress_at, self.nudged) = (now, 0);
        }
        self.refill(now);
        self.credit = self.credit.saturating_sub(bytes as u64);
        self.sent += bytes as u64;
        if self.round.end <= self.acked {
            self.round.end = self.sent;
        }
        let full = self.marks.len() >= MAX_MARKS;
        match self.marks.back_mut() {
            Some(last) if full => last.end = self.sent,
            _ => self.marks.push_back(Mark { end: self.sent, at: now, acked_then: self.acked }),
        }
    }

    /// So many bytes of those handed over are not yet acknowledged.
    pub fn outstanding(&mut self, now: Instant, bytes: usize) {
        let acked = self.sent.saturating_sub(bytes as u64);
        if acked <= self.acked {
            return;
        }
        self.acked = acked;
        (self.progress_at, self.nudged) = (now, 0);
        // Where nothing is left the receiver may have waited with its acknowledgement (200 ms by RFC 9260, 6.2).
        let prompt = self.in_flight() > 0;
        while let Some(mark) = self.marks.front().filter(|m| m.end <= acked).copied() {
            self.marks.pop_front();
            self.time(now, mark, prompt);
        }
        if self.acked >= self.round.end {
            self.end_round();
        }
    }

    /// Bytes handed over and not acknowledged.
    pub fn in_flight(&self) -> usize {
        (self.sent - self.acked) as usize
    }

    /// The window now.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The shortest round trip of late.
    pub fn base_delay(&self) -> Option<Duration> {
        self.base.shortest()
    }

    /// When to ask [`may_send`](Self::may_send) again if no acknowledgement comes before; `None` while only an
    /// acknowledgement helps.
    pub fn next_send(&self, now: Instant, bytes: usize) -> Option<Instant> {
        if self.in_flight() + bytes > self.window {
            return None;
        }
        let missing = (bytes as u64).saturating_sub(self.credit);
        let rate = self.pace()?;
        Some(now + Duration::from_micros(missing.saturating_mul(1_000_000) / rate.max(1)).max(MIN_WAIT))
    }

    /// Whether something small is to be sent now, whatever it says. If what was sent last is lost, nothing comes after it that would show it, and SCTP waits
    /// for its time-out, of a second at least (RTO.Min of RFC 9260): a freeze that three more acknowledgements spare.
    pub fn nudges(&mut self, now: Instant) -> bool {
        let patience = self.base.shortest().unwrap_or_default() + QUIET + BETWEEN_NUDGES * self.nudged;
        let is_due = self.in_flight() > 0 && self.nudged < NUDGES && now.since(self.progress_at) >= patience;
        self.nudged += u32::from(is_due);
        is_due
    }

    /// When the link is to be given up unless something is acknowledged before.
    pub fn deadline(&self) -> Option<Instant> {
        (self.in_flight() > 0).then(|| self.progress_at + STALL)
    }

    /// Whether it is to be given up.
    pub fn stalled(&self, now: Instant) -> bool {
        self.deadline().is_some_and(|d| now >= d)
    }

    fn time(&mut self, now: Instant, mark: Mark, prompt: bool) {
        let rtt = now.since(mark.at).max(Duration::from_micros(1));
        self.base.sample(now, rtt);
        // A late acknowledgement says too much, never too little.
        if prompt || self.smoothed.is_some_and(|s| rtt < s) {
            self.smoothed = Some(self.smoothed.map_or(rtt, |s| (s * 7 + rtt) / 8));
        }
        if prompt {
            self.round.shortest = Some(self.round.shortest.map_or(rtt, |s| s.min(rtt)));
        }
        let rate = (self.acked - mark.acked_then).saturating_mul(1_000_000) / (rtt.as_micros() as u64).max(1);
        self.round.best_rate = self.round.best_rate.max(rate);
    }

    fn end_round(&mut self) {
        let round = std::mem::take(&mut self.round);
        let acked = (self.acked - round.acked_at_start) as usize;
        self.round.acked_at_start = self.acked;
        self.round.end = self.sent;
        if round.best_rate > 0 {
            if self.rates.len() == RATE_ROUNDS {
                self.rates.pop_front();
            }
            self.rates.push_back(round.best_rate);
        }
        let Some(base) = self.base.shortest() else { return };
        let allowed = base + TARGET.max(base / 2);
        if let Some(shortest) = round.shortest.filter(|s| *s > allowed) {
            let ratio = allowed.as_micros() as u64 * 1000 / (shortest.as_micros() as u64).max(1);
            let shrunk = self.window as u64 * ratio.max(500) / 1000;
            self.window = (shrunk as usize).max(FLOOR);
        } else if round.limited {
            let rate = self.rates.iter().copied().max().unwrap_or(0).min(ENOUGH);
            let product = rate.saturating_mul(base.as_micros() as u64) / 1_000_000;
            let cap = ((product * GAIN / 100) as usize).clamp(START, CEILING);
            self.window = (self.window + acked).min(cap.max(self.window.min(CEILING)));
        }
    }

    /// Bytes/s at which credit comes back: a quarter more than the window's own rate.
    ///
    /// It goes by twice the shortest round trip at most: after a loss the mean one is SCTP's time-out, and by that nothing would be handed over while
    /// something is on its way, so that no round trip would be seen any more but those of late acknowledgements.
    fn pace(&self) -> Option<u64> {
        let rtt = match (self.smoothed, self.base.shortest()) {
            (Some(smoothed), Some(base)) => smoothed.min(base * 2),
            (smoothed, base) => smoothed.or(base)?,
        };
        Some(self.window as u64 * 1_250_000 / (rtt.as_micros() as u64).max(1000))
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.since(self.credited_at).as_micros() as u64;
        self.credited_at = now;
        // Until a round trip is known, the window alone holds back.
        let gained = self.pace().map_or(BURST as u64, |rate| rate.saturating_mul(passed) / 1_000_000);
        self.credit = self.credit.saturating_add(gained).min(BURST as u64);
    }
}

/// Timers are no finer.
const MIN_WAIT: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 16 * 1024;

    /// A path: a rate, a delay each way, and a receiver that loses what doesn't fit its buffer.
    struct Path {
        rate: u64,
        delay: Duration,
        buffer: usize,
    }

    #[derive(Debug)]
    struct Outcome {
        /// Bytes/s over the last half of the time.
        rate: u64,
        /// Most bytes that waited in front of the bottleneck.
        queue: usize,
        lost: usize,
        largest: usize,
    }

    /// A sender that always has something, over a path, for a while. Steps are 100 microseconds.
    fn run(path: &Path, seconds: u64) -> Outcome {
        let step = Duration::from_micros(100);
        let mut now = Instant::ZERO;
        let mut pacer = Pacer::new(now);
        // What arrives at the bottleneck and what is acknowledged, with their times, in order.
        let (mut arriving, mut acking) = (VecDeque::new(), VecDeque::new());
        let (mut queue, mut spare, mut outstanding) = (0usize, 0u64, 0usize);
        let mut outcome = Outcome { rate: 0, queue: 0, lost: 0, largest: 0 };
        let end = Instant::ZERO + Duration::from_secs(seconds);
        let half = Instant::ZERO + Duration::from_secs(seconds) / 2;
        while now < end {
            while pacer.may_send(now, MESSAGE) {
                pacer.sent(now, MESSAGE);
                outstanding += MESSAGE;
                arriving.push_back((now + path.delay, MESSAGE));
            }
            outcome.largest = outcome.largest.max(pacer.in_flight());
            while arriving.front().is_some_and(|(at, _)| *at <= now) {
                let (_, bytes) = arriving.pop_front().expect("there is one");
                if queue + bytes > path.buffer {
                    // What is lost comes again later; here it is enough to count it and let it pass.
                    outcome.lost += bytes;
                }
                queue += bytes;
                outcome.queue = outcome.queue.max(queue);
            }
            spare += path.rate * step.as_micros() as u64;
            let passed = ((spare / 1_000_000) as usize).min(queue);
            spare = if queue == passed { 0 } else { spare - passed as u64 * 1_000_000 };
            queue -= passed;
            if passed > 0 {
                acking.push_back((now + path.delay, passed));
            }
            while acking.front().is_some_and(|(at, _)| *at <= now) {
                let (_, bytes) = acking.pop_front().expect("there is one");
                outstanding -= bytes;
                if now >= half {
                    outcome.rate += bytes as u64;
                }
                pacer.outstanding(now, outstanding);
            }
            now += step;
        }
        outcome.rate = outcome.rate * 2 / seconds;
        outcome
    }

    #[test]
    fn a_short_path_is_never_given_more_than_the_start() {
        // A browser on this machine: 40 MB/s, and half of its 208 KiB buffer for payload.
        let seen = run(&Path { rate: 40_000_000, delay: Duration::from_micros(500), buffer: 100 * 1024 }, 4);
        assert_eq!(seen.lost, 0, "{seen:?}");
        assert!(seen.largest <= START, "{seen:?}");
        assert!(seen.rate > 10_000_000, "{seen:?}");
    }

    #[test]
    fn a_long_path_is_filled() {
        // 5 MB/s at 100 ms: a fixed 64 KiB would make 640 kB/s of it.
        let seen = run(&Path { rate: 5_000_000, delay: Duration::from_millis(50), buffer: 1 << 20 }, 20);
        assert!(seen.rate > 4_000_000, "{seen:?}");
        assert_eq!(seen.lost, 0, "{seen:?}");
        assert!(seen.largest > 4 * START && seen.largest <= CEILING, "{seen:?}");
    }

    #[test]
    fn a_slow_path_is_not_flooded() {
        // 250 kB/s at 40 ms: the start alone is 130 ms of it.
        let seen = run(&Path { rate: 250_000, delay: Duration::from_millis(20), buffer: 1 << 20 }, 20);
        assert!(seen.rate > 200_000, "{seen:?}");
        assert!(seen.queue <= 2 * START, "{seen:?}");
    }

    #[test]
    fn a_burst_is_spread_over_the_round_trip() {
        let mut now = Instant::ZERO;
        let mut pacer = Pacer::new(now);
        pacer.window = CEILING;
        pacer.smoothed = Some(Duration::from_millis(100));
        let mut sent = 0;
        while pacer.may_send(now, MESSAGE) {
            pacer.sent(now, MESSAGE);
            sent += MESSAGE;
        }
        assert_eq!(sent, BURST, "no more at once, whatever the window");
        let next = pacer.next_send(now, MESSAGE).expect("time alone helps");
        now = next;
        assert!(pacer.may_send(now, MESSAGE));
    }

    /// Seen with a browser that had lost packets: one message at a time, each acknowledged after 200 ms, for good.
    #[test]
    fn after_time_outs_a_link_comes_back_to_more_than_a_message_at_a_time() {
        let mut now = Instant::ZERO;
        let mut pacer = Pacer::new(now);
        let exchange = |pacer: &mut Pacer, now: &mut Instant, took: u64| {
            pacer.sent(*now, MESSAGE);
            pacer.sent(*now, MESSAGE);
            *now += Duration::from_millis(took);
            pacer.outstanding(*now, MESSAGE);
            pacer.outstanding(*now, 0);
        };
        exchange(&mut pacer, &mut now, 20);
        (0..20).for_each(|_| exchange(&mut pacer, &mut now, 3000));
        let mut together = 0;
        for _ in 0..50 {
            // As a link does: whatever is allowed goes, and is looked at again a round trip later.
            let mut sent = 0;
            while pacer.may_send(now, MESSAGE) {
                pacer.sent(now, MESSAGE);
                sent += MESSAGE;
            }
            now += Duration::from_millis(20);
            while pacer.may_send(now, MESSAGE) {
                pacer.sent(now, MESSAGE);
                sent += MESSAGE;
            }
            together = sent;
            now += Duration::from_millis(180);
            pacer.outstanding(now, 0);
        }
        assert!(together >= 2 * MESSAGE, "{together} bytes at a time");
    }

    #[test]
    fn one_message_may_always_go_when_nothing_is_on_its_way() {
        let mut pacer = Pacer::new(Instant::ZERO);
        assert!(pacer.may_send(Instant::ZERO, 10 * CEILING));
    }

    #[test]
    fn a_link_without_progress_is_given_up_in_time_and_not_before() {
        let mut now = Instant::from_micros(77);
        let mut pacer = Pacer::new(now);
        assert!(!pacer.stalled(now + STALL * 100), "nothing on its way, nothing to wait for");
        now += Duration::from_secs(100);
        pacer.sent(now, MESSAGE);
        assert!(!pacer.stalled(now + (STALL - Duration::from_micros(1))));
        assert!(pacer.stalled(now + STALL));
        assert_eq!(pacer.deadline(), Some(now + STALL));
        // Half of it is acknowledged: that is progress.
        let later = now + (STALL - Duration::from_micros(1));
        pacer.outstanding(later, MESSAGE / 2);
        assert!(!pacer.stalled(now + STALL));
        assert!(pacer.stalled(later + STALL));
        pacer.outstanding(later, 0);
        assert!(!pacer.stalled(later + STALL * 100));
    }

    #[test]
    fn whoever_is_silent_is_nudged_some_times_and_anew_after_it_has_answered() {
        let (micro, far) = (Duration::from_micros(1), Duration::from_secs(60));
        let mut now = Instant::ZERO + far;
        let mut pacer = Pacer::new(now);
        assert!(!pacer.nudges(now + far), "nothing on its way");
        pacer.sent(now, MESSAGE);
        assert!(!pacer.nudges(now + (QUIET - micro)) && pacer.nudges(now + QUIET));
        assert!(!pacer.nudges(now + QUIET), "a packet of its own");
        (1..NUDGES).for_each(|n| assert!(pacer.nudges(now + QUIET + BETWEEN_NUDGES * n)));
        assert!(!pacer.nudges(now + far), "no more than that");
        // An acknowledgement shows a round trip of 100 ms, and ends it.
        now += Duration::from_millis(100);
        pacer.outstanding(now, MESSAGE / 2);
        pacer.outstanding(now, 0);
        pacer.sent(now, MESSAGE);
        let patience = Duration::from_millis(100) + QUIET;
        assert!(!pacer.nudges(now + (patience - micro)) && pacer.nudges(now + patience));
    }

    #[test]
    fn sends_remembered_for_timing_have_a_limit() {
        let mut pacer = Pacer::new(Instant::ZERO);
        for n in 1..=2 * MAX_MARKS as u64 {
            pacer.sent(Instant::from_micros(n), 1);
            assert_eq!(pacer.marks.len() as u64, n.min(MAX_MARKS as u64));
        }
        pacer.outstanding(Instant::from_micros(999), 0);
        assert!(pacer.marks.is_empty());
    }

    #[test]
    fn a_late_acknowledgement_of_the_last_bytes_does_not_shrink_the_window() {
        // A receiver may wait 200 ms with the acknowledgement of a lone packet.
        let mut now = Instant::ZERO;
        let mut pacer = Pacer::new(now);
        for _ in 0..50 {
            pacer.sent(now, MESSAGE);
            now += Duration::from_millis(200);
            pacer.outstanding(now, 0);
            now += Duration::from_secs(1);
        }
        assert_eq!(pacer.window(), START);
    }
}
