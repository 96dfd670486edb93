//! How far a copy gets in the time that there is.
//!
//! A viewer's budget is the time from a segment's coming into being to its being played. By the time t, share F(t) of the
//! viewers must have it; by then one copy from the source has become at most Phi(t). So the source gives at least F/Phi
//! of all copies, at the worst t:
//!
//! - whole segments: each holder makes another in tau = length / (u/R), so Phi = 2^floor(t/tau);
//! - blocks: the same with a block's time on an uplink, but all uplinks together carry only rho t/D of the copies by t,
//!   which is the limit that counts: 1/rho of a segment's length.

use crate::facts::{Facts, Visit};

/// Who needs a segment when, and how fast it spreads.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spread {
    /// Each viewer's budget in seconds, the shortest first.
    pub(super) budgets: Vec<f64>,
    /// Viewers at a time.
    pub(super) viewers: f64,
    /// Length of a segment in seconds.
    pub(super) length: f64,
    /// Mean usable uplink in bit/s.
    pub(super) uplink: f64,
    /// Mean bitrate in bit/s.
    pub(super) bitrate: f64,
}

impl Spread {
    /// As a run had it. A viewer's budget is its mean latency, less a segment's length: it comes into being at its end.
    pub(super) fn of(facts: &Facts, rho: f64) -> Self {
        let latency = |v: &Visit| v.latency_s.map(|latency| (latency - facts.segment_s).max(0.0));
        let mut budgets: Vec<f64> = facts.visits.iter().filter_map(latency).collect();
        budgets.sort_by(f64::total_cmp);
        let viewers = facts.peer_seconds / facts.length_s;
        let bits: f64 = facts.visits.iter().map(|v| v.consumed as f64 * 8.0).sum();
        let segments: f64 = facts.visits.iter().map(|v| v.levels.len() as f64).sum();
        let bitrate = bits / (segments * facts.segment_s).max(f64::MIN_POSITIVE);
        Self { budgets, viewers, length: facts.segment_s, uplink: rho * bitrate, bitrate }
    }

    /// The bound for protocols that relay whole segments.
    pub(super) fn segments(&self) -> f64 {
        let tau = self.length * self.bitrate / self.uplink;
        1.0 - self.worst(|t| 1.0 / self.doubled((t / tau).floor()))
    }

    /// The bound for protocols that relay blocks of so many bits.
    pub(super) fn blocks(&self, bits: f64) -> f64 {
        let doubling = bits / self.uplink;
        let rho = self.uplink / self.bitrate;
        let by_doubling = self.worst(|t| 1.0 / self.doubled((t / doubling).floor()));
        let by_capacity = self.shares().map(|(t, share)| share - rho * t / self.length).fold(0.0, f64::max);
        1.0 - by_doubling.max(by_capacity)
    }

    /// Copies after so many doublings: one for each viewer at most.
    fn doubled(&self, times: f64) -> f64 {
        // Without any uplink nothing doubles, and 0/0 is not a number.
        if times.is_nan() { 1.0 } else { times.exp2().min(self.viewers.max(1.0)) }
    }

    /// Each moment at which somebody's budget ends, and the share whose budget has ended by then.
    fn shares(&self) -> impl Iterator<Item = (f64, f64)> {
        let all = self.budgets.len() as f64;
        self.budgets.iter().enumerate().map(move |(n, t)| (*t, (n + 1) as f64 / all))
    }

    fn worst(&self, of_a_copy: impl Fn(f64) -> f64) -> f64 {
        self.shares().map(|(t, share)| share * of_a_copy(t)).fold(0.0, f64::max)
    }
}
