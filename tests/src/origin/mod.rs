//! The demo origin: serves a prepared ladder over HTTP as an endless live stream and as VOD, counts every media
//! byte it writes ([`Ledger`]) and misbehaves on request ([`Faults`]).
//!
//! Paths: `/{stream}/master.m3u8`, `/{stream}/{rendition}/index.m3u8`, `/{stream}/{rendition}/seg-{n}.ts`, where
//! `{stream}` is `live` or `vod`, with `-fmp4` (`.m4s`, `init.mp4`) or `-aes` (AES-128, `key.bin`) after it, or `live-ll`, whose segments come in
//! parts (`part-{n}-{p}.ts`).
//! Besides: `/ledger`, `/ledger/reset`, `/faults`, `/demo.json`, and static files (pages, players, the web bundle).

mod body;
mod fault;
mod ledger;
mod parts;
mod playlist;
mod range;
mod resource;
mod respond;
mod serve;
mod site;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

pub use fault::Faults;
pub use ledger::{ClientBytes, Ledger, SegmentBytes, SegmentId};
pub use resource::{Packaging, Resource, Stream};

use crate::media::Library;

/// What the kernel may hold of a response, in bytes: what an aborted transfer is over-counted by in the ledger. It
/// fills a 40 Mbit/s link up to a round trip of 13 ms.
const SEND_BUFFER: usize = 64 * 1024;

/// How to serve.
#[derive(Debug, Clone)]
pub struct OriginConfig {
    /// Segments in a live playlist.
    pub window: u64,
    /// How often the VOD repeats the loop.
    pub vod_rounds: u64,
    /// Number of live segments that exist before the origin starts, so that players find a full playlist; a large
    /// one makes a stream that has run for long.
    pub history: u64,
    /// Static files by path prefix (`/pages/`): the folder they lie in. `/` alone is the page at the root.
    pub mounts: Vec<(String, PathBuf)>,
    /// What `/demo.json` says: where the page finds its servers.
    pub info: Option<serde_json::Value>,
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self { window: 6, vod_rounds: 3, history: 12, mounts: Vec::new(), info: None }
    }
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) library: Library,
    pub(crate) config: OriginConfig,
    /// When live segment 0 began.
    pub(crate) epoch: SystemTime,
    pub(crate) ledger: Ledger,
    pub(crate) faults: fault::FaultBox,
}

impl Shared {
    /// The newest complete live segment.
    pub(crate) fn newest(&self) -> u64 {
        let age = SystemTime::now().duration_since(self.epoch).unwrap_or_default();
        (age.as_secs_f64() / f64::from(self.library.segment_seconds())) as u64 - 1
    }

    /// Segments of the VOD.
    pub(crate) fn vod_segments(&self) -> u64 {
        u64::from(self.library.segments()) * self.config.vod_rounds
    }
}

/// A running origin; it stops when this is dropped.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    addr: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Origin {
    /// Serves `library` at `addr` (port 0 for any).
    pub async fn start(library: Library, config: OriginConfig, addr: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(addr)
            .with_context(|| format!("can't listen on {addr}: is the port taken? choose another"))?;
        Self::start_on(library, config, listener).await
    }

    /// Serves on a listener that exists already, which may belong to another network namespace.
    pub async fn start_on(
        library: Library,
        config: OriginConfig,
        listener: std::net::TcpListener,
    ) -> Result<Self> {
        listener.set_nonblocking(true).context("can't make the listener non-blocking")?;
        // Inherited by accepted connections; the kernel doubles it for its own bookkeeping.
        rustix::net::sockopt::set_socket_send_buffer_size(&listener, SEND_BUFFER)
            .context("can't bound the send buffer")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("can't take over the listener")?;
        let addr = listener.local_addr().context("the listener has no address")?;
        let past = Duration::from_secs((config.history.max(1)) * u64::from(library.segment_seconds()));
        let shared = Arc::new(Shared {
            library,
            config,
            epoch: SystemTime::now() - past,
            ledger: Ledger::default(),
            faults: fault::FaultBox::default(),
        });
        let task = tokio::spawn(serve::serve(listener, shared.clone()));
        Ok(Self { shared, addr, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address of `path` (with its leading slash).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The account of bytes written.
    pub fn ledger(&self) -> &Ledger {
        &self.shared.ledger
    }

    /// What is served.
    pub fn library(&self) -> &Library {
        &self.shared.library
    }

    /// Misbehaves as told until told otherwise; `Faults::default()` ends it.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.faults.set(faults);
    }

    /// The newest complete live segment.
    pub fn newest_live_segment(&self) -> u64 {
        self.shared.newest()
    }

    /// How long until the next live segment is complete.
    pub fn until_next_segment(&self) -> Duration {
        let length = f64::from(self.shared.library.segment_seconds());
        let age = SystemTime::now().duration_since(self.shared.epoch).unwrap_or_default().as_secs_f64();
        Duration::from_secs_f64(length - age % length)
    }

    /// SHA-256, in lower-case hex, of the whole media segment at `path`, whether or not it is in a playlist now.
    pub fn sha256(&self, path: &str) -> Result<String> {
        let bytes = self.segment(path)?;
        Ok(Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The media segment at `path` as it is served.
    pub fn segment(&self, path: &str) -> Result<Vec<u8>> {
        let path = path.split('?').next().unwrap_or(path);
        match Resource::parse(path) {
            Some(Resource::Segment { stream, rendition, number }) => {
                respond::segment(&self.shared, stream, &rendition, number)?
                    .with_context(|| format!("there is no rendition {rendition}"))
            }
            Some(Resource::Part { rendition, number, part, .. }) => {
                respond::part(&self.shared, &rendition, number, part)?
                    .with_context(|| format!("there is no rendition {rendition} with such a part"))
            }
            _ => anyhow::bail!("{path} is not the path of a media segment, such as /live/380/seg-7.ts"),
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}
