//! Whole MPDs, as ffmpeg writes them and in the style of others.

use rillcast_protocol::dash::segment_key;

use super::*;
use crate::date::date;
use crate::playlist::Segment;

const TRACK: TrackId = TrackId(7);
const TIMELINE: &str = include_str!("tests/ffmpeg-timeline.mpd");
const NUMBER: &str = include_str!("tests/ffmpeg-number.mpd");
const SINGLE_FILE: &str = include_str!("tests/ffmpeg-single-file.mpd");
const FFMPEG_LIVE: &str = include_str!("tests/ffmpeg-live.mpd");
const SHAKA_LIVE: &str = include_str!("tests/shaka-live.mpd");
const GPAC_PERIODS: &str = include_str!("tests/gpac-periods.mpd");

fn at(date_time: &str) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(date(date_time).expect("a date"))
}

fn mpd(text: &str) -> Result<Mpd, MpdError> {
    Mpd::parse(&Url::parse("http://o.example/tv/live.mpd?t=1").expect("a URL"), text.as_bytes())
}

fn listed(text: &str, id: &str, now: &str) -> Result<Playlist, MpdError> {
    mpd(text)?.playlist(TRACK, id, at(now))
}

/// Path, start and length in milliseconds.
fn segments(text: &str, id: &str, now: &str) -> Vec<(String, i64, u32)> {
    let of = |s: &Segment| (s.url.path().to_owned(), s.start_ms.expect("known"), s.duration_ms);
    listed(text, id, now).expect("a playlist").segments.iter().map(of).collect()
}

const NOW: &str = "2026-11-27T08:01:00Z";

// R2 R22
#[test]
fn what_ffmpeg_packages_is_listed_with_timelines_and_with_numbers() {
    let name = |stream: u32, n: u32| format!("/tv/chunk-stream{stream}-{n:05}.m4s");
    let video: Vec<_> = (0..5).map(|n| (name(0, n + 1), i64::from(n) * 2000, 2000)).collect();
    assert_eq!(segments(TIMELINE, "0", NOW), video);
    assert_eq!(segments(NUMBER, "0", NOW), video);
    let audio: Vec<_> =
        segments(TIMELINE, "1", NOW).into_iter().map(|(_, start, length)| (start, length)).collect();
    assert_eq!(audio, [(0, 1984), (1984, 2005), (3989, 2005), (5994, 2005), (8000, 2000)]);
    let playlist = listed(TIMELINE, "1", NOW).expect("a playlist");
    assert!(playlist.ended && playlist.target_ms == 2005 && playlist.parts.is_empty());
    assert_eq!(playlist.segments[1].key, segment_key(TRACK, 95_232.0 / 48_000.0, 0.0, 2.0));
    let named = mpd(TIMELINE).expect("an MPD").representations();
    assert_eq!(
        named.iter().map(|n| (&*n.id, n.kind)).collect::<Vec<_>>(),
        [("0", RenditionKind::Main), ("1", RenditionKind::Audio)]
    );
}

// R2
#[test]
fn ranges_of_one_file_are_listed_where_the_mpd_names_them() {
    let playlist = listed(SINGLE_FILE, "0", NOW).expect("a playlist");
    let ranges: Vec<_> = playlist.segments.iter().map(|s| (s.url.path(), s.range.clone())).collect();
    let file = "/tv/sf-stream0.mp4";
    assert_eq!(ranges, [(file, Some(807..150_929)), (file, Some(150_929..320_705))]);
    let indexed = SINGLE_FILE.replace("SegmentList", "SegmentBase");
    assert_eq!(listed(&indexed, "0", NOW), Err(MpdError::SingleFile));
    assert!(!mpd(&indexed).expect("an MPD").representations()[0].is_shared);
}

