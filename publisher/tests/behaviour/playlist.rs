//! Reading media playlists.

use rillcast_protocol::id::TrackId;
use rillcast_publisher::Url;
use rillcast_publisher::playlist::{MAX_PARTS, MAX_SEGMENTS, Playlist, PlaylistError, Segment};

fn parse(text: &str) -> Result<Playlist, PlaylistError> {
    let base = Url::parse("https://cdn.example/live/v.m3u8?token=1").expect("url");
    Playlist::parse(TrackId(9), &base, text.as_bytes())
}

#[test]
fn numbers_discontinuities_durations_and_addresses_are_as_the_rfc_says() {
    let text = "\u{feff}#EXTM3U\r\n#EXT-X-VERSION:6\r\n#EXT-X-TARGETDURATION:5\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n\
                #EXT-X-DISCONTINUITY-SEQUENCE:3\r\n\r\n#EXTINF:4.0059,title, with comma\r\na.ts\r\n\
                #EXT-X-DISCONTINUITY\r\n#EXTINF:5\r\n/abs/b.ts?x=1\r\n# a comment\r\n#EXT-X-PROGRAM-DATE-TIME:nonsense\r\n\
                #EXTINF:0.5,\r\nhttps://other.example/c.ts\r\n#EXT-X-FUTURE:1\r\n";
    let playlist = parse(text).expect("good");
    assert_eq!(playlist.target_ms, 5000);
    assert!(!playlist.ended);
    let seen: Vec<_> = playlist
        .segments
        .iter()
        .map(|s| (s.key.number, s.key.discontinuity, s.duration_ms, s.url.as_str()))
        .collect();
    assert_eq!(
        seen,
        [
            (7, 3, 4006, "https://cdn.example/live/a.ts"),
            (8, 4, 5000, "https://cdn.example/abs/b.ts?x=1"),
            (9, 4, 500, "https://other.example/c.ts"),
        ]
    );
    assert!(playlist.segments.iter().all(|s| s.key.track == TrackId(9) && s.key.part == 0));
}

#[test]
fn byte_ranges_go_on_where_the_last_one_of_the_same_file_ended() {
    let text = "#EXTM3U\n#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"100@0\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:50@100\na.mp4\n\
                #EXTINF:1,\n#EXT-X-BYTERANGE:25\na.mp4\n#EXTINF:1,\nb.mp4\n";
    let ranges: Vec<_> = parse(text).expect("good").segments.into_iter().map(|s| s.range).collect();
    assert_eq!(ranges, [Some(100..150), Some(150..175), None]);
    for bad in ["50", "0@1", "x@1", "1@x", "18446744073709551615@2"] {
        let text = format!("#EXTM3U\n#EXTINF:1,\n#EXT-X-BYTERANGE:{bad}\na.mp4\n");
        assert!(parse(&text).is_err(), "{bad}");
    }
}

#[test]
fn gaps_count_and_have_no_bytes() {
    let text = "#EXTM3U\n#EXTINF:1,\na\n#EXT-X-GAP\n#EXTINF:1,\nb\n#EXTINF:1,\nc\n#EXT-X-ENDLIST\n";
    let playlist = parse(text).expect("good");
    assert_eq!(playlist.segments.iter().map(|s| s.key.number).collect::<Vec<_>>(), [0, 2]);
    assert!(playlist.ended);
}

#[test]
fn what_cannot_be_read_is_named_by_its_line() {
    assert_eq!(parse("<html>"), Err(PlaylistError::NotHls));
    assert_eq!(parse(""), Err(PlaylistError::NotHls));
    for (line, text) in [
        (2, "#EXTM3U\n#EXTINF:x,\na\n"),
        (2, "#EXTM3U\n#EXTINF:-1,\na\n"),
        (2, "#EXTM3U\n#EXTINF:NaN,\na\n"),
        (2, "#EXTM3U\n#EXTINF:86401,\na\n"),
        (2, "#EXTM3U\na.ts\n"),
        (2, "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n"),
        (2, "#EXTM3U\n#EXT-X-DISCONTINUITY-SEQUENCE:4294967296\n"),
        (3, "#EXTM3U\n#EXTINF:1,\nhttp://[\n"),
        (4, "#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nb.ts\n"),
        (4, "#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n"),
        (3, "#EXTM3U\n#EXT-X-PART:DURATION=1,URI=\"a.ts\"\n#EXT-X-MEDIA-SEQUENCE:7\n"),
        (4, "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\na\n"),
    ] {
        assert_eq!(parse(text), Err(PlaylistError::Line(line)), "{text}");
    }
    assert_eq!(parse("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n"), Err(PlaylistError::Multivariant));
}

