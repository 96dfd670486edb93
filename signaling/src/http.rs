//! What is answered under which path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::id::{SegmentKey, SwarmId};

use crate::admin::{self, Admin};
use crate::bundle::Bundle;
use crate::hosted::{BASE, Part, Refusal};
use crate::hub::Hub;
use crate::listen::Caller;
use crate::metrics::Count;
use crate::options::HostPort;
use crate::site::Own;
use crate::site::ice::MAX_STUN;
use crate::socket;

/// What requests are answered from.
#[derive(Clone, Debug)]
pub struct Front {
    /// The swarms.
    pub hub: Arc<Hub>,
    /// The browser bundle.
    pub bundle: Arc<Bundle>,
    /// Ports of this server's STUN.
    pub stun_ports: Vec<u16>,
    /// Another server's STUN, which peers are told of besides.
    pub stun_also: Option<HostPort>,
    /// Port of its TURN.
    pub turn_port: Option<u16>,
    /// Nobody is asked for authorisation.
    pub insecure_open: bool,
    /// Everybody may read how many watch.
    pub metrics_open: bool,
    /// When the server started.
    pub started: Instant,
    /// The admin interface, if there is a token for it.
    pub admin: Option<Arc<Admin>>,
}

/// All routes.
pub fn router(front: Front) -> Router {
    let admin = front.admin.clone();
    Router::new()
        .route("/ws", any(websocket))
        .route(&format!("{BASE}/{{swarm}}/{{key}}"), get(hosted))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .nest("/admin", admin::router(admin))
        .fallback(bundle)
        .layer(middleware::from_fn(cross_origin))
        .with_state(front)
}

