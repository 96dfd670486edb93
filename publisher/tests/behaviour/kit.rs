//! An origin whose every answer the test decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use rillcast_protocol::id::SwarmId;
use rillcast_publisher::{AllowList, Config, Event, Published, Publisher, PublishingKey};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

pub(crate) const SWARM: SwarmId = SwarmId([5; 16]);
/// A test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request as the test's handler sees it.
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// How many times this path was asked for before.
    pub(crate) before: usize,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::ok("") }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn slow(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Handler = Arc<dyn Fn(Ask) -> Answer + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Origin {
    handler: Handler,
    counts: Arc<Mutex<HashMap<String, usize>>>,
    pub(crate) base: String,
}

impl Origin {
    pub(crate) async fn start(handler: impl Fn(Ask) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let base = format!("http://{}", listener.local_addr().expect("address"));
        let origin = Self { handler: Arc::new(handler), counts: Arc::default(), base };
        let app = Router::new().fallback(answer).with_state(origin.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        origin
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.counts.lock().expect("whole").get(path).copied().unwrap_or(0)
    }

    pub(crate) fn allow(&self) -> Arc<AllowList> {
        Arc::new(AllowList::new([&self.base]).expect("prefix"))
    }
}

async fn answer(State(origin): State<Origin>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let before = {
        let mut counts = origin.counts.lock().expect("whole");
        let count = counts.entry(path.clone()).or_default();
        *count += 1;
        *count - 1
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    let answer = (origin.handler)(Ask { path, query, headers: request.headers().clone(), before });
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::builder().status(StatusCode::from_u16(answer.status).expect("status"));
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).expect("response")
}

/// A playlist of segments `{n}.ts` with 1 s each.
pub(crate) fn playlist(numbers: std::ops::Range<u64>, ended: bool) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n", numbers.start);
    for number in numbers {
        text += &format!("#EXTINF:1.0,\n{number}.ts\n");
    }
    if ended {
        text += "#EXT-X-ENDLIST\n";
    }
    text
}

pub(crate) fn body(path: &str) -> Bytes {
    path.as_bytes().repeat(3000).into()
}

/// A publisher with its events.
pub(crate) struct Bench {
    pub(crate) publisher: Publisher,
    pub(crate) events: mpsc::Receiver<Event>,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        let (publisher, events) =
            Publisher::new(PublishingKey::from_seed(&[1; 32]), config).expect("publisher");
        Self { publisher, events }
    }

    pub(crate) async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("open")
    }

    pub(crate) async fn published(&mut self) -> Box<Published> {
        loop {
            if let Event::Published(published) = self.next().await {
                assert!(rillcast_publisher::sign::verify(&published.digest));
                return published;
            }
        }
    }

    /// Numbers of the next few segments, sorted.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.published().await.digest.key.number);
        }
        numbers.sort_unstable();
        numbers
    }
}
