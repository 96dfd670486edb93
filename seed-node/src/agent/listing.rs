//! A playlist on its stream's timeline.

use std::collections::HashMap;
use std::sync::Arc;

use rillcast_core::engine::{MediaKind, SegmentEntry};
use rillcast_protocol::id::TrackId;
use rillcast_publisher::Url;
use rillcast_publisher::playlist::{Playlist, Segment};

/// How many segments behind a live playlist's oldest stay known: a player asks for what it saw a moment ago.
pub const GRACE: u64 = 16;

/// A media playlist as it is now.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Which rendition.
    pub track: TrackId,
    /// Picture or sound.
    pub kind: MediaKind,
    /// Where it was asked for.
    pub url: Url,
    /// Its segments and parts, and a few that have just left it.
    pub playlist: Arc<Playlist>,
    /// The segments that it lists, on the stream's timeline.
    pub entries: Vec<SegmentEntry>,
    /// The parts that it lists.
    pub parts: Vec<SegmentEntry>,
}

impl Listing {
    /// What a player plays: segments, or parts where there are some, instead of the segments that they make up.
    pub fn timeline(&self, in_parts: bool) -> Vec<SegmentEntry> {
        if !in_parts {
            return self.entries.clone();
        }
        let has_parts = |number| self.parts.iter().any(|part| part.key.number == number);
        let whole = self.entries.iter().filter(|entry| !has_parts(entry.key.number));
        whole.chain(&self.parts).copied().collect()
    }
}

/// A playlist's segments, and its parts, on the timeline that all renditions share: where one number's start is known, the others follow from
/// it.
pub(super) fn entries(
    playlist: &Playlist,
    starts: &mut HashMap<u64, i64>,
) -> (Vec<SegmentEntry>, Vec<SegmentEntry>) {
    let mut at = 0;
    let anchor = playlist.segments.iter().find_map(|segment| {
        let start = starts.get(&segment.key.number).map(|start| start - at);
        at += i64::from(segment.duration_ms);
        start
    });
    let mut start_ms = anchor.unwrap_or(0);
    if anchor.is_none() {
        starts.clear();
    }
    let entry = |start_ms: &mut i64, segment: &Segment| {
        // An MPD says so itself.
        *start_ms = segment.start_ms.unwrap_or(*start_ms);
        let entry = SegmentEntry { key: segment.key, start_ms: *start_ms, duration_ms: segment.duration_ms };
        *start_ms += i64::from(segment.duration_ms);
        entry
    };
    let entries: Vec<_> = playlist.segments.iter().map(|segment| entry(&mut start_ms, segment)).collect();
    if let Some(oldest) = entries.first().map(|e| e.key.number) {
        starts.retain(|number, _| number.saturating_add(GRACE) >= oldest);
    }
    starts.extend(entries.iter().map(|e| (e.key.number, e.start_ms)));
    // What isn't complete begins where the last segment ends.
    let (mut number, mut at) = (None, start_ms);
    let place = |part: &Segment| {
        if number.replace(part.key.number) != Some(part.key.number) {
            at = starts.get(&part.key.number).copied().unwrap_or(start_ms);
        }
        entry(&mut at, part)
    };
    let parts = playlist.parts.iter().map(place).collect();
    (entries, parts)
}
