//! What an operator's monitoring sees: `/metrics` in Prometheus' text format, and `/health`.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::{Router, routing::get};
use rillcast_protocol::id::Role;
use rillcast_publisher::Mirrors;
use rillcast_publisher::mirrors::ServerStats;
use rillcast_relay::Counters;
use tokio::net::TcpListener;

use crate::agent::tally::Tally;
use crate::cache::Cache;
use crate::ingest::{self, library::Library};
use crate::picture::{Picture, Shared};
use crate::rtc::Endpoint;

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The port.
    pub endpoint: Arc<Endpoint>,
    /// The swarms that are seeded, by their manifests.
    pub swarms: Vec<(String, Shared)>,
    /// Where else origins' bytes may be had.
    pub mirrors: Arc<Mirrors>,
    /// The copies on disk.
    pub cache: Option<Arc<Cache>>,
    /// The agent.
    pub agent: Option<WatchedAgent>,
    /// What encoders push to.
    pub ingest: Option<Arc<Library>>,
    /// What its relay has done.
    pub relay: Option<Arc<Counters>>,
}

/// An agent's part of it.
#[derive(Clone, Debug)]
pub struct WatchedAgent {
    /// Its counters.
    pub tally: Arc<Tally>,
    /// Its swarms, by their manifests.
    pub swarms: Vec<(String, Shared)>,
}

/// Serves until dropped; told back: the address.
pub async fn serve(address: SocketAddr, watched: Watched) -> std::io::Result<(SocketAddr, ServeGuard)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    let router =
        Router::new().route("/metrics", get(metrics)).route("/health", get(health)).with_state(watched);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics aren't served any more");
        }
    });
    Ok((bound, ServeGuard(task)))
}

/// Ends the serving when dropped.
#[derive(Debug)]
pub struct ServeGuard(tokio::task::JoinHandle<()>);

impl Drop for ServeGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn health(State(watched): State<Watched>) -> (StatusCode, String) {
    let away: Vec<&str> =
        watched.swarms.iter().filter(|(_, s)| !picture(s).joined).map(|(name, _)| name.as_str()).collect();
    if away.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not connected to signaling for {}\n", away.join(", ")))
    }
}

async fn metrics(State(watched): State<Watched>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], render(&watched))
}

