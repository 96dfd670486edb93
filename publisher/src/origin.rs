//! HTTP to the origin, bounded in size and time, and kept inside the allow-list through every redirect.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
    RANGE,
};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use rillcast_protocol::digest::MAX_SEGMENT;
use thiserror::Error;

use crate::allow::AllowList;
use crate::mirrors::Mirrors;
use crate::playlist::MAX_PLAYLIST;

/// Redirects followed for one request.
pub const MAX_REDIRECTS: usize = 5;
/// Bytes passed over to reach a range where the origin answers with the whole resource.
const MAX_SKIPPED: u64 = 2 * MAX_SEGMENT as u64;

/// Why the origin gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OriginError {
    /// The URL, or a redirect's target, lies outside the allow-list.
    #[error("{0} isn't under an allowed prefix; add one with --publish if it should be")]
    NotAllowed(String),
    /// Too many redirects, or one without a usable target.
    #[error("redirected more than {MAX_REDIRECTS} times or to nowhere")]
    Redirects,
    /// The answer's status.
    #[error("the origin answered {0}")]
    Status(u16),
    /// More bytes than allowed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The bytes aren't the ones asked for.
    #[error("the origin's answer doesn't match the range asked for")]
    WrongRange,
    /// Nothing in time.
    #[error("the origin took too long")]
    Timeout,
    /// Anything below HTTP.
    #[error("can't reach the origin: {0}")]
    Network(String),
}

impl OriginError {
    /// The server is down, overloaded, or out of order: other requests would fare no better.
    fn is_failure(&self) -> bool {
        match self {
            Self::Timeout | Self::Network(_) => true,
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::NotAllowed(_) | Self::Redirects | Self::TooLarge(_) | Self::WrongRange => false,
        }
    }

    /// Another place of the same may have a better answer. That something is too large or not allowed is so everywhere.
    fn may_differ(&self) -> bool {
        !matches!(self, Self::NotAllowed(_) | Self::TooLarge(_))
    }
}

/// How long the origin may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a playlist.
    pub playlist: Duration,
    /// For a segment.
    pub segment: Duration,
    /// Between two pieces of an answer.
    pub silence: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            playlist: Duration::from_secs(5),
            segment: Duration::from_secs(30),
            silence: Duration::from_secs(8),
        }
    }
}

/// What tells an unchanged playlist from a changed one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators(HeaderMap);

impl Validators {
    /// Whether nothing is known: whatever there is counts as changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A playlist that has changed since the validators were taken.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it was found in the end: relative URLs in it start here.
    pub url: Url,
    /// The server that was asked: the origin's, or a mirror's.
    pub from: String,
    /// The text.
    pub body: Bytes,
    /// For the next look.
    pub validators: Validators,
}

/// A client for origins.
#[derive(Clone, Debug)]
pub struct Origin {
    client: Client,
    timeouts: Timeouts,
    mirrors: Arc<Mirrors>,
}

