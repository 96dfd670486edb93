//! From a run's facts to its figures.

use serde::Serialize;

use super::compare::Comparison;
use super::statistics::{mean, quantile, rank_correlation, ratio};
use crate::bound::{Bounds, bounds};
use crate::facts::{Facts, Lies, Segment, Taken, Visit};

/// The figures of one run. Shares are fractions; the words are those of ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// Viewers at a time.
    pub(crate) peers: usize,
    /// All who came.
    pub(crate) visitors: usize,
    /// Hours that they watched, stalls included.
    pub(crate) viewing_hours: f64,
    /// 1 - source bytes / bytes consumed.
    pub(crate) savings: f64,
    /// The same of those who give, where some don't: of what their players got, what they had from the source themselves.
    pub(crate) givers_savings: Option<f64>,
    /// Best possible savings of this run.
    pub(crate) bound: f64,
    /// savings / bound.
    pub(crate) eta: f64,
    /// What the bound is made of.
    pub(crate) bounds: Bounds,
    /// Source bytes over the sizes of the distinct segments played.
    pub(crate) copies: f64,
    /// The same without joiners' first segments.
    pub(crate) copies_steady: f64,
    /// The same for each rendition, the lowest first.
    pub(crate) copies_steady_by_rendition: Vec<f64>,
    /// The source's highest rate in any second, in bit/s.
    pub(crate) peak_source_bps: f64,
    /// The rate that 95 % of all seconds stay under.
    pub(crate) p95_source_bps: f64,
    /// Against the CDN alone, if that was played.
    #[serde(flatten)]
    pub(crate) comparison: Option<Comparison>,
    /// Share of the viewers that stalled.
    pub(crate) stalled_peers: f64,
    /// Stalls per viewing hour.
    pub(crate) stalls_per_hour: f64,
    /// Jumps ahead of players that fell too far behind, per viewing hour.
    pub(crate) skips_per_hour: f64,
    /// Start-up, stalls and waiting after jumps together, of all visits, in s per viewing hour.
    pub(crate) buffering_s_per_hour: f64,
    /// Mean time from a moment of the stream to its being played, in s, by viewing time; none on demand.
    pub(crate) latency_s: Option<f64>,
    /// Median start-up in ms.
    pub(crate) start_ms: f64,
    /// The start-up that 99 % stay under.
    pub(crate) p99_start_ms: f64,
    /// Share of the visits that saw no picture.
    pub(crate) never_started: f64,
    /// Mean bitrate played.
    pub(crate) bitrate_bps: f64,
    /// Stalls per viewing hour of those who give, where some don't.
    pub(crate) givers_stalls_per_hour: Option<f64>,
    /// Share of viewers' bytes that went to another ISP.
    pub(crate) cross_isp: Option<f64>,
    /// The same over what it would be if partners were chosen blindly.
    pub(crate) cross_isp_over_blind: Option<f64>,
    /// Copies of a segment that enterprises' lines carried, on average and at most.
    pub(crate) site_copies: Option<f64>,
    pub(crate) site_copies_max: Option<f64>,
    /// The same on average once all who come at first are there.
    pub(crate) site_copies_filled: Option<f64>,
    /// Of what a shared uplink carried beside a TCP upload, TCP's share.
    pub(crate) tcp_share: Option<f64>,
    /// Of a shared uplink, what ours used while there was no TCP.
    pub(crate) uplink_used_alone: Option<f64>,
    /// Addresses that crawlers learned, over those that as many honest viewers' links showed in the same time.
    pub(crate) crawled_over_linked: Option<f64>,
    /// Addresses that crawlers learned; that came to as many honest viewers; of these, that they had links with.
    pub(crate) crawled: Option<[usize; 3]>,
    /// Rank correlation of viewers' mean hop depth and their uplinks.
    pub(crate) rho_depth_upload: Option<f64>,
    /// Mean number of viewers that a viewer's blocks came through.
    pub(crate) mean_depth: Option<f64>,
    /// Bytes given over bytes consumed.
    pub(crate) upload_ratio: f64,
    /// What became of false blocks.
    pub(crate) lies: Lies,
    /// Bytes that viewers received.
    pub(crate) bytes: Bytes,
    /// Control messages per viewer and second.
    pub(crate) control_per_second: f64,
    /// Their bytes.
    pub(crate) control_bytes_per_second: f64,
    /// Engine calls per viewer and second.
    pub(crate) calls_per_second: f64,
}

