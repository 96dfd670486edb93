//! A publisher follows MPDs as it follows playlists: live by a timeline, live by the clock, and finished ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rillcast_protocol::dash;
use rillcast_publisher::{Config, Event, Url, manifest, track_id};

use crate::kit::{Answer, Bench, Origin, SWARM, body};

fn is_mpd(path: &str) -> bool {
    path.ends_with(".mpd")
}

/// `$Time$` names, one second each, of these.
fn timeline(numbers: std::ops::Range<u64>, kind: &str) -> String {
    format!(
        "<MPD type='{kind}' availabilityStartTime='2026-01-01T00:00:00Z' minimumUpdatePeriod='PT1S' maxSegmentDuration='PT1S'>\
         <Period start='PT0S'><AdaptationSet mimeType='video/mp4'><SegmentTemplate timescale='1000' media='$RepresentationID$/$Time$.m4s'>\
         <SegmentTimeline><S t='{}' d='1000' r='{}'/></SegmentTimeline></SegmentTemplate>\
         <Representation id='hd'/><Representation id='sd'/></AdaptationSet></Period></MPD>",
        numbers.start * 1000,
        numbers.end - numbers.start - 1
    )
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_millis()).expect("before the end of time")
}

/// Segments by the clock, a quarter of a second each, the first one so long ago.
fn counted(begun_ms: u64) -> String {
    let begun = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(begun_ms));
    format!(
        "<MPD type='dynamic' availabilityStartTime='{begun}' timeShiftBufferDepth='PT2S'><Period start='PT0S'><AdaptationSet mimeType='video/mp4'>\
         <SegmentTemplate timescale='1000' duration='250' media='$Number$.m4s' startNumber='0'/><Representation id='v'/></AdaptationSet></Period></MPD>"
    )
}

// R2 R10 R22
#[tokio::test]
async fn a_live_timeline_is_followed_and_each_segment_signed_once() {
    let end = Arc::new(AtomicU64::new(4));
    let shared = end.clone();
    let origin = Origin::start(move |ask| {
        let end = shared.load(Ordering::SeqCst);
        let kind = if end < 8 { "dynamic" } else { "static" };
        let mpd = || timeline(end.saturating_sub(4)..end, kind);
        if is_mpd(&ask.path) { Answer::ok(mpd()) } else { Answer::ok(body(&ask.path)) }
    })
    .await;
    let mut bench = Bench::new(Config { backlog: 2, ..Config::default() });
    let manifest = origin.url("/live.mpd?token=x");
    let found = bench.publisher.renditions(&manifest, &origin.allow()).await.expect("an MPD");
    assert_eq!(
        found.iter().map(Url::as_str).collect::<Vec<_>>(),
        ["hd", "sd"].map(|id| dash::address(&manifest, id))
    );
    let track = bench.publisher.follow(SWARM, found[0].as_str(), &origin.allow()).expect("follows");
    assert_eq!(track, track_id(found[0].as_str()));
    let key = |n: u64| dash::segment_key(track, n as f64, 0.0, 1.0);
    for number in 2..8 {
        let published = bench.published().await;
        assert_eq!(published.digest.key, key(number));
        assert_eq!(published.body, body(&format!("/hd/{number}000.m4s")));
        end.fetch_max(number + 2, Ordering::SeqCst);
    }
    assert_eq!(origin.count("/hd/4000.m4s"), 1);
    assert_eq!(origin.count("/sd/4000.m4s"), 0);
}

// R2 R22
#[tokio::test]
async fn one_that_goes_by_the_clock_is_read_once_and_followed_on() {
    let begun = now_ms() - 10_000;
    let origin = Origin::start(move |ask| {
        if is_mpd(&ask.path) { Answer::ok(counted(begun)) } else { Answer::ok(body(&ask.path)) }
    })
    .await;
    let mut bench = Bench::new(Config { backlog: 1, ..Config::default() });
    let address = dash::address(&origin.url("/live.mpd"), "v");
    bench.publisher.follow(SWARM, &address, &origin.allow()).expect("follows");
    let mut last = None;
    for _ in 0..12 {
        let published = bench.published().await;
        let number: u64 = published.url.path()[1..].trim_end_matches(".m4s").parse().expect("a number");
        assert!((number + 1) * 250 + begun <= now_ms() + 1, "{number} wasn't whole");
        assert_eq!(last.map_or(number, |last: u64| last + 1), number);
        last = Some(number);
    }
    assert_eq!(origin.count("/live.mpd"), 1);
}

