//! A small live HLS stream of one rendition, with segments of a second: any byte of it can be told without asking for it.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;

/// A segment's length, unless told otherwise: eight blocks, the last one shorter.
pub const SEGMENT_BYTES: usize = 250_000;
/// What a segment plays.
pub const SEGMENT: Duration = Duration::from_secs(1);
/// Segments in the playlist.
pub const WINDOW: u64 = 12;
/// Segments kept as they were made.
const MADE: usize = 32;

/// The stream, served on a loopback port.
#[derive(Debug, Clone)]
pub struct Stream {
    address: SocketAddr,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Server {
    began: Instant,
    /// A segment's length.
    bytes: usize,
    /// Serves other bytes than it should.
    altered: bool,
    served: AtomicU64,
    looks: AtomicU64,
    /// Times that each segment was fetched, whatever became of the answer.
    fetched: Mutex<HashMap<u64, u64>>,
    /// The newest that were asked for, so that many viewers in one process needn't make each their own.
    made: Mutex<VecDeque<(u64, Bytes)>>,
}

impl Server {
    fn new(began: Instant, bytes: usize, altered: bool) -> Self {
        Self {
            began,
            bytes,
            altered,
            served: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            fetched: Mutex::default(),
            made: Mutex::default(),
        }
    }

    fn newest(&self) -> u64 {
        WINDOW + self.began.elapsed().as_secs() / SEGMENT.as_secs()
    }
}

impl Stream {
    /// Begins now.
    pub async fn begin() -> Result<Self> {
        Self::begin_with(SEGMENT_BYTES).await
    }

    /// The same with segments of another length.
    pub async fn begin_with(bytes: usize) -> Result<Self> {
        Self::serve(Server::new(Instant::now(), bytes, false)).await
    }

    /// The same stream as a liar would have it: every byte of its segments is another one.
    pub async fn altered(&self) -> Result<Self> {
        Self::serve(Server::new(self.server.began, self.server.bytes, true)).await
    }

    /// The stream that another process serves at an address and that began so long ago.
    pub fn elsewhere(address: SocketAddr, age: Duration, bytes: usize) -> Self {
        let now = Instant::now();
        Self { address, server: Arc::new(Server::new(now.checked_sub(age).unwrap_or(now), bytes, false)) }
    }

    async fn serve(server: Server) -> Result<Self> {
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

    /// How often each segment was.
    pub fn fetched(&self) -> HashMap<u64, u64> {
        lock(&self.server.fetched).clone()
    }

    /// Where it is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long ago it began.
    pub fn age(&self) -> Duration {
        self.server.began.elapsed()
    }

    /// A segment's bytes, made once for all who ask.
    pub fn segment(&self, number: u64) -> Bytes {
        let mut made = lock(&self.server.made);
        if let Some((_, bytes)) = made.iter().find(|(of, _)| *of == number) {
            return bytes.clone();
        }
        if made.len() == MADE {
            made.pop_front();
        }
        let bytes = Bytes::from(of_length(number, self.server.bytes));
        made.push_back((number, bytes.clone()));
        bytes
    }

    /// Times that the playlist was.
    pub fn looks(&self) -> u64 {
        self.server.looks.load(Ordering::Relaxed)
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A segment's bytes.
pub fn segment(number: u64) -> Vec<u8> {
    of_length(number, SEGMENT_BYTES)
}

fn of_length(number: u64, bytes: usize) -> Vec<u8> {
    // A step of a linear congruential generator for each byte: nothing that two segments have in common.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
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
    *lock(&server.fetched).entry(number).or_default() += 1;
    let mut bytes = of_length(number, server.bytes);
    if server.altered {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    Ok(bytes)
}
