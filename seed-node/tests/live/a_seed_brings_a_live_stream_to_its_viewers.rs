//! Real parts: signaling, an origin, a seed node, and viewers that have no source at all, so that every byte they play
//! came from the seed or from each other.

use crate::support;

use std::sync::PoisonError;
use std::time::Duration;

use clap::Parser;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use rillcast_seed::picture::Picture;
use rillcast_signaling::options::Options as SignalOptions;
use support::origin::{Origin, RENDITIONS};
use support::viewer::Viewer;

async fn signaling() -> (rillcast_signaling::server::Running, String) {
    let options = SignalOptions {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        ..SignalOptions::default()
    };
    let running = rillcast_signaling::server::start(options).await.expect("a free port");
    let url = format!("ws://{}", running.listening[0]);
    (running, url)
}

fn options(origin: &Origin, signal: &str, more: &[&str]) -> Options {
    let manifest = origin.url("master.m3u8");
    let base = ["rillcast-seed", "--manifest", &manifest, "--signal", signal, "--udp", "127.0.0.1:0"];
    Options::try_parse_from(base.iter().chain(more)).expect("flags that exist")
}

async fn seed(origin: &Origin, signal: &str, more: &[&str]) -> Node {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    let settings = options(origin, signal, more).settle().expect("settings that make sense");
    let mut node = Node::start(settings).await.expect("a node");
    node.joined().await.expect("it joins");
    node
}

fn picture(node: &Node) -> Picture {
    node.swarms[0].1.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_brings_a_live_stream_to_its_viewers() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling().await;
    let node = seed(&origin, &signal, &[]).await;
    let mut viewer = Viewer::start(&origin, &signal, "high");
    let shares = viewer.play(&origin, 5).await;
    assert_eq!(shares.source, 0);
    assert_eq!(shares.seeds as usize, 5 * RENDITIONS[1].1);
    let seen = picture(&node);
    assert_eq!(seen.followed, 1, "only the rendition that is played is followed");
    assert_eq!(seen.conflicts + seen.skipped, 0);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_seed_is_missed_at_once() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling().await;
    let node = seed(&origin, &signal, &["--all-renditions"]).await;
    let mut viewer = Viewer::start(&origin, &signal, "low");
    viewer.play(&origin, 1).await;
    // Who plays has one of them from it; it may still be reading the others' playlists.
    while picture(&node).followed < RENDITIONS.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.stop().await;
    // Its goodbye, not a time-out: a silent link would take eight seconds.
    let before = std::time::Instant::now();
    viewer.until(|v| v.links_closed > 0).await;
    assert!(before.elapsed() < rillcast_seed::rtc::link::SILENCE / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchange_goes_on_after_signaling_dies() {
    let origin = Origin::start().await;
    let (signaling, signal) = signaling().await;
    let node = seed(&origin, &signal, &[]).await;
    let mut viewer = Viewer::start(&origin, &signal, "high");
    viewer.play(&origin, 2).await;
    signaling.stop().await;
    // Segments that didn't exist when it died: the seed finds, signs and tells of them by itself.
    let played = tokio::time::timeout(Duration::from_secs(60), viewer.play(&origin, 4)).await;
    let shares = played.expect("what is new goes on coming from the seed");
    assert_eq!((shares.source, shares.seeds as usize), (0, 4 * RENDITIONS[1].1));
    node.stop().await;
}
