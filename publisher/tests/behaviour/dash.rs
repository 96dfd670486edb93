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
