//! A plain hls.js viewer plays the origin's stream in real browsers: everything else is measured against this.

use crate::common;

use std::time::Duration;

use common::library;
use rillcast_tests::browser::{Browser, Kind, Launch};
use rillcast_tests::netlab::{Lab, Link};
use rillcast_tests::origin::{Origin, OriginConfig};
use rillcast_tests::site;
use serde_json::Value;

async fn plays(kind: Kind, stream: &str) {
    let lab = Lab::new().unwrap();
    let at = lab.add("origin", Link::ORIGIN).unwrap();
    let viewer = lab.add("viewer", Link::VIEWER).unwrap();
    let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
    let origin = Origin::start_on(library(), config, at.listen(8080).unwrap()).await.unwrap();
    let launch = Launch::new(kind).in_namespace(viewer.namespace()).trusting(&origin.url(""));
    let browser = Browser::launch(&launch).await.unwrap();
    let page = browser.open(&origin.url(&format!("/pages/plain.html?sha&src={stream}"))).await.unwrap();
    page.wait_until("rcStats.state.playedMs > 10000", Duration::from_secs(90)).await.unwrap();
    page.wait_until("rcStats.state.hashing === 0", Duration::from_secs(30)).await.unwrap();
    let report: Value = page.eval("rcStats.report()").await.unwrap();
    assert_eq!(report["decode_errors"], serde_json::json!([]), "{report}");
    let hashes = report["hashes"].as_array().unwrap();
    assert!(hashes.len() >= 3, "{report}");
    for handed in hashes {
        let path = handed["path"].as_str().unwrap();
        assert_eq!(handed["sha256"].as_str().unwrap(), origin.sha256(path).unwrap(), "{path}");
    }
    let consumed = report["consumed_bytes"].as_u64().unwrap();
    assert!(consumed > 500_000, "{report}");
    assert!(origin.ledger().media_bytes() >= consumed);
    assert!(browser.cpu_ms() > 0);
    if std::env::var_os("RILLCAST_VERBOSE").is_some() {
        println!("{} {}", browser.version(), serde_json::to_string_pretty(&report).unwrap());
    }
}

#[tokio::test]
async fn chromium_plays_transport_streams() {
    plays(Kind::Chromium, "/live/master.m3u8").await;
}

#[tokio::test]
async fn chromium_plays_fragmented_mp4() {
    plays(Kind::Chromium, "/live-fmp4/master.m3u8").await;
}

#[tokio::test]
async fn firefox_plays_transport_streams() {
    plays(Kind::Firefox, "/live/master.m3u8").await;
}
