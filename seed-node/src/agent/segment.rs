//! Answers a request for a segment by way of the engine.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use futures_util::stream;
use rillcast_publisher::Url;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::catalog::Found;
use super::headers::unconditional;
use super::range::{self, Part};
use super::stream::{Ask, PATIENCE};
use super::tally::{Outcome, Tally};
use super::waiting::{Bit, Told, beyond};
use super::{Agent, plain_text};

/// The engine decides within [`PATIENCE`]; if it hasn't then, something is wrong with it.
const OVERDUE: Duration = Duration::from_secs(5);

/// What comes of a segment, and who hears that the player has hung up. The channel ends first, so that it is seen to be closed.
struct Reception {
    told: Told,
    hangup: Hangup,
}

struct Hangup {
    asks: mpsc::Sender<Ask>,
    tally: Arc<Tally>,
    over: bool,
}

impl Drop for Hangup {
    fn drop(&mut self) {
        if !self.over {
            self.tally.ended(Outcome::Cancelled);
            // If the queue is full it is looked for anyway, a moment later.
            let _ = self.asks.try_send(Ask::Gone);
        }
    }
}

/// The answer; none if the engine can't bring it, and the player has to be served from the origin.
pub(super) async fn answer(
    agent: &Agent,
    found: &Found,
    url: &Url,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let asks = agent.streams.get(found.stream)?.clone();
    let (tell, told) = mpsc::unbounded_channel();
    let ranged = headers
        .get(header::RANGE)
        .filter(|_| found.part.is_none() && !headers.contains_key(header::IF_RANGE));
    let want = Ask::Want {
        key: found.key,
        url: url.clone(),
        headers: unconditional(headers.clone()),
        streams: ranged.is_none_or(|range| range.as_bytes() == b"bytes=0-"),
        tell,
    };
    asks.send(want).await.ok()?;
    let hangup = Hangup { asks, tally: Arc::clone(&agent.tally), over: false };
    let mut reception = Reception { told, hangup };
    let first = timeout(PATIENCE.whole + OVERDUE, reception.told.recv()).await.ok().flatten();
    let kind = agent.content_type(found, url);
    match first {
        Some(Bit::Begins(total)) => {
            let head = Head { part: found.part.clone(), headers, length: total.map(u64::from), kind };
            Some(head.answer(|_| streamed(reception, total.map(u64::from))))
        }
        Some(Bit::Rest(parts)) => {
            reception.over(Outcome::Shared);
            let length = parts.iter().map(|part| part.len() as u64).sum();
            let head = Head { part: found.part.clone(), headers, length: Some(length), kind };
            Some(head.answer(|range| whole(&parts, range)))
        }
        Some(Bit::Failed | Bit::Data(_)) | None => {
            reception.hangup.over = true;
            None
        }
    }
}

impl Reception {
    fn over(&mut self, outcome: Outcome) {
        self.hangup.over = true;
        self.hangup.tally.ended(outcome);
    }
}

/// What the answer's head goes by.
struct Head<'a> {
    /// The segment's bytes of its resource; the request is for exactly these.
    part: Option<Range<u64>>,
    headers: &'a HeaderMap,
    /// The segment's length, if it is known.
    length: Option<u64>,
    kind: HeaderValue,
}

impl Head<'_> {
    /// Puts the body that is made for a range behind the head.
    fn answer(self, body: impl FnOnce(Range<u64>) -> Body) -> Response<Body> {
        let all = 0..self.length.unwrap_or(u64::MAX);
        let asked = match (&self.part, self.length) {
            (None, Some(length)) => range::asked(self.headers, length),
            _ => Part::Whole,
        };
        let (status, range, content_range) = match (&self.part, asked) {
            (Some(part), _) => {
                let said = format!("bytes {}-{}/*", part.start, part.end.saturating_sub(1));
                (StatusCode::PARTIAL_CONTENT, all, Some(said))
            }
            (None, Part::Whole) => (StatusCode::OK, all, None),
            (None, Part::Range(range)) => {
                let said = format!("bytes {}-{}/{}", range.start, range.end.saturating_sub(1), all.end);
                (StatusCode::PARTIAL_CONTENT, range, Some(said))
            }
            (None, Part::Unsatisfiable) => {
                let text = format!("the segment has {} bytes; ask for some of those\n", all.end);
                let mut response = plain_text(StatusCode::RANGE_NOT_SATISFIABLE, text);
                set(&mut response, header::CONTENT_RANGE, format!("bytes */{}", all.end));
                return response;
            }
        };
        let length = self.length.map(|_| range.end - range.start);
        let mut response = Response::new(body(range));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, self.kind);
        response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if let Some(length) = length {
            set(&mut response, header::CONTENT_LENGTH, length.to_string());
        }
        if let Some(said) = content_range {
            set(&mut response, header::CONTENT_RANGE, said);
        }
        response
    }
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: String) {
    // Digits and the like are a header's value.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

fn whole(parts: &[Bytes], range: Range<u64>) -> Body {
    let mut left = range.end - range.start;
    let mut parts = beyond(parts, range.start);
    for part in &mut parts {
        part.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(part.len()));
        left -= part.len() as u64;
    }
    Body::from_stream(stream::iter(
        parts.into_iter().filter(|part| !part.is_empty()).map(Ok::<_, std::io::Error>),
    ))
}

/// A body on its way.
struct Streaming {
    reception: Option<Reception>,
    /// What is to go next, the last first.
    ready: Vec<Bytes>,
    /// Bytes that have still to come, as far as the source has said.
    left: Option<u64>,
}

/// The bytes as they come. The last of them wait for the engine's word that this was all: a body of a known length isn't asked for more
/// when it has reached that, so it would seem that the player had hung up.
fn streamed(reception: Reception, length: Option<u64>) -> Body {
    let streaming = Streaming { reception: Some(reception), ready: Vec::new(), left: length };
    Body::from_stream(stream::unfold(streaming, |mut s| async move {
        if let Some(part) = s.ready.pop() {
            return Some((Ok(part), s));
        }
        let mut reception = s.reception.take()?;
        let mut last = None;
        loop {
            match reception.told.recv().await {
                Some(Bit::Begins(_)) => {}
                Some(Bit::Data(data)) => {
                    s.left = s.left.map(|left| left.saturating_sub(data.len() as u64));
                    if s.left == Some(0) {
                        last = Some(data);
                        continue;
                    }
                    s.reception = Some(reception);
                    return Some((Ok(data), s));
                }
                Some(Bit::Rest(mut parts)) => {
                    reception.over(Outcome::Shared);
                    parts.reverse();
                    parts.extend(last);
                    s.ready = parts;
                    return s.ready.pop().map(|part| (Ok(part), s));
                }
                // Breaking off is all that can be said now; the player asks again.
                Some(Bit::Failed) | None => {
                    reception.hangup.over = true;
                    let broken = std::io::Error::other("the source broke off, and nobody else has the rest");
                    return Some((Err(broken), s));
                }
            }
        }
    }))
}
