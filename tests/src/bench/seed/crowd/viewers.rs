//! Inside the process of the viewers: honest ones without a source, each with a socket and an engine of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use anyhow::Result;
use rillcast_protocol::id::Delivery;
use serde::{Deserialize, Serialize};

use super::super::process::report;
use crate::native::{Stream, Viewer, Visit};

/// Bytes of media that each may hold: some seconds.
const STORE: u64 = 4 << 20;

/// What the process says.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Watching {
    /// Viewers with a link that is open.
    pub(super) linked: u64,
    /// Bytes of media that links brought.
    pub(super) bytes: u64,
    /// Segments played, by all together.
    pub(super) played: u64,
    /// Of them late.
    pub(super) late: u64,
    /// Times that a player fell out of the playlist.
    pub(super) skips: u64,
    /// Bytes handed to players that weren't the stream's.
    pub(super) altered: u64,
}

#[derive(Debug, Default)]
struct Tally {
    linked: AtomicU64,
    bytes: AtomicU64,
    played: AtomicU64,
    late: AtomicU64,
    skips: AtomicU64,
    altered: AtomicU64,
}

impl Tally {
    fn picture(&self) -> Watching {
        Watching {
            linked: self.linked.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            played: self.played.load(Relaxed),
            late: self.late.load(Relaxed),
            skips: self.skips.load(Relaxed),
            altered: self.altered.load(Relaxed),
        }
    }
}

/// So many viewers of a stream, until the input ends.
pub(crate) async fn watch(signal: String, content: String, stream: Stream, count: u32) -> Result<()> {
    let visit = Visit {
        signal,
        site: crate::services::SITE.to_owned(),
        content,
        delivery: Delivery::Hls,
        token: String::new(),
        udp: SocketAddr::from(([127, 0, 0, 1], 0)),
    };
    let tally = Arc::new(Tally::default());
    let counted = Arc::clone(&tally);
    tokio::spawn(async move {
        for _ in 0..count {
            match Viewer::come_with(&visit, &stream, false, STORE) {
                Ok(viewer) => _ = tokio::spawn(play(viewer, Arc::clone(&counted))),
                Err(error) => eprintln!("a viewer can't come: {error:#}"),
            }
            tokio::time::sleep(super::APART).await;
        }
    });
    report(|| tally.picture()).await
}

async fn play(mut viewer: Viewer, tally: Arc<Tally>) {
    let mut before = Watching::default();
    loop {
        viewer.step().await;
        let seen = &viewer.seen;
        let now = Watching {
            linked: u64::from(seen.opened.len() as u64 > seen.ended),
            bytes: seen.bulk_bytes,
            played: seen.played,
            late: seen.late,
            skips: seen.skips,
            altered: seen.altered_bytes,
        };
        // Wraps where a link has ended: what is added in the end is right.
        let add = |to: &AtomicU64, now: u64, before: u64| {
            if now != before {
                to.fetch_add(now.wrapping_sub(before), Relaxed);
            }
        };
        add(&tally.linked, now.linked, before.linked);
        add(&tally.bytes, now.bytes, before.bytes);
        add(&tally.played, now.played, before.played);
        add(&tally.late, now.late, before.late);
        add(&tally.skips, now.skips, before.skips);
        add(&tally.altered, now.altered, before.altered);
        before = now;
    }
}
