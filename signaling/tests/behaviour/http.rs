//! Health, metrics, hosted segments over HTTP, cross-origin rules.

use std::time::Instant;

use bytes::Bytes;
use reqwest::{StatusCode, header};
use rillcast_protocol::id::{SwarmId, TrackId};
use rillcast_protocol::signal::hosted_path;
use rillcast_signaling::{Options, start};

use crate::kit::{key_of, loopback, server, server_with, url};

#[tokio::test]
async fn health_and_metrics_can_be_read() {
    let server = server().await;
    let health = reqwest::get(url(&server, "/health")).await.expect("answers").text().await.expect("text");
    let health: serde_json::Value = serde_json::from_str(&health).expect("json");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["insecure_open"], false);
    let metrics = reqwest::get(url(&server, "/metrics")).await.expect("answers").text().await.expect("text");
    for name in ["rillcast_peers 0", "rillcast_hosted_bytes 0", "# TYPE rillcast_joins_total counter"] {
        assert!(metrics.contains(name), "{name}");
    }
    for line in metrics.lines() {
        assert!(line.starts_with("# ") || line.split(' ').count() == 2, "{line}");
    }
}

#[tokio::test]
async fn hosted_ranges_are_answered_as_http_wants() {
    let (server, _dir) = server_with("", &[]).await;
    let (swarm, key) = (SwarmId([1; 16]), key_of(TrackId(2), 3));
    let body: Bytes = (0..100_000u32).map(|i| ((i * 7) >> 3) as u8).collect();
    assert!(server.hub.host.put(swarm, key, body.clone(), Instant::now()));
    let base = url(&server, &format!("/hosted/{}", hosted_path(swarm, key)));
    let http = reqwest::Client::new();
    let get = async |range: &str| http.get(&base).header(header::RANGE, range).send().await.expect("answers");
    let answer = get("bytes=1000-1999").await;
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()[header::CONTENT_RANGE], "bytes 1000-1999/100000");
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.bytes().await.expect("whole"), body.slice(1000..2000));
    for (range, status) in [
        ("bytes=1999-2000", 410),
        ("bytes=0-1000", 410),
        ("bytes=0-99999", 410),
        ("bytes=100000-", 416),
        ("bytes=9-8", 400),
        ("bytes=1-2,4-5", 400),
        ("pages=1-2", 400),
        ("bytes=2000-999999", 206),
        ("bytes=0-999", 206),
        ("bytes=0-0", 410),
    ] {
        assert_eq!(get(range).await.status(), status, "{range}");
    }
    assert_eq!(http.get(&base).send().await.expect("answers").status(), 410);
    let unknown = url(&server, &format!("/hosted/{}", hosted_path(SwarmId([2; 16]), key)));
    assert_eq!(http.get(unknown).send().await.expect("answers").status(), 404);
    let nonsense = url(&server, "/hosted/xyz/00");
    assert_eq!(http.get(nonsense).send().await.expect("answers").status(), 400);
    assert_eq!(server.hub.metrics.hosted_served_bytes_total.value(), 100_000);
}

#[tokio::test]
async fn browsers_may_ask_for_ranges_from_any_page() {
    let server = server().await;
    let http = reqwest::Client::new();
    let ask = http.request(reqwest::Method::OPTIONS, url(&server, "/hosted/a/b"));
    let answer = ask.header("origin", "https://x.example").send().await.expect("answers");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS], "range, if-none-match");
    let admin = http.request(reqwest::Method::OPTIONS, url(&server, "/admin/sites/demo/enabled"));
    let answer = admin.send().await.expect("answers");
    assert!(
        !answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        "no page may change settings"
    );
}

#[tokio::test]
async fn metrics_are_read_from_this_machine_with_the_admin_token_or_where_they_are_open() {
    let dir = tempfile::tempdir().expect("dir");
    let admin = dir.path().join("token");
    std::fs::write(&admin, "0123456789abcdef0123").expect("write");
    let ask = async |options: Options, from: Option<&str>, token: Option<&str>| {
        let server = start(Options { listen: vec![loopback()], ..options }).await.expect("starts");
        let mut request = reqwest::Client::new().get(url(&server, "/metrics"));
        if let Some(from) = from {
            request = request.header("x-forwarded-for", from);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.expect("answers");
        (answer.status(), answer.text().await.expect("text"))
    };
    let proxied = || Options {
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        admin_token_file: Some(admin.clone()),
        ..Options::default()
    };
    assert_eq!(ask(Options::default(), None, None).await.0, StatusCode::OK);
    // Nobody has named the proxy on this machine: it isn't the machine that asks, whatever it says (H8).
    for from in ["203.0.113.7", "127.0.0.1"] {
        assert_eq!(ask(Options::default(), Some(from), None).await.0, StatusCode::FORBIDDEN, "{from}");
    }
    assert_eq!(ask(proxied(), Some("127.0.0.1"), None).await.0, StatusCode::OK);
    let right = Some("0123456789abcdef0123");
    assert_eq!(ask(proxied(), Some("203.0.113.7"), right).await.0, StatusCode::OK);
    let open = || Options { metrics_open: true, ..proxied() };
    assert_eq!(ask(open(), Some("203.0.113.7"), None).await.0, StatusCode::OK);
    // A proxy that doesn't say for whom it asks is nobody of this machine.
    for (from, token) in
        [(Some("203.0.113.7"), None), (Some("203.0.113.7"), Some("0123456789abcdef0124")), (None, None)]
    {
        let (status, text) = ask(proxied(), from, token).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{from:?}");
        assert!(text.contains("--metrics-open") && !text.contains("rillcast_peers"), "{text}");
    }
}

#[tokio::test]
async fn health_tells_how_many_watch_to_those_who_may_read_metrics() {
    let proxied = Options {
        listen: vec![loopback()],
        trusted_proxy: vec!["127.0.0.1".parse().expect("an address")],
        ..Options::default()
    };
    let server = start(proxied).await.expect("starts");
    for (from, told) in [("127.0.0.1", true), ("203.0.113.7", false)] {
        let request = reqwest::Client::new().get(url(&server, "/health")).header("x-forwarded-for", from);
        let text = request.send().await.expect("answers").text().await.expect("text");
        let health: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(health["status"], "ok");
        assert_eq!((health["peers"].is_u64(), health["swarms"].is_u64()), (told, told), "{from}");
    }
}
