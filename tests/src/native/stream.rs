//! A small live HLS stream of one rendition, with segments of a second: any byte of it can be told without asking for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;

/// A segment's length: eight blocks, the last one shorter.
pub const SEGMENT_BYTES: usize = 250_000;
/// What a segment plays.
pub const SEGMENT: Duration = Duration::from_secs(1);
/// Segments in the playlist.
pub const WINDOW: u64 = 12;

/// The stream, served on a loopback port.
#[derive(Debug, Clone)]
pub struct Stream {
    address: SocketAddr,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Server {
    began: Instant,
    /// Serves other bytes than it should.
    altered: bool,
    served: AtomicU64,
    looks: AtomicU64,
}

impl Server {
    fn newest(&self) -> u64 {
        WINDOW + self.began.elapsed().as_secs() / SEGMENT.as_secs()
    }
}

impl Stream {
    /// Begins now.
    pub async fn begin() -> Result<Self> {
        Self::serve(Instant::now(), false).await
    }

    /// The same stream as a liar would have it: every byte of its segments is another one.
    pub async fn altered(&self) -> Result<Self> {
        Self::serve(self.server.began, true).await
    }

    async fn serve(began: Instant, altered: bool) -> Result<Self> {
        let server = Server { began, altered, served: AtomicU64::new(0), looks: AtomicU64::new(0) };
        let server = Arc::new(server);
        let router = Router::new().route("/{file}", get(file)).with_state(Arc::clone(&server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, server })
    }

    /// What all of it lies under.
    pub fn prefix(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Its media playlist.
    pub fn playlist(&self) -> String {
        format!("{}live.m3u8", self.prefix())
    }

    /// Number of the newest segment.
    pub fn newest(&self) -> u64 {
        self.server.newest()
    }

    /// When a segment is in the playlist for the first time, if it isn't one of those that were there from the beginning.
    pub fn appears(&self, number: u64) -> Option<Instant> {
        let after = u32::try_from(number.checked_sub(WINDOW + 1)? + 1).ok()?;
        Some(self.server.began + after * SEGMENT)
    }

    /// Where the stream's end is, in milliseconds on its own timeline.
    pub fn edge_ms(&self) -> i64 {
        (WINDOW + 1) as i64 * 1000 + self.server.began.elapsed().as_millis() as i64
    }

    /// Segments that were fetched over HTTP.
    pub fn served(&self) -> u64 {
        self.server.served.load(Ordering::Relaxed)
    }

    /// Times that the playlist was.
    pub fn looks(&self) -> u64 {
        self.server.looks.load(Ordering::Relaxed)
    }
}

/// A segment's bytes.
pub fn segment(number: u64) -> Vec<u8> {
    // A step of a linear congruential generator for each byte: nothing that two segments have in common.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..SEGMENT_BYTES).map(|_| next()).collect()
}

async fn file(State(server): State<Arc<Server>>, Path(file): Path<String>) -> Result<Vec<u8>, StatusCode> {
    let newest = server.newest();
    if file == "live.m3u8" {
        server.looks.fetch_add(1, Ordering::Relaxed);
        let first = newest + 1 - WINDOW;
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        for number in first..=newest {
            text += &format!("#EXTINF:1.0,\n{number}.ts\n");
        }
        return Ok(text.into_bytes());
    }
    let number: u64 = file.trim_end_matches(".ts").parse().map_err(|_| StatusCode::NOT_FOUND)?;
    if number > newest {
        return Err(StatusCode::NOT_FOUND);
    }
    server.served.fetch_add(1, Ordering::Relaxed);
    let mut bytes = segment(number);
    if server.altered {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(bytes)
}