fn picture(shared: &Shared) -> Picture {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Name, type, help, value of an agent's swarm.
const AGENT_SERIES: [(&str, &str, &str, Value); 7] = [
    ("joined", "gauge", "1 while connected to signaling.", |p| u64::from(p.joined)),
    ("links_open", "gauge", "Open links.", |p| p.stats.links.len() as u64),
    ("stored_bytes", "gauge", "Bytes of media held.", |p| p.stats.stored_bytes),
    ("uploaded_bytes", "gauge", "Media bytes given to others on this visit.", |p| p.stats.uploaded_bytes),
    ("wasted_bytes", "gauge", "Media bytes received in vain on this visit.", |p| p.stats.wasted_bytes),
    ("false_blocks", "gauge", "Blocks that failed verification on this visit.", |p| p.stats.false_blocks),
    ("rescues", "gauge", "Times that missing bytes were fetched late on this visit.", |p| p.stats.rescues),
];

/// One value of a picture.
type Value = fn(&Picture) -> u64;

/// Name, type, help, value.
const SERIES: [(&str, &str, &str, Value); 26] = [
    ("joined", "gauge", "1 while connected to signaling.", |p| u64::from(p.joined)),
    ("links", "gauge", "Open links and attempts.", |p| p.links as u64),
    ("links_open", "gauge", "Open links.", |p| p.stats.links.len() as u64),
    ("viewers", "gauge", "Linked viewers.", |p| {
        p.stats.links.iter().filter(|l| l.role == Role::Viewer).count() as u64
    }),
    ("tracks_followed", "gauge", "Renditions followed.", |p| p.followed as u64),
    ("stored_bytes", "gauge", "Bytes of media held.", |p| p.stats.stored_bytes),
    ("published_total", "counter", "Segments signed.", |p| p.published),
    ("published_bytes_total", "counter", "Media bytes fetched for signing.", |p| p.published_bytes),
    ("fetched_first_total", "counter", "Segments fetched as the first seed in their order.", |p| {
        p.shared.first
    }),
    ("fetched_later_total", "counter", "Segments fetched in the place of a seed that hadn't in time.", |p| {
        p.shared.later
    }),
    (
        "fetched_again_total",
        "counter",
        "Segments fetched though another had signed them: to check it, or because nobody handed them over.",
        |p| p.shared.again,
    ),
    ("pulled_total", "counter", "Segments taken from other seeds.", |p| p.shared.pulled),
    ("left_total", "counter", "Segments left to other seeds to hold.", |p| p.shared.left),
    ("recalled_bytes_total", "counter", "Media bytes that came from copies on disk.", |p| p.recalled_bytes),
    ("conflicts_total", "counter", "Segments that came again with other bytes.", |p| p.conflicts),
    ("disputes_total", "counter", "Segments of which another publisher says something else.", |p| p.disputes),
    ("skipped_total", "counter", "Segments that got no digest.", |p| p.skipped),
    ("uploaded_bytes_total", "counter", "Media bytes given to others.", |p| p.stats.uploaded_bytes),
    ("source_bytes_total", "counter", "Media bytes fetched by the engine.", |p| p.stats.source_bytes),
    ("peer_bytes_total", "counter", "Media bytes taken from viewers.", |p| p.stats.peer_bytes),
    ("seed_bytes_total", "counter", "Media bytes taken from seeds.", |p| p.stats.seed_bytes),
    ("wasted_bytes_total", "counter", "Media bytes received in vain.", |p| p.stats.wasted_bytes),
    ("false_blocks_total", "counter", "Blocks that failed verification.", |p| p.stats.false_blocks),
    ("rescues_total", "counter", "Times that missing bytes were fetched late.", |p| p.stats.rescues),
    ("liars_total", "counter", "Peers that broke the rules.", |p| p.liars),
    ("links_refused_total", "counter", "Links to peers without a ticket that counts.", |p| p.refused),
];

fn render(watched: &Watched) -> String {
    let mut out = String::with_capacity(4096);
    let pictures: Vec<(String, Picture)> =
        watched.swarms.iter().map(|(name, shared)| (escaped(name), picture(shared))).collect();
    // Writing to a String can't fail.
    for (name, kind, help, value) in SERIES {
        let _ = writeln!(out, "# HELP rillcast_seed_{name} {help}\n# TYPE rillcast_seed_{name} {kind}");
        for (manifest, picture) in &pictures {
            let _ = writeln!(out, "rillcast_seed_{name}{{manifest=\"{manifest}\"}} {}", value(picture));
        }
    }
    let _ = writeln!(
        out,
        "# HELP rillcast_seed_links_ended_total Links and attempts that ended, by cause.\n\
         # TYPE rillcast_seed_links_ended_total counter"
    );
    for (manifest, picture) in &pictures {
        for (cause, count) in &picture.ended {
            let _ = writeln!(
                out,
                "rillcast_seed_links_ended_total{{manifest=\"{manifest}\",cause=\"{cause}\"}} {count}"
            );
        }
    }
    if let Some(WatchedAgent { tally, swarms }) = &watched.agent {
        tally.render(&mut out, escaped);
        for (name, kind, help, value) in AGENT_SERIES {
            let _ = writeln!(out, "# HELP rillcast_agent_{name} {help}\n# TYPE rillcast_agent_{name} {kind}");
            for (manifest, shared) in swarms {
                let (manifest, value) = (escaped(manifest), value(&picture(shared)));
                let _ = writeln!(out, "rillcast_agent_{name}{{manifest=\"{manifest}\"}} {value}");
            }
        }
    }
    if let Some(library) = &watched.ingest {
        ingest::metrics::render(&mut out, library);
    }
    if let Some(counters) = &watched.relay {
        single(
            &mut out,
            Counters::SERIES.map(|(name, kind, help, value)| (name, kind, help, value(counters))),
        );
    }
    origins(&mut out, &watched.mirrors);
    if let Some(cache) = &watched.cache {
        let stats = cache.stats();
        single(
            &mut out,
            [
                ("cache_copies", "gauge", "Copies on disk.", stats.copies),
                ("cache_bytes", "gauge", "Bytes of disk that they take up.", stats.bytes),
                ("cache_written_bytes_total", "counter", "Media bytes written to disk.", stats.written),
                (
                    "cache_read_bytes_total",
                    "counter",
                    "Media bytes read from disk and found true.",
                    stats.read,
                ),
                (
                    "cache_damaged_total",
                    "counter",
                    "Copies removed because they weren't true.",
                    stats.damaged,
                ),
                ("cache_lost_total", "counter", "Copies not kept, the disk being slow or full.", stats.lost),
            ],
        );
    }
    let mux = watched.endpoint.mux();
    let (links, addresses) = mux.routes();
    let stats = &mux.stats;
    single(
        &mut out,
        [
            ("udp_links", "gauge", "Links at the UDP port.", links as u64),
            ("udp_addresses", "gauge", "Addresses known of them.", addresses as u64),
            ("udp_received_total", "counter", "Datagrams for links.", stats.received.load(Relaxed)),
            ("udp_received_bytes_total", "counter", "Their bytes.", stats.received_bytes.load(Relaxed)),
            ("udp_unknown_total", "counter", "Datagrams for no link, dropped.", stats.unknown.load(Relaxed)),
            (
                "udp_overflowed_total",
                "counter",
                "Datagrams dropped, link too busy.",
                stats.overflowed.load(Relaxed),
            ),
            ("udp_sent_bytes_total", "counter", "Bytes sent.", stats.sent_bytes.load(Relaxed)),
            (
                "udp_send_errors_total",
                "counter",
                "Sends that the kernel refused.",
                stats.send_errors.load(Relaxed),
            ),
        ],
    );
    out
}

/// Of origins that have mirrors, and of those.
fn origins(out: &mut String, mirrors: &Mirrors) {
    type Value = fn(&ServerStats) -> u64;
    let stats = mirrors.stats(Instant::now());
    if stats.is_empty() {
        return;
    }
    let series: [(&str, &str, &str, Value); 3] = [
        ("origin_answered_total", "counter", "Requests that an origin or mirror answered.", |s| s.answered),
        ("origin_failed_total", "counter", "Requests at which it failed.", |s| s.failed),
        ("origin_rests", "gauge", "1 while others are asked before it, for it has failed.", |s| {
            s.rests.into()
        }),
    ];
    for (name, kind, help, value) in series {
        let _ = writeln!(out, "# HELP rillcast_seed_{name} {help}\n# TYPE rillcast_seed_{name} {kind}");
        for (server, stats) in &stats {
            let _ = writeln!(out, "rillcast_seed_{name}{{server=\"{}\"}} {}", escaped(server), value(stats));
        }
    }
}

/// Series of the whole node: name, type, help, value.
fn single<const N: usize>(out: &mut String, series: [(&str, &str, &str, u64); N]) {
    for (name, kind, help, value) in series {
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "# HELP rillcast_seed_{name} {help}\n# TYPE rillcast_seed_{name} {kind}\nrillcast_seed_{name} {value}"
        );
    }
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
