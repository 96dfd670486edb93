//! From a request to a response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aes::cipher::{BlockEncryptMut, KeyIvInit, block_padding::Pkcs7};
use anyhow::Result;
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use super::Shared;
use super::body::{CountedBody, Entry};
use super::fault::Faults;
use super::ledger::SegmentId;
use super::range::{self, Asked};
use super::resource::{Packaging, Resource, Stream};
use super::{parts, playlist, site};
use crate::media::{Container, ts};

/// The key of the `-aes` streams; no secret, for everybody may fetch it.
const KEY: [u8; 16] = *b"rillcast demo k!";

/// A live segment is kept this many playlists' lengths after it left the playlist.
const KEPT_WINDOWS: u64 = 4;

/// A body before it is bound to a connection.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) mime: &'static str,
    pub(super) bytes: Bytes,
    pub(super) entry: Entry,
    pub(super) etag: Option<String>,
    pub(super) headers: HeaderMap,
}

impl Reply {
    pub(super) fn new(mime: &'static str, bytes: impl Into<Bytes>, entry: Entry) -> Self {
        Self {
            status: StatusCode::OK,
            mime,
            bytes: bytes.into(),
            entry,
            etag: None,
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn error(status: StatusCode, text: &str) -> Self {
        Self { status, ..Self::new("text/plain; charset=utf-8", format!("{text}\n"), Entry::Site) }
    }
}

/// Answers a request. `posted` is its body, already bounded and collected.
pub(super) async fn respond(
    shared: &Arc<Shared>,
    client: SocketAddr,
    request: &Request<()>,
    posted: Bytes,
) -> Response<CountedBody> {
    let path = request.uri().path();
    let control = matches!(path, "/ledger" | "/ledger/reset" | "/faults");
    let faults = if control { Faults::default() } else { shared.faults.now() };
    if faults.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.latency_ms)).await;
    }
    if let Some(wait) = parts::wait(shared, path, request.uri().query().unwrap_or_default()) {
        tokio::time::sleep(wait).await;
    }
    let mut reply = if *request.method() == Method::OPTIONS {
        Reply { status: StatusCode::NO_CONTENT, ..Reply::new("text/plain", "", Entry::Site) }
    } else if control {
        answer_control(shared, request.method(), path, &posted)
    } else if !matches!(*request.method(), Method::GET | Method::HEAD) {
        Reply::error(StatusCode::METHOD_NOT_ALLOWED, "this origin is read-only: use GET")
    } else {
        find(shared, path, &faults)
            .unwrap_or_else(|error| Reply::error(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}")))
    };
    apply_conditions(&mut reply, request, &faults);
    let length = reply.bytes.len();
    if *request.method() == Method::HEAD {
        reply.bytes = Bytes::new();
    }
    finish(shared, client, reply, &faults, length)
}

fn find(shared: &Shared, path: &str, faults: &Faults) -> Result<Reply> {
    const PLAYLIST: &str = "application/vnd.apple.mpegurl";
    let missing = || Reply::error(StatusCode::NOT_FOUND, "not found");
    if let ("/demo.json", Some(info)) = (path, &shared.config.info) {
        return Ok(Reply::new("application/json", info.to_string(), Entry::Site));
    }
    let Some(resource) = Resource::parse(path) else { return Ok(site::file(&shared.config.mounts, path)) };
    Ok(match resource {
        Resource::Master(_) => Reply::new(PLAYLIST, playlist::master(shared), Entry::Other),
        Resource::Playlist(stream, rendition) => match shared.library.rendition(&rendition) {
            Some(_) => Reply::new(PLAYLIST, playlist::media(shared, stream), Entry::Other),
            None => missing(),
        },
        Resource::Init(_, rendition) => match shared.library.rendition(&rendition) {
            Some(rendition) => Reply::new("video/mp4", shared.library.init(rendition)?, Entry::Other),
            None => missing(),
        },
        Resource::Key => Reply::new("application/octet-stream", &KEY[..], Entry::Other),
        Resource::Segment { stream, rendition, number } => {
            if let Some(status) = faults.segment_status {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Ok(Reply::error(status, "this origin was told to fail"));
            }
            if !exists(shared, stream, number) {
                return Ok(missing());
            }
            let Some(bytes) = segment(shared, stream, &rendition, number)? else { return Ok(missing()) };
            let etag = Some(format!("\"{}-{rendition}-{number}\"", stream.name()));
            let id = SegmentId { stream, rendition, number };
            shared.ledger.request(&id, bytes.len() as u64);
            let mime = if stream.packaging == Packaging::Fmp4 { "video/mp4" } else { "video/mp2t" };
            Reply { etag, ..Reply::new(mime, bytes, Entry::Media(id)) }
        }
        Resource::Part { stream, rendition, number, part } => {
            if !part_exists(shared, number, part) {
                return Ok(missing());
            }
            let Some(whole) = segment(shared, stream, &rendition, number)? else { return Ok(missing()) };
            let Some(bytes) = self::part(shared, &rendition, number, part)? else { return Ok(missing()) };
            let etag = Some(format!("\"{}-{rendition}-{number}-{part}\"", stream.name()));
            // Entered as what it is a part of.
            let id = SegmentId { stream, rendition, number };
            shared.ledger.request(&id, whole.len() as u64);
            Reply { etag, ..Reply::new("video/mp2t", bytes, Entry::Media(id)) }
        }
    })
}

