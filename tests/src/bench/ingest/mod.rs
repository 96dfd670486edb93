//! `bench ingest`: ffmpeg pushes a live stream to a node, viewers watch it in browsers, without peers and with them. What peers cost in latency may be
//! half a second (R48).
//!
//! Latency is measured at the media element, as everywhere: now minus the encoder's PROGRAM-DATE-TIME at the playhead.

mod options;
mod stage;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

pub use options::Options;
pub use stage::{Stage, Viewer, Way};

use super::median::median;
use super::offload::ViewerReport;
use super::report::{
    self,
    ingest::{TITLES, line},
};
use crate::services::tape;

/// What viewers may be further behind with peers, in seconds.
pub const MOST_BEHIND_S: f64 = 0.5;

/// A run's figures, medians or sums of its viewers.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// How they watched.
    pub way: &'static str,
    /// Seconds behind the encoder.
    pub latency_s: f64,
    /// The same of each viewer. They differ by up to a segment, by the moment they came at, and rounds have moments of their own: only all
    /// rounds' together say what a viewer who comes at any moment has.
    pub latencies_s: Vec<f64>,
    /// Of those that were furthest behind.
    pub latency_most_s: f64,
    /// Milliseconds from navigation to the first picture.
    pub start_ms: f64,
    /// Milliseconds to it from the player's making. It reads its playlist at once, so that this is part of how far behind it is.
    pub start_player_ms: f64,
    /// Stalls of all.
    pub stalls: u64,
    /// Shares of the bytes consumed, by who brought them.
    pub peer_share: f64,
    /// The node that is pushed to, as a seed.
    pub seed_share: f64,
    /// The publisher in signaling.
    pub publisher_share: f64,
    /// What went wrong in decoding.
    pub decode_errors: usize,
}

/// Measures as told, prints the table and, as the last line, JSON; writes the report. Fails where viewers are too far behind.
pub async fn ingest(options: &Options) -> Result<()> {
    let library = super::library().await?;
    let folder = tempfile::tempdir().context("there's no room for what is pushed")?;
    let tape = tape(folder.path(), options.kbps).await?;
    let mut stage = Stage::set(library, options.viewers, &tape).await?;
    let mut runs = Vec::new();
    // A B A B, so that a machine that changes in between changes for both.
    for round in 1..=options.runs {
        for way in [Way::Plain, Way::Peers] {
            eprintln!("round {round}/{}: {}", options.runs, way.name());
            let viewers = stage.watch(way, options.seconds, (round - 1, options.runs)).await?;
            let mut reports = Vec::new();
            for viewer in &viewers {
                reports.push(viewer.report().await?);
            }
            runs.push(Run::of(way, &reports)?);
            eprintln!("{}", line(&runs[runs.len() - 1]));
        }
    }
    let medians = [Way::Plain, Way::Peers].map(|way| middle(&runs, way));
    let [plain, peers] = &medians;
    println!("{TITLES}\n{}\n{}", line(plain), line(peers));
    println!("{}", options.conditions());
    let behind = peers.latency_s - plain.latency_s;
    let figures = serde_json::json!({
        "viewers": options.viewers, "runs": options.runs, "plain": plain, "rillcast": peers,
        "behind_s": (behind * 1e3).round() / 1e3, "most_behind_s": MOST_BEHIND_S,
    });
    println!("report: {}", write(options, &figures, &medians, &runs)?.display());
    println!("{figures}");
    ensure!(
        behind <= MOST_BEHIND_S,
        "viewers with peers are {behind:.2} s further behind; at most {MOST_BEHIND_S} s are allowed"
    );
    Ok(())
}

impl Run {
    /// The figures of viewers' reports.
    pub fn of(way: Way, reports: &[ViewerReport]) -> Result<Self> {
        let latencies: Vec<f64> = reports.iter().filter_map(|report| report.latency_s).collect();
        ensure!(latencies.len() == reports.len() && !reports.is_empty(), "a viewer didn't play: {reports:?}");
        let starts = reports.iter().filter_map(|report| report.start_ms);
        let of_players = reports.iter().filter_map(|report| report.start_player_ms);
        let consumed: u64 = reports.iter().map(|report| report.consumed_bytes).sum();
        let share = |of: fn(&ViewerReport) -> u64| {
            reports.iter().map(of).sum::<u64>() as f64 / consumed.max(1) as f64
        };
        Ok(Self {
            way: way.name(),
            latency_most_s: round(latencies.iter().copied().fold(0.0, f64::max)),
            latencies_s: latencies.iter().copied().map(round).collect(),
            latency_s: round(median(latencies).unwrap_or(0.0)),
            start_ms: round(median(starts).unwrap_or(0.0)),
            start_player_ms: round(median(of_players).unwrap_or(0.0)),
            stalls: reports.iter().map(|report| report.stalls).sum(),
            peer_share: round(share(|report| report.sources.peers)),
            seed_share: round(share(|report| report.sources.seeds)),
            publisher_share: round(share(|report| report.sources.publisher)),
            decode_errors: reports.iter().map(|report| report.decode_errors.len()).sum(),
        })
    }
}

/// Medians of the runs in one way, of latency that of all viewers in all of them; stalls and errors are of all.
fn middle(runs: &[Run], way: Way) -> Run {
    let own: Vec<&Run> = runs.iter().filter(|run| run.way == way.name()).collect();
    let of = |field: fn(&Run) -> f64| round(median(own.iter().map(|run| field(run))).unwrap_or(0.0));
    let latencies_s: Vec<f64> = own.iter().flat_map(|run| &run.latencies_s).copied().collect();
    Run {
        way: way.name(),
        latency_s: round(median(latencies_s.iter().copied()).unwrap_or(0.0)),
        latencies_s,
        latency_most_s: of(|run| run.latency_most_s),
        start_ms: of(|run| run.start_ms),
        start_player_ms: of(|run| run.start_player_ms),
        stalls: own.iter().map(|run| run.stalls).sum(),
        peer_share: of(|run| run.peer_share),
        seed_share: of(|run| run.seed_share),
        publisher_share: of(|run| run.publisher_share),
        decode_errors: own.iter().map(|run| run.decode_errors).sum(),
    }
}

fn write(
    options: &Options,
    figures: &serde_json::Value,
    medians: &[Run; 2],
    runs: &[Run],
) -> Result<PathBuf> {
    let all = serde_json::json!({ "conditions": options.conditions(), "figures": figures, "runs": runs });
    options.reports.write("ingest.json", &serde_json::to_string_pretty(&all)?)?;
    options.reports.write("ingest.html", &report::ingest::page(&options.conditions(), medians, runs))
}

/// More decimals than that the figures aren't worth.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
