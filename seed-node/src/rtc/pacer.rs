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
            self.progress_at = now;
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
        self.progress_at = now;
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
        if !prompt {
            return;
        }
        self.smoothed = Some(self.smoothed.map_or(rtt, |s| (s * 7 + rtt) / 8));
        self.round.shortest = Some(self.round.shortest.map_or(rtt, |s| s.min(rtt)));
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
        let (Some(shortest), Some(base)) = (round.shortest, self.base.shortest()) else { return };
        let allowed = base + TARGET.max(base / 2);
        if shortest > allowed {
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
    fn pace(&self) -> Option<u64> {
        let rtt = self.smoothed.or(self.base.shortest())?;
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
