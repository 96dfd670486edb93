//! Where a site hides its viewers' addresses, browsers are linked through its relay alone and tell nobody where they are (R35, R36, R41, H4).
//! The relay is coturn.

use crate::common;

use std::net::IpAddr;

use common::library;
use rillcast_tests::browser::Kind;
use rillcast_tests::hostile::names::Quiet;
use rillcast_tests::netlab::Link;
use rillcast_tests::scene::{Links, Plan, Scene, Viewer};
use serde::Deserialize;

/// A connection of a page.
#[derive(Debug, Deserialize)]
struct Wire {
    /// Candidates that it found.
    gathered: Vec<String>,
    /// What it was told of the other end.
    heard: Vec<String>,
    /// Kinds of candidates that it runs between, while it is open.
    ends: Option<(String, String)>,
}

async fn wires(viewer: &Viewer) -> Vec<Wire> {
    viewer.page.eval("rcStats.wires()").await.unwrap()
}

/// Whether one of these texts tells of this address.
fn tells<'a>(texts: impl IntoIterator<Item = &'a String>, address: IpAddr) -> bool {
    let address = address.to_string();
    // As a word: 10.77.0.1 isn't told by 10.77.0.12.
    let words = |text: &'a String| text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    texts.into_iter().flat_map(words).any(|word| word == address)
}

/// Fails if one of these texts tells where somebody is.
fn tells_nothing<'a>(texts: impl IntoIterator<Item = &'a String> + Copy, addresses: &[IpAddr]) {
    for address in addresses {
        assert!(!tells(texts, *address), "{address} is told: {:?}", texts.into_iter().collect::<Vec<_>>());
    }
    let named = texts.into_iter().find(|text| text.contains(".local"));
    assert_eq!(named, None, "a name that resolves at home");
}

#[tokio::test]
async fn viewers_behind_a_relay_share_and_nobody_learns_where_they_are() {
    let scene = Scene::set(library(), Plan { links: Links::Relayed, ..Plan::LIVE }).await.unwrap();
    let relay = scene.turn.as_ref().unwrap().address().ip();
    // Before the others, so that it is introduced to each of them.
    let crawler = scene.hostile("crawler", Quiet).await.unwrap();
    let viewers = [
        scene.viewer_with(Kind::Chromium, Link::VIEWER, "&wires").await.unwrap(),
        scene.viewer_with(Kind::Chromium, Link::VIEWER, "&wires").await.unwrap(),
        scene.viewer_with(Kind::Firefox, Link::VIEWER, "&wires").await.unwrap(),
    ];
    viewers[2].plays(20).await.unwrap();
    let addresses: Vec<IpAddr> = viewers.iter().map(|viewer| viewer.host.address()).collect();
    let (mut consumed, mut shared, mut open, mut kept) = (0, 0, 0, 0);
    for viewer in &viewers {
        let report = scene.intact(viewer).await.unwrap();
        (consumed, shared) = (consumed + report.consumed_bytes, shared + report.sources.peers);
        for wire in wires(viewer).await {
            tells_nothing(&wire.heard, &addresses);
            for candidate in &wire.gathered {
                assert!(candidate.contains(" typ relay"), "{candidate}");
            }
            // Browsers may know better than what is told.
            kept +=
                wire.gathered.iter().filter(|candidate| tells([*candidate], viewer.host.address())).count();
            let Some((here, there)) = &wire.ends else { continue };
            assert_eq!(here, "relay");
            if tells(&wire.heard, crawler.host.address()) {
                continue;
            }
            // The other end may be heard of by its first packet, which comes from its relay too, before its candidate does.
            assert!(["relay", "prflx"].contains(&there.as_str()), "{there}");
            open += 1;
        }
    }
    assert!(open >= 4, "two of the three links at least, seen from both ends: {open}");
    let source = scene.origin.ledger().media_bytes();
    println!(
        "through the relay: {shared} bytes between viewers, savings {:.2}; {kept} candidates named where they were gathered, and weren't told so",
        1.0 - source as f64 / consumed as f64
    );
    assert!(shared > 0 && source < consumed, "{shared} shared; {source} of {consumed}");
    // All that could tell the crawler where somebody is: candidates, and it got some of each.
    let log = crawler.hostile.log();
    assert!(log.candidates.len() >= viewers.len(), "{:?}", log.candidates);
    let candidates: Vec<String> = log.candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
    tells_nothing(&candidates, &addresses);
    for candidate in &candidates {
        assert!(candidate.contains(&format!(" {relay} ")), "{candidate}");
    }
    println!("the crawler heard {} candidates, all of the relay", log.candidates.len());
}

#[tokio::test]
async fn without_a_relay_viewers_who_are_to_be_hidden_have_no_peers_and_play() {
    let scene = Scene::set(library(), Plan { links: Links::RelayedInVain, ..Plan::LIVE }).await.unwrap();
    let crawler = scene.hostile("crawler", Quiet).await.unwrap();
    let viewers = [
        scene.viewer_with(Kind::Chromium, Link::VIEWER, "&wires").await.unwrap(),
        scene.viewer_with(Kind::Chromium, Link::VIEWER, "&wires").await.unwrap(),
    ];
    viewers[1].plays(12).await.unwrap();
    for viewer in &viewers {
        let report = scene.intact(viewer).await.unwrap();
        assert_eq!((report.sources.peers, report.uploaded), (0, 0));
        let wires = wires(viewer).await;
        let told = wires.iter().find(|wire| wire.ends.is_some() || !wire.heard.is_empty());
        assert!(told.is_none(), "{told:?}");
    }
    let log = crawler.hostile.log();
    assert!(log.candidates.is_empty() && log.introduced == 0, "{log:?}");
}
