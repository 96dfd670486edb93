//! The best possible savings of a run, whatever the protocol. Shares nothing with the engine, on purpose: it judges it.
//!
//! Each bound stands for itself; the run's is the least of those that hold for every protocol that relays blocks.
//!
//! - *structure* (fluid, 1 - 1/N, and start): each segment of each rendition leaves the source once, and as often as newcomers
//!   got it there while they waited for their first picture, but no more than once for each of them. Who can't be linked
//!   with gets everything there.
//! - *capacity* (fluid, rho): viewers can't give more than their uplinks carry in the time that they are there, nor more than
//!   the site's ratio lets each give, nor more than all others play. With seeds' uplinks on top.
//! - *latency*: what a copy can become in the time between a segment's coming into being and its being played.
//! - *demand*: on demand, the chance that anybody who has a segment is still there.
//!
//! Capacity is counted twice: with all uplinks in one pool, and with each rendition's viewers by themselves. A protocol
//! that lets viewers help with renditions that they don't play isn't bound by the second, so eta is taken from the
//! first, which is never lower and so the stricter judge.

use crate::facts::{Facts, Segment, Visit};

mod latency;

use latency::Spread;

/// The site's ratio binds only above so many bytes given.
const FREE: f64 = 8.0 * 1024.0 * 1024.0;
/// What is lost and found again as one, in bits: a block.
const BLOCK_BITS: f64 = 32.0 * 1024.0 * 8.0;

/// The limits of a run: shares of what was played.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(crate) struct Bounds {
    /// The least of those that count: structure, pooled capacity, blocks' latency, demand.
    #[serde(skip)]
    pub(crate) savings: f64,
    /// One copy of each segment, and the starts.
    pub(crate) structure: f64,
    /// Starts alone: 1 - h/T.
    pub(crate) start: f64,
    /// Usable upload over demand, all uplinks in one pool.
    pub(crate) rho: f64,
    /// The same without the site's ratio.
    pub(crate) rho_without_ratio: f64,
    /// Structure and capacity, each rendition by itself.
    pub(crate) by_rendition: f64,
    /// Relaying blocks, in the time that there is; none on demand.
    pub(crate) latency_blocks: Option<f64>,
    /// Relaying whole segments, in the same time.
    pub(crate) latency_segments: Option<f64>,
    /// On demand: 1 - e^(-lambda W).
    pub(crate) demand: Option<f64>,
    /// 1 - the share of the demand whose viewers can't be linked with.
    pub(crate) linkable: f64,
}

/// What one viewer played and could give.
#[derive(Debug, Clone, PartialEq)]
struct Viewer {
    /// Bytes played.
    consumed: f64,
    /// Bytes that its uplink carries while it is there.
    uplink: f64,
    /// Segments played, by rendition.
    plays: Vec<u32>,
}

impl Viewer {
    fn of(visit: &Visit, renditions: usize) -> Self {
        let mut plays = vec![0; renditions];
        for level in &visit.levels {
            if let Some(count) = plays.get_mut(usize::from(*level)) {
                *count += 1;
            }
        }
        let there = visit.left_s - visit.joined_s;
        let uplink = if visit.blocked || visit.withholds { 0.0 } else { visit.up_bps / 8.0 * there };
        Self { consumed: visit.consumed as f64, uplink, plays }
    }

    /// Bytes that it can give at most.
    fn usable(&self, ratio: f64, total: f64) -> f64 {
        let allowed = if ratio > 0.0 { self.consumed * ratio + FREE } else { 0.0 };
        self.uplink.min(allowed).min(total - self.consumed)
    }
}

/// Computes the limits; nothing played is nothing saved.
pub(crate) fn bounds(facts: &Facts) -> Bounds {
    let renditions = facts.ladder_bps.len();
    let viewers: Vec<Viewer> = facts.visits.iter().map(|v| Viewer::of(v, renditions)).collect();
    let total: f64 = facts.segments.iter().map(played).sum();
    if total == 0.0 {
        return Bounds::default();
    }
    let sum = |of: fn(&Segment) -> f64| facts.segments.iter().map(of).sum::<f64>() / total;
    let seeds = facts.seeds_uplink as f64;
    let capacity = |ratio: f64| (viewers.iter().map(|v| v.usable(ratio, total)).sum::<f64>() + seeds) / total;
    let structure = 1.0 - sum(needed);
    let rho = capacity(facts.ratio);
    let latency = (!facts.on_demand).then(|| Spread::of(facts, rho));
    let demand = (facts.on_demand && facts.seeds_uplink == 0).then(|| on_demand(facts));
    let latency_blocks = latency.as_ref().map(|spread| spread.blocks(BLOCK_BITS));
    let savings = [Some(rho), latency_blocks, demand].into_iter().flatten().fold(structure, f64::min);
    Bounds {
        savings: savings.max(0.0),
        structure,
        start: 1.0 - sum(starts),
        rho,
        rho_without_ratio: capacity(f64::INFINITY),
        by_rendition: by_rendition(facts, &viewers, total),
        latency_blocks,
        latency_segments: latency.as_ref().map(Spread::segments),
        demand,
        linkable: 1.0 - sum(|s| (s.size * s.blocked) as f64),
    }
}

fn played(segment: &Segment) -> f64 {
    (segment.size * segment.viewers) as f64
}

/// Bytes of newcomers' first segments: what they got from the source for them, at most one segment each.
fn starts(segment: &Segment) -> f64 {
    segment.source_firsts.min(segment.size * segment.firsts) as f64
}

/// Bytes that the source has to give.
fn needed(segment: &Segment) -> f64 {
    let alone = (segment.size * segment.blocked) as f64;
    let linked = segment.viewers - segment.blocked.min(segment.viewers);
    let once = if linked > 0 { segment.size as f64 } else { 0.0 };
    (alone + starts(segment).max(once)).min(played(segment))
}

/// Each rendition's demand against the uplinks of those who play it. Who played several gives to each for its part of
/// the time; seeds give to each by its demand.
fn by_rendition(facts: &Facts, viewers: &[Viewer], total: f64) -> f64 {
    let saved = |level: usize| {
        let of = |part: fn(&Segment) -> f64| {
            facts.segments.iter().filter(|s| usize::from(s.level) == level).map(part).sum::<f64>()
        };
        let share = |v: &Viewer| {
            let all: u32 = v.plays.iter().sum();
            if all == 0 { 0.0 } else { f64::from(v.plays[level]) / f64::from(all) }
        };
        let demand = of(played);
        let given: f64 = viewers.iter().map(|v| v.usable(facts.ratio, total) * share(v)).sum();
        let seeds = facts.seeds_uplink as f64 * demand / total;
        (demand - of(needed)).min(given + seeds)
    };
    // Audio that everybody plays is in nobody's partition.
    let others = facts.segments.iter().filter(|s| usize::from(s.level) >= facts.ladder_bps.len());
    let besides: f64 = others.map(|s| played(s) - needed(s)).sum();
    ((0..facts.ladder_bps.len()).map(saved).sum::<f64>() + besides) / total
}

/// 1 - e^(-lambda W): arrivals without memory, each holding what it has seen for a visit.
fn on_demand(facts: &Facts) -> f64 {
    let visits = facts.visits.len() as f64;
    let holding = facts.visits.iter().map(|v| v.left_s - v.joined_s).sum::<f64>() / visits.max(1.0);
    1.0 - (-visits / facts.length_s * holding).exp()
}

#[cfg(test)]
mod tests;
