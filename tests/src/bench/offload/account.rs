//! From the ledger and the pages' reports to figures. The words are defined in DESIGN.md, section 12.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::options::{Client, Options};
use crate::bench::bound::{self, Played, Uplinks};
use crate::bench::median::median;
use crate::netlab::Link;
use crate::origin::{Origin, Resource, SegmentBytes, SegmentId};

/// What a page's `rcStats.report()` says; times in ms, latencies in seconds.
#[derive(Debug, Clone, Deserialize)]
pub struct ViewerReport {
    /// Navigation to the first moving playhead.
    pub start_ms: Option<f64>,
    /// The same from the player's making.
    pub start_player_ms: Option<f64>,
    /// Stalls after that.
    pub stalls: u64,
    /// Their length in all.
    pub stall_ms: f64,
    /// Median of now minus PROGRAM-DATE-TIME at the playhead.
    pub latency_s: Option<f64>,
    /// Bitrate of the rendition played, by time.
    pub bitrate_bps: Option<f64>,
    /// How long the playhead moved.
    pub played_ms: f64,
    /// Bytes handed to the player.
    pub consumed_bytes: u64,
    /// Segments handed to the player.
    pub segments: Vec<HandedSegment>,
    /// Error events by name.
    pub errors: BTreeMap<String, u64>,
    /// What went wrong in decoding.
    pub decode_errors: Vec<String>,
    /// Digests of what the player was handed, with `--verify`.
    pub hashes: Vec<Handed>,
    /// What the client says of where bytes came from.
    pub sources: Sources,
    /// Bytes that the client says it sent to others.
    pub uploaded: u64,
}

/// A segment handed to the player.
#[derive(Debug, Clone, Deserialize)]
pub struct HandedSegment {
    /// Its path at the origin.
    pub path: String,
    /// Its length, as the player counted it.
    pub bytes: u64,
    /// Whether it was the first.
    pub first: bool,
    /// When, in ms since 1970.
    pub at: f64,
}

/// The digest of a segment as it was handed to the player.
#[derive(Debug, Clone, Deserialize)]
pub struct Handed {
    /// Its path at the origin.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// Bytes by where they came from.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Sources {
    /// The origin.
    pub http: u64,
    /// Other viewers.
    pub peers: u64,
    /// Seed nodes.
    pub seeds: u64,
    /// The publisher built into signaling.
    pub publisher: u64,
}

impl ViewerReport {
    /// The report in a line.
    pub fn brief(&self) -> String {
        format!(
            "start {:?} ms, {} stalls of {:.0} ms, latency {:?} s, {:?} bit/s, {} segments of {} bytes, sources {:?}, \
             uploaded {}, errors {:?}",
            self.start_ms.map(f64::round),
            self.stalls,
            self.stall_ms,
            self.latency_s,
            self.bitrate_bps.map(f64::round),
            self.segments.len(),
            self.consumed_bytes,
            self.sources,
            self.uploaded,
            self.errors
        )
    }
}

/// What was recorded of one run.
pub(super) struct Run<'a> {
    pub(super) client: Client,
    pub(super) options: &'a Options,
    pub(super) origin: &'a Origin,
    /// Each viewer's address; empty if they share one.
    pub(super) addresses: &'a [IpAddr],
    pub(super) segments: BTreeMap<SegmentId, SegmentBytes>,
    pub(super) per_second: Vec<u64>,
    pub(super) cpu_ms: u64,
    /// When it began, in ms since 1970.
    pub(super) began_ms: f64,
    /// How long each viewer was there.
    pub(super) sessions: Vec<Duration>,
    pub(super) reports: Vec<ViewerReport>,
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct RunResult {
    /// Name of the client.
    pub client: &'static str,
    /// Number of viewers.
    pub viewers: u32,
    /// 1 - source bytes / bytes consumed.
    pub savings: f64,
    /// Best possible savings of this run.
    pub bound: f64,
    /// Usable upload over demand.
    pub rho: f64,
    /// Share of the bytes consumed that the client says came from other viewers.
    pub peer_share: f64,
    /// The same for seed nodes.
    pub seed_share: f64,
    /// The same for the publisher built into signaling.
    pub publisher_share: f64,
    /// Source bytes over the sizes of the distinct segments fetched.
    pub copies: f64,
    /// The same without joiners' first segments.
    pub copies_steady: f64,
    /// Fewest possible copies of this run.
    pub copies_bound: f64,
    /// Stalls of all viewers.
    pub stalls: u64,
    /// Their length in all, in ms.
    pub stall_ms: f64,
    /// Median start-up in ms.
    pub start_ms: Option<f64>,
    /// Median live latency in seconds; none for VOD.
    pub latency_s: Option<f64>,
    /// Mean bitrate played.
    pub bitrate_bps: f64,
    /// CPU seconds of a browser per second.
    pub cpu_per_viewer: f64,
    /// CPU milliseconds of the browsers per megabyte played.
    pub cpu_ms_per_mb: f64,
    /// Bytes sent to others over bytes consumed.
    pub upload_ratio: f64,
    /// Media bytes that the origin wrote.
    pub source_bytes: u64,
    /// Media bytes handed to players.
    pub consumed_bytes: u64,
    /// The source's rate that 95 % of all seconds stay under, in bit/s.
    pub source_p95_bps: f64,
    /// Errors in decoding, of all viewers.
    pub decode_errors: Vec<String>,
    /// What players were handed that is not what the origin serves under that name: by length, and with
    /// `--verify` by digest.
    pub altered: Vec<String>,
    /// Bytes of segments handed to players whose digest isn't the origin's, with `--verify`.
    pub altered_bytes: u64,
    /// Savings up to each second of the run.
    pub savings_over_time: Vec<f64>,
}

