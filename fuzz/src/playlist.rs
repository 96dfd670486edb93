//! Playlists from an origin, as publishers and agents read them, and from an encoder that pushes.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rillcast_protocol::id::TrackId;
use rillcast_publisher::playlist::{MAX_PARTS, MAX_SEGMENTS, Playlist, renditions};
use rillcast_publisher::vod::{Lead, Next, Plan};
use rillcast_publisher::{AllowList, Url};
use rillcast_seed::agent::catalog::Catalog;
use rillcast_seed::agent::rewrite::rewrite;
use rillcast_seed::ingest::name::FilePath;
use rillcast_seed::ingest::pushed::Pushed;
use rillcast_seed::ingest::timeline::{Lookup, Timeline};
use rillcast_seed::source::content_range;

/// Reads a media playlist, a multivariant one and a Content-Range.
pub fn run(data: &[u8]) {
    let base = Url::parse("https://cdn.example/live/720.m3u8?token=x").expect("a URL");
    if let Ok(playlist) = Playlist::parse(TrackId(7), &base, data) {
        media(&playlist);
    }
    if let Ok(urls) = renditions(&base, data) {
        assert!(urls.len() <= 64);
    }
    if let Some((_, listing)) = Catalog::new(std::slice::from_ref(&base)).learn(&base, data) {
        assert_eq!(listing.entries.len(), listing.playlist.segments.len());
    }
    if let Ok(text) = str::from_utf8(data) {
        content_range(text);
        pushed(&base, text);
        let allow = AllowList::new(["https://cdn.example/live/"]).expect("a prefix");
        let mended = rewrite(&base, &allow, text);
        assert_eq!(mended.matches('\n').count(), text.matches('\n').count());
        assert_eq!(rewrite(&base, &allow, &mended).matches('\n').count(), mended.matches('\n').count());
    }
}

/// A playlist as an encoder pushes it, once more after it began anew, and what is served of both.
fn pushed(base: &Url, text: &str) {
    let Ok(pushed) = Pushed::parse(text) else { return };
    let path = FilePath::new("live/720.m3u8").expect("a name");
    let mut timeline = Timeline::default();
    for life in [b"one", b"two"] {
        let find = |uri: &str| match path.join(uri) {
            Some(Ok(file)) => Lookup::There(file.versioned(&blake3::hash(life))),
            _ => Lookup::Missing,
        };
        let taken = timeline.take(&pushed, find, false, 1_770_000_000_000);
        assert!(taken.added <= pushed.items.len());
    }
    let entries = timeline.entries();
    assert!(entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a.number + 1 == b.number));
    assert!(entries.iter().zip(entries.iter().skip(1)).all(|(a, b)| a.discontinuity <= b.discontinuity));
    let known: HashSet<u64> = entries.iter().filter(|e| e.file.is_some()).map(|e| e.number).collect();
    for window in [None, Some(Duration::MAX)] {
        let shown = timeline.render(window, "live", "/tv/", 1_770_000_000_000);
        // Tags that only a publisher reads may be wrong still.
        if let Ok(read) = Playlist::parse(TrackId(7), base, shown.as_bytes()) {
            assert!(read.segments.iter().all(|segment| known.contains(&segment.key.number)));
        }
    }
}

fn media(playlist: &Playlist) {
    let segments = &playlist.segments;
    assert!(playlist.target_ms >= 1 && segments.len() <= MAX_SEGMENTS);
    assert!(segments.is_sorted_by(|a, b| a.key.number < b.key.number));
    assert!(segments.iter().all(|s| s.range.as_ref().is_none_or(|r| r.start < r.end)));
    if let Some(last) = segments.last() {
        assert_eq!(playlist.find(last.key), Some(last));
    }
    let parts = || playlist.parts.iter().chain(&playlist.hint);
    assert!(playlist.parts.len() <= MAX_SEGMENTS);
    assert!(parts().all(|part| (1..=MAX_PARTS).contains(&part.key.part)));
    assert!(parts().all(|part| part.range.as_ref().is_none_or(|r| r.start < r.end)));
    if let Some((_, part)) = playlist.next() {
        assert!(part <= MAX_PARTS);
    }
    // What would be digested of it if it were finished: each segment once.
    let durations: Vec<_> = segments.iter().map(|s| Duration::from_millis(s.duration_ms.into())).collect();
    let now = Instant::now();
    let mut plan = Plan::new(Lead::default(), durations, now);
    let mut handed = 0;
    while let Next::Segment(index) = plan.next(now) {
        assert!(index < segments.len());
        handed += 1;
        assert!(handed <= segments.len());
    }
}
