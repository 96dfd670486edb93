//! Finished playlists.

use rillcast_protocol::id::SegmentKey;
use rillcast_publisher::vod::Lead;
use rillcast_publisher::{Config, Event};
use std::time::Duration;

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

fn config() -> Config {
    let lead = Lead { ahead: Duration::from_secs(5), speed_percent: 100 };
    Config { lead: Some(lead), playlists: true, max_fetches_per_track: 1, ..Config::default() }
}

async fn film(segments: u64) -> Origin {
    Origin::start(move |ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(0..segments, true)),
        path => Answer::ok(body(path)),
    })
    .await
}

#[tokio::test]
async fn it_is_digested_in_order_ahead_of_the_viewer_and_looked_at_once() {
    let origin = film(1000).await;
    let mut bench = Bench::new(config());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    match bench.next().await {
        Event::Playlist { playlist, .. } => assert!(playlist.ended && playlist.segments.len() == 1000),
        other => panic!("{other:?}"),
    }
    let mut order = Vec::new();
    for _ in 0..8 {
        order.push(bench.published().await.digest.key.number);
    }
    assert_eq!(order, (0..8).collect::<Vec<_>>());
    assert_eq!(origin.count("/v.m3u8"), 1);
    assert_eq!(origin.count("/100.ts"), 0, "a film isn't fetched whole because somebody began it");
}

#[tokio::test]
async fn without_a_lead_only_what_is_asked_for_is_digested() {
    let origin = film(1000).await;
    let mut bench = Bench::new(Config { lead: None, ..config() });
    let track = bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    while !matches!(bench.next().await, Event::Playlist { .. }) {}
    for number in [500, 2] {
        bench.publisher.want(SWARM, SegmentKey { track, number, discontinuity: 0, part: 0 });
        assert_eq!(bench.published().await.digest.key.number, number);
    }
    assert_eq!([1, 3, 501].map(|n| origin.count(&format!("/{n}.ts"))), [0; 3]);
}

#[tokio::test]
async fn what_somebody_waits_for_comes_first_and_what_follows_it_next() {
    let origin = film(1000).await;
    let mut bench = Bench::new(config());
    let track = bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    while !matches!(bench.next().await, Event::Playlist { .. }) {}
    bench.publisher.want(SWARM, SegmentKey { track, number: 500, discontinuity: 0, part: 0 });
    let mut order = Vec::new();
    while !order.contains(&503) {
        order.push(bench.published().await.digest.key.number);
    }
    let sought: Vec<u64> = order.iter().copied().filter(|n| *n >= 500).collect();
    assert_eq!(sought, [500, 501, 502, 503]);
    assert!(order.len() <= 12, "{order:?}");
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), order.len(), "each once");
}

#[tokio::test]
async fn a_live_playlist_that_ends_is_finished_and_then_left_alone() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" if ask.before < 2 => Answer::ok(playlist(0..4, false)),
        "/v.m3u8" => Answer::ok(playlist(0..6, true)),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(Config::default());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(5).await, [1, 2, 3, 4, 5]);
    let looks = origin.count("/v.m3u8");
    tokio::time::sleep(Config::default().pace.quick * 5).await;
    assert_eq!(origin.count("/v.m3u8"), looks);
}
