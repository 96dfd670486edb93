//! Every limit at, under and over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_publisher::origin::{MAX_REDIRECTS, OriginError, Validators};
use rillcast_publisher::playlist::MAX_PLAYLIST;
use rillcast_publisher::{Config, FollowError, Url};

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

#[tokio::test]
async fn playlists_up_to_the_limit_are_read() {
    let origin = Origin::start(|ask| {
        let length: usize = ask.path[1..].parse().expect("a length");
        let text = playlist(0..1, true);
        let padding = format!("#{}\n", "x".repeat(length - text.len() - 2));
        Answer::ok(text + &padding)
    })
    .await;
    let bench = Bench::new(Config::default());
    for (length, good) in [(MAX_PLAYLIST - 1, true), (MAX_PLAYLIST, true), (MAX_PLAYLIST + 1, false)] {
        let url = Url::parse(&origin.url(&format!("/{length}"))).expect("url");
        let answer = bench.publisher.origin().playlist(&origin.allow(), &url, &Validators::default()).await;
        match answer {
            Ok(Some(document)) => assert!(good && document.body.len() == length),
            other => assert!(!good && other.is_err_and(|e| e == OriginError::TooLarge(MAX_PLAYLIST as u64))),
        }
    }
}

#[tokio::test]
async fn segments_up_to_the_limit_are_read_with_and_without_a_stated_length() {
    let origin = Origin::start(|ask| {
        let length: usize = ask.path[1..].parse().expect("a length");
        Answer::ok(vec![0; length])
    })
    .await;
    let bench = Bench::new(Config::default());
    let max = u64::from(MAX_SEGMENT);
    for (length, good) in [(max - 1, true), (max, true), (max + 1, false)] {
        let url = Url::parse(&origin.url(&format!("/{length}"))).expect("url");
        let get = async |range| bench.publisher.origin().segment(&origin.allow(), &url, range).await;
        for range in [None, Some(0..length)] {
            match get(range).await {
                Ok(body) => assert!(good && body.len() as u64 == length),
                Err(error) => assert!(!good && error == OriginError::TooLarge(max), "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn redirects_up_to_the_limit_are_followed() {
    let origin = Origin::start(|ask| {
        let left: usize = ask.path[1..].parse().expect("a number");
        match left {
            0 => Answer::ok("x"),
            n => Answer::status(301).with("location", format!("/{}", n - 1)),
        }
    })
    .await;
    let bench = Bench::new(Config::default());
    for (hops, good) in [(MAX_REDIRECTS - 1, true), (MAX_REDIRECTS, true), (MAX_REDIRECTS + 1, false)] {
        let url = Url::parse(&origin.url(&format!("/{hops}"))).expect("url");
        let answer = bench.publisher.origin().segment(&origin.allow(), &url, None).await;
        assert_eq!(answer.is_ok(), good, "{hops}");
    }
}

#[tokio::test]
async fn tracks_up_to_the_limit_are_followed() {
    let origin = Origin::start(|_| Answer::status(404)).await;
    let bench = Bench::new(Config { max_tracks: 2, ..Config::default() });
    let follow = |name: &str| bench.publisher.follow(SWARM, &origin.url(name), &origin.allow());
    let first = follow("/a.m3u8").expect("room");
    follow("/b.m3u8").expect("room");
    assert_eq!(follow("/c.m3u8"), Err(FollowError::Full(2)));
    assert!(follow("/a.m3u8").is_ok(), "followed already");
    bench.publisher.unfollow(SWARM, first);
    assert!(follow("/c.m3u8").is_ok());
}

#[tokio::test]
async fn no_more_segments_are_fetched_at_a_time_than_allowed() {
    for (per_track, in_all, expected) in [(1, 8, 2), (2, 8, 4), (4, 3, 3)] {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (shared, peak) = (now.clone(), most.clone());
        let origin = Origin::start(move |ask| {
            if ask.path.ends_with(".m3u8") {
                return Answer::ok(playlist(0..6, false));
            }
            peak.fetch_max(shared.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let done = shared.clone();
            // Given back a little before the answer, so that the peak is counted low rather than high.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                done.fetch_sub(1, Ordering::SeqCst);
            });
            Answer::ok(body(&ask.path)).slow(Duration::from_millis(150))
        })
        .await;
        let config =
            Config { backlog: 6, max_fetches: in_all, max_fetches_per_track: per_track, ..Config::default() };
        let mut bench = Bench::new(config);
        for name in ["/a/v.m3u8", "/b/v.m3u8"] {
            bench.publisher.follow(SWARM, &origin.url(name), &origin.allow()).expect("follows");
        }
        bench.numbers(12).await;
        assert!(most.load(Ordering::SeqCst) <= expected);
    }
}

#[tokio::test]
async fn an_owner_that_does_not_read_holds_the_publisher_up() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(0..60, false)),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(Config { backlog: 60, ..Config::default() });
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    let fetched = || (0..60).filter(|n| origin.count(&format!("/{n}.ts")) > 0).count();
    let room = rillcast_publisher::publisher::EVENTS + Config::default().max_fetches_per_track;
    while fetched() < room {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fetched(), room);
    assert_eq!(bench.numbers(60).await, (0..60).collect::<Vec<_>>(), "nothing is lost by that");
}
