//! Origins that misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rillcast_publisher::edge::Pace;
use rillcast_publisher::origin::{OriginError, Timeouts};
use rillcast_publisher::{AllowList, Config, Event};

use crate::kit::{Answer, Bench, Origin, SWARM, body, playlist};

fn quick() -> Config {
    Config {
        pace: Pace { quick: Duration::from_millis(20), slow: Duration::from_millis(200) },
        ..Config::default()
    }
}

#[tokio::test]
async fn a_segment_that_is_listed_too_early_is_tried_again() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(0..3, false)),
        "/2.ts" if ask.before < 3 => Answer::status(404),
        "/1.ts" if ask.before < 2 => Answer::status(500),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(quick());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
    assert_eq!((origin.count("/1.ts"), origin.count("/2.ts"), origin.count("/0.ts")), (3, 4, 1));
}

#[tokio::test]
async fn a_segment_that_never_comes_is_skipped_and_the_others_are_not_held_up() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(0..3, false)),
        "/0.ts" => Answer::status(404),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(quick());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    let mut published = Vec::new();
    loop {
        match bench.next().await {
            Event::Published(p) => published.push(p.digest.key.number),
            Event::Skipped { key, why, .. } => {
                assert_eq!((key.number, why), (0, OriginError::Status(404)));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(published, [1, 2]);
    assert_eq!(origin.count("/0.ts"), quick().attempts as usize);
}

#[tokio::test]
async fn a_playlist_that_fails_for_a_while_is_told_once_and_then_followed() {
    let broken = Arc::new(AtomicBool::new(true));
    let shared = broken.clone();
    let origin = Origin::start(move |ask| match ask.path.as_str() {
        "/v.m3u8" if shared.load(Ordering::SeqCst) => match ask.before % 3 {
            0 => Answer::status(500),
            1 => Answer::ok("not a playlist"),
            _ => Answer::ok("#EXTM3U\n#EXTINF:x,\n0.ts\n"),
        },
        "/v.m3u8" => Answer::ok(playlist(0..3, false)),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(quick());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8?token=secret"), &origin.allow()).expect("follows");
    match bench.next().await {
        Event::Failing { why, .. } => assert!(why.contains("500") && !why.contains("secret"), "{why}"),
        other => panic!("{other:?}"),
    }
    while origin.count("/v.m3u8") < 7 {
        tokio::task::yield_now().await;
    }
    broken.store(false, Ordering::SeqCst);
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
}

#[tokio::test]
async fn another_address_is_used_when_the_first_fails() {
    let good = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" => Answer::ok(playlist(0..3, false)),
        path => Answer::ok(body(path)),
    })
    .await;
    let bad = Origin::start(|_| Answer::status(403)).await;
    let allow = Arc::new(AllowList::new([&good.base, &bad.base]).expect("prefixes"));
    let mut bench = Bench::new(quick());
    let first = bench.publisher.follow(SWARM, &bad.url("/v.m3u8"), &allow);
    let second = bench.publisher.follow(SWARM, &good.url("/v.m3u8?token=2"), &allow);
    assert_eq!(first, second, "one track");
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
    assert_eq!(bench.publisher.following().len(), 1);
}

#[tokio::test]
async fn an_origin_that_hangs_is_given_up_and_tried_again() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/v.m3u8" if ask.before == 0 => Answer::ok("").slow(Duration::from_secs(3600)),
        "/v.m3u8" => Answer::ok(playlist(0..3, false)),
        "/1.ts" if ask.before == 0 => Answer::ok("").slow(Duration::from_secs(3600)),
        path => Answer::ok(body(path)),
    })
    .await;
    let wait = Duration::from_millis(300);
    let timeouts = Timeouts { playlist: wait, segment: wait, silence: wait };
    let mut bench = Bench::new(Config { timeouts, ..quick() });
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    assert_eq!(bench.numbers(3).await, [0, 1, 2]);
}