impl Origin {
    /// A client with its own connections.
    pub fn new(timeouts: Timeouts) -> Result<Self, OriginError> {
        // Another provider may be installed already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .redirect(redirect::Policy::none())
                .connect_timeout(timeouts.playlist)
                .read_timeout(timeouts.silence)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("rillcast/", env!("CARGO_PKG_VERSION")))
        };
        let client = builder().build().or_else(|error| {
            tracing::warn!(%error, "no certificate authorities found on this machine: only http origins can be followed; install ca-certificates for https");
            builder().tls_certs_only([]).build()
        });
        Ok(Self { client: client.map_err(network)?, timeouts, mirrors: Arc::default() })
    }

    /// Asks the mirrors of an origin too if it fails.
    #[must_use]
    pub fn with_mirrors(mut self, mirrors: Arc<Mirrors>) -> Self {
        self.mirrors = mirrors;
        self
    }

    /// A playlist of at most [`MAX_PLAYLIST`] bytes; `None` if it hasn't changed.
    pub async fn playlist(
        &self,
        allow: &AllowList,
        url: &Url,
        known: &Validators,
    ) -> Result<Option<Document>, OriginError> {
        let mut search = Search::new(&self.mirrors, url);
        while let Some(place) = search.next() {
            search.answered(&place, self.playlist_at(allow, &place, known).await);
        }
        let document = search.outcome()?;
        Ok(document.map(|document| Document { url: self.mirrors.home(&document.url), ..document }))
    }

    /// A playlist that is to be there soon: the request stays open at the origin until then. Nothing if that takes longer than `hold`, or the
    /// origin has no answer; it isn't taken for one that fails, and only one place is asked.
    pub async fn awaited(&self, allow: &AllowList, url: &Url, hold: Duration) -> Option<Document> {
        let place = self.mirrors.places(url, Instant::now()).into_iter().next()?;
        let known = Validators::default();
        let document =
            tokio::time::timeout(hold, self.playlist_at(allow, &place, &known)).await.ok()?.ok()??;
        Some(Document { url: self.mirrors.home(&document.url), ..document })
    }

    /// A segment of at most [`MAX_SEGMENT`] bytes.
    pub async fn segment(
        &self,
        allow: &AllowList,
        url: &Url,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, OriginError> {
        let mut search = Search::new(&self.mirrors, url);
        while let Some(place) = search.next() {
            search.answered(&place, self.segment_at(allow, &place, range.clone()).await);
        }
        search.outcome()
    }

    async fn playlist_at(
        &self,
        allow: &AllowList,
        url: &Url,
        known: &Validators,
    ) -> Result<Option<Document>, OriginError> {
        let work = async {
            let response = self.get(allow, url, known.0.clone()).await?;
            match response.status() {
                StatusCode::NOT_MODIFIED => return Ok(None),
                StatusCode::OK => {}
                other => return Err(OriginError::Status(other.as_u16())),
            }
            let mut validators = HeaderMap::new();
            for (from, to) in [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)] {
                if let Some(value) = response.headers().get(from) {
                    validators.insert(to, value.clone());
                }
            }
            // Last-Modified has a resolution of one second, too coarse next to an entity tag.
            if validators.contains_key(IF_NONE_MATCH) {
                validators.remove(IF_MODIFIED_SINCE);
            }
            let from = url.origin().ascii_serialization();
            let url = response.url().clone();
            let body = read(response, 0, MAX_PLAYLIST as u64, None).await?;
            Ok(Some(Document { url, from, body, validators: Validators(validators) }))
        };
        tokio::time::timeout(self.timeouts.playlist, work).await.unwrap_or(Err(OriginError::Timeout))
    }

    async fn segment_at(
        &self,
        allow: &AllowList,
        url: &Url,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, OriginError> {
        let limit = u64::from(MAX_SEGMENT);
        let work = async {
            let mut headers = HeaderMap::new();
            if let Some(range) = &range {
                if range.end - range.start > limit {
                    return Err(OriginError::TooLarge(limit));
                }
                let value = format!("bytes={}-{}", range.start, range.end - 1);
                headers.insert(RANGE, HeaderValue::from_str(&value).expect("digits are a header value"));
            }
            let response = self.get(allow, url, headers).await?;
            let Some(range) = range else {
                return match response.status() {
                    StatusCode::OK => read(response, 0, limit, None).await,
                    other => Err(OriginError::Status(other.as_u16())),
                };
            };
            let skip = match response.status() {
                StatusCode::PARTIAL_CONTENT if starts_at(&response, range.start) => 0,
                StatusCode::PARTIAL_CONTENT => return Err(OriginError::WrongRange),
                StatusCode::OK if range.start <= MAX_SKIPPED => range.start,
                StatusCode::OK => return Err(OriginError::WrongRange),
                other => return Err(OriginError::Status(other.as_u16())),
            };
            let length = range.end - range.start;
            let body = read(response, skip, limit, Some(length)).await?;
            if body.len() as u64 == length { Ok(body) } else { Err(OriginError::WrongRange) }
        };
        tokio::time::timeout(self.timeouts.segment, work).await.unwrap_or(Err(OriginError::Timeout))
    }

    async fn get(&self, allow: &AllowList, url: &Url, headers: HeaderMap) -> Result<Response, OriginError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if !allow.allows(&url) {
                return Err(OriginError::NotAllowed(bare(&url)));
            }
            let request = self.client.get(url.clone()).headers(headers.clone());
            let response = request.send().await.map_err(network)?;
            if !response.status().is_redirection() || response.status() == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let target = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
            url = target.and_then(|t| url.join(t).ok()).ok_or(OriginError::Redirects)?;
        }
        Err(OriginError::Redirects)
    }
}

/// Asks one place after the other until one has it.
struct Search<'a, T> {
    mirrors: &'a Mirrors,
    places: std::vec::IntoIter<Url>,
    /// What counts so far: an answer, or what the first place said.
    outcome: Option<Result<T, OriginError>>,
    over: bool,
}

impl<'a, T> Search<'a, T> {
    fn new(mirrors: &'a Mirrors, url: &Url) -> Self {
        let places = mirrors.places(url, Instant::now()).into_iter();
        Self { mirrors, places, outcome: None, over: false }
    }

    fn next(&mut self) -> Option<Url> {
        self.places.next().filter(|_| !self.over)
    }

    fn answered(&mut self, place: &Url, answer: Result<T, OriginError>) {
        match &answer {
            Err(error) if error.is_failure() => self.mirrors.failed(place, Instant::now()),
            _ => self.mirrors.answered(place),
        }
        self.over = !matches!(&answer, Err(error) if error.may_differ());
        if self.over || self.outcome.is_none() {
            self.outcome = Some(answer);
        }
    }

    fn outcome(self) -> Result<T, OriginError> {
        self.outcome.unwrap_or(Err(OriginError::Timeout))
    }
}

/// The body after `skip` bytes: all of it up to `limit`, or exactly `length` of it.
async fn read(
    mut response: Response,
    mut skip: u64,
    limit: u64,
    length: Option<u64>,
) -> Result<Bytes, OriginError> {
    if length.is_none() && response.content_length().is_some_and(|n| n > limit) {
        return Err(OriginError::TooLarge(limit));
    }
    let expected = length.or(response.content_length()).unwrap_or(0).min(limit);
    let mut body = BytesMut::with_capacity(expected as usize);
    while let Some(mut chunk) = response.chunk().await.map_err(network)? {
        let passed = skip.min(chunk.len() as u64);
        skip -= passed;
        chunk = chunk.slice(passed as usize..);
        if let Some(length) = length {
            let room = (length - body.len() as u64).min(chunk.len() as u64);
            body.extend_from_slice(&chunk[..room as usize]);
            if body.len() as u64 == length {
                break;
            }
        } else {
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Err(OriginError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
    }
    Ok(body.freeze())
}

fn starts_at(response: &Response, start: u64) -> bool {
    let value = response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
    value.and_then(|v| v.strip_prefix("bytes ")).and_then(|v| v.split('-').next()) == Some(&start.to_string())
}

/// A URL without its query, for logs and messages: queries carry tokens.
pub fn bare(url: &Url) -> String {
    url.as_str().split(['?', '#']).next().unwrap_or_default().to_owned()
}

fn network(error: reqwest::Error) -> OriginError {
    if error.is_timeout() {
        return OriginError::Timeout;
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    OriginError::Network(text)
}
