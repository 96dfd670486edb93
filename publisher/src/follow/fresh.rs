//! What of a playlist is news.

use rillcast_protocol::id::SegmentKey;

use crate::playlist::{Playlist, Segment};

/// What is to be brought because a playlist names it and `known`, the one before it, didn't: in order, a segment's parts before itself. To whom
/// nothing is known, or where numbers went backwards, the last `backlog` segments are news and what comes after them, and whatever else there
/// is a copy of, for that costs the origin nothing.
pub(super) fn fresh(
    known: Option<&Playlist>,
    now: &Playlist,
    backlog: usize,
    has_copy: impl Fn(SegmentKey) -> bool,
) -> Vec<Segment> {
    let newest = |playlist: &Playlist| playlist.newest().map(|s| s.key);
    let last = |playlist: &Playlist| playlist.segments.last().map(|s| s.key);
    let mut fresh: Vec<Segment> = match known {
        Some(known) if newest(known).is_some() && last(now) >= last(known) => {
            let (segment, any) = (last(known), newest(known));
            let segments = now.segments.iter().filter(|s| Some(s.key) > segment);
            segments.chain(now.parts.iter().filter(|part| Some(part.key) > any)).cloned().collect()
        }
        _ => {
            let from = now.segments.len().saturating_sub(backlog);
            let (older, backlog) = now.segments.split_at(from);
            let first = backlog.first().map(|s| s.key);
            // Without a backlog, what has begun already is left to be asked for.
            let begins =
                |part: &&Segment| first.is_some_and(|first| part.key > first) || now.segments.is_empty();
            let parts = now.parts.iter().filter(begins);
            older.iter().filter(|s| has_copy(s.key)).chain(backlog).chain(parts).cloned().collect()
        }
    };
    fresh.sort_by_key(|s| (s.key.number, s.key.discontinuity, s.key.part.wrapping_sub(1)));
    fresh
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use rillcast_protocol::id::TrackId;

    use super::*;

    /// Segments from 5 on of two parts each, and so many parts of one that isn't complete.
    fn playlist(segments: u64, more: u64) -> Playlist {
        let mut text = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-PART-INF:PART-TARGET=1\n".to_owned();
        for number in 5..5 + segments {
            text += &format!(
                "#EXT-X-PART:DURATION=1,URI=\"{number}.1\"\n#EXT-X-PART:DURATION=1,URI=\"{number}.2\"\n#EXTINF:2,\n{number}\n"
            );
        }
        for part in 1..=more {
            text += &format!("#EXT-X-PART:DURATION=1,URI=\"{}.{part}\"\n", 5 + segments);
        }
        let base = Url::parse("http://o.example/").expect("a URL");
        Playlist::parse(TrackId(1), &base, text.as_bytes()).expect("a playlist")
    }

    fn names(known: Option<&Playlist>, now: &Playlist, backlog: usize) -> Vec<String> {
        let fresh = fresh(known, now, backlog, |key| key.number == 5);
        fresh.iter().map(|s| s.url.path()[1..].to_owned()).collect()
    }

    // R2
    #[test]
    fn a_segments_parts_come_before_it_and_each_once() {
        let (begun, more, whole) = (playlist(2, 0), playlist(2, 1), playlist(3, 1));
        assert_eq!(names(Some(&begun), &more, 1), ["7.1"]);
        assert_eq!(names(Some(&more), &whole, 1), ["7.2", "7", "8.1"]);
        assert_eq!(names(Some(&begun), &whole, 1), ["7.1", "7.2", "7", "8.1"]);
        assert_eq!(names(Some(&whole), &whole, 1), [""; 0]);
        // The last part was listed before the segment was.
        assert_eq!(names(Some(&playlist(2, 2)), &playlist(3, 0), 1), ["7"]);
    }

    #[test]
    fn whoever_comes_begins_with_the_backlog() {
        let now = playlist(3, 1);
        assert_eq!(names(None, &now, 1), ["5", "7.1", "7.2", "7", "8.1"]);
        assert_eq!(names(None, &now, 0), ["5"]);
        assert_eq!(names(None, &playlist(0, 2), 1), ["5.1", "5.2"], "a stream's first segment");
        assert_eq!(names(Some(&playlist(0, 1)), &playlist(0, 2), 1), ["5.2"]);
        assert_eq!(
            names(Some(&playlist(9, 1)), &now, 1),
            names(None, &now, 1),
            "an encoder that begins anew"
        );
    }
}