#[test]
fn segments_up_to_the_limit_are_taken() {
    let text = |n: usize| format!("#EXTM3U\n{}", "#EXTINF:1,\na\n".repeat(n));
    assert_eq!(parse(&text(MAX_SEGMENTS)).map(|p| p.segments.len()), Ok(MAX_SEGMENTS));
    assert_eq!(parse(&text(MAX_SEGMENTS + 1)), Err(PlaylistError::TooLong));
}

const CONTROL: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-SKIP-UNTIL=12,CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5\n\
                       #EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:7\n";

type Seen<'a> = (u64, u32, u16, u32, &'a str, Option<std::ops::Range<u64>>);

fn seen(all: &[Segment]) -> Vec<Seen<'_>> {
    all.iter()
        .map(|s| {
            let key = s.key;
            (key.number, key.discontinuity, key.part, s.duration_ms, s.url.path(), s.range.clone())
        })
        .collect()
}

// R2: named as hls.js numbers them, for browsers derive the same names (web/src/adapter/hls.ts).
#[test]
fn parts_are_numbered_within_their_segment_and_gaps_count() {
    let text = format!(
        "{CONTROL}#EXT-X-PART:DURATION=0.5,URI=\"7.1.mp4\",INDEPENDENT=YES\n#EXT-X-PART:URI=\"7.2.mp4\",DURATION=0.5,GAP=YES\n\
         #EXT-X-PART:DURATION=0.25,URI=\"7,3.mp4\"\n#EXTINF:1.25,\n7.mp4\n#EXT-X-PART:DURATION=0.5,URI=\"8.1.mp4\"\n#EXT-X-DISCONTINUITY\n\
         #EXT-X-PART:DURATION=0.5,URI=\"8.2.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"map.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"8.3.mp4\"\n"
    );
    let playlist = parse(&text).expect("good");
    assert_eq!((playlist.part_target_ms, playlist.can_block), (500, true));
    assert_eq!(
        seen(&playlist.parts),
        [
            (7, 0, 1, 500, "/live/7.1.mp4", None),
            (7, 0, 3, 250, "/live/7,3.mp4", None),
            (8, 1, 1, 500, "/live/8.1.mp4", None),
            (8, 1, 2, 500, "/live/8.2.mp4", None),
        ]
    );
    assert_eq!(seen(playlist.hint.as_slice()), [(8, 1, 3, 500, "/live/8.3.mp4", None)]);
    assert_eq!(playlist.newest().map(|s| s.key.part), Some(2));
    let [part, hint] = [&playlist.parts[2], playlist.hint.as_ref().expect("one")].map(|s| s.key);
    assert_eq!(playlist.find(part).map(|s| s.key), Some(part));
    assert_eq!(playlist.find(hint), None, "it isn't there yet");
    assert_eq!(playlist.find_or_hint(hint).map(|s| s.key), Some(hint));
}

