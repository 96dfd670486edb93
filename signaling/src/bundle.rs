//! The browser bundle, out of the binary: one script tag from this server is all that a page needs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io;
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
    /// By their endings.
    packed: &'static [(&'static str, &'static [u8])],
}

/// In what forms a file may lie packed beside itself in the bundle, the smallest first: by the ending and as HTTP calls it.
const PACKED: [(&str, &str); 2] = [("br", "br"), ("gz", "gzip")];

static EMBEDDED: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// One file.
#[derive(Clone, Debug)]
struct File {
    kind: &'static str,
    etag: Cow<'static, str>,
    raw: Bytes,
    /// In the order of [`PACKED`], without what isn't there.
    packed: Vec<Packed>,
}

#[derive(Clone, Debug)]
struct Packed {
    ending: &'static str,
    coding: &'static str,
    contents: Bytes,
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
            let packed = |ending: &str| {
                let found = e.packed.iter().find(|packed| packed.0 == ending)?;
                Some(Bytes::from_static(found.1))
            };
            (Cow::from(e.name), File::new(e.name, e.etag.into(), Bytes::from_static(e.raw), packed))
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
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                self.add(&path, &format!("{name}/"))?;
                continue;
            }
            if PACKED.iter().any(|(ending, _)| path.extension().is_some_and(|e| e == *ending)) {
                continue;
            }
            let raw = fs::read(&path)?;
            let changed = entry.metadata()?.modified()?;
            let packed = |ending: &str| {
                let beside = dir.join(format!("{}.{ending}", entry.file_name().to_string_lossy()));
                // Whoever edits a file is not shown what was packed before.
                let made = fs::metadata(&beside).and_then(|about| about.modified()).ok()?;
                (made >= changed).then(|| fs::read(&beside).ok().map(Bytes::from))?
            };
            let etag = blake3::hash(&raw).to_hex()[..32].to_owned();
            let file = File::new(&name, etag.into(), raw.into(), packed);
            self.files.insert(name.into(), file);
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
        let packed = file.packed.iter().find(|packed| takes(request, packed.coding));
        let etag = match packed {
            Some(packed) => format!("\"{}-{}\"", file.etag, packed.ending),
            None => format!("\"{}\"", file.etag),
        };
        let lasting = version.is_some_and(|v| v.len() >= 8 && file.etag.starts_with(v));
        let cache = if lasting { "public, max-age=31536000, immutable" } else { "public, no-cache" };
        let same = request
            .get(IF_NONE_MATCH)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
        let mut response = if same {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let contents = packed.map_or(&file.raw, |packed| &packed.contents);
            let mut response = Response::new(Body::from(contents.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
            if let Some(packed) = packed {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(packed.coding));
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
    /// `packed` is asked for what lies beside the file with an ending.
    fn new(name: &str, etag: Cow<'static, str>, raw: Bytes, packed: impl Fn(&str) -> Option<Bytes>) -> Self {
        let packed = PACKED.iter().filter_map(|&(ending, coding)| {
            packed(ending).map(|contents| Packed { ending, coding, contents })
        });
        Self { kind: kind(name), etag, raw, packed: packed.collect() }
    }
}

fn takes(request: &HeaderMap, coding: &str) -> bool {
    let accepted = request.get_all(ACCEPT_ENCODING).iter().filter_map(|v| v.to_str().ok());
    accepted.flat_map(|v| v.split(',')).any(|part| {
        let mut part = part.split(';').map(str::trim);
        let named = part.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
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
