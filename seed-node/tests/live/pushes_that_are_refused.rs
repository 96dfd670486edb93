//! Who may push, what, and how much; and that half of something is nothing.

use crate::support;

use std::time::Duration;

use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_publisher::playlist::MAX_PLAYLIST;
use support::station::{KEY, Station, packager, tape, uris};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

// R35 R48 H1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_pushes_without_the_key_and_everybody_reads() {
    let station = Station::locked(&[]).await;
    let url = station.url("tv/0.ts");
    for (key, status) in [(None, 401), (Some("another-key-of-length"), 401), (Some(KEY), 201)] {
        for method in [reqwest::Method::PUT, reqwest::Method::POST] {
            let request = station.http.request(method, &url).body("media");
            let request = if let Some(key) = key { request.bearer_auth(key) } else { request };
            let answer = request.send().await.expect("answers");
            assert_eq!(answer.status(), status, "{key:?}");
            if status == 401 {
                assert!(answer.headers().contains_key("www-authenticate"));
                assert!(answer.text().await.expect("text").contains("needs its key"));
            }
        }
    }
    assert_eq!(station.http.delete(&url).send().await.expect("answers").status(), 401);
    assert_eq!(
        station.http.delete(&url).basic_auth("x", Some(KEY)).send().await.expect("answers").status(),
        204
    );
    assert_eq!(station.text("tv/0.ts").await, "media", "what is deleted is kept for viewers");
    // ffmpeg comes with a wrong one, and nothing is taken.
    let at = station.dir.path().join("tape.mkv");
    tape(&at, 4, false).await;
    let to = format!("http://x:wrong-key-of-some-length@{}/radio/index.m3u8", station.authority());
    packager(&at, &["-f", "hls", "-method", "PUT"], &to).wait().await.expect("it ends");
    assert_eq!(station.get("radio/index.m3u8").await.status(), 404);
    station.node.stop().await;
}

// H6 H8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_name_no_media_or_too_much_is_refused_with_advice() {
    let station = Station::start(&[]).await;
    for (path, status, word) in [
        ("tv", 400, "/NAME/FILE"),
        ("tv/", 400, "/NAME/FILE"),
        ("tv/a/../../../etc.ts", 400, "/NAME/FILE"),
        ("tv/%2e%2e%2fa.ts", 400, "letters"),
        ("tv/.hidden.ts", 400, "letters"),
        ("tv/a.html", 400, "ending"),
        ("tv/a/b/c/d/e.ts", 400, "components"),
        ("~1/a.ts", 400, "letters"),
        ("tv/bad.m3u8", 400, "#EXTM3U"),
        ("tv/bad.mpd", 400, "<MPD>"),
    ] {
        let answer = station.put(path, "nonsense").await;
        assert_eq!(answer.status(), status, "{path}");
        let text = answer.text().await.expect("text");
        assert!(text.contains(word), "{path}: {text}");
    }
    // The client resolves `..`; a hostile one doesn't.
    let mut raw = TcpStream::connect(station.authority()).await.expect("connects");
    let request = "PUT /tv/../../x.ts HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx";
    raw.write_all(request.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    raw.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 400");
    let elsewhere = "#EXTM3U\n#EXTINF:2,\nhttp://other.example/0.ts\n";
    let text = station.put("tv/index.m3u8", elsewhere).await.text().await.expect("text");
    assert!(text.contains("relative URL"), "{text}");
    assert_eq!(station.http.patch(station.url("tv/0.ts")).send().await.expect("answers").status(), 405);
    assert_eq!(station.get("tv/index.m3u8?window=long").await.status(), 400);
    assert_eq!(station.get("tv/index.m3u8?window=2h").await.status(), 404, "nothing is here");
    assert_eq!(station.get("../etc/passwd").await.status(), 404);

    let media = |bytes: u32| vec![7; bytes as usize];
    for (bytes, status) in [(MAX_SEGMENT - 1, 201), (MAX_SEGMENT, 201), (MAX_SEGMENT + 1, 413)] {
        assert_eq!(station.put("tv/big.ts", media(bytes)).await.status(), status, "{bytes}");
    }
    for (bytes, status) in [(MAX_PLAYLIST - 1, 201), (MAX_PLAYLIST, 201), (MAX_PLAYLIST + 1, 413)] {
        let playlist = format!("#EXTM3U\n#{}", "x".repeat(bytes - 9));
        assert_eq!(station.put("tv/big.m3u8", playlist).await.status(), status, "{bytes}");
    }
    station.node.stop().await;
}

fn list(last: u32) -> String {
    let segments: String = (0..=last).map(|n| format!("#EXTINF:2,\n{n}.ts\n")).collect();
    format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{segments}")
}

// Programs that push keep connections in stock: what comes by one that was opened early was said late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_by_a_connection_that_was_opened_early_is_no_older_than_it_is() {
    let station = Station::start(&[]).await;
    let mut early = TcpStream::connect(station.authority()).await.expect("connects");
    tokio::time::sleep(Duration::from_millis(200)).await;
    for (path, body) in [("tv/0.ts", "zero"), ("tv/1.ts", "one"), ("tv/index.m3u8", &list(0))] {
        assert_eq!(station.put(path, body.to_owned()).await.status(), 201);
    }
    let list = list(1);
    let request =
        format!("PUT /tv/index.m3u8 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{list}", list.len());
    early.write_all(request.as_bytes()).await.expect("sent");
    let mut head = [0; 12];
    early.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 201");
    assert_eq!(uris(&station.text("tv/index.m3u8").await).len(), 2);
    station.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_segment_is_nobody_s_and_its_playlist_waits() {
    let station = Station::start(&[]).await;
    station.put("tv/0.ts", "zero").await;
    station.put("tv/index.m3u8", list(0)).await;
    let mut raw = TcpStream::connect(station.authority()).await.expect("connects");
    let begin = "PUT /tv/1.ts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
    raw.write_all(begin.as_bytes()).await.expect("sent");
    // Until it is noticed that it comes.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(station.get("tv/1.ts").await.status(), 404);
    assert_eq!(station.put("tv/index.m3u8", list(1)).await.status(), 201);
    assert_eq!(uris(&station.text("tv/index.m3u8").await).len(), 1);
    raw.write_all(b"4\r\nhalf\r\n0\r\n\r\n").await.expect("sent");
    let mut head = [0; 12];
    raw.read_exact(&mut head).await.expect("an answer");
    assert_eq!(&head, b"HTTP/1.1 201");
    assert_eq!(uris(&station.text("tv/index.m3u8").await).len(), 2);
    assert_eq!(station.text("tv/1.ts").await, "firsthalf");

    // An encoder that is killed in the middle of a segment.
    let mut raw = TcpStream::connect(station.authority()).await.expect("connects");
    raw.write_all(begin.replace("1.ts", "2.ts").as_bytes()).await.expect("sent");
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(raw);
    station.put("tv/3.ts", "three").await;
    station.put("tv/index.m3u8", list(3)).await;
    let begun = std::time::Instant::now();
    while !station.text("tv/index.m3u8").await.contains("#EXT-X-GAP") {
        assert!(begun.elapsed() < Duration::from_secs(20), "what is lost isn't waited for");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(station.get("tv/2.ts").await.status(), 404);
    let parts = std::fs::read_dir(station.dir.path().join("ingest/tv/parts")).expect("there").count();
    assert_eq!(parts, 0, "nothing is left of it");
    station.node.stop().await;
}
