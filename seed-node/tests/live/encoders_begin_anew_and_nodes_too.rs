//! Encoders are restarted, nodes are killed; no URL ever stands for other bytes, and what was pushed is signed.

use crate::support;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::program::signaling;
use support::station::{package, package_at, packager, probed, tape, uris};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

const PUSH: [&str; 8] = ["-f", "hls", "-hls_time", "2", "-hls_list_size", "8", "-method", "PUT"];

/// The program on a port of its own, its ingest directory the same each time.
async fn node(dir: &Path, port: u16, more: &[&str]) -> Child {
    let address = format!("127.0.0.1:{port}");
    let mut node = Command::new(env!("CARGO_BIN_EXE_rillcast-seed"))
        .args(["--ingest", &address, "--ingest-dir"])
        .arg(dir.join("ingest"))
        .args(["--metrics", "127.0.0.1:0"])
        .args(more)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it was built for this test");
    let mut out = BufReader::new(node.stdout.as_mut().expect("piped")).lines();
    let line = out.next_line().await.expect("readable").expect("a line");
    assert!(line.contains(&format!("\"ingest\":\"http://{address}/\"")), "{line}");
    node
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port()
}

async fn text(url: &str) -> String {
    reqwest::get(url).await.expect("answers").text().await.expect("text")
}

/// Everything under a playlist: its bytes by URL.
async fn all(playlist: &str) -> HashMap<String, bytes::Bytes> {
    let base = playlist.rsplit_once('/').expect("a path").0;
    let shown = text(playlist).await;
    let mut found = HashMap::new();
    for uri in uris(&shown) {
        let answer = reqwest::get(format!("{base}/{uri}")).await.expect("answers");
        assert!(answer.status().is_success(), "{uri}");
        found.insert(uri.to_owned(), answer.bytes().await.expect("bytes"));
    }
    assert_eq!(found.len(), uris(&shown).len(), "no URL twice: {shown}");
    found
}

// H12 R43 R52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_restarts_of_both_the_stream_goes_on_and_old_urls_keep_their_bytes() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a directory");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/tv/index.m3u8");
    let whole = format!("{url}?window=1h");
    let (picture, tone) = (dir.path().join("picture.mkv"), dir.path().join("tone.mkv"));
    tape(&picture, 8, true).await;
    tape(&tone, 8, false).await;

    let mut running = node(dir.path(), port, &[]).await;
    // Ten times as fast as they play.
    package_at(Some("10"), &picture, &PUSH, &url).await;
    let first = all(&whole).await;
    assert_eq!(first.len(), 4);
    // Killed, with an upload under way.
    let mut half = TcpStream::connect(("127.0.0.1", port)).await.expect("connects");
    let begin = "PUT /tv/half.ts HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf";
    half.write_all(begin.as_bytes()).await.expect("sent");
    let part = dir.path().join("ingest/tv/parts");
    while std::fs::read_dir(&part).expect("there").count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.kill().await.expect("it ran");
    let _running = node(dir.path(), port, &[]).await;
    assert_eq!(all(&whole).await, first);
    assert_eq!(std::fs::read_dir(&part).expect("there").count(), 0, "what was half is gone");

    // An encoder begins anew with the same names, and with other bytes under them.
    package_at(Some("10"), &tone, &PUSH, &url).await;
    let second = all(&whole).await;
    assert_eq!(second.len(), 8);
    for (uri, bytes) in &first {
        assert_eq!(second.get(uri), Some(bytes), "{uri}");
    }
    let shown = text(&whole).await;
    assert_eq!(shown.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{shown}");
    let different: HashSet<_> = second.values().map(|bytes| blake3::hash(bytes)).collect();
    assert_eq!(different.len(), 8);
    let (codecs, _) = probed(&whole, 6).await;
    assert_eq!(codecs, ["aac", "h264"]);
}

// R10 R33 R48
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_signed_as_soon_as_it_is_there_over_a_restart_of_the_encoder_too() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a directory");
    let (_signaling, signal) = signaling().await;
    let port = free_port();
    // Viewers know it by another name; nothing is fetched from there.
    let public = "https://tv.invalid/live/";
    let manifest = format!("{public}tv/index.m3u8");
    let more = ["--ingest-url", public, "--manifest", &manifest, "--signal", &signal, "--udp", "127.0.0.1:0"];
    let mut running = node(dir.path(), port, &[&more[..], &["--all-renditions"]].concat()).await;
    let mut out = BufReader::new(running.stdout.take().expect("piped")).lines();
    let url = format!("http://127.0.0.1:{port}/live/tv/index.m3u8");
    let at = dir.path().join("tape.mkv");
    tape(&at, 12, true).await;
    // At the speed of playing: each segment has its own moment.
    let mut encoder = packager(&at, &PUSH, &url);
    encoder.wait().await.expect("it ends");
    let joined = out.next_line().await.expect("readable").expect("a line");
    let joined: serde_json::Value = serde_json::from_str(&joined).expect("JSON");
    assert_eq!(joined["joined"], manifest.as_str());
    let metrics = format!("http://{}/metrics", joined["metrics"].as_str().expect("was asked for"));
    let value = async |name: &str| {
        let shown = text(&metrics).await;
        let line =
            shown.lines().find(|line| line.starts_with(name) && !line.starts_with('#')).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).expect("the series is there")
    };
    let begun = Instant::now();
    while value("rillcast_seed_published_total").await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nothing is signed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // Now that it is followed, all of another life is signed, though it comes much faster than a playlist is looked at.
    let before = value("rillcast_seed_published_total").await;
    let other = dir.path().join("other.mkv");
    tape(&other, 12, false).await;
    package(&other, &PUSH, &url).await;
    let begun = Instant::now();
    while value("rillcast_seed_published_total").await < before + 6 {
        assert!(begun.elapsed() < Duration::from_secs(30), "six segments more: {}", text(&metrics).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for name in
        ["rillcast_seed_conflicts_total", "rillcast_seed_skipped_total", "rillcast_ingest_refused_total"]
    {
        assert_eq!(value(name).await, 0, "{name}");
    }
    assert_eq!(value("rillcast_ingest_stream_live").await, 1);
}