/// Whether a segment can be asked for now: complete, and not long gone.
fn exists(shared: &Shared, stream: Stream, number: u64) -> bool {
    if stream.live {
        let newest = shared.newest();
        number <= newest && number + shared.config.window * KEPT_WINDOWS > newest
    } else {
        number < shared.vod_segments()
    }
}

/// Whether a part can be asked for now: it has come, and isn't long gone.
fn part_exists(shared: &Shared, number: u64, part: u64) -> bool {
    let there = (1..=parts::PARTS).contains(&part) && number * parts::PARTS + part <= parts::there(shared);
    there && number + shared.config.window * KEPT_WINDOWS > shared.newest()
}

/// The bytes of a part; `None` if there is no such rendition or part.
pub(super) fn part(shared: &Shared, rendition: &str, number: u64, part: u64) -> Result<Option<Vec<u8>>> {
    let Some(rendition) = shared.library.rendition(rendition) else { return Ok(None) };
    let plain = shared.library.segment(rendition, Container::Ts, number)?;
    let mut all = ts::parts(&plain, parts::PARTS as usize)?;
    let at = part.checked_sub(1).and_then(|at| usize::try_from(at).ok()).filter(|at| *at < all.len());
    Ok(at.map(|at| all.swap_remove(at)))
}

/// The bytes of a segment as served; `None` if there is no such rendition.
pub(super) fn segment(
    shared: &Shared,
    stream: Stream,
    rendition: &str,
    number: u64,
) -> Result<Option<Vec<u8>>> {
    let Some(rendition) = shared.library.rendition(rendition) else { return Ok(None) };
    let container = if stream.packaging == Packaging::Fmp4 { Container::Fmp4 } else { Container::Ts };
    let plain = shared.library.segment(rendition, container, number)?;
    match stream.packaging {
        Packaging::Ts | Packaging::Fmp4 => return Ok(Some(plain)),
        Packaging::Parts => return Ok(Some(ts::parts(&plain, parts::PARTS as usize)?.concat())),
        Packaging::Aes => {}
    }
    let cipher = cbc::Encryptor::<aes::Aes128>::new(&KEY.into(), &u128::from(number).to_be_bytes().into());
    Ok(Some(cipher.encrypt_padded_vec_mut::<Pkcs7>(&plain)))
}

fn answer_control(shared: &Shared, method: &Method, path: &str, posted: &Bytes) -> Reply {
    const JSON: &str = "application/json";
    match (path, method) {
        ("/ledger", &Method::GET) => Reply::new(JSON, shared.ledger.json().to_string(), Entry::Site),
        ("/ledger/reset", &Method::POST) => {
            shared.ledger.reset();
            Reply::new(JSON, "{}", Entry::Site)
        }
        ("/faults", &Method::GET) => {
            Reply::new(JSON, serde_json::json!(shared.faults.now()).to_string(), Entry::Site)
        }
        ("/faults", &Method::POST) => match serde_json::from_slice::<Faults>(posted) {
            Ok(faults) => {
                shared.faults.set(faults);
                Reply::new(JSON, "{}", Entry::Site)
            }
            Err(error) => Reply::error(StatusCode::BAD_REQUEST, &format!("not a set of faults: {error}")),
        },
        _ => Reply::error(StatusCode::METHOD_NOT_ALLOWED, "use GET to read, POST to change"),
    }
}

/// `If-None-Match` and `Range`.
fn apply_conditions(reply: &mut Reply, request: &Request<()>, faults: &Faults) {
    let value = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let Some(etag) = reply.etag.clone() else { return };
    if value(header::IF_NONE_MATCH) == Some(&etag) {
        reply.status = StatusCode::NOT_MODIFIED;
        reply.bytes = Bytes::new();
        return;
    }
    if faults.no_range {
        return;
    }
    reply.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let length = reply.bytes.len();
    let stale = value(header::IF_RANGE).is_some_and(|known| known != etag);
    match value(header::RANGE).filter(|_| !stale).map_or(Asked::Whole, |asked| range::parse(asked, length)) {
        Asked::Whole => {}
        Asked::Part(part) => {
            reply.status = StatusCode::PARTIAL_CONTENT;
            let stated = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            insert(&mut reply.headers, header::CONTENT_RANGE, &stated);
            reply.bytes = reply.bytes.slice(part);
        }
        Asked::Nothing => {
            reply.status = StatusCode::RANGE_NOT_SATISFIABLE;
            insert(&mut reply.headers, header::CONTENT_RANGE, &format!("bytes */{length}"));
            reply.bytes = Bytes::new();
        }
    }
}

fn finish(
    shared: &Arc<Shared>,
    client: SocketAddr,
    reply: Reply,
    faults: &Faults,
    length: usize,
) -> Response<CountedBody> {
    let cacheable = matches!(reply.entry, Entry::Media(_)) && reply.status.is_success();
    let Reply { status, mime, bytes, entry, etag, headers: more } = reply;
    let mut response = Response::new(CountedBody::new(bytes, entry, client, shared.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(more);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let caching = if cacheable { "public, max-age=600" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Some(etag) = etag {
        insert(headers, header::ETAG, &etag);
    }
    if !faults.no_cors {
        add_cors(headers, faults.no_range);
    }
    response
}

fn add_cors(headers: &mut HeaderMap, no_range: bool) {
    let allowed = if no_range { "Content-Type" } else { "Range, If-Range, If-None-Match, Content-Type" };
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, POST, OPTIONS"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Content-Range, Content-Length, Accept-Ranges, ETag"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
