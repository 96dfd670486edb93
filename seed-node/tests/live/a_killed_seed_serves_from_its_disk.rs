//! The program with a cache, killed in mid-stream and started again: what lies on disk comes from there, what isn't true any more from the
//! origin, and nothing twice that needn't.

use crate::support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::origin::{Origin, RENDITIONS, WINDOW};
use support::program::{Program, signaling};
use support::viewer::Viewer;

/// The copies under a directory, by the number of their segments.
fn copies(dir: &Path) -> Vec<(u64, PathBuf)> {
    let inside =
        |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().map(|e| e.expect("readable").path());
    let swarms = inside(dir).filter(|path| path.is_dir());
    let all = swarms.flat_map(|swarm| inside(&swarm).collect::<Vec<_>>());
    let number = |path: &Path| path.file_name()?.to_str()?.split('-').nth(2)?.parse().ok();
    let mut copies: Vec<_> = all.filter_map(|path| Some((number(&path)?, path))).collect();
    copies.sort();
    copies
}

// R19 R31 R43 R46 H12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_seed_serves_from_its_disk_what_is_true_there() {
    let origin = Origin::start().await;
    let (_signaling, signal) = signaling().await;
    let dir = tempfile::tempdir().expect("a directory");
    let (key, cache) = (dir.path().join("seed.key"), dir.path().join("cache"));
    let args = ["--key", key.to_str().expect("text"), "--cache-dir", cache.to_str().expect("text")];
    let mut seed = Program::seed(&origin, &signal, &args);
    let before = seed.joined().await;
    let mut viewer = Viewer::start(&origin, &signal, "high");
    viewer.play(&origin, 4).await;
    origin.state.stand_still();
    let newest = origin.state.newest();
    while copies(&cache).last().is_none_or(|(number, _)| *number < newest) {
        viewer.play_from(&origin, newest, 1).await;
    }
    seed.kill().await;
    drop(viewer);

    let there = copies(&cache);
    assert!(there.len() >= 4, "{there:?}");
    // One bit of one copy, half of another.
    let [.., (torn, torn_at), (flipped, flipped_at), _] = &there[..] else { panic!("{there:?}") };
    let mut bytes = std::fs::read(flipped_at).expect("there");
    bytes[100_000] ^= 1;
    std::fs::write(flipped_at, &bytes).expect("written");
    std::fs::write(torn_at, &bytes[..bytes.len() / 2]).expect("written");

    let mut seed = Program::seed(&origin, &signal, &args);
    let after = seed.joined().await;
    assert_eq!(before["publisher"], after["publisher"], "the key is the same");
    // A viewer without any source: what it takes, it verifies.
    let mut viewer = Viewer::start(&origin, &signal, "high");
    viewer.begin(&origin, newest, |v| v.seeded() > 0).await;
    // All that the playlist names is there again, two of them from the origin.
    let length = RENDITIONS[1].1 as u64;
    let listed = there.iter().filter(|(number, _)| *number + WINDOW > newest).count() as u64;
    let metrics = loop {
        let metrics = seed.metrics().await;
        if metrics["rillcast_seed_stored_bytes"] == listed * length {
            break metrics;
        }
        let soon = Instant::now() + Duration::from_millis(100);
        viewer.until(|_| Instant::now() > soon).await;
    };
    assert_eq!(metrics["rillcast_seed_published_bytes_total"], 2 * length);
    assert_eq!(metrics["rillcast_seed_recalled_bytes_total"], (listed - 2) * length);
    assert_eq!(metrics["rillcast_seed_cache_damaged_total"], 2);
    for (number, _) in &there {
        let twice = number == torn || number == flipped;
        assert_eq!(origin.state.served("high", *number), 1 + usize::from(twice), "segment {number}");
    }
    // They were fetched again, and so are kept again.
    while copies(&cache).len() < there.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // And the stream goes on.
    origin.state.go_on();
    viewer.play_from(&origin, newest + 1, 6).await;
    assert!(
        viewer.played().ends_with(&(newest + 1..=newest + 6).collect::<Vec<_>>()),
        "{:?}",
        viewer.played()
    );
    assert_eq!(viewer.false_blocks(), 0);
}
