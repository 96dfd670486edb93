//! Medians of a client's runs: one object of the JSON line.

use serde::Serialize;

use super::account::RunResult;
use super::options::Client;
use crate::bench::median::median;

/// The keys that every measuring command shares (DESIGN.md, section 12), and a few of this bench's own.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "each is the median of the RunResult's field of that name")]
pub struct Summary {
    pub client: &'static str,
    pub viewers: u32,
    pub savings: f64,
    pub bound: f64,
    /// Median of savings / bound of each run.
    pub eta: f64,
    pub peer_share: f64,
    pub seed_share: f64,
    pub publisher_share: f64,
    pub copies: f64,
    pub copies_steady: f64,
    pub copies_bound: f64,
    pub stalls: f64,
    pub stall_ms: f64,
    pub start_ms: Option<f64>,
    pub latency_s: Option<f64>,
    pub bitrate_bps: f64,
    pub cpu_per_viewer: f64,
    pub cpu_ms_per_mb: f64,
    pub upload_ratio: f64,
    pub source_p95_bps: f64,
    /// In all runs together.
    pub decode_errors: usize,
    /// Segments handed to players that were not the origin's, in all runs together.
    pub altered: usize,
    pub runs: usize,
}

impl Summary {
    /// The medians of `client`'s runs among `results`; `None` if it has none.
    pub fn of(client: Client, results: &[RunResult]) -> Option<Self> {
        let own: Vec<&RunResult> = results.iter().filter(|result| result.client == client.name()).collect();
        let viewers = own.first()?.viewers;
        let of = |field: fn(&RunResult) -> f64| round(median(own.iter().map(|run| field(run))));
        let some = |field: fn(&RunResult) -> Option<f64>| {
            median(own.iter().filter_map(|run| field(run))).map(|value| round(Some(value)))
        };
        Some(Self {
            client: client.name(),
            viewers,
            savings: of(|run| run.savings),
            bound: of(|run| run.bound),
            eta: of(|run| if run.bound > 0.0 { run.savings / run.bound } else { 0.0 }),
            peer_share: of(|run| run.peer_share),
            seed_share: of(|run| run.seed_share),
            publisher_share: of(|run| run.publisher_share),
            copies: of(|run| run.copies),
            copies_steady: of(|run| run.copies_steady),
            copies_bound: of(|run| run.copies_bound),
            stalls: of(|run| run.stalls as f64),
            stall_ms: of(|run| run.stall_ms),
            start_ms: some(|run| run.start_ms),
            latency_s: some(|run| run.latency_s),
            bitrate_bps: of(|run| run.bitrate_bps),
            cpu_per_viewer: of(|run| run.cpu_per_viewer),
            cpu_ms_per_mb: of(|run| run.cpu_ms_per_mb),
            upload_ratio: of(|run| run.upload_ratio),
            source_p95_bps: of(|run| run.source_p95_bps),
            decode_errors: own.iter().map(|run| run.decode_errors.len()).sum(),
            altered: own.iter().map(|run| run.altered.len()).sum(),
            runs: own.len(),
        })
    }
}

/// Four decimals are more than any of the figures is worth.
fn round(value: Option<f64>) -> f64 {
    (value.unwrap_or(0.0) * 1e4).round() / 1e4
}
