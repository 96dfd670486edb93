//! A node that signs and does nothing else.

use crate::support;

use std::time::{Duration, Instant};

use support::origin::{Origin, RENDITIONS};
use support::program::{Program, signaling};
use support::viewer::Viewer;

// R10 R19
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_signs_reaches_viewers_and_nobody_is_linked_with_it() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling().await;
    let mut publisher = Program::seed(&origin, &signal, &["--publish-only"]);
    let said = publisher.joined().await;
    let mut viewer = Viewer::start(&origin, &signal, "low");
    let begun = Instant::now();
    viewer.until(|v| !v.publishers.is_empty()).await;
    assert_eq!(viewer.publishers[0].to_string(), said["publisher"].as_str().expect("a key"));
    // Both renditions, though nobody says that the other one is played.
    let least = 3 * RENDITIONS.len() as u64;
    while publisher.metrics().await["rillcast_seed_published_total"] < least {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is signed");
        let _ = tokio::time::timeout(Duration::from_millis(500), viewer.until(|v| v.open_links > 0)).await;
    }
    let metrics = publisher.metrics().await;
    assert_eq!(viewer.open_links, 0);
    for name in ["links", "stored_bytes", "uploaded_bytes_total", "conflicts_total"] {
        assert_eq!(metrics[&format!("rillcast_seed_{name}")], 0, "{name}");
    }
    assert_eq!(metrics["rillcast_seed_tracks_followed"], RENDITIONS.len() as u64);
}
