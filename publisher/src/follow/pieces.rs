//! Parts that were fetched, until the segment is signed that they make up: put together they are that segment, and it isn't fetched once more.
//!
//! That they are, byte for byte, is usual and no law (RFC 8216bis wants the same media, not the same bytes). So the first segment of a track is
//! fetched besides and compared, and one in [`AGAIN`] from then on. Where they differ, both are fetched.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_protocol::id::SegmentKey;

use crate::playlist::{Playlist, Segment};

/// Bytes of parts kept for one track; beyond that the oldest go, and their segment is fetched.
pub(super) const MAX_BYTES: usize = MAX_SEGMENT as usize;
/// One segment in so many is fetched and compared with its parts.
const AGAIN: u32 = 64;
/// A segment's duration may differ from the sum of its parts' by so much for each, in milliseconds: they are rounded.
const ROUNDING: u32 = 2;

/// How a segment is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// From its parts: these are its bytes.
    Together(Bytes),
    /// From the origin, to be compared with these.
    Compare(Bytes),
    /// From the origin.
    Fetch,
    /// Not yet: parts of it are still to come.
    Wait,
}

/// What is known of a track's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seam {
    /// Nothing, or long ago.
    Unknown,
    /// They were a segment's bytes, so many segments ago.
    Same(u32),
    /// They weren't.
    Differs,
}

/// Parts of one track.
#[derive(Debug)]
pub(super) struct Pieces {
    held: BTreeMap<SegmentKey, Bytes>,
    bytes: usize,
    seam: Seam,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { held: BTreeMap::new(), bytes: 0, seam: Seam::Unknown }
    }
}

