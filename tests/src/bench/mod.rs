//! Measuring clients against each other, and against what is possible at all.

pub mod agent;
pub mod attack;
pub mod bound;
pub mod ingest;
mod median;
pub mod nat;
pub mod offload;
mod report;
pub mod reports;
pub mod seed;
pub mod upgrade;
pub mod uplink;

use anyhow::Result;

use crate::media::{Library, MediaSpec};
use crate::progress;

/// The stream that benches play, encoded if it isn't there yet.
pub(crate) async fn library() -> Result<Library> {
    tokio::task::spawn_blocking(|| {
        let line = progress::Line::default();
        Library::prepare(&MediaSpec::default(), &Library::cache_dir(), &|what, done| line.show(what, done))
    })
    .await?
}
