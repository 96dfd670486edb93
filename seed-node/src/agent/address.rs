//! Where a URL is found at the agent, and which requests are meant for it.
//!
//! `https://cdn.example:8443/live/a.m3u8?t=1` is at `/https/cdn.example:8443/live/a.m3u8?t=1`. Relative URLs in a playlist then lead to the
//! right place by themselves, hosts stay apart, and nothing has to be remembered to answer a request.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use rillcast_publisher::Url;

/// The path and query under which a URL is found; none for what isn't HTTP.
pub fn path_of(url: &Url) -> Option<String> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let host = url.host_str()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    Some(format!("/{}/{host}{port}{}{query}{fragment}", url.scheme(), url.path()))
}

/// The URL that a request's path and query stand for.
pub fn url_of(path: &str) -> Option<Url> {
    let (scheme, rest) = path.strip_prefix('/')?.split_once('/')?;
    if !matches!(scheme, "http" | "https") {
        return None;
    }
    let (authority, after) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    // Some players encode what the brackets and the colon of an address are.
    let authority = authority
        .replace("%5B", "[")
        .replace("%5b", "[")
        .replace("%5D", "]")
        .replace("%5d", "]")
        .replace("%3A", ":")
        .replace("%3a", ":");
    if authority.is_empty() || authority.contains(['@', '\\', '#', '%']) {
        return None;
    }
    Url::parse(&format!("{scheme}://{authority}{after}")).ok()
}

/// Whether a request that names this host is meant for an agent bound to that address. A page whose name leads to this machine (DNS
/// rebinding) names itself, so names other than `localhost` are refused.
pub fn is_ours(host: &str, bound: SocketAddr) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let Ok(ip) = bare.parse::<IpAddr>() else { return false };
    let loopback = |ip: IpAddr| ip.to_canonical().is_loopback();
    loopback(ip) || !loopback(bound.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_its_place_lead_to_each_other() {
        for (url, path) in [
            ("https://cdn.example/live/a.m3u8?t=1&u=/x", "/https/cdn.example/live/a.m3u8?t=1&u=/x"),
            ("http://cdn.example:8080/a%20b.ts", "/http/cdn.example:8080/a%20b.ts"),
            ("http://[::1]:81/", "/http/[::1]:81/"),
            ("https://cdn.example:443/x", "/https/cdn.example/x"),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(path_of(&url).as_deref(), Some(path));
            assert_eq!(url_of(path), Some(url));
        }
        assert_eq!(url_of("/http/%5B::1%5D%3A81/x"), Url::parse("http://[::1]:81/x").ok());
        assert_eq!(url_of("/https/cdn.example?x"), Url::parse("https://cdn.example/?x").ok());
    }

    #[test]
    fn what_stands_for_no_url_is_refused() {
        for path in [
            "",
            "/",
            "/https",
            "/https/",
            "/ftp/h/x",
            "/HTTP/h/x",
            "/http/u@h/x",
            "/http/h%40evil/x",
            "/http//h/x",
            "/http/h\\x/y",
            "http/h/x",
            "/http/h:99999/x",
        ] {
            assert_eq!(url_of(path), None, "{path}");
        }
        for url in ["ftp://h/x", "http://u@h/x", "http://u:p@h/x", "data:,x"] {
            assert_eq!(path_of(&Url::parse(url).expect("a URL")), None, "{url}");
        }
    }

    #[test]
    fn dots_do_not_lead_to_another_host() {
        let url = url_of("/https/cdn.example/live/../../../other.example/x").expect("a URL");
        assert_eq!(url.as_str(), "https://cdn.example/other.example/x");
    }

    #[test]
    fn names_but_for_localhost_are_somebody_elses() {
        let at = |address: &str| address.parse().expect("an address");
        for (host, loopback, open) in [
            ("localhost", true, true),
            ("LocalHost:9300", true, true),
            ("127.0.0.1:9300", true, true),
            ("127.8.0.1", true, true),
            ("[::1]:9300", true, true),
            ("192.0.2.7:9300", false, true),
            ("evil.example", false, false),
            ("localhost.evil.example:9300", false, false),
            ("evil@localhost", false, false),
            ("", false, false),
            ("no host", false, false),
        ] {
            assert_eq!(is_ours(host, at("127.0.0.1:9300")), loopback, "{host}");
            assert_eq!(is_ours(host, at("0.0.0.0:9300")), open, "{host}");
        }
    }
}
