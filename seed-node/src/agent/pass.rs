//! Hands a request through to the origin and its answer back: playlists with their URLs mended, all else as it is.
//!
//! Redirects are passed on, not followed: the player then knows where a playlist really is, keeps what cookies come with it, and goes by
//! itself to hosts that the agent may not serve.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use rillcast_publisher::playlist::MAX_PLAYLIST;
use rillcast_publisher::{Url, directives, manifest};
use tokio::sync::mpsc;

use super::address::path_of;
use super::catalog::Found;
use super::headers::{from_origin, unconditional};
use super::rewrite::rewrite;
use super::stream::Ask;
use super::tally::{Outcome, Tally};
use super::{Agent, plain_text};

/// Hands it through. `found` is the segment that the engine couldn't bring, if it is one.
pub(super) async fn pass(
    agent: &Agent,
    method: Method,
    url: &Url,
    headers: HeaderMap,
    found: Option<&Found>,
) -> Response<Body> {
    let named_playlist = is_playlist_name(url);
    // What is to be mended has to come whole and as text.
    let sent = if named_playlist { without_range(headers) } else { headers };
    let whole = !sent.contains_key(header::RANGE) || found.is_some_and(|f| f.part.is_some());
    let asked = Instant::now();
    // A delta can't be read without what came before it, and the origin may always give the whole.
    let place = if named_playlist { directives::without_skip(url) } else { url.clone() };
    let request = agent.passing.request(method.clone(), place).headers(sent);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            agent.tally.ended(Outcome::Unreachable);
            return unreachable(url, &error);
        }
    };
    let status = response.status();
    let mut back = from_origin(url, response.headers());
    if status.is_redirection() {
        redirect(agent, url, &mut back);
    }
    let is_playlist = named_playlist || is_playlist_type(&back);
    if is_playlist && status.is_success() && !back.contains_key(header::CONTENT_ENCODING) {
        if method == Method::HEAD {
            // The mended one may be longer.
            back.remove(header::CONTENT_LENGTH);
        } else {
            return playlist(agent, url, status, back, response).await;
        }
    }
    let outcome = if found.is_some() { Outcome::FellBack } else { Outcome::Passed };
    agent.tally.ended(outcome);
    let handed = found.filter(|_| method == Method::GET && whole && status.is_success()).and_then(|found| {
        agent.note_type(found, &back);
        let asks = agent.streams.get(found.stream)?.clone();
        let first_byte = asked.elapsed();
        Some(Handed { asks, key: found.key, first_byte, begun: Instant::now() })
    });
    let passing = Passing { response, tally: Arc::clone(&agent.tally), bytes: 0, handed };
    answer(status, back, passing.body(Vec::new()))
}

/// Tells the engine what the player got without it.
struct Handed {
    asks: mpsc::Sender<Ask>,
    key: rillcast_protocol::id::SegmentKey,
    first_byte: Duration,
    begun: Instant,
}

/// A body on its way; it is read as fast as the player takes it.
struct Passing {
    response: reqwest::Response,
    tally: Arc<Tally>,
    bytes: u64,
    handed: Option<Handed>,
}

impl Passing {
    /// What was read already goes first.
    fn body(self, read: Vec<Bytes>) -> Body {
        let state = (read.into_iter(), Some(self));
        Body::from_stream(stream::unfold(state, |(mut read, passing)| async move {
            if let Some(chunk) = read.next() {
                return Some((Ok(chunk), (read, passing)));
            }
            let mut passing = passing?;
            match passing.response.chunk().await {
                Ok(Some(chunk)) => {
                    passing.bytes += chunk.len() as u64;
                    passing.tally.passed_bytes.fetch_add(chunk.len() as u64, Relaxed);
                    Some((Ok(chunk), (read, Some(passing))))
                }
                Ok(None) => {
                    passing.done();
                    None
                }
                Err(error) => Some((Err(error), (read, None))),
            }
        }))
    }

