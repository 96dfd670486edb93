//! How fast goes what yields to everything else on the uplink.
//!
//! LEDBAT++ (draft-irtf-iccrg-ledbat-plus-plus-01), as far as an application can follow it: a window grows until a short queue has built
//! up, shrinks the more the longer that is, and pauses now and then, so that the way shows without it. Delays are round trips, so nobody
//! needs to know anybody's clock. They are pings', not blocks': a block waits for its own link's congestion window too, which says
//! nothing of the uplink. What has arrived is reported by blocks, too coarsely to count what is on its way: so the window is paced.
//!
//! A receiver on a thin or busy downlink makes its own delay. A queue on our uplink delays all of them: what counts is the least of
//! several receivers' delays.
//!
//! Times are in microseconds: `Duration`'s arithmetic would be a third more to download.

use crate::time::Instant;

use super::pace::MAX_WINDOW;

/// The queue that the window makes at most: a third of the deepest that was ever seen, for an uplink that holds no more than 50 ms is
/// full with LEDBAT++'s 60, and its TCP is hard to see.
const TARGET: u64 = 40_000;
const LEAST_TARGET: u64 = 15_000;
/// So much the window grows at a look, once there is a queue: a packet.
const PACKET: u64 = 1200;
/// The least window, two packets. Less than a message: then messages go one by one, with long pauses.
const MIN_WINDOW: u64 = 2 * PACKET;
/// Two blocks: a smaller window finds its size in bigger steps. After a while with nothing to send it begins with no more.
const FEW: u64 = 64 * 1024;
/// No pause is longer: whoever has been promised a block gives it up after 2.5 s of silence.
const LONGEST_PAUSE: u64 = 2_000_000;
/// Timers are so late now and then.
const LATE: u64 = 25_000;
/// A round trip is measured this often, and the window looked at after four of them, or after a round trip if that is longer.
const PROBE: u64 = 40_000;
const LOOK: u64 = 4 * PROBE;
/// After so long with nothing to send what was measured means nothing any more.
const IDLE: u64 = 1_500_000;
/// Every so often nothing goes for two looks.
const SLOWDOWN: u64 = 10_000_000;

/// The window.
#[derive(Clone, Debug, Default)]
pub struct Yielding {
    /// 0 before the first look.
    window: u64,
    /// The shortest queue measured since the last look, if there was one.
    least: Option<u64>,
    /// As it was then, and the deepest so far.
    queue: u64,
    deepest: u64,
    /// The window has kept something back.
    held: bool,
    /// Nothing goes before.
    rests: u64,
    /// When a round trip is to be measured, the window looked at, and the uplink left empty.
    probe: u64,
    look: u64,
    slowdown: u64,
}

impl Yielding {
    /// Whether something may go that fits in what may be on its way.
    pub fn admits(&mut self, fits: bool, now: Instant) -> bool {
        let goes = fits && now.as_micros() >= self.rests;
        self.held |= !goes;
        goes
    }

    /// Bytes have gone out. A pause follows, so that a window goes out in a round trip.
    pub fn sent(&mut self, bytes: u64, rtt: u64, now: Instant) {
        let now = now.as_micros();
        let pause = (rtt + self.queue) * bytes / self.window.max(MIN_WINDOW);
        self.rests = (self.rests.max(now.saturating_sub(LATE)) + pause).min(now + LONGEST_PAUSE);
    }

    /// Bytes that may be on their way.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// While something waits: when a round trip is to be measured, or something may go.
    pub fn next(&self, now: Instant) -> Instant {
        let rests = if self.rests > now.as_micros() { self.rests } else { u64::MAX };
        Instant::from_micros(self.probe.min(rests))
    }

    /// The queue on the uplink, as last measured.
    pub fn queue(&self, now: Instant) -> u64 {
        if now.as_micros() > self.probe + IDLE { 0 } else { self.queue }
    }

    /// A round trip took so much longer than the receiver's shortest.
    pub fn measured(&mut self, over: u64) {
        self.least = Some(self.least.unwrap_or(over).min(over));
    }

    /// Whether a round trip is to be measured now, while something that yields waits. What was measured is made use of.
    pub fn probes(&mut self, rtt: u64, now: Instant) -> bool {
        let now = now.as_micros();
        if now < self.probe {
            return false;
        }
        if now > self.probe + IDLE {
            self.window = self.window.min(FEW);
            (self.least, self.queue) = (None, 0);
            self.slowdown = now + SLOWDOWN;
        }
        self.probe = now + PROBE;
        if now >= self.look {
            self.resize();
            let round = LOOK.max(rtt + self.queue);
            self.look = now + round;
            if now >= self.slowdown {
                self.slowdown = now + SLOWDOWN;
                self.rests = self.look + round;
            }
        }
        true
    }

