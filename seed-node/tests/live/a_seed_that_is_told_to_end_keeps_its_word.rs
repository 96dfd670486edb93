//! A node that is told to end: what it has begun to give is given, nobody new comes, and a second word ends it at once.

use crate::support;

use rillcast_core::protocol::digest::BLOCK;
use support::origin::{Origin, RENDITIONS};
use support::program::{Program, signaling};
use support::viewer::Viewer;

/// So slow that a block is seen to be on its way.
const SLOW: [&str; 2] = ["--upload-cap", "24K"];

/// Whether what has come is whole blocks of segments of `low`.
fn is_whole(bytes: u64) -> bool {
    let (segment, block) = (RENDITIONS[0].1 as u64, u64::from(BLOCK));
    [0, block, segment - block].contains(&(bytes % segment))
}

/// A seed that has sent a part of a block, and who waits for the rest.
async fn caught_in_the_act(origin: &Origin, signal: &str, more: &[&str]) -> (Program, Viewer) {
    let mut seed = Program::seed(origin, signal, &[&SLOW[..], more].concat());
    seed.joined().await;
    let mut viewer = Viewer::start(origin, signal, "low");
    // The link, and the first segment in peace.
    viewer.play(origin, 1).await;
    let mut number = origin.state.newest();
    while is_whole(viewer.seeded()) {
        number += 1;
        let before = viewer.seeded();
        viewer.begin(origin, number, |v| v.seeded() > before).await;
    }
    (seed, viewer)
}

// R43 H12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_is_told_to_end_finishes_what_it_has_begun_and_takes_nobody_new() {
    let origin = Origin::start().await;
    let (running, signal) = signaling().await;
    let (mut seed, mut viewer) = caught_in_the_act(&origin, &signal, &["--drain", "1h"]).await;
    seed.tell("-TERM").await;
    viewer.until(|v| v.links_closed > 0).await;
    assert!(is_whole(viewer.seeded()), "{} bytes", viewer.seeded());
    assert!(seed.ended().await.success(), "and ends in order, long before its time is up");
    drop(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_word_ends_it_at_once() {
    let origin = Origin::start().await;
    let (_running, signal) = signaling().await;
    // The viewer says nothing any more, so its block isn't known to have arrived.
    let (mut seed, viewer) = caught_in_the_act(&origin, &signal, &["--drain", "1h"]).await;
    seed.tell("-TERM").await;
    while seed.metrics().await["rillcast_seed_joined"] > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    seed.tell("-INT").await;
    assert!(!seed.ended().await.success(), "it says that not all was given");
    drop(viewer);
}