    fn done(self) {
        let (Some(handed), Ok(bytes)) = (self.handed, u32::try_from(self.bytes)) else { return };
        let Handed { asks, key, first_byte, begun } = handed;
        // It is only for the engine's measurements.
        let _ = asks.try_send(Ask::Handed { key, bytes, first_byte, transfer: begun.elapsed() });
    }
}

async fn playlist(
    agent: &Agent,
    url: &Url,
    status: StatusCode,
    mut back: HeaderMap,
    mut response: reqwest::Response,
) -> Response<Body> {
    let mut text = BytesMut::new();
    let complete = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) => break true,
            Err(error) => {
                agent.tally.ended(Outcome::Unreachable);
                return unreachable(url, &error);
            }
        }
        if text.len() > MAX_PLAYLIST {
            break false;
        }
    };
    let text = text.freeze();
    let start = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    // A part of one, or something else under its name, is nothing to mend.
    let is_manifest = start.starts_with(b"#EXTM3U") || manifest::is_mpd(start);
    let whole = complete && is_whole(status, &back) && is_manifest;
    let Some(read) = whole.then(|| str::from_utf8(&text).ok()).flatten() else {
        agent.tally.ended(Outcome::Passed);
        agent.tally.passed_bytes.fetch_add(text.len() as u64, Relaxed);
        let passing = Passing { response, tally: Arc::clone(&agent.tally), bytes: 0, handed: None };
        return answer(status, back, passing.body(vec![text.clone()]));
    };
    agent.learn(url, &text).await;
    let mended = rewrite(url, &agent.allow, read);
    back.insert(header::CONTENT_LENGTH, HeaderValue::from(mended.len()));
    // They are the original's.
    for name in ["content-md5", "digest", "content-digest", "repr-digest", "accept-ranges", "content-range"] {
        back.remove(name);
    }
    agent.tally.ended(Outcome::Playlist);
    answer(StatusCode::OK, back, Body::from(mended))
}

fn redirect(agent: &Agent, url: &Url, back: &mut HeaderMap) {
    let target = back.get(header::LOCATION).and_then(|l| l.to_str().ok()).and_then(|l| url.join(l).ok());
    let Some(target) = target else { return };
    let local = if agent.allow.allows(&target) {
        agent.catalog.redirected(url, &target);
        path_of(&target)
    } else {
        None
    };
    if let Ok(location) = HeaderValue::try_from(local.unwrap_or_else(|| target.to_string())) {
        back.insert(header::LOCATION, location);
    }
}

fn answer(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn without_range(headers: HeaderMap) -> HeaderMap {
    let conditions = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
    let kept: Vec<_> =
        conditions.into_iter().filter_map(|name| Some((headers.get(&name)?.clone(), name))).collect();
    let mut headers = unconditional(headers);
    kept.into_iter().for_each(|(value, name)| drop(headers.insert(name, value)));
    headers
}

/// All of it, though perhaps as a range: players ask for `bytes=0-` of what they don't know to be a playlist.
fn is_whole(status: StatusCode, headers: &HeaderMap) -> bool {
    let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let all = || {
        let (last, total) = range?.strip_prefix("bytes 0-")?.split_once('/')?;
        Some(last.parse::<u64>().ok()?.checked_add(1)? == total.parse::<u64>().ok()?)
    };
    status == StatusCode::OK || (status == StatusCode::PARTIAL_CONTENT && all() == Some(true))
}

fn is_playlist_name(url: &Url) -> bool {
    let path = url.path().to_ascii_lowercase();
    path.ends_with(".m3u8") || path.ends_with(".m3u") || path.ends_with(".mpd")
}

fn is_playlist_type(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    kind.contains("mpegurl") || kind.contains("dash+xml")
}

fn unreachable(url: &Url, error: &reqwest::Error) -> Response<Body> {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let host = url.host_str().unwrap_or_default();
    let status = if error.is_timeout() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
    plain_text(
        status,
        format!("can't get it from {host}: {cause}; is that server up, and can this machine reach it?\n"),
    )
}
