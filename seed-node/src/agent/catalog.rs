//! What the playlists that players fetched say: which URL is which playlist of which stream, and which segment. MPDs are read in `dash`.
//!
//! Bounded: renditions by [`MAX_RENDITIONS`] for each stream, segments by a playlist's own limit.

mod dash;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use rillcast_core::engine::MediaKind;
use rillcast_protocol::id::{SegmentKey, TrackId};
use rillcast_publisher::playlist::{self, MAX_RENDITIONS, Playlist, RenditionKind};
use rillcast_publisher::{Url, directives, track_id};

use super::listing::{GRACE, Listing, entries};
use super::range;

/// How many segments back parts stay known that have just left the playlist.
const PARTS_GRACE: u64 = 2;

/// A segment that a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The number of its stream.
    pub stream: usize,
    /// Which segment.
    pub key: SegmentKey,
    /// Its bytes of the resource; `None` is all of them.
    pub part: Option<Range<u64>>,
}

/// All of it, shared by requests.
#[derive(Debug)]
pub struct Catalog {
    streams: Mutex<Vec<Stream>>,
}

#[derive(Debug)]
struct Stream {
    /// URLs without query: the manifest's own, and where it was redirected to.
    manifests: Vec<String>,
    renditions: HashMap<String, Rendition>,
    /// Start of each segment number, in milliseconds, in whichever rendition it was seen last.
    starts: HashMap<u64, i64>,
    /// An MPD by which what is to come is told by the clock.
    clock: Option<dash::Clock>,
}

#[derive(Debug)]
struct Rendition {
    track: TrackId,
    kind: Option<MediaKind>,
    known: Vec<playlist::Segment>,
    parts: Vec<playlist::Segment>,
    by_url: HashMap<Url, Vec<Place>>,
}

/// A segment, and its bytes of the resource at a URL; `None` is all of them.
#[derive(Debug)]
struct Place {
    key: SegmentKey,
    part: Option<Range<u64>>,
}

impl Rendition {
    fn new(url: &str, kind: Option<MediaKind>) -> Self {
        Self { track: track_id(url), kind, known: Vec::new(), parts: Vec::new(), by_url: HashMap::new() }
    }
}

impl Catalog {
    /// Of streams of which nothing is known but their manifests.
    pub fn new(manifests: &[Url]) -> Self {
        let stream = |manifest: &Url| Stream {
            manifests: vec![plain(manifest)],
            renditions: HashMap::new(),
            starts: HashMap::new(),
            clock: None,
        };
        Self { streams: Mutex::new(manifests.iter().map(stream).collect()) }
    }

    /// Takes a playlist that was asked for at `url`; told back: of which stream, and how it stands now, if it is a media playlist of one.
    pub fn learn(&self, url: &Url, text: &[u8]) -> Option<(usize, Listing)> {
        let mut streams = self.lock();
        let name = plain(url);
        let named = playlist::renditions(url, text).ok()?;
        if !named.is_empty() {
            let stream = streams.iter_mut().find(|s| s.manifests.contains(&name))?;
            for rendition in named {
                stream.name(plain(&rendition.url), kind(rendition.kind));
            }
            return None;
        }
        let number =
            streams.iter().position(|s| s.renditions.contains_key(&name) || s.manifests.contains(&name))?;
        let stream = &mut streams[number];
        // A manifest without renditions is one itself.
        stream.name(name.clone(), Some(MediaKind::Main));
        stream.learn(&name, url, text).map(|listing| (number, listing))
    }

    /// A playlist is found elsewhere; it is the same one there.
    pub fn redirected(&self, from: &Url, to: &Url) {
        let (from, to) = (plain(from), plain(to));
        for stream in self.lock().iter_mut() {
            if stream.manifests.contains(&from) {
                stream.is_also_at(to.clone());
            }
            if let Some(rendition) = stream.renditions.get(&from) {
                let (track, kind) = (rendition.track, rendition.kind);
                stream.name(to.clone(), kind);
                if let Some(same) = stream.renditions.get_mut(&to) {
                    same.track = track;
                }
            }
        }
    }

    /// The number of the stream that a manifest belongs to.
    pub fn stream(&self, url: &Url) -> Option<usize> {
        let name = plain(url);
        self.lock().iter().position(|s| s.manifests.contains(&name))
    }