// R22
#[test]
fn the_clock_says_to_the_moment_when_the_next_segment_is_there() {
    let base = Url::parse("http://o.example/live.mpd").expect("a URL");
    let mpd = |text: &str| rillcast_publisher::dash::Mpd::parse(&base, text.as_bytes()).expect("an MPD");
    let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
    let live = mpd(&counted(1000));
    for (now, left) in [(0, 1250), (1000, 250), (1001, 249), (1249, 1), (1250, 250), (11_100, 150)] {
        assert_eq!(live.until_next("v", at(now)), Some(Duration::from_millis(left)), "{now} ms");
    }
    // What is said to be left is what it takes: a moment before it isn't listed.
    let count = |now| live.playlist(track_id("v"), "v", now).expect("a playlist").segments.len();
    assert_eq!((count(at(1249)), count(at(1250))), (0, 1));
    assert_eq!(live.until_next("none", at(2000)), None);
    assert_eq!(mpd(&timeline(0..4, "dynamic")).until_next("hd", at(2000)), None, "a timeline is read again");
    assert_eq!(mpd(&timeline(0..4, "static")).until_next("hd", at(2000)), None);
}

// R10 R22
#[tokio::test]
async fn what_the_clock_says_before_the_packager_is_done_is_asked_for_once_more_a_moment_later() {
    let begun = now_ms() - 10_000;
    let origin = Origin::start(move |ask| match ask.before {
        _ if is_mpd(&ask.path) => Answer::ok(counted(begun)),
        0 => Answer::status(404),
        _ => Answer::ok(body(&ask.path)),
    })
    .await;
    // A single attempt that counts.
    let mut bench = Bench::new(Config { backlog: 1, attempts: 1, ..Config::default() });
    follow(&bench, &origin, "/live.mpd", &["v"]);
    for _ in 0..4 {
        let published = bench.published().await;
        assert_eq!(origin.count(published.url.path()), 2);
    }
}

fn follow(bench: &Bench, origin: &Origin, path: &str, ids: &[&str]) {
    for id in ids {
        let address = dash::address(&origin.url(path), id);
        bench.publisher.follow(SWARM, &address, &origin.allow()).expect("follows");
    }
}

/// Until each of them has signed something more.
async fn signed(bench: &mut Bench, ids: &[&str]) {
    let mut left: Vec<String> = ids.iter().map(|id| format!("/{id}/")).collect();
    while !left.is_empty() {
        let published = bench.published().await;
        left.retain(|id| !published.url.path().starts_with(id));
    }
}

// R2 R10
#[tokio::test]
async fn one_request_for_an_mpd_that_goes_by_the_clock_serves_all_its_representations_whenever_they_are_followed()
 {
    let begun = now_ms() - 10_000;
    let named = "<Representation id='a'/><Representation id='b'/><Representation id='c'/>";
    let text = counted(begun)
        .replace("<Representation id='v'/>", named)
        .replace("media='", "media='$RepresentationID$/");
    let origin =
        Origin::start(
            move |ask| {
                if is_mpd(&ask.path) { Answer::ok(text.clone()) } else { Answer::ok(body(&ask.path)) }
            },
        )
        .await;
    let mut bench = Bench::new(Config { backlog: 1, ..Config::default() });
    follow(&bench, &origin, "/live.mpd", &["a", "b"]);
    signed(&mut bench, &["a", "b"]).await;
    follow(&bench, &origin, "/live.mpd", &["c"]);
    signed(&mut bench, &["a", "b", "c"]).await;
    signed(&mut bench, &["a", "b", "c"]).await;
    assert_eq!(origin.count("/live.mpd"), 1);
    // What was asked for before counts no more once the origin has said that it has changed.
    bench.publisher.look("/live.mpd");
    signed(&mut bench, &["a", "b", "c"]).await;
    signed(&mut bench, &["a", "b", "c"]).await;
    assert_eq!(origin.count("/live.mpd"), 2, "once for all of them");
}

