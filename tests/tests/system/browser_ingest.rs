//! ffmpeg pushes to a node, and browsers watch with peers: what they are handed is what was pushed, and not all of it comes from the node's HTTP.

use rillcast_tests::bench::ingest::{Run, Stage, Way};
use rillcast_tests::services::tape;
use sha2::{Digest, Sha256};

use crate::common::small_library;

// R1 R10 R33 R48
#[tokio::test]
async fn viewers_of_a_pushed_stream_share_it_and_get_it_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let tape = tape(folder.path(), 500).await.unwrap();
    let mut stage = Stage::set(small_library(), 2, &tape).await.unwrap();
    let viewers = stage.watch(Way::Peers, 12, (0, 1)).await.unwrap();
    let mut reports = Vec::new();
    for viewer in &viewers {
        viewer
            .page
            .wait_until("rcStats.state.hashing === 0", std::time::Duration::from_secs(20))
            .await
            .unwrap();
        reports.push(viewer.report().await.unwrap());
    }
    for report in &reports {
        assert!(report.decode_errors.is_empty() && report.hashes.len() >= 3, "{}", report.brief());
        for handed in &report.hashes {
            let pushed = stage.ingest().get(&handed.path).await.unwrap();
            let hash: String = Sha256::digest(&pushed).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(handed.sha256, hash, "{}", handed.path);
        }
    }
    let run = Run::of(Way::Peers, &reports).unwrap();
    assert!(run.peer_share + run.seed_share > 0.2, "{run:?}");
}