// R2
#[test]
fn parts_of_a_growing_file_go_on_where_the_last_one_ended() {
    let text = format!(
        "{CONTROL}#EXT-X-PART:DURATION=0.5,URI=\"7.mp4\",BYTERANGE=\"50\"\n#EXT-X-PART:DURATION=0.5,URI=\"7.mp4\",BYTERANGE=\"25\"\n\
         #EXTINF:1,\n7.mp4\n#EXT-X-PART:DURATION=0.5,URI=\"all.mp4\",BYTERANGE=\"30@100\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"all.mp4\",BYTERANGE-START=130"
    );
    let playlist = parse(&text).expect("good");
    let ranges: Vec<_> = playlist.parts.iter().map(|part| part.range.clone()).collect();
    assert_eq!(ranges, [Some(0..50), Some(50..75), Some(100..130)]);
    assert_eq!(playlist.hint, None, "where it ends isn't said");
    let hint = parse(&format!("{text},BYTERANGE-LENGTH=20\n")).expect("good").hint.expect("one");
    assert_eq!(hint.range, Some(130..150));
    for bad in ["50\",BYTERANGE=\"x", "0@1", "x@1", "18446744073709551615@2"] {
        let text = format!("{CONTROL}#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"{bad}\"\n");
        assert_eq!(parse(&text).is_ok(), bad.starts_with("50"), "{bad}");
    }
    let another = "#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"5\"\n#EXT-X-PART:DURATION=1,URI=\"b\",BYTERANGE=\"5\"\n";
    assert!(parse(&format!("{CONTROL}{another}")).is_err(), "of another file nothing was there before");
}

#[test]
fn what_can_not_be_read_of_parts_is_named_by_its_line() {
    for bad in [
        "PART:DURATION=1",
        "PART:URI=\"a\"",
        "PART:DURATION=x,URI=\"a\"",
        "PART:DURATION=1,URI=\"http://[\"",
        "PART-INF:",
        "PART-INF:PART-TARGET=x",
        "PRELOAD-HINT:TYPE=PART",
        "PRELOAD-HINT:TYPE=PART,URI=\"a\",BYTERANGE-START=x",
        "PRELOAD-HINT:TYPE=PART,URI=\"a\",BYTERANGE-LENGTH=0",
    ] {
        assert_eq!(parse(&format!("#EXTM3U\n#EXT-X-{bad}\n")), Err(PlaylistError::Line(2)), "{bad}");
    }
    assert_eq!(parse("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:1,\na\n"), Err(PlaylistError::Delta));
}

// R2
#[test]
fn parts_up_to_the_limit_are_taken() {
    let text = |n: u16| {
        let parts = "#EXT-X-PART:DURATION=0.1,URI=\"a\"\n".repeat(n.into());
        format!("#EXTM3U\n#EXTINF:1,\na\n{parts}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b\"\n")
    };
    for (parts, hinted) in [(MAX_PARTS - 1, true), (MAX_PARTS, false)] {
        let playlist = parse(&text(parts)).expect("good");
        assert_eq!((playlist.parts.len(), playlist.hint.is_some()), (parts.into(), hinted));
    }
    assert_eq!(parse(&text(MAX_PARTS + 1)), Err(PlaylistError::TooManyParts));
    let all = |parts: usize| {
        let one = format!("{}#EXTINF:1,\na\n", "#EXT-X-PART:DURATION=0.1,URI=\"a\"\n".repeat(100));
        let more = "#EXT-X-PART:DURATION=0.1,URI=\"a\"\n".repeat(parts % 100);
        parse(&format!("#EXTM3U\n{}{more}", one.repeat(parts / 100))).map(|p| p.parts.len())
    };
    assert_eq!(all(MAX_SEGMENTS), Ok(MAX_SEGMENTS));
    assert_eq!(all(MAX_SEGMENTS + 1), Err(PlaylistError::TooLong));
}

proptest::proptest! {
    #[test]
    fn no_part_makes_the_reader_panic(
        lines in proptest::collection::vec(
            "#EXT-X-(PART:|PRELOAD-HINT:TYPE=PART,|PART-INF:)((URI|DURATION|BYTERANGE|BYTERANGE-START|PART-TARGET)=\"?[0-9.@a-z]{0,8}\"?,){0,4}", 0..20)
    ) {
        let _ = parse(&format!("#EXTM3U\n{}", lines.join("\n")));
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        lines in proptest::collection::vec("(#EXTINF:|#EXT-X-BYTERANGE:|#EXT-X-MEDIA-SEQUENCE:|#EXT|)[0-9.@:,a-z/]{0,20}", 0..20)
    ) {
        let _ = parse(&format!("#EXTM3U\n{}", lines.join("\n")));
    }
}