/// Pages of any origin may read what is public here; who may join is the join's business.
async fn cross_origin(request: Request, next: Next) -> Response {
    let admin = request.uri().path().starts_with("/admin/");
    let preflight = request.method() == axum::http::Method::OPTIONS;
    let mut response =
        if preflight && !admin { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if admin {
        return response;
    }
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "content-range, content-length, etag"),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (HeaderName::from_static("timing-allow-origin"), "*"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if preflight {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "range, if-none-match"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

async fn websocket(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let origin = text(header::ORIGIN).map(str::to_owned);
    let host = text(header::HOST).and_then(host_name);
    // What relays answers STUN too.
    let ports = if front.stun_ports.is_empty() { front.turn_port.as_slice() } else { &front.stun_ports };
    let turn = front.turn_port.zip(host);
    let own = Own {
        stun: host.map_or(Vec::new(), |host| stun_urls(host, ports, front.stun_also.as_ref())),
        turn: turn.map(|(port, host)| format!("turn:{host}:{port}?transport=udp")),
    };
    let request = socket::Request { caller, origin, own };
    let limits = &front.hub.limits;
    upgrade
        .read_buffer_size(limits.read_buffer)
        .write_buffer_size(limits.read_buffer)
        .max_write_buffer_size(limits.queue_bytes + limits.read_buffer)
        .max_message_size(limits.message_bytes)
        .max_frame_size(limits.message_bytes)
        .on_upgrade(move |socket| socket::serve(socket, front.hub, request))
}

/// Our own STUN: at one port, and at the other address that the operator names, or at another port.
fn stun_urls(host: &str, ports: &[u16], also: Option<&HostPort>) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for url in ports.iter().map(|port| format!("stun:{host}:{port}")) {
        // One port at an IPv4 and an IPv6 address is one URL.
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    urls.truncate(if also.is_some() { MAX_STUN - 1 } else { MAX_STUN });
    urls.extend(also.map(|at| format!("stun:{at}")));
    urls
}

/// The host of a `Host` header, if it looks like one: it goes back to whoever sent it, as part of a URL.
fn host_name(value: &str) -> Option<&str> {
    let host = if value.starts_with('[') {
        &value[..=value.find(']')?]
    } else {
        value.split(':').next().unwrap_or_default()
    };
    let plain = !host.is_empty()
        && host.len() <= 200
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    plain.then_some(host)
}

async fn hosted(
    State(front): State<Front>,
    Path((swarm, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let plain = |status: StatusCode, text: &'static str| {
        (status, [(header::CACHE_CONTROL, "no-store")], text).into_response()
    };
    let name = unhex(&swarm)
        .and_then(|s| SwarmId::from_bytes(&s).ok())
        .zip(unhex(&key).and_then(|k| SegmentKey::from_bytes(&k).ok()));
    let Some((swarm, key)) = name else {
        return plain(StatusCode::BAD_REQUEST, "The path is {swarm}/{key}, both in hex.\n");
    };
    let part = match headers.get(header::RANGE).map(|v| v.to_str().ok().and_then(part)) {
        None => Part::Whole,
        Some(Some(part)) => part,
        Some(None) => return plain(StatusCode::BAD_REQUEST, "Ask for one range: bytes=FIRST-LAST.\n"),
    };
    match front.hub.host.take(swarm, key, part, Instant::now()) {
        Ok(grant) => {
            let (range, length) = (grant.range.clone(), grant.length());
            let mut response = Response::new(Body::new(grant));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            if part != Part::Whole {
                let span = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                let span = HeaderValue::from_str(&span).expect("digits are a header value");
                headers.insert(header::CONTENT_RANGE, span);
                *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            }
            response
        }
        Err(Refusal::Outside(length)) => {
            let span = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, span).into_response()
        }
        Err(Refusal::Gone) => {
            front.hub.metrics.hosted_gone_total.up();
            plain(
                StatusCode::GONE,
                "Given away already: each byte is handed on once. Take it from a peer or the origin.\n",
            )
        }
        Err(Refusal::Unknown) => {
            front.hub.metrics.hosted_gone_total.up();
            plain(StatusCode::NOT_FOUND, "Not here, or not any more. Take it from a peer or the origin.\n")
        }
    }
}

fn part(range: &str) -> Option<Part> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.trim().parse().ok()?;
    match last.trim() {
        "" => Some(Part::From(first)),
        last => last.parse().ok().filter(|last| *last >= first).map(|last| Part::Span(first, last)),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 128 || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

impl Front {
    /// Whether the caller may read counts: they tell how many watch, which is the site's own business. Only who sends a
    /// token is measured by the admin interface's rate, so that others can't use it up.
    fn may_count(&self, caller: &Caller, headers: &HeaderMap) -> bool {
        // A proxy on this machine that nobody has named speaks for the world.
        let near =
            !caller.forwarded && caller.client.is_some_and(|client| client.to_canonical().is_loopback());
        let known = || {
            let asked = headers.contains_key(header::AUTHORIZATION);
            self.admin.as_ref().filter(|_| asked).is_some_and(|admin| admin.check(headers, caller).is_ok())
        };
        self.metrics_open || near || known()
    }
}

async fn health(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let counts = front.may_count(&caller, &headers);
    let count = |of: &Count| counts.then(|| of.value());
    let publisher = front.hub.publisher().map(|p| p.key().to_string());
    Json(serde_json::json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "protocol": rillcast_protocol::VERSION,
        "insecure_open": front.insecure_open,
        "bundle": !front.bundle.is_empty(),
        "publisher": publisher,
        "authorities": front.hub.authority.keys().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "peers": count(&front.hub.metrics.peers),
        "swarms": count(&front.hub.metrics.swarms),
        "uptime_s": Duration::from_secs(front.started.elapsed().as_secs()).as_secs(),
    }))
    .into_response()
}

async fn metrics(
    State(front): State<Front>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if !front.may_count(&caller, &headers) {
        let text = "Metrics are for programs of the server's machine and for whoever sends the admin token \
                    (Authorization: Bearer TOKEN); start the server with --metrics-open to let everybody read them.\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, front.hub.render_metrics()).into_response()
}

async fn bundle(State(front): State<Front>, uri: Uri, headers: HeaderMap) -> Response {
    front.hub.metrics.bundle_requests_total.up();
    let version = uri.query().and_then(|q| q.split('&').find_map(|pair| pair.strip_prefix("v=")));
    let path = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        path => path,
    };
    front.bundle.answer(path, version, &headers)
}
