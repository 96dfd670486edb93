//! The program with a cache, killed in mid-stream and started again: what lies on disk comes from there, what isn't true any more from the
//! origin, and nothing twice that needn't.

use crate::support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use support::origin::{Origin, RENDITIONS};
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
    // A viewer without any source: it compares every byte with the origin's.
    let mut viewer = Viewer::start(&origin, &signal, "high");
    let shares = viewer.play_from(&origin, *torn, 3).await;
    assert_eq!(shares.seeds as usize, 3 * RENDITIONS[1].1);
    for (number, _) in &there {
        let twice = number == torn || number == flipped;
        assert_eq!(origin.state.served("high", *number), 1 + usize::from(twice), "segment {number}");
    }
    let metrics = seed.metrics().await;
    assert_eq!(metrics["rillcast_seed_cache_damaged_total"], 2);
    assert!(metrics["rillcast_seed_cache_read_bytes_total"] >= RENDITIONS[1].1 as u64);
    // They were fetched again, and so are kept again.
    while copies(&cache).len() < there.len() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