/// Milliseconds since 1970, as pages count them.
pub(super) fn now_ms() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

/// Computes a run's figures.
pub(super) fn settle(run: &Run<'_>) -> RunResult {
    let played = played(run);
    let consumed: u64 = played.iter().map(|one| one.0.size).sum();
    let source: u64 = run.segments.values().map(|segment| segment.bytes).sum();
    let distinct: u64 = run.segments.values().map(|segment| segment.size).sum();
    let list: Vec<Played> = played.iter().map(|(one, _)| one.clone()).collect();
    let bound = bound::bound(&list, &uplinks(run));
    let share = |of: fn(&ViewerReport) -> u64| ratio(run.reports.iter().map(of).sum(), consumed);
    let watched: f64 = run.sessions.iter().map(Duration::as_secs_f64).sum();
    let playing: f64 = run.reports.iter().map(|report| report.played_ms).sum();
    let bits: f64 =
        run.reports.iter().map(|report| report.bitrate_bps.unwrap_or(0.0) * report.played_ms).sum();
    RunResult {
        client: run.client.name(),
        viewers: run.options.viewers,
        savings: if consumed == 0 { 0.0 } else { 1.0 - ratio(source, consumed) },
        bound: bound.savings,
        rho: bound.rho.min(1e6),
        peer_share: share(|report| report.sources.peers),
        seed_share: share(|report| report.sources.seeds),
        publisher_share: share(|report| report.sources.publisher),
        copies: ratio(source, distinct),
        copies_steady: copies_steady(run),
        copies_bound: bound.copies,
        stalls: run.reports.iter().map(|report| report.stalls).sum(),
        stall_ms: run.reports.iter().map(|report| report.stall_ms).sum(),
        start_ms: median(run.reports.iter().filter_map(|report| report.start_ms)),
        latency_s: median(run.reports.iter().filter_map(|report| report.latency_s)),
        bitrate_bps: if playing > 0.0 { bits / playing } else { 0.0 },
        cpu_per_viewer: run.cpu_ms as f64 / 1000.0 / watched.max(1.0),
        cpu_ms_per_mb: if consumed == 0 { 0.0 } else { run.cpu_ms as f64 / (consumed as f64 / 1e6) },
        upload_ratio: share(|report| report.uploaded),
        source_bytes: source,
        consumed_bytes: consumed,
        source_p95_bps: percentile_95(&run.per_second) * 8.0,
        decode_errors: run.reports.iter().flat_map(|report| report.decode_errors.clone()).collect(),
        altered: altered(run),
        altered_bytes: altered_bytes(run),
        savings_over_time: savings_over_time(run, &played),
    }
}

/// Every segment handed whole to a player, with its size as the origin serves it, and when (ms since the run began).
fn played(run: &Run<'_>) -> Vec<(Played, f64)> {
    let mut sizes: HashMap<&str, u64> = HashMap::new();
    let mut all = Vec::new();
    for (viewer, report) in run.reports.iter().enumerate() {
        for handed in &report.segments {
            let Some(Resource::Segment { rendition, number, .. }) = Resource::parse(&handed.path) else {
                continue;
            };
            let size = *sizes.entry(&handed.path).or_insert_with(|| {
                run.origin.segment(&handed.path).map_or(0, |segment| segment.len() as u64)
            });
            if handed.bytes != size {
                // An empty or truncated segment plays nothing: whoever handed it over has saved nothing.
                continue;
            }
            let one = Played { viewer, track: rendition, segment: number, size, first: handed.first };
            all.push((one, handed.at - run.began_ms));
        }
    }
    all
}

