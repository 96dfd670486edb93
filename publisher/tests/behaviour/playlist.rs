//! Reading media playlists.

use rillcast_protocol::id::TrackId;
use rillcast_publisher::Url;
use rillcast_publisher::playlist::{MAX_SEGMENTS, Playlist, PlaylistError};

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

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(
        lines in proptest::collection::vec("(#EXTINF:|#EXT-X-BYTERANGE:|#EXT-X-MEDIA-SEQUENCE:|#EXT|)[0-9.@:,a-z/]{0,20}", 0..20)
    ) {
        let _ = parse(&format!("#EXTM3U\n{}", lines.join("\n")));
    }
}