#[tokio::test]
async fn redirects_are_followed_inside_the_allow_list_only() {
    let outside = Origin::start(|ask| Answer::ok(body(&ask.path))).await;
    let elsewhere = outside.url("/secret.ts");
    let origin = Origin::start(move |ask| match ask.path.as_str() {
        "/live/v.m3u8" => Answer::status(302).with("location", "/live/moved/v.m3u8"),
        "/live/moved/v.m3u8" => Answer::ok(playlist(0..3, false)),
        "/live/moved/0.ts" => Answer::status(307).with("location", "../0.ts"),
        "/live/moved/1.ts" => Answer::status(302).with("location", elsewhere.clone()),
        "/live/moved/2.ts" => Answer::status(302).with("location", "/admin"),
        path => Answer::ok(body(path)),
    })
    .await;
    let allow = Arc::new(AllowList::new([origin.url("/live/")]).expect("prefix"));
    let mut bench = Bench::new(quick());
    bench.publisher.follow(SWARM, &origin.url("/live/v.m3u8"), &allow).expect("follows");
    let (mut published, mut refused) = (Vec::new(), Vec::new());
    while published.len() + refused.len() < 3 {
        match bench.next().await {
            Event::Published(p) => published.push(p.digest.key.number),
            Event::Skipped { key, why: OriginError::NotAllowed(_), .. } => refused.push(key.number),
            other => panic!("{other:?}"),
        }
    }
    refused.sort_unstable();
    assert_eq!((published, refused), (vec![0], vec![1, 2]));
    assert_eq!((outside.count("/secret.ts"), origin.count("/admin")), (0, 0));
}

#[tokio::test]
async fn redirects_in_a_circle_end() {
    let origin = Origin::start(|_| Answer::status(302).with("location", "/v.m3u8")).await;
    let mut bench = Bench::new(quick());
    bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
    match bench.next().await {
        Event::Failing { why, .. } => assert!(why.contains("redirected"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn byte_ranges_are_fetched_alone_also_where_the_origin_ignores_them() {
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n#EXT-X-BYTERANGE:1000@500\nall.mp4\n#EXTINF:1,\n\
                #EXT-X-BYTERANGE:700\nall.mp4\n";
    let whole = body("/all.mp4");
    for ranges in [true, false] {
        let bytes = whole.clone();
        let origin = Origin::start(move |ask| match (ask.path.as_str(), ask.headers.get("range")) {
            ("/v.m3u8", _) => Answer::ok(list),
            (_, Some(range)) if ranges => {
                let range = range.to_str().expect("text").strip_prefix("bytes=").expect("bytes");
                let (first, last) = range.split_once('-').expect("a range");
                let (first, last): (usize, usize) = (first.parse().expect("n"), last.parse().expect("n"));
                let mut answer = Answer::ok(bytes.slice(first..=last))
                    .with("content-range", format!("bytes {first}-{last}/{}", bytes.len()));
                answer.status = 206;
                answer
            }
            _ => Answer::ok(bytes.clone()),
        })
        .await;
        let mut bench = Bench::new(quick());
        bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
        let mut published = [bench.published().await, bench.published().await];
        published.sort_by_key(|p| p.digest.key.number);
        assert_eq!(published[0].body, whole.slice(500..1500));
        assert_eq!(published[1].body, whole.slice(1500..2200));
        assert_eq!(published[1].range, Some(1500..2200));
    }
}

#[tokio::test]
async fn an_answer_to_another_range_is_not_signed() {
    let list = "#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:10@5\nall.mp4\n";
    for (range, length) in [("bytes 6-15/100", 10), ("bytes 5-14/100", 9)] {
        let origin = Origin::start(move |ask| match ask.path.as_str() {
            "/v.m3u8" => Answer::ok(list),
            _ => {
                let mut answer = Answer::ok(vec![1; length]).with("content-range", range);
                answer.status = 206;
                answer
            }
        })
        .await;
        let mut bench = Bench::new(quick());
        bench.publisher.follow(SWARM, &origin.url("/v.m3u8"), &origin.allow()).expect("follows");
        assert!(matches!(bench.next().await, Event::Skipped { why: OriginError::WrongRange, .. }));
    }
}

#[tokio::test]
async fn the_renditions_of_a_multivariant_playlist_are_found() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/m.m3u8" => Answer::ok(
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"audio/en.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8?x=1\n\
             #EXT-X-STREAM-INF:BANDWIDTH=3\nlow.m3u8\n",
        ),
        _ => Answer::ok(playlist(0..1, true)),
    })
    .await;
    let bench = Bench::new(quick());
    let found = bench.publisher.renditions(&origin.url("/m.m3u8"), &origin.allow()).await.expect("found");
    let expected = ["/audio/en.m3u8", "/low.m3u8", "/high.m3u8?x=1"].map(|p| origin.url(p));
    assert_eq!(found.iter().map(|u| u.as_str()).collect::<Vec<_>>(), expected);
    let alone = bench.publisher.renditions(&origin.url("/v.m3u8"), &origin.allow()).await.expect("found");
    assert_eq!(alone.len(), 1, "a media playlist stands for itself");
    assert!(bench.publisher.renditions("http://other.invalid/m.m3u8", &origin.allow()).await.is_err());
}
