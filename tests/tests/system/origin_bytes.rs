//! The origin's bytes: what it counts, what it hands out in part, how it fails when told to.

use crate::common;

use std::time::{Duration, Instant};

use common::{get, origin, request, small_library};
use rillcast_tests::origin::{Faults, Origin, OriginConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

async fn small_origin() -> Origin {
    origin(small_library(), OriginConfig::default()).await
}

#[tokio::test]
async fn the_ledger_counts_what_clients_received() {
    let origin = small_origin().await;
    let newest = origin.newest_live_segment();
    let path = format!("/live/600/seg-{newest}.ts");
    let whole = get(origin.addr(), &path).await.body.len() as u64;
    let part = request(origin.addr(), "GET", &path, &[("range", "bytes=100-299")]).await.body.len() as u64;
    let playlist = get(origin.addr(), "/live/600/index.m3u8").await.body.len() as u64;
    get(origin.addr(), "/pages/stats.js").await;
    let head = request(origin.addr(), "HEAD", &path, &[]).await;
    assert_eq!((part, head.header("content-length")), (200, Some(whole.to_string().as_str())));
    assert_eq!(origin.ledger().media_bytes(), whole + part);
    assert_eq!(origin.ledger().other_bytes(), playlist);
    let segments = origin.ledger().segments();
    let (id, segment) = segments.first_key_value().unwrap();
    assert_eq!((segments.len(), id.rendition.as_str(), id.number), (1, "600", newest));
    assert_eq!((segment.size, segment.bytes, segment.requests), (whole, whole + part, 3));
    assert_eq!(origin.ledger().media_bytes_to([127, 0, 0, 1].into()), whole + part);
    let clients = origin.ledger().clients();
    assert_eq!(clients.values().map(|client| client.media).sum::<u64>(), whole + part);
    assert_eq!(origin.ledger().media_per_second().iter().sum::<u64>(), whole + part);
    let copies = (whole + part) as f64 / whole as f64;
    assert!((origin.ledger().copies() - copies).abs() < 1e-9);
    let served: serde_json::Value =
        serde_json::from_str(&get(origin.addr(), "/ledger").await.text()).unwrap();
    assert_eq!(served["media_bytes"], whole + part);
    request(origin.addr(), "POST", "/ledger/reset", &[]).await;
    assert_eq!(origin.ledger().media_bytes() + origin.ledger().other_bytes(), 0);
}

#[tokio::test]
async fn an_aborted_transfer_costs_little_more_than_was_received() {
    let origin = small_origin().await;
    let path = "/vod/600/seg-0.ts";
    let whole = origin.segment(path).unwrap().len() as u64;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 * 1024).unwrap();
    let mut stream = socket.connect(origin.addr()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut received = vec![0; 20_000];
    stream.read_exact(&mut received).await.unwrap();
    // The origin has time to write all that the buffers between us hold.
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(stream);
    let headers = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let got = (received.len() - headers) as u64;
    let counted = origin.ledger().media_bytes();
    assert!(counted >= got, "{counted} < {got}");
    // Receive buffer (doubled by the kernel), send buffer (likewise), hyper's buffer and one piece.
    assert!(counted <= got + 2 * 8192 + 2 * 65_536 + 24 * 1024, "{counted} of {whole}, {got} received");
    assert!(counted < whole);
}

#[tokio::test]
async fn ranges_are_answered_at_under_and_over_the_end() {
    let origin = small_origin().await;
    let path = "/vod/300/seg-1.ts";
    let all = origin.segment(path).unwrap();
    let last = all.len() - 1;
    for (asked, status, part) in [
        ("bytes=0-0".to_owned(), 206, Some(0..1)),
        (format!("bytes=10-{}", last - 1), 206, Some(10..last)),
        (format!("bytes=10-{last}"), 206, Some(10..last + 1)),
        (format!("bytes=10-{}", last + 1), 206, Some(10..last + 1)),
        (format!("bytes={last}-"), 206, Some(last..last + 1)),
        (format!("bytes={}-", last + 1), 416, None),
        ("bytes=-5".to_owned(), 206, Some(last - 4..last + 1)),
        ("bytes=0-1,5-6".to_owned(), 200, Some(0..last + 1)),
    ] {
        let answer = request(origin.addr(), "GET", path, &[("range", &asked)]).await;
        assert_eq!(answer.status.as_u16(), status, "{asked}");
        let Some(part) = part else {
            assert_eq!(answer.header("content-range"), Some(format!("bytes */{}", all.len()).as_str()));
            continue;
        };
        assert_eq!(answer.body, all[part.clone()], "{asked}");
        if status == 206 {
            let stated = format!("bytes {}-{}/{}", part.start, part.end - 1, all.len());
            assert_eq!(answer.header("content-range"), Some(stated.as_str()));
        }
        assert_eq!(answer.header("accept-ranges"), Some("bytes"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let exposed = answer.header("access-control-expose-headers").unwrap();
        for name in ["Content-Range", "Content-Length", "Accept-Ranges"] {
            assert!(exposed.contains(name), "{exposed}");
        }
    }
    let etag = get(origin.addr(), path).await.header("etag").unwrap().to_owned();
    let same = request(origin.addr(), "GET", path, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    let other = request(origin.addr(), "GET", path, &[("range", "bytes=0-9"), ("if-range", "\"x\"")]).await;
    assert_eq!((other.status.as_u16(), other.body.len()), (200, all.len()));
}

#[tokio::test]
async fn preflights_allow_the_range_header() {
    let origin = small_origin().await;
    let answer = request(origin.addr(), "OPTIONS", "/vod/300/seg-1.ts", &[("origin", "http://x")]).await;
    assert_eq!(answer.status.as_u16(), 204);
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Range"));
}

#[tokio::test]
async fn segments_fail_as_told_while_playlists_go_on() {
    let origin = small_origin().await;
    for status in [404, 500] {
        origin.set_faults(Faults { segment_status: Some(status), ..Faults::default() });
        assert_eq!(get(origin.addr(), "/vod/300/seg-1.ts").await.status.as_u16(), status);
        assert_eq!(get(origin.addr(), "/vod/300/index.m3u8").await.status.as_u16(), 200);
    }
    assert_eq!(origin.ledger().media_bytes(), 0);
    origin.set_faults(Faults { segment_status: Some(404), for_ms: Some(300), ..Faults::default() });
    let begun = Instant::now();
    while get(origin.addr(), "/vod/300/seg-1.ts").await.status.as_u16() == 404 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn range_and_cors_can_be_taken_away() {
    let origin = small_origin().await;
    origin.set_faults(Faults { no_range: true, no_cors: true, ..Faults::default() });
    let answer = request(origin.addr(), "GET", "/vod/300/seg-1.ts", &[("range", "bytes=0-9")]).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.body.len() > 10);
    for name in ["accept-ranges", "content-range", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), None);
    }
}

#[tokio::test]
async fn throttles_hold_for_a_connection_and_for_all() {
    let origin = small_origin().await;
    let path = "/vod/300/seg-1.ts";
    let size = origin.segment(path).unwrap().len() as u64;
    // Rates such that a transfer has to take at least a second.
    origin.set_faults(Faults { connection_bytes_per_s: Some(size), ..Faults::default() });
    let begun = Instant::now();
    let (one, other) = tokio::join!(get(origin.addr(), path), get(origin.addr(), path));
    assert_eq!((one.body.len() as u64, other.body.len() as u64), (size, size));
    let apart = begun.elapsed();
    assert!(apart >= Duration::from_millis(900), "{apart:?}");
    origin.set_faults(Faults { total_bytes_per_s: Some(size), ..Faults::default() });
    let begun = Instant::now();
    tokio::join!(get(origin.addr(), path), get(origin.addr(), path));
    let together = begun.elapsed();
    assert!(together >= Duration::from_millis(1800), "{together:?}");
}

#[tokio::test]
async fn latency_is_added_and_faults_can_be_posted() {
    let origin = small_origin().await;
    let mut stream = tokio::net::TcpStream::connect(origin.addr()).await.unwrap();
    let body = r#"{"latency_ms": 300}"#;
    let post = format!("POST /faults HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(post.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    let begun = Instant::now();
    get(origin.addr(), "/vod/300/index.m3u8").await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let shown: Faults = serde_json::from_str(&get(origin.addr(), "/faults").await.text()).unwrap();
    assert_eq!(shown, Faults { latency_ms: 300, ..Faults::default() });
}
