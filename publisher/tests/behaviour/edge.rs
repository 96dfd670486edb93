//! Live playlists.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rillcast_publisher::edge::Pace;
use rillcast_publisher::{Config, Event, FollowError, sign, track_id};

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

/// A live stream: numbers below the counter exist, the last six are listed.
async fn live(end: u64) -> (Origin, Arc<AtomicU64>) {
    let counter = Arc::new(AtomicU64::new(end));
    let shared = counter.clone();
    let origin = Origin::start(move |ask| {
        if ask.path.ends_with(".m3u8") {
            let end = shared.load(Ordering::SeqCst);
            return Answer::ok(playlist(end.saturating_sub(6)..end, false));
        }
        Answer::ok(body(&ask.path))
    })
    .await;
    (origin, counter)
}

#[tokio::test]
async fn the_end_of_the_playlist_and_then_every_new_segment_is_fetched_once_and_signed() {
    let (origin, end) = live(100).await;
    let mut bench = Bench::new(Config::default());
    let url = origin.url("/v.m3u8?token=secret");
    let track = bench.publisher.follow(SWARM, &url, &origin.allow()).expect("follows");
    assert_eq!(track, track_id(&url));
    assert_eq!(bench.numbers(3).await, [97, 98, 99]);
    for number in 100..104 {
        end.store(number + 1, Ordering::SeqCst);
        let published = bench.published().await;
        assert_eq!((published.digest.key.number, published.digest.key.track), (number, track));
        assert_eq!(published.body, body(&format!("/{number}.ts")));
        assert_eq!(
            published.digest.hashes,
            sign::block_hashes(&published.body, published.digest.duration_ms)
        );
        assert_eq!(published.digest.duration_ms, 1000);
        assert_eq!(published.digest.publisher, bench.publisher.key());
    }
    for number in 97..104 {
        assert_eq!(origin.count(&format!("/{number}.ts")), 1);
    }
    assert_eq!(origin.count("/96.ts"), 0, "the backlog is bounded");
}

#[tokio::test]
async fn digests_are_out_within_a_fraction_of_a_segment_and_with_few_looks() {
    // The bound is 500 ms at the usual 4 s; here, for a short test, half of a segment of one second.
    let (origin, end) = live(10).await;
    let mut bench = Bench::new(Config::default());
    let tracks = ["/a/v.m3u8", "/b/v.m3u8"];
    for track in tracks {
        bench.publisher.follow(SWARM, &origin.url(track), &origin.allow()).expect("follows");
    }
    bench.numbers(3 * tracks.len()).await;
    let segment = Duration::from_secs(1);
    let mut delays = Vec::new();
    let rounds = 12;
    let start = Instant::now();
    for round in 1..=rounds {
        tokio::time::sleep_until((start + segment * round).into()).await;
        let available = Instant::now();
        end.fetch_add(1, Ordering::SeqCst);
        for _ in tracks {
            bench.published().await;
            delays.push(available.elapsed());
        }
    }
    delays.sort();
    let p95 = delays[delays.len() * 95 / 100];
    assert!(p95 <= segment / 2, "p95 {p95:?} of {delays:?}");
    for track in tracks {
        let looks = origin.count(track);
        assert!(looks <= 5 * (rounds as usize + 2), "{looks} looks at {track}");
    }
}

// R48
#[tokio::test]
async fn what_the_origin_itself_says_has_changed_is_looked_at_though_it_had_ended() {
    let end = Arc::new(AtomicU64::new(3));
    let shared = end.clone();
    let origin = Origin::start(move |ask| {
        if ask.path.ends_with(".m3u8") {
            return Answer::ok(playlist(0..shared.load(Ordering::SeqCst), true));
        }
        Answer::ok(body(&ask.path))
    })
    .await;
    let mut bench = Bench::new(Config::default());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
    for number in 3..6 {
        end.store(number + 1, Ordering::SeqCst);
        let looks = origin.count("/v.m3u8");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(origin.count("/v.m3u8"), looks, "a finished playlist isn't looked at unasked");
        bench.publisher.look("/v.m3u8");
        assert_eq!(bench.published().await.digest.key.number, number);
    }
    bench.publisher.look("/another.m3u8");
    assert_eq!(origin.count("/v.m3u8"), 4);
}

