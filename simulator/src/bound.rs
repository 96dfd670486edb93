//! The best possible savings of a run, whatever the protocol. Shares nothing with the engine, on purpose: it judges it.
//!
//! - *structural*: each segment of each rendition leaves the source once, and once more for each viewer whose very first
//!   it was, for nobody waits for peers to start. Renditions can't stand in for each other, so each is a partition.
//! - *capacity*: peers can't deliver more than their uplinks carry in the time that they are there, nor more than the
//!   site's ratio lets each give.

/// What was played of one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Its bytes.
    pub(crate) size: u64,
    /// Viewers who played it.
    pub(crate) viewers: u64,
    /// Of these, whose first it was.
    pub(crate) firsts: u64,
}

/// What one viewer played and could give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Viewer {
    /// Bytes played.
    pub(crate) consumed: u64,
    /// Bytes that its uplink carries while it is there.
    pub(crate) uplink: u64,
}

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bound {
    /// Best possible savings.
    pub(crate) savings: f64,
    /// Savings that the demand's structure allows.
    pub(crate) structural: f64,
    /// Usable upload over demand.
    pub(crate) rho: f64,
}

/// Computes the limits; nothing played is nothing saved.
pub(crate) fn bound(demands: impl Iterator<Item = Demand>, viewers: &[Viewer], ratio: f64) -> Bound {
    let (mut total, mut needed) = (0u64, 0u64);
    for Demand { size, viewers, firsts } in demands {
        total += size * viewers;
        needed += size * firsts.max(1).min(viewers);
    }
    if total == 0 {
        return Bound { savings: 0.0, structural: 0.0, rho: 0.0 };
    }
    let structural = 1.0 - needed as f64 / total as f64;
    let usable: f64 = viewers
        .iter()
        .map(|v| (v.uplink as f64).min(v.consumed as f64 * ratio).min((total - v.consumed) as f64))
        .sum();
    let rho = usable / total as f64;
    Bound { savings: structural.min(rho), structural, rho }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    fn viewers(n: u64, consumed: u64, uplink: u64) -> Vec<Viewer> {
        (0..n).map(|_| Viewer { consumed, uplink }).collect()
    }

    // Golden values, worked out by hand.
    #[test]
    fn a_hundred_in_step_save_all_but_one_copy_and_the_starts() {
        // Ten segments of 100 bytes; everybody's first is segment 0: 100 copies of it and 9 others of 1000.
        let demand = |n| Demand { size: 100, viewers: 100, firsts: if n == 0 { 100 } else { 0 } };
        let found = bound((0..10).map(demand), &viewers(100, 1000, u64::MAX), 1e9);
        near(found.savings, 1.0 - 109.0 / 1000.0);
    }

    #[test]
    fn scarce_uplinks_are_the_limit() {
        let demand = Demand { size: 1000, viewers: 10, firsts: 0 };
        let found = bound([demand].into_iter(), &viewers(10, 1000, 600), 1e9);
        near(found.structural, 0.9);
        near(found.savings, 0.6);
    }

    #[test]
    fn the_ratio_binds_each_by_what_it_played() {
        let demand = Demand { size: 1000, viewers: 4, firsts: 0 };
        let mut all = viewers(4, 1000, 10_000);
        near(bound([demand].into_iter(), &all, 0.5).savings, 0.5);
        all[0].uplink = 100;
        near(bound([demand].into_iter(), &all, 0.5).savings, 1600.0 / 4000.0);
    }

    #[test]
    fn one_alone_and_nobody_save_nothing() {
        let demand = Demand { size: 10, viewers: 1, firsts: 0 };
        near(bound([demand].into_iter(), &viewers(1, 10, 100), 2.0).savings, 0.0);
        near(bound([].into_iter(), &[], 2.0).savings, 0.0);
    }
}