/// Bytes by who gave them and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bytes {
    /// What players got.
    pub(crate) consumed: u64,
    /// What the source gave, publishers' and seeds' own fetches included.
    pub(crate) source: u64,
    /// From viewers.
    pub(crate) peers: u64,
    /// From seeds.
    pub(crate) seeds: u64,
    /// From the publisher, handing on its own copy.
    pub(crate) publisher: u64,
    /// From the source, to whom an election chose.
    pub(crate) election: u64,
    /// From the source, in the last moment.
    pub(crate) rescue: u64,
    /// From the source, whole segments: without a digest, or without peers.
    pub(crate) whole: u64,
    /// From the source, to who waited for the first picture.
    pub(crate) first: u64,
    /// From the source, to publishers and seeds.
    pub(crate) published: u64,
    /// Received in vain.
    pub(crate) wasted: u64,
    /// Blocks that didn't match their digest.
    pub(crate) polluted: u64,
}

impl Bytes {
    fn of(facts: &Facts) -> Self {
        let sum = |of: fn(&Taken) -> u64| facts.visits.iter().map(|v| of(&v.taken)).sum::<u64>();
        Self {
            consumed: facts.visits.iter().map(|v| v.consumed).sum(),
            source: facts.segments.iter().map(|s| s.source).sum(),
            peers: sum(|t| t.peers),
            seeds: sum(|t| t.seeds),
            publisher: sum(|t| t.publisher),
            election: sum(|t| t.election),
            rescue: sum(|t| t.rescue),
            whole: sum(|t| t.whole),
            first: sum(|t| t.first),
            published: facts.published,
            wasted: sum(|t| t.wasted),
            polluted: facts.lies.bytes,
        }
    }
}