#[tokio::test]
async fn an_unchanged_playlist_is_not_sent_again_where_the_origin_knows_tags() {
    let origin = Origin::start(|ask| {
        if !ask.path.ends_with(".m3u8") {
            return Answer::ok(body(&ask.path));
        }
        if ask.before > 0 {
            assert_eq!(ask.headers["if-none-match"], "\"t\"");
            return Answer::status(304).with("etag", "\"t\"");
        }
        Answer::ok(playlist(0..3, false)).with("etag", "\"t\"")
    })
    .await;
    let mut bench = Bench::new(Config::default());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
    while origin.count("/v.m3u8") < 4 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whatever_is_no_longer_followed_is_left_alone() {
    let (origin, _end) = live(10).await;
    let mut bench = Bench::new(Config::default());
    let track = bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    bench.numbers(3).await;
    bench.publisher.unfollow(SWARM, track);
    assert!(bench.publisher.following().is_empty());
    // What was under way when it was told to stop may still arrive; then nothing more does.
    tokio::time::sleep(Config::default().pace.quick).await;
    let looks = origin.count("/v.m3u8");
    tokio::time::sleep(Config::default().pace.quick * 4).await;
    assert_eq!(origin.count("/v.m3u8"), looks);

    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows again");
    while origin.count("/v.m3u8") < looks + 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(origin.count("/9.ts"), 1, "it remembers what it has signed");
    bench.publisher.forget(SWARM);
    assert!(bench.publisher.following().is_empty());
}

#[tokio::test]
async fn an_encoder_that_starts_again_with_other_bytes_is_not_signed_twice() {
    let generation = Arc::new(AtomicU64::new(0));
    let shared = generation.clone();
    let origin = Origin::start(move |ask| {
        let now = shared.load(Ordering::SeqCst);
        if ask.path.ends_with(".m3u8") {
            return Answer::ok(if now == 0 { playlist(5..11, false) } else { playlist(7..10, false) });
        }
        // One segment comes out as before, the others don't.
        let same = now == 0 || ask.path == "/8.ts";
        Answer::ok(body(&if same { ask.path } else { format!("{}-{now}", ask.path) }))
    })
    .await;
    let mut bench = Bench::new(Config::default());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(3).await, [8, 9, 10]);
    generation.store(1, Ordering::SeqCst);
    let (mut conflicts, mut fresh) = (Vec::new(), Vec::new());
    while conflicts.is_empty() || fresh.is_empty() {
        match bench.next().await {
            Event::Conflict { key, swarm: SWARM } => conflicts.push(key.number),
            Event::Published(published) => fresh.push(published.digest.key.number),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((conflicts, fresh), (vec![9], vec![7]), "8 is the same and needs no word");
}

#[tokio::test]
async fn what_another_publisher_has_digested_is_not_fetched() {
    let (origin, _end) = live(10).await;
    let mut bench = Bench::new(Config::default());
    let url = origin.url("/v.m3u8");
    let other = rillcast_publisher::PublishingKey::from_seed(&[2; 32]);
    for number in [8, 9] {
        let key =
            rillcast_protocol::id::SegmentKey { track: track_id(&url), number, discontinuity: 0, part: 0 };
        bench.publisher.note(&sign::digest(&other, SWARM, key, 1000, b"x").expect("in bounds"));
    }
    bench.publisher.follow(SWARM, &url, &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(1).await, [7]);
    assert_eq!(origin.count("/9.ts"), 0);
}

#[tokio::test]
async fn older_segments_are_digested_when_somebody_wants_them() {
    let (origin, _end) = live(10).await;
    let mut bench = Bench::new(Config::default());
    let track = bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    bench.numbers(3).await;
    let key = |number| rillcast_protocol::id::SegmentKey { track, number, discontinuity: 0, part: 0 };
    bench.publisher.want(SWARM, key(1));
    bench.publisher.want(SWARM, key(5));
    assert_eq!(bench.numbers(1).await, [5], "1 has left the playlist");
}

#[tokio::test]
async fn a_viewer_that_has_seen_more_makes_it_look_at_once() {
    let (origin, end) = live(10).await;
    // Otherwise it would look about once a minute.
    let pace = Pace { quick: Duration::from_millis(50), slow: Duration::from_secs(3600) };
    let list = "/long.m3u8";
    let shared = end.clone();
    let slow = Origin::start(move |ask| {
        if ask.path != list {
            return Answer::ok(body(&ask.path));
        }
        let end = shared.load(Ordering::SeqCst);
        Answer::ok(playlist(end - 6..end, false).replace("EXTINF:1.0", "EXTINF:3600"))
    })
    .await;
    drop(origin);
    let mut bench = Bench::new(Config { pace, ..Config::default() });
    let track = bench.publisher.follow(SWARM, &slow.url(list), &slow.allow()).expect("follows");
    bench.numbers(3).await;
    end.fetch_add(1, Ordering::SeqCst);
    assert_eq!(bench.numbers(1).await, [10], "once it has looked quickly for the phase");
    end.fetch_add(1, Ordering::SeqCst);
    let key = rillcast_protocol::id::SegmentKey { track, number: 11, discontinuity: 0, part: 0 };
    bench.publisher.want(SWARM, key);
    assert_eq!(bench.numbers(1).await, [11]);
}

#[tokio::test]
async fn addresses_are_checked_before_anything_is_fetched() {
    let (origin, _end) = live(10).await;
    let bench = Bench::new(Config::default());
    let follow = |url: &str| bench.publisher.follow(SWARM, url, &origin.allow());
    assert_eq!(follow("v.m3u8"), Err(FollowError::NotAUrl));
    assert!(matches!(follow("http://169.254.169.254/latest"), Err(FollowError::NotAllowed(_))));
    assert!(bench.publisher.following().is_empty());
}
