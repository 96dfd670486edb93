//! How fast the source is, and the way to us, as their bytes show.

use crate::time::{Duration, Instant, Rate};

/// Shorter transfers say nothing about throughput.
pub(super) const MIN_SAMPLE: u64 = 48 * 1024;

/// The best second of what comes to us from everybody: our downlink carries that much at least, however slow the source is.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    pub(super) since: Instant,
    pub(super) bytes: u64,
    pub(super) rate: u64,
}

/// Aggregate throughput of all fetches that run at the same time.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    pub(super) busy: usize,
    pub(super) since: Option<Instant>,
    pub(super) bytes: u64,
    /// Of others, that came by the same way in the meantime.
    pub(super) beside: u64,
    pub(super) rate: Option<f64>,
    pub(super) best: Option<f64>,
    pub(super) first_byte: Option<Duration>,
    pub(super) sampled: Option<Instant>,
}

impl Way {
    pub(super) fn came(&mut self, bytes: u64, now: Instant) {
        let passed = now.since(self.since);
        if passed >= Duration::from_secs(1) {
            let seen = Rate::of(self.bytes, passed).bytes_per_second();
            // What isn't seen for long is forgotten.
            self.rate = seen.max(self.rate - self.rate / 32);
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += bytes;
    }
}

impl Meter {
    pub(super) fn start(&mut self, now: Instant, first_byte: Duration) {
        if self.busy == 0 {
            (self.since, self.bytes, self.beside) = (Some(now), 0, 0);
        }
        self.busy += 1;
        self.wait(first_byte);
    }

    pub(super) fn wait(&mut self, first_byte: Duration) {
        self.first_byte = Some(self.first_byte.map_or(first_byte, |old| (old * 3 + first_byte) / 4));
    }

    pub(super) fn stop(&mut self, now: Instant) {
        if self.busy == 0 {
            return;
        }
        self.busy -= 1;
        if self.busy > 0 {
            return;
        }
        if let Some(since) = self.since.take() {
            self.sample(self.bytes, self.beside, now.since(since), now);
        }
    }

    /// Where peers' bytes came `beside`, the source gives at least what it gave, and at most what all of them gave: between the two
    /// what was believed may well be right.
    pub(super) fn sample(&mut self, bytes: u64, beside: u64, time: Duration, now: Instant) {
        if bytes < MIN_SAMPLE {
            return;
        }
        // A small answer may arrive in one piece with its head; a microsecond's throughput would be a fairy tale.
        let time = time.max(Duration::from_millis(5)).as_secs_f64();
        let (least, most) = (bytes as f64 / time, (bytes + beside) as f64 / time);
        let sample = self.rate.map_or(least, |old| old.clamp(least, most));
        // The more bytes, the more a sample weighs: a whole segment replaces most of what was believed.
        let weight = (bytes as f64 / 400_000.0).clamp(0.15, 0.7);
        let rate = self.rate.map_or(sample, |old| old + (sample - old) * weight);
        self.rate = Some(rate);
        self.best = Some(self.best.map_or(rate, |b| b.max(rate)));
        self.sampled = Some(now);
    }
}
