//! Health, metrics, hosted segments over HTTP, cross-origin rules.

use std::time::Instant;

use bytes::Bytes;
use reqwest::header;
use rillcast_protocol::id::{SwarmId, TrackId};
use rillcast_protocol::signal::hosted_path;

use crate::kit::{key_of, server, server_with, url};

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
