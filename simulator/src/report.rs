//! From a run to figures.

use std::time::Duration;

use serde::Serialize;

use crate::bound;
use crate::scenario::Scenario;
use crate::world::World;

/// The figures of one run. Shares are fractions; the words are those of ARCHITECTURE.md.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// Name of the scenario.
    pub(crate) scenario: String,
    /// The run's seed.
    pub(crate) seed: u64,
    /// Viewers at a time.
    pub(crate) peers: usize,
    /// All who came.
    pub(crate) visitors: usize,
    /// 1 - source bytes / bytes consumed.
    pub(crate) savings: f64,
    /// Best possible savings of this run.
    pub(crate) bound: f64,
    /// savings / bound.
    pub(crate) eta: f64,
    /// Usable upload over demand.
    pub(crate) rho: f64,
    /// Source bytes over the sizes of the distinct segments.
    pub(crate) copies: f64,
    /// The same without joiners' first segments.
    pub(crate) copies_steady: f64,
    /// The source's rate that 95 % of all seconds stay under, in bit/s.
    pub p95_source_bps: f64,
    /// Stalls per viewing hour.
    pub(crate) stalls_per_hour: f64,
    /// Share of the viewers that stalled.
    pub(crate) stalled_peers: f64,
    /// Median start-up in ms.
    pub(crate) start_ms: f64,
    /// The start-up that 99 % stay under.
    pub p99_start_ms: f64,
    /// Mean bitrate played.
    pub(crate) bitrate_bps: f64,
    /// Bytes given over bytes consumed.
    pub(crate) upload_ratio: f64,
    /// Control messages per viewer and second.
    pub(crate) control_per_second: f64,
    /// Engine calls per viewer and second.
    pub(crate) calls_per_second: f64,
    /// Processor time per viewer-second, in microseconds.
    pub(crate) cpu_us_per_peer_second: f64,
    /// Real time that the run took.
    pub(crate) wall_s: f64,
    /// Memory at its highest.
    pub(crate) rss_mib: f64,
}

impl Report {
    /// Takes stock of a run that took so long.
    pub(crate) fn new(name: &str, scenario: &Scenario, seed: u64, world: &World, wall: Duration) -> Self {
        let ledger = &world.ledger;
        let source: u64 = ledger.source.values().map(|(bytes, _)| bytes).sum();
        let consumed: u64 = ledger.demand.values().map(|d| d.size * d.viewers).sum();
        let distinct: u64 = ledger.demand.values().map(|d| d.size).sum();
        let firsts: u64 = ledger.source.values().map(|(_, first)| first).sum();
        let bound = bound::bound(ledger.demand.values().copied(), &world.viewers(), scenario.site.ratio);
        let savings = 1.0 - ratio(source as f64, consumed as f64);
        let players: Vec<_> = world.visitors().collect();
        let hours: f64 = players.iter().map(|p| p.played_ms + p.stall_ms).sum::<f64>() / 3.6e6;
        let stalls: f64 = players.iter().map(|p| f64::from(p.stalls)).sum();
        let stalled = players.iter().filter(|p| p.stalls > 0).count();
        let mut starts: Vec<f64> =
            players.iter().filter_map(|p| Some(p.started?.since(p.joined).as_secs_f64() * 1000.0)).collect();
        let bits: f64 = players.iter().map(|p| p.consumed as f64 * 8.0).sum();
        let mut seconds: Vec<f64> = ledger.per_second.iter().map(|bytes| *bytes as f64 * 8.0).collect();
        let peer_seconds = ledger.peer_seconds.max(1.0);
        Self {
            scenario: name.to_owned(),
            seed,
            peers: scenario.viewers.peers,
            visitors: players.len(),
            savings,
            bound: bound.savings,
            eta: ratio(savings, bound.savings),
            rho: bound.rho,
            copies: ratio(source as f64, distinct as f64),
            copies_steady: ratio(source.saturating_sub(firsts) as f64, distinct as f64),
            p95_source_bps: quantile(&mut seconds, 0.95),
            stalls_per_hour: ratio(stalls, hours),
            stalled_peers: ratio(stalled as f64, players.len() as f64),
            start_ms: quantile(&mut starts, 0.5),
            p99_start_ms: quantile(&mut starts, 0.99),
            bitrate_bps: ratio(bits, hours * 3600.0),
            upload_ratio: ratio(world.uploaded() as f64, consumed as f64),
            control_per_second: ledger.control.0 as f64 / peer_seconds,
            calls_per_second: ledger.calls as f64 / peer_seconds,
            cpu_us_per_peer_second: wall.as_secs_f64() * 1e6 / peer_seconds,
            wall_s: wall.as_secs_f64(),
            rss_mib: peak_rss_mib(),
        }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let percent = |share: f64| format!("{:.2} %", share * 100.0);
        let rows = [
            ("savings", percent(self.savings)),
            ("bound, eta", format!("{}, {:.4}", percent(self.bound), self.eta)),
            ("copies, steady", format!("{:.2}, {:.2}", self.copies, self.copies_steady)),
            ("source p95", format!("{:.1} Mbit/s", self.p95_source_bps / 1e6)),
            ("stalls per hour", format!("{:.3}", self.stalls_per_hour)),
            ("viewers that stalled", percent(self.stalled_peers)),
            ("start-up, p99", format!("{:.0}, {:.0} ms", self.start_ms, self.p99_start_ms)),
            ("bitrate", format!("{:.0} kbit/s", self.bitrate_bps / 1e3)),
            ("upload ratio", format!("{:.3}", self.upload_ratio)),
            ("control messages", format!("{:.1} /s", self.control_per_second)),
            ("engine calls", format!("{:.1} /s", self.calls_per_second)),
            ("processor", format!("{:.0} us per viewer-second", self.cpu_us_per_peer_second)),
            ("took", format!("{:.1} s, {:.0} MiB", self.wall_s, self.rss_mib)),
        ];
        let lines = rows.iter().map(|(name, value)| format!("{name:<22} {value}\n"));
        format!(
            "{}, seed {}: {} viewers, {} visits\n{}",
            self.scenario,
            self.seed,
            self.peers,
            self.visitors,
            lines.collect::<String>()
        )
    }
}

fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share) as usize;
    values.get(at.min(values.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1024.0)
}