/// Takes stock of a run.
pub(crate) fn figures(facts: &Facts) -> Figures {
    let visits = &facts.visits;
    let count = visits.len() as f64;
    let bytes = Bytes::of(facts);
    let bounds = bounds(facts);
    let savings = if bytes.consumed > 0 { 1.0 - bytes.source as f64 / bytes.consumed as f64 } else { 0.0 };
    let watched = |v: &Visit| v.played_ms + v.stall_ms;
    let hours = visits.iter().map(watched).sum::<f64>() / 3.6e6;
    let starts: Vec<f64> = visits.iter().filter_map(|v| v.start_ms).collect();
    let rates = facts.seconds.iter().map(|second| second.source as f64 * 8.0);
    let depths: Vec<(f64, f64)> = visits.iter().filter_map(|v| Some((v.hops?, v.up_bps))).collect();
    let latency: f64 = visits.iter().filter_map(|v| Some(v.latency_s? * watched(v))).sum();
    let levels = visits.iter().flat_map(|v| &v.levels);
    let bitrates = levels.filter_map(|level| facts.ladder_bps.get(usize::from(*level)).copied());
    let peer_seconds = facts.peer_seconds.max(1.0);
    let some_withhold = visits.iter().any(|v| v.withholds);
    let givers = || visits.iter().filter(|v| !v.withholds);
    let cross_isp = facts.isps.map(|isps| ratio(isps.across as f64, isps.all as f64));
    let site_copies = facts.sites.iter().map(|s| ratio(s.inwards as f64, s.distinct as f64));
    let filled = facts.sites.iter().filter(|s| s.filled.1 > 0);
    let beside = facts.shared.iter().filter(|s| s.beside_s > 0);
    let alone = facts.shared.iter().filter(|s| s.alone_s > 0);
    Figures {
        peers: facts.peers,
        visitors: visits.len(),
        viewing_hours: hours,
        savings,
        givers_savings: some_withhold.then(|| {
            let source: u64 = givers().map(|v| v.taken.source()).sum();
            1.0 - ratio(source as f64, givers().map(|v| v.consumed as f64).sum())
        }),
        bound: bounds.savings,
        eta: ratio(savings, bounds.savings),
        copies: copies(facts.segments.iter(), |s| s.source),
        copies_steady: copies(facts.segments.iter(), steady),
        copies_steady_by_rendition: (0..facts.ladder_bps.len())
            .map(|level| copies(facts.segments.iter().filter(|s| usize::from(s.level) == level), steady))
            .collect(),
        peak_source_bps: rates.clone().fold(0.0, f64::max),
        p95_source_bps: quantile(rates, 0.95),
        comparison: None,
        stalled_peers: ratio(visits.iter().filter(|v| v.stalls > 0).count() as f64, count),
        stalls_per_hour: ratio(visits.iter().map(|v| f64::from(v.stalls)).sum(), hours),
        skips_per_hour: ratio(visits.iter().map(|v| f64::from(v.skips)).sum(), hours),
        buffering_s_per_hour: ratio(visits.iter().map(|v| v.buffering_ms() / 1000.0).sum(), hours),
        latency_s: (!facts.on_demand).then(|| ratio(latency, hours * 3.6e6)),
        start_ms: quantile(starts.iter().copied(), 0.5),
        p99_start_ms: quantile(starts.iter().copied(), 0.99),
        never_started: ratio(count - starts.len() as f64, count),
        bitrate_bps: mean(bitrates).unwrap_or(0.0),
        givers_stalls_per_hour: some_withhold.then(|| {
            let hours = givers().map(watched).sum::<f64>() / 3.6e6;
            ratio(givers().map(|v| f64::from(v.stalls)).sum(), hours)
        }),
        cross_isp,
        cross_isp_over_blind: facts.isps.zip(cross_isp).map(|(isps, share)| ratio(share, isps.blindly)),
        site_copies: mean(site_copies.clone()),
        site_copies_max: site_copies.max_by(f64::total_cmp),
        site_copies_filled: mean(filled.map(|s| ratio(s.filled.0 as f64, s.filled.1 as f64))),
        tcp_share: mean(beside.map(|s| ratio(s.tcp as f64, (s.tcp + s.beside) as f64))),
        uplink_used_alone: mean(alone.map(|s| ratio(s.alone as f64 * 8.0, s.bps * s.alone_s as f64))),
        crawled_over_linked: facts.crawled.map(|c| ratio(c.learned as f64, c.linked as f64)),
        crawled: facts.crawled.map(|c| [c.learned, c.shown, c.linked]),
        rho_depth_upload: rank_correlation(&depths),
        mean_depth: mean(depths.iter().map(|(depth, _)| *depth)),
        upload_ratio: ratio(visits.iter().map(|v| v.given as f64).sum(), bytes.consumed as f64),
        control_per_second: facts.control.0 as f64 / peer_seconds,
        control_bytes_per_second: facts.control.1 as f64 / peer_seconds,
        calls_per_second: facts.calls as f64 / peer_seconds,
        lies: facts.lies,
        bytes,
        bounds,
    }
}

fn steady(segment: &Segment) -> u64 {
    segment.source.saturating_sub(segment.source_firsts)
}