impl Pieces {
    /// Keeps a part's bytes.
    pub(super) fn put(&mut self, part: SegmentKey, body: Bytes) {
        if self.seam == Seam::Differs {
            return;
        }
        self.bytes += body.len();
        if let Some(before) = self.held.insert(part, body) {
            self.bytes -= before.len();
        }
        while self.bytes > MAX_BYTES {
            let Some((_, oldest)) = self.held.pop_first() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// Lets go of parts that no playlist names any more.
    pub(super) fn keep_listed(&mut self, playlist: &Playlist) {
        let first = playlist.parts.first().map(|part| part.key);
        self.held.retain(|key, _| first.is_some_and(|first| *key >= first));
        self.count();
    }

    /// How a segment of a playlist is to be had. `is_coming` tells of which parts the bytes are still to come.
    pub(super) fn whole(
        &mut self,
        segment: &Segment,
        playlist: &Playlist,
        is_coming: impl Fn(SegmentKey) -> bool,
    ) -> Whole {
        let parts: Vec<&Segment> = playlist.parts_of(segment.key).collect();
        let in_order = parts.iter().zip(1..).all(|(part, number)| part.key.part == number);
        let played: u32 = parts.iter().fold(0, |sum, part| sum.saturating_add(part.duration_ms));
        let slack = ROUNDING * (parts.len() as u32 + 1);
        if parts.is_empty() || !in_order || played.abs_diff(segment.duration_ms) > slack {
            return Whole::Fetch;
        }
        if self.seam == Seam::Differs {
            return Whole::Fetch;
        }
        if parts.iter().any(|part| is_coming(part.key)) {
            return Whole::Wait;
        }
        let Some(bodies) = parts.iter().map(|part| self.held.get(&part.key)).collect::<Option<Vec<_>>>()
        else {
            return Whole::Fetch;
        };
        let mut body = BytesMut::with_capacity(bodies.iter().map(|body| body.len()).sum());
        bodies.iter().for_each(|part| body.extend_from_slice(part));
        let body = body.freeze();
        match self.seam {
            Seam::Same(since) if since < AGAIN => {
                self.seam = Seam::Same(since + 1);
                self.forget(segment.key);
                Whole::Together(body)
            }
            _ => Whole::Compare(body),
        }
    }

    /// A segment came from the origin that these parts make up. False where that shows for the first time that they don't.
    pub(super) fn compared(&mut self, segment: SegmentKey, together: &Bytes, fetched: &Bytes) -> bool {
        let was = self.seam;
        self.seam = if together == fetched { Seam::Same(1) } else { Seam::Differs };
        self.forget(segment);
        if self.seam == Seam::Differs {
            self.held.clear();
            self.count();
        }
        self.seam != Seam::Differs || was == Seam::Differs
    }

    /// The encoder has begun anew, perhaps as another one.
    pub(super) fn restarted(&mut self) {
        *self = Self::default();
    }

    fn forget(&mut self, segment: SegmentKey) {
        self.held.retain(|key, _| SegmentKey { part: 0, ..*key } != segment);
        self.count();
    }

    fn count(&mut self) {
        self.bytes = self.held.values().map(Bytes::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use rillcast_protocol::id::TrackId;

    use super::*;

    /// A segment of two parts for each number in the list, and its duration.
    fn playlist(segments: &[(u64, &str)]) -> Playlist {
        let mut text = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n", segments[0].0);
        for (number, duration) in segments {
            for part in 1..3 {
                text += &format!("#EXT-X-PART:DURATION=0.5,URI=\"{number}.{part}\"\n");
            }
            text += &format!("#EXTINF:{duration},\n{number}\n");
        }
        let base = Url::parse("http://o.example/").expect("a URL");
        Playlist::parse(TrackId(1), &base, text.as_bytes()).expect("a playlist")
    }

    fn part(number: u64, part: u16) -> SegmentKey {
        SegmentKey { track: TrackId(1), number, discontinuity: 0, part }
    }

    fn with_parts(number: u64) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.add(number);
        pieces
    }

    impl Pieces {
        fn add(&mut self, number: u64) {
            self.put(part(number, 1), Bytes::from_static(b"ab"));
            self.put(part(number, 2), Bytes::from_static(b"c"));
        }

        fn have(&mut self, number: u64) -> Whole {
            let playlist = playlist(&[(number, "1")]);
            self.whole(&playlist.segments[0], &playlist, |_| false)
        }
    }

    const ALL: Bytes = Bytes::from_static(b"abc");

    // R2
    #[test]
    fn the_first_segment_is_compared_and_those_behind_it_are_put_together() {
        let mut pieces = with_parts(5);
        assert_eq!(pieces.have(5), Whole::Compare(ALL));
        assert!(pieces.compared(part(5, 0), &ALL, &ALL));
        assert_eq!(pieces.have(5), Whole::Fetch, "its parts are let go");
        for number in 6..5 + u64::from(AGAIN) {
            pieces.add(number);
            assert_eq!(pieces.have(number), Whole::Together(ALL), "{number}");
        }
        pieces.add(99);
        assert_eq!(pieces.have(99), Whole::Compare(ALL), "now and then one is");
        assert_eq!(pieces.held.len(), 2);
    }

    #[test]
    fn where_parts_are_other_bytes_than_segments_both_are_fetched() {
        let mut pieces = with_parts(5);
        assert!(!pieces.compared(part(5, 0), &ALL, &Bytes::from_static(b"abd")));
        pieces.add(6);
        assert_eq!((pieces.have(6), pieces.bytes), (Whole::Fetch, 0));
        assert!(pieces.compared(part(6, 0), &ALL, &Bytes::new()), "told once");
        pieces.restarted();
        pieces.add(7);
        assert_eq!(pieces.have(7), Whole::Compare(ALL), "another encoder may do better");
    }

    #[test]
    fn a_segment_waits_for_its_parts_and_not_for_those_that_never_come() {
        let playlist = playlist(&[(5, "1")]);
        let segment = &playlist.segments[0];
        let mut pieces = Pieces::default();
        pieces.put(part(5, 1), ALL);
        assert_eq!(pieces.whole(segment, &playlist, |key| key == part(5, 2)), Whole::Wait);
        assert_eq!(pieces.whole(segment, &playlist, |_| false), Whole::Fetch);
    }

    #[test]
    fn parts_that_do_not_last_as_long_as_their_segment_are_not_all_of_it() {
        for (duration, together) in [("0.994", true), ("0.993", false), ("1.006", true), ("1.007", false)] {
            let playlist = playlist(&[(5, duration)]);
            let whole = with_parts(5).whole(&playlist.segments[0], &playlist, |_| false);
            assert_eq!(whole == Whole::Compare(ALL), together, "{duration}");
        }
        let mut gap = playlist(&[(5, "1")]);
        gap.parts.remove(0);
        assert_eq!(with_parts(5).whole(&gap.segments[0], &gap, |_| false), Whole::Fetch);
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_listed_no_more_is_let_go() {
        let mut pieces = Pieces::default();
        let half = Bytes::from(vec![0; MAX_BYTES / 2]);
        for number in 1..3 {
            pieces.put(part(number, 1), half.clone());
        }
        assert_eq!((pieces.held.len(), pieces.bytes), (2, MAX_BYTES / 2 * 2), "at the limit");
        pieces.put(part(3, 1), Bytes::from_static(b"xy"));
        assert_eq!(pieces.held.keys().map(|key| key.number).collect::<Vec<_>>(), [2, 3], "one over");
        pieces.put(part(3, 1), Bytes::from_static(b"x"));
        assert_eq!(pieces.bytes, MAX_BYTES / 2 + 1, "again the same");
        pieces.keep_listed(&playlist(&[(3, "1")]));
        assert_eq!((pieces.held.len(), pieces.bytes), (1, 1));
    }
}
