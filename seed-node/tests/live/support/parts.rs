//! A low-latency origin: one rendition, segments of a second in four parts, blocking reload, hinted parts that are answered when they are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};

use super::byte;

pub(crate) const PARTS: u64 = 4;
pub(crate) const PART: Duration = Duration::from_millis(250);
pub(crate) const PART_BYTES: usize = 50_000;
/// Parts that are there at the beginning.
const BEGUN: u64 = 8 * PARTS;

#[derive(Clone)]
pub(crate) struct Origin {
    began: Instant,
    base: String,
    served: Arc<Mutex<HashMap<String, usize>>>,
    queries: Arc<Mutex<Vec<String>>>,
}

/// A part's bytes.
pub(crate) fn part(number: u64, part: u64) -> Vec<u8> {
    let seed = (number * PARTS + part) as u32;
    (0..PART_BYTES).map(|i| byte(seed, i)).collect()
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("bound"));
        let origin = Self { began: Instant::now(), base, served: Arc::default(), queries: Arc::default() };
        let router = Router::new()
            .route("/master.m3u8", get("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1600000\nv/live.m3u8\n"))
            .route("/v/live.m3u8", get(playlist))
            .route("/v/{file}", get(file))
            .with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// How often each file was asked for.
    pub(crate) fn served(&self) -> HashMap<String, usize> {
        self.served.lock().expect("no panic").clone()
    }

    /// What was said in requests for the playlist.
    pub(crate) fn queries(&self) -> Vec<String> {
        self.queries.lock().expect("no panic").clone()
    }

    fn there(&self) -> u64 {
        BEGUN + (self.began.elapsed().as_micros() / PART.as_micros()) as u64
    }

    async fn until(&self, parts: u64) {
        let ahead = u32::try_from(parts.saturating_sub(BEGUN)).expect("soon");
        tokio::time::sleep_until((self.began + PART * ahead).into()).await;
    }
}

async fn playlist(State(origin): State<Origin>, RawQuery(query): RawQuery) -> String {
    let query = query.unwrap_or_default();
    let value = |name: &str| query.split('&').find_map(|p| p.strip_prefix(name)?.parse::<u64>().ok());
    if let Some((number, part)) = value("_HLS_msn=").zip(value("_HLS_part=")) {
        origin.until(number * PARTS + part + 1).await;
    }
    origin.queries.lock().expect("no panic").push(query);
    let parts = origin.there();
    let open = parts / PARTS;
    let first = open - 6;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6,PART-HOLD-BACK=0.75\n\
         #EXT-X-PART-INF:PART-TARGET=0.25\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    for number in first..=open {
        if number + 3 > open {
            for part in 1..=PARTS.min(parts - number * PARTS) {
                text += &format!("#EXT-X-PART:DURATION=0.25,URI=\"{}/v/{number}.{part}.ts\"\n", origin.base);
            }
        }
        if number < open {
            text += &format!("#EXTINF:1,\n{number}.ts\n");
        }
    }
    text + &format!(
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}/v/{open}.{}.ts\"\n",
        origin.base,
        parts % PARTS + 1
    )
}

async fn file(State(origin): State<Origin>, Path(file): Path<String>) -> Result<Vec<u8>, StatusCode> {
    let name = file.strip_suffix(".ts").ok_or(StatusCode::NOT_FOUND)?;
    let (number, of) = name.split_once('.').unwrap_or((name, "0"));
    let read = |text: &str| text.parse::<u64>().map_err(|_| StatusCode::NOT_FOUND);
    let (number, of) = (read(number)?, read(of)?);
    let last = number * PARTS + if of == 0 { PARTS } else { of };
    if last > origin.there() + 1 {
        return Err(StatusCode::NOT_FOUND);
    }
    origin.until(last).await;
    *origin.served.lock().expect("no panic").entry(file).or_default() += 1;
    Ok(match of {
        0 => (1..=PARTS).flat_map(|of| part(number, of)).collect(),
        of => part(number, of),
    })
}
