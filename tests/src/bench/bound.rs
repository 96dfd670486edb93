//! The best possible savings of a run, from what its viewers played and what their links could carry.
//!
//! This shares nothing with the engine, on purpose: it judges it. Two limits hold, whatever the protocol:
//!
//! - *structural*: somebody has to fetch each segment of each rendition once, and a viewer's very first segment comes
//!   over HTTP, since no one waits for peers to start: a segment that was the first of `f` viewers costs at least
//!   `max(1, f)` copies. Renditions are partitions of their own here, so the sum over (track, segment) is exact.
//! - *capacity*: peers and seeds can't deliver more than their uplinks carry. A viewer's usable upload is the least
//!   of its link, its ratio cap, and what all others consume.

use std::collections::{BTreeMap, BTreeSet};

/// One segment handed to one viewer's player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Which viewer.
    pub viewer: usize,
    /// Name of the rendition, or of whatever else can't replace another.
    pub track: String,
    /// Number of the segment.
    pub segment: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it was the first that this viewer's player got.
    pub first: bool,
}

/// What the viewers' links allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Uplinks {
    /// Bytes that each viewer's uplink could carry in its session; `None` if unlimited.
    pub link_bytes: Vec<Option<u64>>,
    /// Most that a viewer may upload, as a multiple of what it consumes.
    pub ratio: f64,
    /// Bytes that the seeds could carry in the run.
    pub seed_bytes: Option<u64>,
}

/// The limits of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// Best possible savings.
    pub savings: f64,
    /// Fewest possible copies: source bytes over the sizes of the distinct segments.
    pub copies: f64,
    /// Savings that the structure of the demand alone allows.
    pub structural: f64,
    /// Usable upload over demand; at 1 and more, capacity is no limit.
    pub rho: f64,
}

#[derive(Debug, Default)]
struct Demand {
    size: u64,
    viewers: BTreeSet<usize>,
    first_of: BTreeSet<usize>,
}

/// Computes the limits. Without any demand there is nothing to save.
pub fn bound(played: &[Played], uplinks: &Uplinks) -> Bound {
    let mut demands: BTreeMap<(&str, u64), Demand> = BTreeMap::new();
    let mut consumed: BTreeMap<usize, u64> = BTreeMap::new();
    for one in played {
        let demand = demands.entry((&one.track, one.segment)).or_default();
        demand.size = one.size;
        // Played twice by one viewer (after seeking back, say) it need not travel twice.
        if demand.viewers.insert(one.viewer) {
            *consumed.entry(one.viewer).or_default() += one.size;
        }
        if one.first {
            demand.first_of.insert(one.viewer);
        }
    }
    let total: u64 = consumed.values().sum();
    if total == 0 {
        return Bound { savings: 0.0, copies: 0.0, structural: 0.0, rho: 0.0 };
    }
    let distinct: u64 = demands.values().map(|demand| demand.size).sum();
    let needed: u64 =
        demands.values().map(|demand| demand.size * (demand.first_of.len() as u64).max(1)).sum();
    let structural = 1.0 - needed as f64 / total as f64;
    let rho = usable(&consumed, total, uplinks) / total as f64;
    let savings = structural.min(rho);
    Bound { savings, copies: (1.0 - savings) * total as f64 / distinct as f64, structural, rho }
}

fn usable(consumed: &BTreeMap<usize, u64>, total: u64, uplinks: &Uplinks) -> f64 {
    let viewers: f64 = consumed
        .iter()
        .map(|(&viewer, &own)| {
            let link =
                uplinks.link_bytes.get(viewer).copied().flatten().map_or(f64::INFINITY, |bytes| bytes as f64);
            let others = (total - own) as f64;
            link.min(own as f64 * uplinks.ratio).min(others)
        })
        .sum();
    let seeds = uplinks.seed_bytes.map_or(0.0, |bytes| bytes as f64);
    viewers + seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: f64 = 1e9;

    fn played(viewer: usize, track: &str, segment: u64, size: u64, first: bool) -> Played {
        Played { viewer, track: track.to_owned(), segment, size, first }
    }

    fn free(viewers: usize) -> Uplinks {
        Uplinks { link_bytes: vec![None; viewers], ratio: UNLIMITED, seed_bytes: None }
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn one_viewer_alone_saves_nothing() {
        let bound = bound(&[played(0, "700", 1, 100, true), played(0, "700", 2, 100, false)], &free(1));
        assert_near(bound.savings, 0.0);
        assert_near(bound.copies, 1.0);
    }

    #[test]
    fn eight_in_step_save_seven_eighths_once_started() {
        // Ten segments of 100 bytes, eight viewers; all start with segment 0 over HTTP.
        let all: Vec<Played> = (0..8)
            .flat_map(|viewer| (0..10).map(move |segment| played(viewer, "700", segment, 100, segment == 0)))
            .collect();
        let bound = bound(&all, &free(8));
        // 8 copies of segment 0 and one of each of the other nine: 17 of 80.
        assert_near(bound.structural, 1.0 - 17.0 / 80.0);
        assert_near(bound.savings, 0.7875);
        assert_near(bound.copies, 1.7);
    }

    #[test]
    fn renditions_do_not_help_each_other() {
        let all = [
            played(0, "380", 5, 50, false),
            played(1, "380", 5, 50, false),
            played(2, "1400", 5, 200, false),
            played(3, "1400", 5, 200, false),
        ];
        // One copy of each: 250 of 500.
        assert_near(bound(&all, &free(4)).savings, 0.5);
    }

    #[test]
    fn the_uplinks_cap_what_the_structure_allows() {
        let all: Vec<Played> = (0..4).map(|viewer| played(viewer, "700", 1, 1000, false)).collect();
        let mut uplinks = free(4);
        // Structure: 0.75. Links of 400 bytes each: 1600 of 4000.
        uplinks.link_bytes = vec![Some(400); 4];
        assert_near(bound(&all, &uplinks).savings, 0.4);
        // A seed with 1200 bytes lifts it to 0.7; with 2400 the structure is the limit again.
        uplinks.seed_bytes = Some(1200);
        assert_near(bound(&all, &uplinks).savings, 0.7);
        uplinks.seed_bytes = Some(2400);
        assert_near(bound(&all, &uplinks).savings, 0.75);
        assert_near(bound(&all, &uplinks).rho, 1.0);
    }

    #[test]
    fn the_ratio_caps_each_viewer_by_what_it_consumes() {
        let all: Vec<Played> = (0..4).map(|viewer| played(viewer, "700", 1, 1000, false)).collect();
        let uplinks = Uplinks { ratio: 0.5, ..free(4) };
        assert_near(bound(&all, &uplinks).savings, 0.5);
        assert_near(bound(&all, &uplinks).copies, 2.0);
    }

    #[test]
    fn what_a_viewer_plays_twice_counts_once() {
        let all = [played(0, "a", 1, 10, true), played(0, "a", 1, 10, false), played(1, "a", 1, 10, false)];
        assert_near(bound(&all, &free(2)).savings, 0.5);
    }

    #[test]
    fn nothing_played_is_nothing_saved() {
        assert_near(bound(&[], &free(0)).savings, 0.0);
    }
}