    fn resize(&mut self) {
        let held = core::mem::take(&mut self.held);
        let Some(queue) = self.least.take() else { return };
        self.queue = queue;
        self.deepest = self.deepest.max(queue);
        let (window, target) = (self.window, (self.deepest / 3).clamp(LEAST_TARGET, TARGET));
        if queue > target {
            self.window -= (window * (queue - target) / target).min(window / 4);
        } else if held {
            self.window += match queue < target / 2 {
                true if window < FEW => window / 2,
                true => window / 8,
                false => PACKET,
            };
        }
        self.window = self.window.clamp(MIN_WINDOW, MAX_WINDOW);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    const MESSAGE: u64 = 8192;

    fn after(ms: u64) -> Instant {
        Instant::from_micros(ms * 1000)
    }

    /// An uplink of so many bytes a millisecond to receivers with these round trips, of which each has the least that it took.
    struct Path {
        rate: u64,
        rtts: Vec<u64>,
        bases: Vec<u64>,
        /// Queue that receivers make by themselves, in ms.
        own: Vec<u64>,
        waits: u64,
        reports: std::collections::VecDeque<u64>,
        pongs: Vec<(u64, u64)>,
        turn: usize,
        now: u64,
        /// Timers go off at multiples of so many milliseconds.
        tick: u64,
    }

    impl Path {
        fn new(rate: u64, rtts: &[u64]) -> Self {
            let n = rtts.len();
            Self {
                rate,
                rtts: rtts.to_vec(),
                bases: vec![u64::MAX; n],
                own: vec![0; n],
                waits: 0,
                reports: std::collections::VecDeque::new(),
                pongs: Vec::new(),
                turn: 0,
                now: 1000,
                tick: 1,
            }
        }

        fn mean(&self) -> u64 {
            self.rtts.iter().sum::<u64>() / self.rtts.len() as u64
        }

        /// Sends all that is admitted for so long, beside somebody who keeps so many milliseconds' worth in the queue; told back: our share
        /// of what the uplink could carry, and the longest queue in ms.
        fn run(&mut self, y: &mut Yielding, time: u64, others: u64) -> (f64, u64) {
            let (mut sent, mut longest) = (0, 0);
            for _ in 0..time {
                self.now += 1;
                let now = after(self.now);
                self.waits = self.waits.saturating_sub(self.rate).max(others * self.rate);
                let due = self.pongs.iter().filter(|(at, _)| *at <= self.now);
                due.for_each(|(_, over)| y.measured(*over));
                self.pongs.retain(|(at, _)| *at > self.now);
                if y.probes(self.mean() * 1000, now) {
                    let to = self.turn % self.rtts.len();
                    self.turn += 1;
                    let trip = self.rtts[to] + self.own[to] + self.waits / self.rate;
                    self.bases[to] = self.bases[to].min(trip);
                    self.pongs.push((self.now + trip, (trip - self.bases[to]) * 1000));
                }
                while self.reports.front().is_some_and(|at| *at <= self.now) {
                    self.reports.pop_front();
                }
                let fits = |path: &Self, y: &Yielding| {
                    (path.reports.len() as u64 + 1) * MESSAGE
                        <= y.window().max(crate::transfer::pace::MIN_WINDOW)
                };
                while self.now.is_multiple_of(self.tick) && y.admits(fits(self, y), now) {
                    y.sent(MESSAGE, self.mean() * 1000, now);
                    self.reports.push_back(self.now + self.waits / self.rate + self.mean());
                    sent += MESSAGE;
                    self.waits += MESSAGE;
                }
                longest = longest.max(self.waits / self.rate);
            }
            (sent as f64 / (self.rate * time) as f64, longest)
        }
    }

    // R12
    #[test]
    fn alone_it_uses_the_uplink_with_a_short_queue() {
        for (rate, rtts) in
            [(250, [20, 30, 40]), (1250, [20, 60, 100]), (1250, [80, 100, 180]), (5000, [20, 40, 60])]
        {
            let (mut y, mut path) = (Yielding::default(), Path::new(rate, &rtts));
            path.run(&mut y, 8000, 0);
            let (used, longest) = path.run(&mut y, 30_000, 0);
            assert!((0.8..1.01).contains(&used), "{used} of {rate} bytes/ms to {rtts:?}");
            assert!(longest < 100 + FEW / rate, "{longest} ms of queue at {rate} bytes/ms to {rtts:?}");
        }
    }

    // R12: the lowest yields
    #[test]
    fn it_gives_way_within_seconds_and_comes_back_within_seconds() {
        for others in [70, 100, 500] {
            let (mut y, mut path) = (Yielding::default(), Path::new(1250, &[20, 60, 100]));
            path.run(&mut y, 20_000, 0);
            path.run(&mut y, 5000, others);
            let (beside, _) = path.run(&mut y, 30_000, others);
            assert!(beside < 0.03, "{beside} beside a queue of {others} ms");
            assert!(beside > 0.001, "a little always goes, or nobody would know when the queue has gone");
            path.run(&mut y, 5000, 0);
            let (alone, _) = path.run(&mut y, 5000, 0);
            assert!(alone > 0.85, "{alone} after a queue of {others} ms");
        }
    }

    // R12: in a browser timers are late, and what they keep back is no proof that a larger window would do.
    #[test]
    fn late_timers_do_not_keep_it_from_giving_way() {
        for tick in [1, 5, 10, 20, 40] {
            for rtts in [[1, 1, 2], [20, 60, 100]] {
                let (mut y, mut path) = (Yielding::default(), Path::new(1250, &rtts));
                path.tick = tick;
                path.run(&mut y, 5000, 0);
                let (alone, _) = path.run(&mut y, 20_000, 0);
                path.run(&mut y, 3000, 70);
                let (beside, _) = path.run(&mut y, 10_000, 70);
                println!("tick {tick} ms, {rtts:?}: alone {alone:.3}, beside {beside:.3}");
                // Later than what is caught up, an uplink alone isn't filled: giving way goes first.
                assert!(tick > 10 || alone > 0.85, "tick {tick} ms, {rtts:?}: alone {alone:.3}");
                assert!(beside < 0.03, "tick {tick} ms, {rtts:?}: beside {beside:.3}");
            }
        }
    }

    #[test]
    fn receivers_with_queues_of_their_own_do_not_hold_it_back() {
        let used = |slow: usize| {
            let (mut y, mut path) = (Yielding::default(), Path::new(1250, &[20, 40, 60, 80, 100]));
            path.run(&mut y, 10_000, 0);
            path.own.iter_mut().take(slow).for_each(|own| *own = 300);
            path.run(&mut y, 5000, 0);
            path.run(&mut y, 20_000, 0).0
        };
        assert!(used(2) > 0.8, "{}", used(2));
        assert!(used(5) < 0.03, "what delays all of them can't be told from our own uplink: {}", used(5));
    }

    #[test]
    fn slowdowns_come_every_ten_seconds_and_take_little() {
        let (mut y, mut path) = (Yielding::default(), Path::new(1250, &[50, 60, 70]));
        path.run(&mut y, 20_000, 0);
        let (mut empty, mut slowdowns) = (0, 0);
        for _ in 0..60_000 {
            let before = y.slowdown;
            path.run(&mut y, 1, 0);
            empty += u32::from(path.waits == 0);
            slowdowns += u32::from(y.slowdown != before);
        }
        assert!((5..=6).contains(&slowdowns), "{slowdowns} in a minute");
        assert!(empty < 6_000, "{empty} ms of a minute");
        assert_eq!(path.bases, path.rtts, "each way has been seen without a queue");
    }

    #[test]
    fn pauses_and_windows_have_limits() {
        let mut y = Yielding::default();
        y.sent(1 << 20, 100_000, after(5));
        assert!(!y.admits(true, after(2004)), "the longest pause");
        assert!(y.admits(true, after(2005)));
        let (mut y, mut path) = (Yielding::default(), Path::new(1_000_000, &[300]));
        path.run(&mut y, 20_000, 0);
        assert_eq!(y.window(), MAX_WINDOW);
        path.run(&mut y, 60_000, 900);
        assert_eq!(y.window(), MIN_WINDOW);
    }

    #[test]
    fn the_target_is_a_third_of_the_deepest_queue_between_its_limits() {
        for (deepest, target) in [(0, 15), (45, 15), (60, 20), (120, 40), (900, 40)] {
            for (queue, shrinks) in [(target, false), (target + 1, true)] {
                let mut y = Yielding { window: FEW, deepest: deepest * 1000, ..Yielding::default() };
                y.measured(queue * 1000);
                y.resize();
                assert_eq!(y.window < FEW, shrinks, "{queue} ms, {deepest} ms at the deepest");
            }
        }
    }

    #[test]
    fn after_a_while_with_nothing_to_send_what_was_measured_means_nothing() {
        let mut y = Yielding::default();
        y.probes(50_000, after(0));
        (y.window, y.queue) = (4 * FEW, 30_000);
        let idle = after((PROBE + IDLE) / 1000);
        assert_eq!((y.queue(idle), y.queue(idle + Duration::from_millis(1))), (30_000, 0));
        assert!(y.probes(50_000, idle));
        assert_eq!(y.window(), 4 * FEW, "at the limit");
        assert!(y.probes(50_000, after(2 * (PROBE + IDLE) / 1000 + 1)));
        assert_eq!(y.window(), FEW, "over it");
    }
}
