//! An origin of files for the agent's tests: ranges, redirects, cookies, errors, and a log of what it was asked for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, header};
use bytes::Bytes;
use rillcast_seed::agent::range::{Part, asked};

/// What is found under a path.
#[derive(Clone)]
pub(crate) enum Entry {
    File(&'static str, Bytes),
    Redirect(String),
    Status(u16, &'static str),
    Cookie(&'static str),
    /// The first half, and then silence.
    Half(Bytes),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

#[derive(Default)]
pub(crate) struct Shared {
    entries: Mutex<HashMap<String, Entry>>,
    log: Mutex<Vec<Asked>>,
}

#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Files {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn put(&self, path: &str, entry: Entry) {
        self.shared.entries.lock().expect("no panic").insert(path.to_owned(), entry);
    }

    pub(crate) fn text(&self, path: &str, kind: &'static str, text: &str) {
        self.put(path, Entry::File(kind, Bytes::from(text.to_owned())));
    }

    /// Everything in a directory, by the names' endings.
    pub(crate) fn directory(&self, under: &str, directory: &Path) {
        for file in std::fs::read_dir(directory).expect("it is there") {
            let path = file.expect("readable").path();
            let kind = match path.extension().and_then(|e| e.to_str()) {
                Some("m3u8") => "application/vnd.apple.mpegurl",
                Some("ts") => "video/mp2t",
                Some("mpd") => "application/dash+xml",
                _ => "video/mp4",
            };
            let bytes = std::fs::read(&path).expect("readable");
            let name = path.file_name().and_then(|n| n.to_str()).expect("a name");
            self.put(&format!("{under}{name}"), Entry::File(kind, bytes.into()));
        }
    }

    pub(crate) fn file(&self, path: &str) -> Bytes {
        match self.shared.entries.lock().expect("no panic").get(path) {
            Some(Entry::File(_, bytes)) => bytes.clone(),
            _ => panic!("{path} is no file"),
        }
    }

    /// What was asked for under a path, in its order.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        let log = self.shared.log.lock().expect("no panic");
        log.iter().filter(|a| a.target.split('?').next() == Some(path)).cloned().collect()
    }

    /// Requests of paths that end so.
    pub(crate) fn count(&self, end: &str) -> usize {
        let log = self.shared.log.lock().expect("no panic");
        log.iter().filter(|a| a.method == Method::GET && a.target.ends_with(end)).count()
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (path, method, headers) =
        (request.uri().path().to_owned(), request.method().clone(), request.headers().clone());
    let target = request.uri().path_and_query().map(|p| p.to_string()).unwrap_or_default();
    shared.log.lock().expect("no panic").push(Asked {
        method: method.clone(),
        target,
        headers: headers.clone(),
    });
    let entry = shared.entries.lock().expect("no panic").get(&path).cloned();
    let build = |status: u16| Response::builder().status(status).header("access-control-allow-origin", "*");
    let built = match entry {
        None => build(404).body(Body::from("there is no such thing")),
        Some(Entry::Redirect(to)) => build(302).header(header::LOCATION, to).body(Body::empty()),
        Some(Entry::Status(status, text)) => build(status).header("x-own", "word").body(Body::from(text)),
        Some(Entry::Cookie(cookie)) => build(200).header(header::SET_COOKIE, cookie).body(Body::empty()),
        Some(Entry::Half(bytes)) => {
            let half = bytes.slice(..bytes.len() / 2);
            let waits = futures_util::stream::unfold(Some(half), |half| async move {
                if half.is_none() {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
                half.map(|half| (Ok::<_, std::io::Error>(half), None))
            });
            build(200).header(header::CONTENT_LENGTH, bytes.len()).body(Body::from_stream(waits))
        }
        Some(Entry::File(kind, bytes)) => {
            let length = bytes.len() as u64;
            let part = asked(&headers, length);
            let (status, body, range) = match part {
                Part::Whole => (200, bytes, None),
                Part::Range(r) => {
                    let said = format!("bytes {}-{}/{length}", r.start, r.end - 1);
                    (206, bytes.slice(r.start as usize..r.end as usize), Some(said))
                }
                Part::Unsatisfiable => (416, Bytes::new(), Some(format!("bytes */{length}"))),
            };
            let mut response =
                build(status).header(header::CONTENT_TYPE, kind).header(header::ACCEPT_RANGES, "bytes");
            if let Some(range) = range {
                response = response.header(header::CONTENT_RANGE, range);
            }
            response.header(header::CONTENT_LENGTH, body.len()).body(Body::from(body))
        }
    };
    built.expect("a response").map(|body| if method == Method::HEAD { Body::empty() } else { body })
}