// R2
#[test]
fn a_live_timeline_lists_what_it_says() {
    let video = segments(FFMPEG_LIVE, "0", NOW);
    assert_eq!(video.last(), Some(&("/tv/chunk-stream0-00003.m4s".to_owned(), 4000, 2000)));
    let live = mpd(FFMPEG_LIVE).expect("an MPD");
    assert_eq!(live.holds(), Duration::ZERO, "it has to be read again");
    let names = |id| {
        segments(SHAKA_LIVE, id, NOW).into_iter().map(|(path, start, _)| (path, start)).collect::<Vec<_>>()
    };
    let hd = [24_000, 28_000, 32_000, 36_000, 40_000, 42_000, 46_000]
        .map(|ms| (format!("/tv/v/hd/{}.m4s", ms * 90), ms));
    assert_eq!(names("hd"), hd);
    assert_eq!(names("sd")[0].0, "/tv/v/sd/2160000.m4s");
    assert_eq!(names("en").len(), 4);
    let kinds: Vec<_> = mpd(SHAKA_LIVE).expect("an MPD").representations().iter().map(|n| n.kind).collect();
    assert_eq!(kinds[2..], [RenditionKind::Audio, RenditionKind::Text]);
    // Short ones have names of their own, in the order in which they are played, whatever is numbered.
    let keys: Vec<_> =
        listed(SHAKA_LIVE, "hd", NOW).expect("a playlist").segments.iter().map(|s| s.key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
    // A window that has moved on has changed no name.
    let later = SHAKA_LIVE
        .replace("<S t=\"2160000\" d=\"360000\" r=\"3\"/>", "<S t=\"2880000\" d=\"360000\" r=\"1\"/>");
    let later = listed(&later, "hd", NOW).expect("a playlist");
    assert_eq!(later.segments.iter().map(|s| s.key).collect::<Vec<_>>(), keys[2..]);
}

// R2
#[test]
fn periods_follow_each_other_with_bases_and_numbers_of_their_own() {
    let got = segments(GPAC_PERIODS, "v", NOW);
    let film = |n: u32| format!("/tv/media/v/film_{n:05}.m4s");
    let spot = |n: u32| format!("/spot/900000/{n}.m4s");
    let want = [
        (film(1), 0, 4000),
        (film(2), 4000, 4000),
        (film(3), 8000, 4000),
        (spot(1), 10_000, 3000),
        (spot(2), 13_000, 3000),
        (spot(3), 16_000, 3000),
        (film(4), 19_000, 4000),
        (film(5), 23_000, 4000),
        (film(6), 27_000, 4000),
    ];
    assert_eq!(got, want);
    let keys: Vec<_> =
        listed(GPAC_PERIODS, "v", NOW).expect("a playlist").segments.iter().map(|s| s.key).collect();
    assert!(keys.is_sorted_by(|a, b| a < b));
    assert_eq!([keys[2].discontinuity & 0xffff, keys[3].discontinuity & 0xffff], [0, 10]);
}

/// A live stream of 2 s segments since eight o'clock.
fn counted(more: &str, template: &str) -> String {
    format!(
        "<MPD type='dynamic' availabilityStartTime='2026-11-27T08:00:00Z' {more}><Period start='PT10S'><AdaptationSet contentType='video'>\
         <SegmentTemplate media='$Number$' timescale='1000' startNumber='100' presentationTimeOffset='777' {template}/>\
         <Representation id='v'/></AdaptationSet></Period></MPD>"
    )
}

fn numbers(text: &str, now: &str) -> Vec<u32> {
    segments(text, "v", now)
        .iter()
        .map(|(path, ..)| path.rsplit('/').next().and_then(|n| n.parse().ok()).expect("a number"))
        .collect()
}

// R2
#[test]
fn numbers_come_by_the_clock_within_the_window() {
    let text = counted("timeShiftBufferDepth='PT7S'", "duration='2000'");
    assert_eq!(numbers(&text, "2026-11-27T07:59:00Z"), [0u32; 0], "it hasn't begun");
    assert_eq!(numbers(&text, "2026-11-27T08:00:11.999Z"), [0u32; 0], "the first isn't whole");
    assert_eq!(numbers(&text, "2026-11-27T08:00:12Z"), [100]);
    assert_eq!(numbers(&text, "2026-11-27T08:01:00Z"), [121, 122, 123, 124]);
    assert_eq!(segments(&text, "v", "2026-11-27T08:00:12Z")[0].1, 10_000);
    let unlimited = counted("", "duration='2000'");
    assert_eq!(numbers(&unlimited, "2026-11-27T08:00:20Z"), [100, 101, 102, 103, 104]);
    let ends = counted("timeShiftBufferDepth='PT7S'", "duration='2000' endNumber='122'");
    assert_eq!(numbers(&ends, "2026-11-27T08:01:00Z"), [121, 122]);
    let announced = counted("mediaPresentationDuration='PT55S'", "duration='2000' endNumber='999'");
    assert_eq!(numbers(&announced, "2026-11-27T08:00:54Z").last(), Some(&121));
    assert_eq!(numbers(&announced, "2026-11-27T08:09:00Z").last(), Some(&122), "the last is shorter");
}

#[test]
fn an_mpd_that_goes_by_the_clock_holds_until_its_next_update() {
    let holds = |more: &str| mpd(&counted(more, "duration='2000'")).expect("an MPD").holds();
    assert_eq!(holds("minimumUpdatePeriod='PT30S'"), Duration::from_secs(30));
    assert_eq!([holds(""), holds("minimumUpdatePeriod='PT500S'")], [LONGEST_HOLD; 2]);
    assert_eq!(mpd(NUMBER).expect("an MPD").holds(), Duration::ZERO, "a finished one needn't");
    let endless = SHAKA_LIVE.replace("<S d=\"360000\" r=\"1\"/>", "<S d=\"360000\" r=\"-1\"/>");
    assert_eq!(mpd(&endless).expect("an MPD").holds(), Duration::ZERO, "only one of them goes on by itself");
    let last = segments(&endless, "hd", NOW).last().cloned().expect("some");
    assert_eq!(last.1, 54_000, "and that as far as the clock is");
}

#[test]
fn it_is_looked_for_where_it_says() {
    let text = GPAC_PERIODS
        .replace("<BaseURL>media/", "<Location> ../new.mpd?x=1&amp;y=2 </Location><BaseURL>media/");
    let moved = mpd(&text).expect("an MPD").moved().map(Url::to_string);
    assert_eq!(moved.as_deref(), Some("http://o.example/new.mpd?x=1&y=2"));
}

// H3
#[test]
fn no_listing_is_longer_than_its_limit() {
    let film = |seconds: usize| {
        format!(
            "<MPD mediaPresentationDuration='PT{seconds}S'><Period><AdaptationSet><SegmentTemplate media='$Number$' duration='1'/>\
             <Representation id='v'/></AdaptationSet></Period></MPD>"
        )
    };
    let length = |text: &str| listed(text, "v", NOW).map(|playlist| playlist.segments.len());
    assert_eq!(length(&film(MAX_SEGMENTS - 1)), Ok(MAX_SEGMENTS - 1));
    assert_eq!(length(&film(MAX_SEGMENTS)), Ok(MAX_SEGMENTS));
    assert_eq!(length(&film(MAX_SEGMENTS + 1)), Err(MpdError::TooLong));
    let timeline = |repeats: usize| {
        SHAKA_LIVE
            .replace("type=\"dynamic\"", "")
            .replace("<S t=\"24000\" d=\"4000\"/>", &format!("<S t='0' d='9' r='{repeats}'/>"))
    };
    assert_eq!(listed(&timeline(MAX_SEGMENTS - 1), "subs", NOW).map(|p| p.segments.len()), Ok(MAX_SEGMENTS));
    assert_eq!(listed(&timeline(MAX_SEGMENTS), "subs", NOW), Err(MpdError::TooLong));
    assert_eq!(listed(&timeline(1 << 62), "subs", NOW), Err(MpdError::Attribute("t")));
    // Live it is the newest that are shown, were it since 1970.
    let ago = |seconds: usize| {
        counted("", "duration='1000'").replace("'PT10S'", &format!("'PT{}S'", 3600 - seconds))
    };
    let live = |seconds| numbers(&ago(seconds), "2026-11-27T09:00:00Z");
    assert_eq!(live(MAX_LIVE - 1).len(), MAX_LIVE - 1);
    assert_eq!((live(MAX_LIVE).len(), live(MAX_LIVE)[0]), (MAX_LIVE, 100));
    assert_eq!((live(MAX_LIVE + 1).len(), live(MAX_LIVE + 1)[0]), (MAX_LIVE, 101));
    let ever = counted("", "duration='1000'").replace("2026-11-27T08:00:00Z", "1970-01-01T00:00:00Z");
    assert_eq!(numbers(&ever, NOW).len(), MAX_LIVE);
    let millions = SHAKA_LIVE.replace("<S t=\"24000\" d=\"4000\"/>", "<S t='0' d='2' r='9000000'/>");
    let millions = listed(&millions, "subs", NOW).expect("a playlist").segments;
    assert_eq!((millions.len(), millions[MAX_LIVE - 1].url.path()), (MAX_LIVE, "/tv/t/18000000.m4s"));
}

// H3
#[test]
fn periods_ids_and_representations_are_bounded() {
    let periods = |n: usize| format!("<MPD>{}</MPD>", "<Period duration='PT1S'/>".repeat(n));
    assert!(mpd(&periods(MAX_PERIODS - 1)).is_ok() && mpd(&periods(MAX_PERIODS)).is_ok());
    assert_eq!(mpd(&periods(MAX_PERIODS + 1)).err(), Some(MpdError::TooManyPeriods));
    let named = |ids: &[String]| {
        let all: String = ids.iter().map(|id| format!("<Representation id='{id}'/>")).collect();
        let text = format!("<MPD><Period><AdaptationSet>{all}</AdaptationSet></Period></MPD>");
        mpd(&text).expect("an MPD").representations().len()
    };
    let id = |n: usize| named(&["x".repeat(n)]);
    assert_eq!([id(MAX_ID - 1), id(MAX_ID), id(MAX_ID + 1), id(0)], [1, 1, 0, 0]);
    let some = |n: usize| named(&(0..n).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!([MAX_RENDITIONS - 1, MAX_RENDITIONS, MAX_RENDITIONS + 1].map(some), [63, 64, 64]);
    assert_eq!(named(&["a".into(), "a".into()]), 1, "one name, one Representation");
}

// H3
#[test]
fn what_is_broken_is_named() {
    assert_eq!(mpd("<html/>").err(), Some(MpdError::NotMpd));
    assert!(matches!(mpd("#EXTM3U").err(), Some(MpdError::Xml(1, _))));
    assert_eq!(Mpd::parse(&Url::parse("http://o/").expect("a URL"), b"\xff").err(), Some(MpdError::NotMpd));
    assert_eq!(listed(NUMBER, "9", NOW), Err(MpdError::Unknown));
    for (from, to, error) in [
        ("PT10.0S", "PT10.0", MpdError::Attribute("mediaPresentationDuration")),
        ("PT10.0S", "PT999999999999S", MpdError::Attribute("mediaPresentationDuration")),
        ("mediaPresentationDuration", "x", MpdError::NoEnd),
        ("type=\"static\"", "type=\"dynamic\"", MpdError::Attribute("availabilityStartTime")),
        ("timescale=\"1000000\"", "timescale=\"0\"", MpdError::Attribute("timescale")),
        ("duration=\"2000000\"", "duration=\"0\"", MpdError::Attribute("duration")),
        ("duration=\"2000000\"", "duration=\"99999999999999999999\"", MpdError::Attribute("duration")),
        ("duration=\"2000000\"", "", MpdError::Attribute("duration")),
        ("media=\"chunk-stream$", "media=\"chunk", MpdError::Template),
        ("media=", "x=", MpdError::Attribute("media")),
        ("bandwidth=\"650529\"", "bandwidth=\"-1\"", MpdError::Attribute("bandwidth")),
        ("startNumber=\"1\"", "startNumber=\"18446744073709551615\"", MpdError::Attribute("startNumber")),
    ] {
        assert!(NUMBER.contains(from), "{from}");
        assert_eq!(listed(&NUMBER.replace(from, to), "0", NOW).err(), Some(error), "{to}");
    }
    let absurd = counted("timeShiftBufferDepth='PT1S'", "duration='1'")
        .replace("2026-11-27T08:00:00Z", "9999-12-31T23:59:59Z");
    assert_eq!(numbers(&absurd, NOW), [0u32; 0]);
    assert_eq!(
        listed(&absurd.replace("9999", "99999"), "v", NOW),
        Err(MpdError::Attribute("availabilityStartTime"))
    );
}
