//! Chromiums play a low-latency stream in parts, with hls.js, and get parts from each other; the built-in publisher signs them.

use rillcast_tests::scene::{Plan, Scene};

use crate::common::small_library;

// R1 R2 R10
#[tokio::test]
async fn viewers_of_a_low_latency_stream_give_each_other_parts() {
    let plan = Plan { stream: "/live-ll/master.m3u8", ..Plan::LIVE };
    let scene = Scene::set(small_library(), plan).await.unwrap();
    let viewers =
        [scene.viewer().await.unwrap(), scene.viewer().await.unwrap(), scene.viewer().await.unwrap()];
    // Until they have met; the others play meanwhile.
    viewers[2].plays(5).await.unwrap();
    let mut before = Vec::new();
    for viewer in &viewers {
        before.push(viewer.report().await.unwrap().sources);
    }
    viewers[2].plays(10).await.unwrap();
    let (mut peers, mut all) = (0, 0);
    for (viewer, before) in viewers.iter().zip(before) {
        let report = scene.intact(viewer).await.unwrap();
        let now = &report.sources;
        peers += now.peers - before.peers;
        all += now.peers + now.http + now.publisher - before.peers - before.http - before.publisher;
        let parts = report.hashes.iter().filter(|handed| handed.path.contains("/part-")).count();
        println!(
            "{parts} of {} in parts, {:?} s behind; {}",
            report.hashes.len(),
            report.latency_s,
            report.brief()
        );
        assert!(parts * 2 > report.hashes.len(), "it plays parts: {}", report.brief());
        assert_eq!(report.stalls, 0, "{}", report.brief());
    }
    println!("{peers} of {all} bytes came from peers");
    // Of three copies two can come from others.
    assert!(peers * 3 > all, "{peers} of {all}");
}