// R2 R10
#[tokio::test]
async fn one_that_has_to_be_read_again_is_read_as_often_for_two_representations_as_for_one() {
    let begun = now_ms();
    let origin = Origin::start(move |ask| {
        let end = 4 + (now_ms() - begun) / 1000;
        let tagged = |text: String| Answer::ok(text).with("etag", format!("\"{end}\""));
        match ask.headers.get("if-none-match").and_then(|tag| tag.to_str().ok()) {
            Some(tag) if is_mpd(&ask.path) && tag == format!("\"{end}\"") => Answer::status(304),
            _ if is_mpd(&ask.path) => tagged(timeline(end - 4..end, "dynamic")),
            _ => Answer::ok(body(&ask.path)),
        }
    })
    .await;
    let config = || Config { backlog: 1, ..Config::default() };
    let (mut one, mut two) = (Bench::new(config()), Bench::new(config()));
    follow(&one, &origin, "/one.mpd", &["hd"]);
    follow(&two, &origin, "/two.mpd", &["hd", "sd"]);
    for _ in 0..6 {
        tokio::join!(signed(&mut one, &["hd"]), signed(&mut two, &["hd", "sd"]));
    }
    let (one, two) = (origin.count("/one.mpd"), origin.count("/two.mpd"));
    println!("{one} requests for one Representation, {two} for two");
    assert!(two * 3 < one * 4, "{one} requests for one Representation, {two} for two");
}

// R10
#[tokio::test]
async fn an_origin_that_fails_is_not_asked_again_for_each_representation() {
    let origin = Origin::start(|ask| match ask.before {
        _ if !is_mpd(&ask.path) => Answer::ok(body(&ask.path)),
        0 => Answer::status(503).slow(Duration::from_millis(200)),
        _ => Answer::ok(timeline(0..4, "dynamic")),
    })
    .await;
    let mut bench = Bench::new(Config { backlog: 1, ..Config::default() });
    follow(&bench, &origin, "/live.mpd", &["hd", "sd"]);
    for _ in 0..2 {
        let Event::Failing { why, .. } = bench.next().await else { panic!("both fail") };
        assert!(why.contains("503"), "{why}");
    }
    assert_eq!(origin.count("/live.mpd"), 1);
    signed(&mut bench, &["hd", "sd"]).await;
}

#[tokio::test]
async fn an_mpd_is_looked_for_where_it_says_and_a_finished_one_is_signed_ahead_of_its_viewers() {
    let origin = Origin::start(|ask| match ask.path.as_str() {
        "/live.mpd" => {
            let text = timeline(0..2, "dynamic");
            Answer::ok(text.replace("<Period ", "<Location>/there/now.mpd</Location><Period "))
        }
        "/there/now.mpd" => Answer::ok(timeline(0..4, "static")),
        path => Answer::ok(body(path)),
    })
    .await;
    let mut bench = Bench::new(Config::default());
    bench
        .publisher
        .follow(SWARM, &dash::address(&origin.url("/live.mpd"), "sd"), &origin.allow())
        .expect("follows");
    let mut paths = Vec::new();
    for _ in 0..4 {
        paths.push(bench.published().await.url.path().to_owned());
    }
    paths.sort_unstable();
    assert_eq!(paths, ["/sd/0.m4s", "/sd/1000.m4s", "/there/sd/2000.m4s", "/there/sd/3000.m4s"]);
    assert_eq!(origin.count("/live.mpd"), 1);
}

#[tokio::test]
async fn what_can_not_be_followed_is_said() {
    let origin =
        Origin::start(|_| Answer::ok(timeline(0..2, "dynamic").replace("SegmentTemplate", "SegmentBase")))
            .await;
    let mut bench = Bench::new(Config::default());
    let refused = bench.publisher.renditions(&origin.url("/live.mpd"), &origin.allow()).await;
    let why = refused.expect_err("one file").to_string();
    assert!(why.contains("SegmentTemplate"), "{why}");
    let refused = bench.publisher.renditions(&origin.url("/live.xml"), &origin.allow()).await;
    let why = refused.expect_err("another name").to_string();
    assert!(why.contains(".mpd"), "{why}");
    bench
        .publisher
        .follow(SWARM, &dash::address(&origin.url("/live.mpd"), "none"), &origin.allow())
        .expect("follows");
    let Event::Failing { why, .. } = bench.next().await else { panic!("it fails") };
    assert!(why.contains("no such Representation"), "{why}");
    assert_eq!(
        manifest::delivery(&Url::parse("http://o/x.MPD").expect("a URL")),
        rillcast_protocol::id::Delivery::Dash
    );
}
