//! A small live HLS origin: two renditions of pseudo-random segments, one second each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};

use super::byte;

pub(crate) const RENDITIONS: [(&str, usize); 2] = [("low", 60_000), ("high", 250_000)];
pub(crate) const WINDOW: u64 = 6;

pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<OriginState>,
}

pub(crate) struct OriginState {
    started: Instant,
    pub(crate) segments_served: AtomicU64,
    /// How often each was asked for, by rendition and number.
    served: Mutex<HashMap<(String, u64), usize>>,
    /// The newest segment, once the stream stands still; 0 before.
    still: AtomicU64,
    /// Segments that didn't come while it stood still.
    behind: AtomicU64,
}

impl OriginState {
    /// The newest segment's number.
    pub(crate) fn newest(&self) -> u64 {
        match self.still.load(Relaxed) {
            0 => self.by_the_clock() - self.behind.load(Relaxed),
            still => still,
        }
    }

    fn by_the_clock(&self) -> u64 {
        10 + self.started.elapsed().as_secs() / SEGMENT.as_secs()
    }

    /// No more segments come.
    pub(crate) fn stand_still(&self) {
        self.still.store(self.newest(), Relaxed);
    }

    /// They come again, from where it stood.
    pub(crate) fn go_on(&self) {
        self.behind.store(self.by_the_clock() - self.newest(), Relaxed);
        self.still.store(0, Relaxed);
    }

    /// How often a segment was fetched.
    pub(crate) fn served(&self, rendition: &str, number: u64) -> usize {
        let served = self.served.lock().expect("no panic");
        served.get(&(rendition.to_owned(), number)).copied().unwrap_or(0)
    }
}

pub(crate) const SEGMENT: Duration = Duration::from_secs(1);

/// A segment's bytes.
pub(crate) fn segment(rendition: &str, number: u64) -> Vec<u8> {
    let (at, (_, length)) =
        RENDITIONS.iter().enumerate().find(|(_, (n, _))| *n == rendition).expect("a rendition that exists");
    let seed = number as u32 * 7 + at as u32;
    (0..*length).map(|i| byte(seed, i)).collect()
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(OriginState {
            started: Instant::now(),
            segments_served: AtomicU64::new(0),
            served: Mutex::default(),
            still: AtomicU64::new(0),
            behind: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/master.m3u8", get(master))
            .route("/{rendition}/{file}", get(file))
            .with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }
}

async fn master() -> String {
    let variant = |(name, bytes): &(&str, usize)| {
        format!("#EXT-X-STREAM-INF:BANDWIDTH={}\n{name}/live.m3u8\n", bytes * 8)
    };
    format!("#EXTM3U\n{}", RENDITIONS.iter().map(variant).collect::<String>())
}

async fn file(
    State(state): State<Arc<OriginState>>,
    Path((rendition, file)): Path<(String, String)>,
) -> Result<Vec<u8>, StatusCode> {
    let newest = state.newest();
    if file == "live.m3u8" {
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
    state.segments_served.fetch_add(1, Relaxed);
    *state.served.lock().expect("no panic").entry((rendition.clone(), number)).or_default() += 1;
    Ok(segment(&rendition, number))
}