fn copies<'a>(segments: impl Iterator<Item = &'a Segment>, bytes: fn(&Segment) -> u64) -> f64 {
    let (given, distinct) =
        segments.fold((0, 0), |(given, distinct), s| (given + bytes(s), distinct + s.size));
    ratio(given as f64, distinct as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Isps, Second, Shared, Site};

    #[test]
    fn figures_follow_from_the_facts() {
        let visit = |hops, up_bps, start_ms, stalls| Visit {
            left_s: 3600.0,
            up_bps,
            start_ms,
            stalls,
            stall_ms: f64::from(stalls) * 1000.0,
            played_ms: 1_799_000.0,
            consumed: 1000,
            levels: vec![0, 1],
            latency_s: Some(12.0),
            given: 500,
            hops,
            taken: Taken { peers: 800, first: 100, election: 60, rescue: 30, whole: 10, ..Taken::default() },
            ..Visit::default()
        };
        let facts = Facts {
            ladder_bps: vec![100.0, 300.0],
            visits: vec![
                visit(Some(1.0), 9.0, Some(400.0), 0),
                visit(Some(3.0), 1.0, Some(600.0), 1),
                visit(None, 5.0, None, 1),
            ],
            segments: vec![
                Segment {
                    level: 0,
                    size: 100,
                    viewers: 3,
                    source: 400,
                    source_firsts: 300,
                    ..Segment::default()
                },
                Segment { level: 1, size: 900, viewers: 3, source: 200, ..Segment::default() },
            ],
            seconds: vec![
                Second { source: 10, ..Second::default() },
                Second { source: 60, ..Second::default() },
            ],
            isps: Some(Isps { across: 100, all: 400, blindly: 0.5 }),
            sites: vec![
                Site { inwards: 30, distinct: 10, filled: (6, 5) },
                Site { inwards: 10, distinct: 10, ..Site::default() },
            ],
            shared: vec![Shared { bps: 80.0, beside_s: 1, tcp: 9, beside: 1, alone_s: 2, alone: 10 }],
            control: (40, 800),
            calls: 60,
            peer_seconds: 20.0,
            ..Facts::default()
        };
        let found = figures(&facts);
        assert_eq!(found.savings, 1.0 - 600.0 / 3000.0);
        assert_eq!((found.copies, found.copies_steady), (0.6, 0.3));
        assert_eq!(found.copies_steady_by_rendition, [1.0, 200.0 / 900.0]);
        assert_eq!((found.peak_source_bps, found.p95_source_bps), (480.0, 480.0));
        assert_eq!((found.start_ms, found.p99_start_ms), (400.0, 600.0));
        assert_eq!(found.stalled_peers, 2.0 / 3.0);
        let hours = (3.0 * 1_799_000.0 + 2000.0) / 3.6e6;
        assert_eq!((found.viewing_hours, found.stalls_per_hour), (hours, 2.0 / hours));
        assert!((found.latency_s.expect("live") - 12.0).abs() < 1e-9);
        assert_eq!((found.bitrate_bps, found.cross_isp, found.upload_ratio), (200.0, Some(0.25), 0.5));
        assert_eq!((found.cross_isp_over_blind, found.givers_stalls_per_hour), (Some(0.5), None));
        assert_eq!((found.site_copies, found.site_copies_max), (Some(2.0), Some(3.0)));
        assert_eq!(found.site_copies_filled, Some(1.2), "of those that anything came into since");
        assert_eq!((found.tcp_share, found.uplink_used_alone), (Some(0.9), Some(0.5)));
        assert_eq!((found.rho_depth_upload, found.mean_depth), (Some(-1.0), Some(2.0)));
        let b = found.bytes;
        assert_eq!((b.peers, b.first, b.whole, b.rescue, b.election), (2400, 300, 30, 90, 180));
        assert_eq!(
            (found.control_per_second, found.control_bytes_per_second, found.calls_per_second),
            (2.0, 40.0, 3.0)
        );
    }

    #[test]
    fn nobody_makes_no_figures_and_no_trouble() {
        let found = figures(&Facts::default());
        assert_eq!((found.savings, found.eta, found.rho_depth_upload), (0.0, 0.0, None));
    }

    #[test]
    fn who_gives_is_told_apart_where_some_do_not() {
        let visit = |withholds, stalls, peers, first, rescue| Visit {
            withholds,
            stalls,
            played_ms: 3.6e6,
            consumed: peers + first + rescue,
            taken: Taken { peers, first, rescue, ..Taken::default() },
            ..Visit::default()
        };
        let of = |visits| {
            let found = figures(&Facts { visits, ..Facts::default() });
            (found.givers_savings, found.givers_stalls_per_hour)
        };
        let giver = || visit(false, 1, 80, 15, 5);
        assert_eq!(of(vec![giver()]), (None, None), "all do");
        assert_eq!(of(vec![giver(), visit(true, 9, 0, 0, 100), giver()]), (Some(0.8), Some(1.0)));
    }
}
