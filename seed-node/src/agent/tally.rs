//! What the agent counts, for metrics.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rillcast_core::engine::Share;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A segment by way of the engine.
    Shared,
    /// A playlist.
    Playlist,
    /// Handed through from the origin.
    Passed,
    /// A segment handed through from the origin, for the engine couldn't bring it.
    FellBack,
    /// The player hung up on a segment before it came.
    Cancelled,
    /// The origin couldn't be reached.
    Unreachable,
    /// Not for us, or not allowed.
    Refused,
}

const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::Shared, "shared"),
    (Outcome::Playlist, "playlist"),
    (Outcome::Passed, "passed"),
    (Outcome::FellBack, "fell_back"),
    (Outcome::Cancelled, "cancelled"),
    (Outcome::Unreachable, "unreachable"),
    (Outcome::Refused, "refused"),
];

/// Bytes of one stream handed to players, by who brought them.
#[derive(Debug, Default)]
pub struct Brought {
    source: AtomicU64,
    publisher: AtomicU64,
    peers: AtomicU64,
    seeds: AtomicU64,
}

impl Brought {
    /// A segment was brought.
    pub fn add(&self, share: Share) {
        self.source.fetch_add(share.source.into(), Relaxed);
        self.publisher.fetch_add(share.publisher.into(), Relaxed);
        self.peers.fetch_add(share.peers.into(), Relaxed);
        self.seeds.fetch_add(share.seeds.into(), Relaxed);
    }

    /// Bytes by name of who brought them.
    pub fn by(&self) -> [(&'static str, u64); 4] {
        [
            ("source", self.source.load(Relaxed)),
            ("publisher", self.publisher.load(Relaxed)),
            ("peers", self.peers.load(Relaxed)),
            ("seeds", self.seeds.load(Relaxed)),
        ]
    }
}

/// All counters of an agent.
#[derive(Debug)]
pub struct Tally {
    requests: [AtomicU64; OUTCOMES.len()],
    /// Bytes of bodies handed through.
    pub passed_bytes: AtomicU64,
    /// Connections open now.
    pub connections: AtomicU64,
    /// By manifest.
    pub streams: Vec<(String, Arc<Brought>)>,
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new(manifests: impl IntoIterator<Item = String>) -> Self {
        Self {
            requests: Default::default(),
            passed_bytes: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            streams: manifests.into_iter().map(|manifest| (manifest, Arc::default())).collect(),
        }
    }

    /// A request has ended.
    pub fn ended(&self, outcome: Outcome) {
        self.requests[at(outcome)].fetch_add(1, Relaxed);
    }

    /// Requests that ended so.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[at(outcome)].load(Relaxed)
    }

    /// In Prometheus' text format; `escaped` makes a label of a manifest.
    pub fn render(&self, out: &mut String, escaped: impl Fn(&str) -> String) {
        let head = |out: &mut String, name: &str, kind: &str, help: &str| {
            let _ = writeln!(out, "# HELP rillcast_agent_{name} {help}\n# TYPE rillcast_agent_{name} {kind}");
        };
        head(out, "bytes_total", "counter", "Media bytes handed to players, by who brought them.");
        for (manifest, brought) in &self.streams {
            for (by, bytes) in brought.by() {
                let manifest = escaped(manifest);
                let _ = writeln!(
                    out,
                    "rillcast_agent_bytes_total{{manifest=\"{manifest}\",by=\"{by}\"}} {bytes}"
                );
            }
        }
        head(out, "requests_total", "counter", "Players' requests, by how they ended.");
        for (outcome, name) in OUTCOMES {
            let count = self.requests(outcome);
            let _ = writeln!(out, "rillcast_agent_requests_total{{outcome=\"{name}\"}} {count}");
        }
        for (name, kind, help, value) in [
            ("passed_bytes_total", "counter", "Bytes handed through from origins.", &self.passed_bytes),
            ("connections", "gauge", "Players' connections.", &self.connections),
        ] {
            head(out, name, kind, help);
            let _ = writeln!(out, "rillcast_agent_{name} {}", value.load(Relaxed));
        }
    }
}

fn at(outcome: Outcome) -> usize {
    OUTCOMES.iter().position(|(o, _)| *o == outcome).unwrap_or(0)
}
