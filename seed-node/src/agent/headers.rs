//! Which headers go on to the origin, and which come back.

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use rillcast_publisher::Url;

use super::address::{path_of, url_of};

/// What concerns one connection alone (RFC 9110, 7.6.1), and what a proxy says anew.
const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// What would make a fetch of ours something else than the whole segment, or another one.
const CONDITIONS: [HeaderName; 7] = [
    header::ACCEPT_ENCODING,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
];

/// A player's headers as the origin is to see them. `authority` is what the player calls the agent.
pub fn to_origin(from: &HeaderMap, authority: &str) -> HeaderMap {
    let mut headers = end_to_end(from);
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    if let Some(path) = referer.and_then(|r| r.strip_prefix("http://")?.strip_prefix(authority)) {
        let origin = url_of(path).and_then(|url| HeaderValue::from_str(url.as_str()).ok());
        headers.remove(header::REFERER);
        origin.map(|origin| headers.insert(header::REFERER, origin));
    }
    headers
}

/// Those of them that a fetch of a whole document may carry.
pub fn unconditional(mut headers: HeaderMap) -> HeaderMap {
    for name in &CONDITIONS {
        headers.remove(name);
    }
    headers
}

/// An origin's headers as the player is to see them. Of rules for pages (CORS) none: what a player's cookies brought is no page's to read.
pub fn from_origin(url: &Url, from: &HeaderMap) -> HeaderMap {
    let mut headers = end_to_end(from);
    let cors: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in cors.iter().chain(&[header::ALT_SVC, header::STRICT_TRANSPORT_SECURITY]) {
        headers.remove(name);
    }
    if let Some(length) = from.get(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, length.clone());
    }
    headers.remove(header::SET_COOKIE);
    for cookie in from.get_all(header::SET_COOKIE) {
        let local =
            cookie.to_str().ok().and_then(|text| HeaderValue::from_str(&local_cookie(url, text)).ok());
        local.map(|cookie| headers.append(header::SET_COOKIE, cookie));
    }
    headers
}

fn end_to_end(from: &HeaderMap) -> HeaderMap {
    let named = from.get_all(header::CONNECTION);
    let named: Vec<String> = named
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let stays = |name: &HeaderName| {
        !HOP_BY_HOP.contains(name)
            && !name.as_str().starts_with("proxy-")
            && !named.iter().any(|n| n == name.as_str())
    };
    from.iter().filter(|(name, _)| stays(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A cookie that the player sends back for the same host behind the agent, and for no other one.
fn local_cookie(url: &Url, cookie: &str) -> String {
    let mut parts = cookie.split(';');
    let mut local = parts.next().unwrap_or_default().trim().to_owned();
    for attribute in parts.map(str::trim) {
        let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            // The player knows one host, reached without TLS.
            "domain" | "secure" | "samesite" | "partitioned" => {}
            "path" => {
                let mut root = url.clone();
                root.set_path("");
                root.set_query(None);
                let root = path_of(&root).unwrap_or_default();
                local += &format!("; Path={}{}", root.trim_end_matches('/'), value.trim());
            }
            _ => local += &format!("; {attribute}"),
        }
    }
    local
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(pair).collect()
    }

    #[test]
    fn what_concerns_one_connection_alone_stays_behind() {
        let from = headers(&[
            ("host", "localhost"),
            ("connection", "keep-alive, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("cookie", "a=b"),
            ("authorization", "Bearer x"),
            ("user-agent", "Lavf"),
            ("range", "bytes=0-"),
            ("if-none-match", "\"x\""),
        ]);
        let to = to_origin(&from, "localhost");
        let names = |headers: &HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&to), ["authorization", "cookie", "if-none-match", "range", "user-agent"]);
        assert_eq!(names(&unconditional(to)), ["authorization", "cookie", "user-agent"]);
    }

    #[test]
    fn a_referer_of_the_agent_is_the_origins_own() {
        for (referer, seen) in [
            ("http://localhost:9300/https/cdn.example/a", Some("https://cdn.example/a")),
            ("http://localhost:9300/", None),
            ("https://site.example/page", Some("https://site.example/page")),
        ] {
            let to = to_origin(&headers(&[("referer", referer)]), "localhost:9300");
            assert_eq!(to.get("referer").map(|v| v.to_str().expect("text")), seen);
        }
    }

    #[test]
    fn a_cookie_comes_back_for_its_own_host_alone() {
        let url = Url::parse("https://cdn.example/live/a").expect("a URL");
        let from = headers(&[
            ("set-cookie", "a=b; Domain=.example; Path=/live; Secure; HttpOnly; SameSite=None; Max-Age=9"),
            ("set-cookie", "c=d"),
            ("access-control-allow-origin", "*"),
            ("content-length", "7"),
        ]);
        let back = from_origin(&url, &from);
        let cookies: Vec<_> = back.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=b; Path=/https/cdn.example/live; HttpOnly; Max-Age=9", "c=d"]);
        assert_eq!(back.get("content-length"), Some(&HeaderValue::from_static("7")));
        assert_eq!(back.get("access-control-allow-origin"), None);
    }
}