fn altered(run: &Run<'_>) -> Vec<String> {
    let mut known: HashMap<&str, String> = HashMap::new();
    let mut altered = Vec::new();
    for (viewer, report) in run.reports.iter().enumerate() {
        for handed in &report.segments {
            let size = run.origin.segment(&handed.path).map_or(0, |segment| segment.len() as u64);
            if handed.bytes != size {
                altered
                    .push(format!("viewer {viewer}: {} with {} of {size} bytes", handed.path, handed.bytes));
            }
        }
        for handed in &report.hashes {
            let expected = known
                .entry(&handed.path)
                .or_insert_with(|| run.origin.sha256(&handed.path).unwrap_or_default());
            if *expected != handed.sha256 {
                altered.push(format!("viewer {viewer}: {} with another digest", handed.path));
            }
        }
    }
    altered
}

fn altered_bytes(run: &Run<'_>) -> u64 {
    let handed = run.reports.iter().flat_map(|report| &report.hashes);
    let is_altered = |handed: &&Handed| run.origin.sha256(&handed.path).unwrap_or_default() != handed.sha256;
    handed.filter(is_altered).map(|handed| handed.bytes).sum()
}

fn uplinks(run: &Run<'_>) -> Uplinks {
    let rate = Link::VIEWER.up.filter(|_| !run.options.flat);
    let link = |session: &Duration| rate.map(|rate| (rate.bits() / 8.0 * session.as_secs_f64()) as u64);
    let seeded = run.client == Client::Rillcast && run.options.seed_node;
    Uplinks {
        link_bytes: run.sessions.iter().map(link).collect(),
        ratio: run.client.ratio_cap(),
        // The seed's link is unshaped.
        seed_bytes: seeded.then_some(u64::MAX),
    }
}

/// Copies without what joiners fetched of their first segments. Viewers in a namespace of their own are told apart
/// by address; with `--flat`, where they share one, a first segment counts as fetched once by its joiner.
fn copies_steady(run: &Run<'_>) -> f64 {
    let mut left: BTreeMap<&SegmentId, u64> = run.segments.iter().map(|(id, one)| (id, one.bytes)).collect();
    for (viewer, report) in run.reports.iter().enumerate() {
        let first = report.segments.iter().find(|handed| handed.first);
        let Some(Resource::Segment { stream, rendition, number }) =
            first.and_then(|handed| Resource::parse(&handed.path))
        else {
            continue;
        };
        let id = SegmentId { stream, rendition, number };
        let Some(segment) = run.segments.get(&id) else { continue };
        let own = match run.addresses.get(viewer) {
            Some(address) => segment.by_client.get(address).copied().unwrap_or(0),
            None => segment.size,
        };
        if let Some(left) = left.get_mut(&id) {
            *left = left.saturating_sub(own);
        }
    }
    let kept = left.iter().filter(|&(_, &bytes)| bytes > 0);
    let (bytes, sizes) =
        kept.fold((0, 0), |(bytes, sizes), (id, left)| (bytes + left, sizes + run.segments[*id].size));
    ratio(bytes, sizes)
}

/// Savings of everything up to each second.
fn savings_over_time(run: &Run<'_>, played: &[(Played, f64)]) -> Vec<f64> {
    let seconds = run.options.seconds as usize;
    let (mut source, mut curve) = (0, Vec::with_capacity(seconds));
    for second in 0..seconds {
        source += run.per_second.get(second).copied().unwrap_or(0);
        let end = (second + 1) as f64 * 1000.0;
        let consumed: u64 = played.iter().filter(|&&(_, at)| at < end).map(|(one, _)| one.size).sum();
        curve.push(if consumed == 0 { 0.0 } else { 1.0 - ratio(source, consumed) });
    }
    curve
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percentile_95(values: &[u64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted
        .get((sorted.len() * 95 / 100).min(sorted.len().saturating_sub(1)))
        .map_or(0.0, |&value| value as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_95th_percentile_ignores_a_single_peak() {
        let mut values = vec![1; 99];
        values.push(1000);
        assert!((percentile_95(&values) - 1.0).abs() < 1e-9);
        assert!(percentile_95(&[]).abs() < 1e-9);
    }
}
