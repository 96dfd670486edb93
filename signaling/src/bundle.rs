//! The browser bundle, out of the binary: one script tag from this server is all that a page needs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

/// What is said where nothing was built in.
pub const MISSING: &str = "The browser bundle isn't in this binary. Run `cargo xtask build`, which builds it and then \
                           the server with RILLCAST_DIST pointing to it.\n";

struct Embedded {
    name: &'static str,
    etag: &'static str,
    raw: &'static [u8],
    gzip: &'static [u8],
}

static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// One file.
#[derive(Clone, Debug)]
struct File {
    kind: &'static str,
    etag: Cow<'static, str>,
    raw: Bytes,
    /// `None` where compression gains nothing.
    gzip: Option<Bytes>,
}

/// Files by their path.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    files: HashMap<Cow<'static, str>, File>,
}

impl Bundle {
    /// What was put into the binary.
    pub fn embedded() -> Self {
        let files = EMBEDDED.iter().map(|e| {
            let gzip = Bytes::from_static(e.gzip);
            (Cow::from(e.name), File::new(e.name, e.etag.into(), Bytes::from_static(e.raw), gzip))
        });
        Self { files: files.collect() }
    }

    /// The files of a directory as they are now, for work on the bundle itself.
    pub fn load(dir: &Path) -> io::Result<Self> {
        let mut bundle = Self::default();
        bundle.add(dir, "")?;
        Ok(bundle)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn add(&mut self, dir: &Path, prefix: &str) -> io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.add(&entry.path(), &format!("{name}/"))?;
            } else {
                let raw = std::fs::read(entry.path())?;
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(&raw)?;
                let etag = blake3::hash(&raw).to_hex()[..32].to_owned();
                let file = File::new(&name, etag.into(), raw.into(), gzip.finish()?.into());
                self.files.insert(name.into(), file);
            }
        }
        Ok(())
    }

    /// Answers a request for a path without its leading slash. `version` is the query's `v`, if there is one: a file
    /// asked for by the hash of its content never changes.
    pub fn answer(&self, path: &str, version: Option<&str>, request: &HeaderMap) -> Response {
        let Some(file) = self.files.get(path) else {
            return if self.is_empty() {
                (StatusCode::SERVICE_UNAVAILABLE, [(CONTENT_TYPE, "text/plain")], MISSING).into_response()
            } else {
                (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/plain")], "There is no such file here.\n")
                    .into_response()
            };
        };
        let packed = file.gzip.as_ref().filter(|_| takes_gzip(request));
        let suffix = if packed.is_some() { "-gz" } else { "" };
        let etag = format!("\"{}{suffix}\"", file.etag);
        let lasting = version.is_some_and(|v| v.len() >= 8 && file.etag.starts_with(v));
        let cache = if lasting { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        let same = request
            .get(IF_NONE_MATCH)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
        let mut response = if same {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = Response::new(Body::from(packed.unwrap_or(&file.raw).clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
            if packed.is_some() {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, HeaderValue::from_str(&etag).expect("hex digits are a header value"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        response
    }
}

impl File {
    fn new(name: &str, etag: Cow<'static, str>, raw: Bytes, gzip: Bytes) -> Self {
        let gzip = Some(gzip).filter(|g| g.len() < raw.len());
        Self { kind: kind(name), etag, raw, gzip }
    }
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    accepted.flat_map(|v| v.split(',')).any(|part| {
        let mut part = part.split(';').map(str::trim);
        let named = part.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !part.any(|p| matches!(p.strip_prefix("q=").map(|q| q.parse::<f32>()), Some(Ok(0.0))))
    })
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("ts" | "txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