    /// The segment that a request for a URL with these headers means.
    pub fn find(&self, url: &Url, headers: &HeaderMap) -> Option<Found> {
        let streams = self.lock();
        for (stream, s) in streams.iter().enumerate() {
            for Place { key, part } in s.renditions.values().filter_map(|r| r.by_url.get(url)).flatten() {
                if part.as_ref().is_none_or(|part| range::is_exactly(headers, part)) {
                    return Some(Found { stream, key: *key, part: part.clone() });
                }
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    fn name(&mut self, url: String, kind: Option<MediaKind>) {
        if self.renditions.len() < MAX_RENDITIONS && !self.renditions.contains_key(&url) {
            let rendition = Rendition::new(&url, kind);
            self.renditions.insert(url, rendition);
        }
    }

    fn is_also_at(&mut self, manifest: String) {
        if !self.manifests.contains(&manifest) && self.manifests.len() < 8 {
            self.manifests.push(manifest);
        }
    }

    fn learn(&mut self, name: &str, url: &Url, text: &[u8]) -> Option<Listing> {
        let track = self.renditions.get(name)?.track;
        // A delta update can't be read: what it leaves out has left no trace of its discontinuities.
        self.take(name, url, Playlist::parse(track, url, text).ok()?)
    }

    fn take(&mut self, name: &str, url: &Url, mut playlist: Playlist) -> Option<Listing> {
        let rendition = self.renditions.get_mut(name)?;
        let kind = rendition.kind?;
        let (entries, parts) = entries(&playlist, &mut self.starts);
        let (first, last) = (playlist.segments.first()?.key.number, playlist.segments.last()?.key.number);
        // A stream that has begun anew counts from the beginning.
        let anew = rendition.known.last().is_some_and(|s| s.key.number > last.saturating_add(GRACE));
        rendition
            .known
            .retain(|s| !anew && s.key.number < first && s.key.number.saturating_add(GRACE) >= first);
        rendition.known.append(&mut playlist.segments);
        let oldest = playlist.parts.first().map(|part| part.key);
        rendition.parts.retain(|part| {
            let has_left = oldest.is_none_or(|oldest| part.key < oldest);
            !anew && has_left && part.key.number.saturating_add(PARTS_GRACE) >= last
        });
        rendition.parts.append(&mut playlist.parts);
        rendition.by_url.clear();
        // A request for a part of a file isn't one for all of it: what has a range of its own comes first.
        for segment in rendition.parts.iter().chain(&playlist.hint).chain(&rendition.known) {
            let places = rendition.by_url.entry(segment.url.clone()).or_default();
            places.push(Place { key: segment.key, part: segment.range.clone() });
        }
        playlist.segments.clone_from(&rendition.known);
        playlist.parts.clone_from(&rendition.parts);
        let (track, url) = (rendition.track, directives::without(url));
        Some(Listing { track, kind, url, playlist: playlist.into(), entries, parts })
    }
}

/// Subtitles aren't shared.
fn kind(kind: RenditionKind) -> Option<MediaKind> {
    match kind {
        RenditionKind::Main => Some(MediaKind::Main),
        RenditionKind::Audio => Some(MediaKind::Audio),
        RenditionKind::Text => None,
    }
}

/// Without query and fragment: tokens change.
fn plain(url: &Url) -> String {
    rillcast_publisher::origin::bare(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, header};

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    const MASTER: &str = "https://cdn.example/live/master.m3u8";

    fn catalog() -> Catalog {
        let catalog = Catalog::new(&[url("https://cdn.example/other.m3u8"), url(MASTER)]);
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"sound.m3u8\"\n\
                    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",URI=\"text.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8?t=1\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n";
        assert!(catalog.learn(&url(&format!("{MASTER}?t=1")), text.as_bytes()).is_none());
        catalog
    }

    fn media(first: u64, count: u64) -> String {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        (first..first + count).for_each(|n| text += &format!("#EXTINF:4,\n{n}.ts?t=1\n"));
        text
    }

    fn starts(listing: &Listing) -> Vec<i64> {
        listing.entries.iter().map(|e| e.start_ms).collect()
    }

    #[test]
    fn a_segment_is_found_by_the_url_that_its_playlist_gives_it() {
        let catalog = catalog();
        let (stream, listing) = catalog
            .learn(&url("https://cdn.example/live/low.m3u8?t=2"), media(7, 3).as_bytes())
            .expect("a listing");
        assert_eq!((stream, listing.kind), (1, MediaKind::Main));
        assert_eq!(listing.track, track_id("https://cdn.example/live/low.m3u8"));
        let find = |name: &str| {
            catalog
                .find(&url(&format!("https://cdn.example/live/{name}")), &HeaderMap::new())
                .map(|f| f.key.number)
        };
        assert_eq!((find("7.ts?t=1"), find("9.ts?t=1")), (Some(7), Some(9)));
        assert_eq!((find("7.ts"), find("10.ts?t=1"), find("low.m3u8")), (None, None, None));
    }

    #[test]
    fn what_has_just_left_a_playlist_is_still_known() {
        let catalog = catalog();
        let low = url("https://cdn.example/live/low.m3u8");
        catalog.learn(&low, media(7, 3).as_bytes());
        let find = |n: u64| {
            catalog.find(&url(&format!("https://cdn.example/live/{n}.ts?t=1")), &HeaderMap::new()).is_some()
        };
        let (_, listing) = catalog.learn(&low, media(7 + GRACE, 3).as_bytes()).expect("a listing");
        assert!(find(7) && find(8) && find(7 + GRACE));
        assert_eq!(listing.entries.len(), 3, "though the playlist lists it no more");
        assert!(listing.playlist.find(SegmentKey { number: 7, ..listing.entries[0].key }).is_some());
        catalog.learn(&low, media(8 + GRACE, 3).as_bytes());
        assert!(!find(7) && find(8));
        catalog.learn(&low, media(0, 3).as_bytes());
        assert!(find(0) && !find(8), "a stream that begins anew");
    }

    #[test]
    fn renditions_share_a_timeline() {
        let catalog = catalog();
        let at = |name: &str, first, count| {
            let (_, listing) = catalog
                .learn(&url(&format!("https://cdn.example/live/{name}")), media(first, count).as_bytes())
                .expect("a listing");
            starts(&listing)
        };
        assert_eq!(at("low.m3u8", 7, 3), [0, 4000, 8000]);
        assert_eq!(at("high.m3u8", 8, 3), [4000, 8000, 12000]);
        assert_eq!(at("sound.m3u8", 6, 2), [-4000, 0]);
        assert_eq!(at("low.m3u8", 9, 2), [8000, 12000]);
        assert_eq!(at("low.m3u8", 90, 2), [0, 4000], "after a gap there is nothing to hold on to");
    }

    #[test]
    fn subtitles_strangers_and_deltas_are_not_shared() {
        let catalog = catalog();
        for name in ["live/text.m3u8", "live/stranger.m3u8"] {
            assert!(
                catalog.learn(&url(&format!("https://cdn.example/{name}")), media(7, 3).as_bytes()).is_none()
            );
        }
        let delta = media(7, 3) + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n";
        assert!(catalog.learn(&url("https://cdn.example/live/low.m3u8"), delta.as_bytes()).is_none());
        assert!(catalog.learn(&url("https://cdn.example/live/low.m3u8"), b"<html>").is_none());
    }

    #[test]
    fn a_redirected_playlist_is_the_same_track() {
        let catalog = catalog();
        let edge = url("https://cdn.example/edge/low.m3u8");
        catalog.redirected(&url("https://cdn.example/live/low.m3u8"), &edge);
        let (_, listing) = catalog.learn(&edge, media(7, 3).as_bytes()).expect("a listing");
        assert_eq!(listing.track, track_id("https://cdn.example/live/low.m3u8"));
        catalog
            .redirected(&url("https://cdn.example/other.m3u8"), &url("https://cdn.example/edge/other.m3u8"));
        assert_eq!(catalog.stream(&url("https://cdn.example/edge/other.m3u8?x")), Some(0));
    }

    #[test]
    fn a_segment_that_is_a_part_of_a_file_is_asked_for_by_exactly_that_part() {
        let catalog = catalog();
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n#EXT-X-BYTERANGE:100@50\nall.ts\n\
                    #EXTINF:4,\n#EXT-X-BYTERANGE:10\nall.ts\n#EXT-X-ENDLIST\n";
        catalog.learn(&url("https://cdn.example/other.m3u8"), text.as_bytes()).expect("a listing");
        let find = |range: &'static str| {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
            catalog.find(&url("https://cdn.example/all.ts"), &headers).map(|f| (f.stream, f.key.number))
        };
        assert_eq!(find("bytes=50-149"), Some((0, 0)));
        assert_eq!(find("bytes=150-159"), Some((0, 1)));
        for range in ["bytes=50-148", "bytes=51-149", "bytes=0-", "bytes=50-"] {
            assert_eq!(find(range), None, "{range}");
        }
    }

    /// Two segments and two parts of a third one, three to a segment, and a hint at the last.
    fn low_latency() -> String {
        let part = |n: u64, p: u64| format!("#EXT-X-PART:DURATION=1,URI=\"{n}.{p}.ts\"\n");
        let mut text =
            "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-PART-INF:PART-TARGET=1\n\
                        #EXTINF:3,\n7.ts\n"
                .to_owned();
        (1..4).for_each(|p| text += &part(8, p));
        text += "#EXTINF:3,\n8.ts\n";
        (1..3).for_each(|p| text += &part(9, p));
        text + "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"9.3.ts\"\n"
    }

    // R2
    #[test]
    fn parts_and_the_one_to_come_are_found_and_stand_where_their_segment_does() {
        let catalog = catalog();
        let asked = url("https://cdn.example/live/low.m3u8?_HLS_msn=9&_HLS_part=1&t=1");
        let (_, listing) = catalog.learn(&asked, low_latency().as_bytes()).expect("a listing");
        assert_eq!(listing.url, url("https://cdn.example/live/low.m3u8?t=1"));
        let find = |name: &str| {
            let found = catalog.find(&url(&format!("https://cdn.example/live/{name}")), &HeaderMap::new());
            found.map(|f| (f.key.number, f.key.part))
        };
        assert_eq!(
            [find("8.ts"), find("8.1.ts"), find("9.2.ts")],
            [Some((8, 0)), Some((8, 1)), Some((9, 2))]
        );
        assert_eq!([find("9.3.ts"), find("9.4.ts")], [Some((9, 3)), None], "the one to come, and no more");
        let names = |in_parts| {
            let all = listing.timeline(in_parts).into_iter();
            all.map(|e| (e.key.number, e.key.part, e.start_ms / 1000)).collect::<Vec<_>>()
        };
        assert_eq!(names(false), [(7, 0, 0), (8, 0, 3)]);
        assert_eq!(names(true), [(7, 0, 0), (8, 1, 3), (8, 2, 4), (8, 3, 5), (9, 1, 6), (9, 2, 7)]);
    }

    // R2
    #[test]
    fn parts_that_have_just_left_the_playlist_are_still_known() {
        let catalog = catalog();
        let low = url("https://cdn.example/live/low.m3u8");
        let knows = || catalog.find(&url("https://cdn.example/live/8.3.ts"), &HeaderMap::new()).is_some();
        catalog.learn(&low, low_latency().as_bytes());
        catalog.learn(&low, media(7, PARTS_GRACE + 2).as_bytes());
        assert!(knows());
        catalog.learn(&low, media(7, PARTS_GRACE + 3).as_bytes());
        assert!(!knows());
        catalog.learn(&low, low_latency().as_bytes());
        assert!(knows());
    }

    // R2
    #[test]
    fn a_part_of_a_growing_file_is_told_from_the_file() {
        let catalog = catalog();
        let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART:DURATION=1,URI=\"0.mp4\",BYTERANGE=\"50@0\"\n\
                    #EXT-X-PART:DURATION=1,URI=\"0.mp4\",BYTERANGE=\"30\"\n#EXTINF:2,\n0.mp4\n";
        catalog.learn(&url("https://cdn.example/live/low.m3u8"), text.as_bytes()).expect("a listing");
        let find = |range: Option<&'static str>| {
            let range = range.map(|range| (header::RANGE, HeaderValue::from_static(range)));
            let headers = HeaderMap::from_iter(range);
            catalog.find(&url("https://cdn.example/live/0.mp4"), &headers).map(|f| f.key.part)
        };
        assert_eq!([find(Some("bytes=0-49")), find(Some("bytes=50-79"))], [Some(1), Some(2)]);
        assert_eq!([find(None), find(Some("bytes=0-"))], [Some(0), Some(0)]);
    }
}
