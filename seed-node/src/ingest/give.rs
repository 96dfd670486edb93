//! What readers get: files with ranges, playlists as they are at the moment.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Response};
use rillcast_publisher::playlist::MAX_RENDITIONS;
use tower_http::services::ServeFile;

use super::library::Found;
use super::pushed::is_multivariant;
use super::refusal::Refusal;
use crate::config::Span;

/// What a URL stands for never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// It may change with the next segment.
const SHORTLY: HeaderValue = HeaderValue::from_static("max-age=1");

/// How much of the past a query asks for, as written and as it is meant.
pub(super) fn window(query: Option<&str>) -> Result<Option<(String, Duration)>, Refusal> {
    let asked = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("window="));
    let Some(text) = asked else { return Ok(None) };
    let Span(window) = text.parse().map_err(|_| Refusal::Window(text.to_owned()))?;
    Ok(Some((text.to_owned(), window)))
}

/// Answers a reader.
pub(super) async fn give(
    found: Found,
    window: Option<String>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    match found {
        Found::Text { text, content_type } => {
            let text = match window {
                Some(window) if is_multivariant(&text) => with_window(&text, &window),
                _ => text,
            };
            let length = text.len();
            let is_head = *request.method() == Method::HEAD;
            let mut response = Response::new(if is_head { Body::empty() } else { Body::from(text) });
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.insert(axum::http::header::CONTENT_LENGTH, HeaderValue::from(length));
            headers.insert(CACHE_CONTROL, SHORTLY);
            Ok(response)
        }
        Found::File { path, content_type, immutable } => {
            let mime = content_type.parse().map_err(|_| Refusal::Nothing)?;
            let mut response = ServeFile::new_with_mime(path, &mime).try_call(request).await?.map(Body::new);
            // What is missing may come.
            let lasts = immutable && (response.status().is_success() || response.status().as_u16() == 304);
            response.headers_mut().insert(CACHE_CONTROL, if lasts { FOREVER } else { SHORTLY });
            Ok(response)
        }
    }
}

/// A multivariant playlist whose media playlists show as much of the past. The query doesn't count for what a playlist is known by: viewers of both are of
/// one swarm.
fn with_window(text: &str, window: &str) -> String {
    let with = |uri: &str| {
        let joint = if uri.contains('?') { '&' } else { '?' };
        format!("{uri}{joint}window={window}")
    };
    let mut out = String::with_capacity(text.len() + 32 * MAX_RENDITIONS);
    for line in text.lines() {
        match line.strip_prefix('#') {
            None if !line.is_empty() => out += &with(line),
            Some(tag) if tag.starts_with("EXT-X-MEDIA:") || tag.starts_with("EXT-X-I-FRAME-STREAM-INF:") => {
                match line.split_once("URI=\"").and_then(|(head, rest)| Some((head, rest.split_once('"')?))) {
                    Some((head, (uri, rest))) => out += &format!("{head}URI=\"{}\"{rest}", with(uri)),
                    None => out += line,
                }
            }
            _ => out += line,
        }
        out.push('\n');
    }
    out
}

/// How long browsers may remember what they may ask.
pub(super) const PREFLIGHT: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_handed_down_to_all_renditions() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a.m3u8\",NAME=\"x\"\n#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS\n\
            #EXT-X-STREAM-INF:BANDWIDTH=1\nv0/index.m3u8?t=1\n";
        let shown = with_window(text, "2h");
        assert!(shown.contains("URI=\"a.m3u8?window=2h\",NAME=\"x\"\n"), "{shown}");
        assert!(shown.contains("\nv0/index.m3u8?t=1&window=2h\n"), "{shown}");
        assert_eq!(shown.lines().count(), text.lines().count());
    }
}
