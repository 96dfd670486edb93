//! The playlists as the player sees them, where it is, and so when each segment is needed.

use crate::map::{Map, put_in_order};

use rillcast_protocol::id::{SegmentKey, TrackId};

use crate::engine::io::{Playhead, SegmentEntry};
use crate::time::{Duration, Instant, millis};

/// What a track is for; the player plays one track of each kind at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    /// Video, or all media in one.
    Main,
    /// Separate audio.
    Audio,
    /// Subtitles.
    Text,
}

/// Tracks whose playlists are remembered.
const MAX_TRACKS: usize = 32;
/// Segments that may be known beyond the newest playlist entry.
const MAX_AHEAD_OF_PLAYLIST: u64 = 4;

/// Segments beyond the next one that are taken from peers; more would be memory for a switch or seek to throw away.
const MAX_AHEAD: u64 = 8;
/// See [`Timeline::soon`].
const SOON: Duration = Duration::from_millis(4500);
/// See [`Timeline::haste`].
const AT_LEISURE: Duration = Duration::from_millis(2700);
/// A player needs so long to append what it waited for and to say that it plays.
const APPENDING: Duration = Duration::from_millis(1500);

/// See [`SegmentKey::place`].
type Place = (u64, u16);

#[derive(Clone, Debug)]
struct Track {
    kind: MediaKind,
    entries: Vec<SegmentEntry>,
    live: bool,
}

/// A track that is being played, and from which segment on it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The track.
    pub track: TrackId,
    /// The number of the first segment, or part of one, that the player hasn't got.
    pub next: u64,
    /// The newest segment or part that existed when we began with this track. What came later we have heard of in time to take part in its
    /// election; what was there before, the neighbours have.
    pub joined_at: Place,
    /// The playlist still grows.
    pub live: bool,
}

#[derive(Clone, Copy, Debug)]
struct Position {
    track: TrackId,
    next: Place,
    joined_at: Place,
}

/// Playlists and playhead.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    tracks: Map<TrackId, Track>,
    current: Map<MediaKind, Position>,
    playhead: Option<(Playhead, Instant)>,
    started: bool,
    /// When a waiting player was last given what it waited for.
    fed: Option<Instant>,
}

impl Timeline {
    /// Takes a playlist.
    pub fn update(&mut self, track: TrackId, kind: MediaKind, listed: Vec<SegmentEntry>, live: bool) {
        let mut entries = Vec::with_capacity(listed.len());
        listed.into_iter().for_each(|entry| put_in_order(&mut entries, entry, |e: &SegmentEntry| e.key));
        if self.tracks.len() >= MAX_TRACKS && !self.tracks.contains_key(&track) {
            let playing: Vec<_> = self.current.values().map(|c| c.track).collect();
            let idle = self.tracks.keys().copied().find(|t| !playing.contains(t));
            if let Some(idle) = idle {
                self.tracks.remove(&idle);
            }
        }
        self.tracks.insert(track, Track { kind, entries, live });
    }

    /// Takes the player's place. For a moment after it was fed, a player that isn't playing is taken to be appending.
    pub fn set_playhead(&mut self, playhead: Playhead, now: Instant) {
        let appending = self.fed.is_some_and(|at| now.since(at) < APPENDING);
        if appending && (playhead.starving || playhead.rate_percent == 0) {
            return;
        }
        self.started |= playhead.rate_percent > 0;
        self.playhead = Some((playhead, now));
    }

    /// The player asks for a segment: its track is the one being played. True if that is a change.
    pub fn demanded(&mut self, key: SegmentKey) -> bool {
        let kind = self.tracks.get(&key.track).map_or(MediaKind::Main, |t| t.kind);
        let newest = self.newest(key.track).unwrap_or(key.place());
        let before = self.current.get(&kind).copied().filter(|p| p.track == key.track);
        // A jump (seek, sleep) is a new beginning too.
        let joined_at = match before {
            Some(p) if key.number.abs_diff(p.next.0) < MAX_AHEAD => p.joined_at,
            _ => newest,
        };
        self.current.insert(kind, Position { track: key.track, next: key.place(), joined_at });
        before.is_none()
    }

    fn newest(&self, track: TrackId) -> Option<Place> {
        self.tracks.get(&track)?.entries.last().map(|e| e.key.place())
    }

    /// The player has a segment. If it was waiting for it, it plays on from there as soon as it has appended it: what comes next
    /// has a deadline from now on, though the player hasn't said so yet.
    pub fn delivered(&mut self, key: SegmentKey, now: Instant) {
        // Before it starts, a player may say that it is paused: it plays as soon as it can.
        if (self.is_starving() || !self.started)
            && let Some(start) = self.start_ms(&key)
        {
            let end = start + i64::from(self.duration_ms(&key).unwrap_or(0));
            let playhead =
                Playhead { position_ms: start, rate_percent: 100, buffered_ms: end, starving: false };
            self.playhead = Some((playhead, now));
            self.started = true;
            self.fed = Some(now);
        }
        for position in self.current.values_mut() {
            if position.track == key.track && position.next <= key.place() {
                // Which part is a segment's last isn't known: its number stays the next one until another is asked for.
                position.next = if key.part > 0 { (key.number, key.part + 1) } else { (key.number + 1, 0) };
            }
        }
    }

    /// The tracks being played.
    pub fn current(&self) -> impl Iterator<Item = Current> + '_ {
        self.current.values().map(|p| Current {
            track: p.track,
            next: p.next.0,
            joined_at: p.joined_at,
            live: self.tracks.get(&p.track).is_some_and(|t| t.live),
        })
    }

    /// The playing of a track, if it is being played.
    pub fn playing(&self, track: TrackId) -> Option<Current> {
        self.current().find(|c| c.track == track)
    }

    /// Whether the player's playlist holds the segment, so that its URL is known.
    pub fn is_listed(&self, key: &SegmentKey) -> bool {
        self.tracks.get(&key.track).is_some_and(|t| t.entries.binary_search_by_key(key, |e| e.key).is_ok())
    }

    /// The listed segments of a track from a number on.
    pub fn listed_from(&self, track: TrackId, number: u64) -> impl Iterator<Item = &SegmentEntry> {
        self.tracks
            .get(&track)
            .into_iter()
            .flat_map(|t| t.entries.iter())
            .filter(move |e| e.key.number >= number)
    }

    /// Whether a segment is one that the player will ask for soon, listed or just ahead of the playlist.
    pub fn is_wanted(&self, key: &SegmentKey) -> bool {
        let Some(current) = self.current.values().find(|p| p.track == key.track) else { return false };
        let (next, part) = current.next;
        let newest = self.newest(key.track).map_or(next, |(number, _)| number.max(next));
        // Who plays parts has no use for the segments that they make up, nor the other way round.
        (key.part > 0) == (part > 0)
            && key.place() >= current.next
            && key.number <= (newest + MAX_AHEAD_OF_PLAYLIST).min(next + MAX_AHEAD)
    }

    /// The player has begun to play, now or earlier: it may be paused.
    pub fn has_started(&self) -> bool {
        self.started
    }

    /// The player waits for bytes right now.
    pub fn is_starving(&self) -> bool {
        self.playhead.is_none_or(|(p, _)| p.starving)
    }

    /// Seconds of media in the player's buffer.
    pub fn buffered(&self) -> Duration {
        self.playhead.map_or(Duration::ZERO, |(p, _)| {
            Duration::from_millis((p.buffered_ms - p.position_ms).max(0) as u64)
        })
    }

    /// When the player runs into the start of a segment; `now` if it waits for it, and if nothing better is known.
    pub fn deadline(&self, key: &SegmentKey, now: Instant) -> Instant {
        let Some((playhead, at)) = self.playhead else { return now };
        let Some(start_ms) = self.start_ms(key) else { return now };
        let rate = i64::from(playhead.rate_percent);
        let elapsed = millis(now.since(at)) as i64;
        let position = playhead.position_ms + elapsed.min(60_000) * rate / 100;
        let left = (start_ms - position).max(0);
        let left = if rate > 0 { left * 100 / rate } else { left };
        now + Duration::from_millis(left as u64)
    }

    /// What is needed in less time is needed soon: half of what the playlist is ahead of the player, [`SOON`] at most.
    pub fn soon(&self, track: TrackId, now: Instant) -> Duration {
        self.ahead(track, now).map_or(SOON, |ahead| (ahead / 2).min(SOON))
    }

    /// How far the playlist is ahead of the player, if it is known.
    fn ahead(&self, track: TrackId, now: Instant) -> Option<Duration> {
        let newest = self.tracks.get(&track)?.entries.last()?;
        let end = self.deadline(&newest.key, now) + Duration::from_millis(u64::from(newest.duration_ms));
        Some(end.since(now))
    }

    /// So much of a precaution is left, in thousandths, to a player so near to the live edge: there is less time for everything, and one that
    /// takes all of it leaves nothing to peers.
    pub fn haste(&self, track: TrackId, now: Instant) -> u32 {
        let ahead = self.ahead(track, now).unwrap_or(AT_LEISURE);
        (millis(ahead) * 1000 / millis(AT_LEISURE)).min(1000) as u32
    }

    fn duration_ms(&self, key: &SegmentKey) -> Option<u32> {
        let track = self.tracks.get(&key.track)?;
        track.entries.binary_search_by_key(key, |e| e.key).ok().map(|at| track.entries[at].duration_ms)
    }

    fn start_ms(&self, key: &SegmentKey) -> Option<i64> {
        let track = self.tracks.get(&key.track)?;
        if let Ok(at) = track.entries.binary_search_by_key(key, |e| e.key) {
            return Some(track.entries[at].start_ms);
        }
        let last = track.entries.last()?;
        let ahead = key.number.checked_sub(last.key.number)?.min(1000) as i64;
        // Parts of a segment: as many as any that is listed has.
        let parts = track.entries.iter().map(|e| i64::from(e.key.part)).max().unwrap_or(0).max(1);
        let ahead = ahead * parts + i64::from(key.part) - i64::from(last.key.part);
        Some(last.start_ms + ahead.max(0) * i64::from(last.duration_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: TrackId = TrackId(1);
    const HIGH: TrackId = TrackId(2);
    const SOUND: TrackId = TrackId(3);

    fn key(track: TrackId, number: u64) -> SegmentKey {
        SegmentKey { track, number, discontinuity: 0, part: 0 }
    }

    fn entries(track: TrackId, numbers: core::ops::Range<u64>) -> Vec<SegmentEntry> {
        let entry = |n| SegmentEntry { key: key(track, n), start_ms: n as i64 * 4000, duration_ms: 4000 };
        numbers.map(entry).collect()
    }

    fn playing(position_ms: i64, rate_percent: u16) -> Playhead {
        Playhead { position_ms, rate_percent, buffered_ms: position_ms + 4000, starving: false }
    }

    fn after(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Live, segments 10 to 19 listed, the player at second 48, asking for segment 15.
    fn live() -> Timeline {
        let mut timeline = Timeline::default();
        timeline.update(VIDEO, MediaKind::Main, entries(VIDEO, 10..20), true);
        timeline.demanded(key(VIDEO, 15));
        timeline.set_playhead(playing(48_000, 100), after(0));
        timeline
    }

    #[test]
    fn the_playhead_moves_on_between_two_reports() {
        let timeline = live();
        let deadline = after(12_000);
        for ms in [0, 100, 5000] {
            assert_eq!(timeline.deadline(&key(VIDEO, 15), after(ms)), deadline);
        }
        assert_eq!(timeline.deadline(&key(VIDEO, 11), after(0)), after(0), "behind the playhead: now");
    }

    #[test]
    fn a_lost_player_is_not_extrapolated_for_ever() {
        let timeline = live();
        let deadline = |at| timeline.deadline(&key(VIDEO, 19 + 20), at).since(at);
        assert!(deadline(after(60_000)) < deadline(after(30_000)));
        assert_eq!(deadline(after(60_000)), deadline(after(200_000)), "a minute at most");
    }

    #[test]
    fn speed_brings_deadlines_nearer_and_a_paused_player_keeps_them_away() {
        let mut timeline = live();
        timeline.set_playhead(playing(48_000, 200), after(0));
        assert_eq!(timeline.deadline(&key(VIDEO, 15), after(0)), after(6000));
        timeline.set_playhead(playing(48_000, 0), after(0));
        assert_eq!(
            timeline.deadline(&key(VIDEO, 15), after(5000)),
            after(17_000),
            "time passes, the playhead doesn't"
        );
        assert!(timeline.has_started(), "a pause is no new beginning");
    }

    #[test]
    fn segments_just_ahead_of_the_playlist_are_wanted_and_have_deadlines() {
        let timeline = live();
        assert!(timeline.is_wanted(&key(VIDEO, 15)) && !timeline.is_wanted(&key(VIDEO, 14)));
        assert!(timeline.is_wanted(&key(VIDEO, 19 + MAX_AHEAD_OF_PLAYLIST)));
        assert!(!timeline.is_wanted(&key(VIDEO, 20 + MAX_AHEAD_OF_PLAYLIST)));
        assert!(!timeline.is_listed(&key(VIDEO, 20)));
        assert_eq!(timeline.deadline(&key(VIDEO, 21), after(0)), after(36_000));
    }

    #[test]
    fn no_more_is_wanted_than_a_switch_may_throw_away() {
        let mut timeline = live();
        timeline.update(VIDEO, MediaKind::Main, entries(VIDEO, 10..99), false);
        assert!(timeline.is_wanted(&key(VIDEO, 15 + MAX_AHEAD)));
        assert!(!timeline.is_wanted(&key(VIDEO, 16 + MAX_AHEAD)));
    }

    #[test]
    fn a_switch_replaces_the_track_of_its_kind_alone() {
        let mut timeline = live();
        timeline.update(HIGH, MediaKind::Main, entries(HIGH, 10..20), true);
        timeline.update(SOUND, MediaKind::Audio, entries(SOUND, 10..20), true);
        assert!(timeline.demanded(key(SOUND, 15)));
        assert!(timeline.demanded(key(HIGH, 16)));
        assert!(!timeline.demanded(key(HIGH, 17)), "no change");
        let mut tracks: Vec<_> = timeline.current().map(|c| c.track).collect();
        tracks.sort_unstable();
        assert_eq!(tracks, [HIGH, SOUND]);
        assert!(!timeline.is_wanted(&key(VIDEO, 17)));
        timeline.delivered(key(HIGH, 17), after(0));
        assert_eq!(timeline.playing(HIGH).map(|c| c.next), Some(18));
        assert_eq!(timeline.playing(SOUND).map(|c| c.next), Some(15), "sound has its own place");
    }

    #[test]
    fn a_seek_is_a_new_beginning() {
        let mut timeline = live();
        let joined = |t: &Timeline| t.playing(VIDEO).map(|c| (c.next, c.joined_at));
        assert_eq!(joined(&timeline), Some((15, (19, 0))));
        timeline.update(VIDEO, MediaKind::Main, entries(VIDEO, 12..40), true);
        timeline.demanded(key(VIDEO, 16));
        assert_eq!(joined(&timeline), Some((16, (19, 0))), "the next one isn't");
        timeline.demanded(key(VIDEO, 30));
        assert_eq!(joined(&timeline), Some((30, (39, 0))));
        timeline.demanded(key(VIDEO, 12));
        assert_eq!(joined(&timeline), Some((12, (39, 0))), "back as well");
    }

    #[test]
    fn who_gets_what_he_waited_for_plays_on_from_there() {
        let mut timeline = live();
        let starving = Playhead { starving: true, ..playing(60_000, 100) };
        timeline.set_playhead(starving, after(0));
        assert!(timeline.is_starving());
        timeline.delivered(key(VIDEO, 15), after(100));
        assert!(!timeline.is_starving());
        timeline.set_playhead(starving, after(100 + 1499));
        assert!(!timeline.is_starving(), "it is still appending");
        timeline.set_playhead(starving, after(100 + 1500));
        assert!(timeline.is_starving(), "no, it starves");
    }

    #[test]
    fn a_player_that_calls_itself_paused_before_it_starts_starts_all_the_same() {
        let mut timeline = Timeline::default();
        timeline.update(VIDEO, MediaKind::Main, entries(VIDEO, 10..20), true);
        timeline.demanded(key(VIDEO, 15));
        timeline.set_playhead(playing(0, 0), after(0));
        assert!(!timeline.has_started());
        timeline.delivered(key(VIDEO, 15), after(100));
        assert!(timeline.has_started());
        assert_eq!(timeline.deadline(&key(VIDEO, 16), after(100)), after(4100));
    }

    /// Low latency: parts of a second, four to a segment, listed up to the second one of segment 20; the player has had two of segment 19.
    fn in_parts() -> Timeline {
        let mut timeline = Timeline::default();
        let unit = |n: u64| SegmentEntry {
            key: part(n / 4, n as u16 % 4 + 1),
            start_ms: n as i64 * 1000,
            duration_ms: 1000,
        };
        timeline.update(VIDEO, MediaKind::Main, (64..82).map(unit).collect(), true);
        timeline.demanded(part(19, 2));
        timeline.set_playhead(playing(77_000, 100), after(0));
        timeline.delivered(part(19, 2), after(0));
        timeline
    }

    fn part(number: u64, part: u16) -> SegmentKey {
        SegmentKey { part, ..key(VIDEO, number) }
    }

    // R2
    #[test]
    fn the_parts_behind_one_that_the_player_has_are_wanted_before_it_asks() {
        let mut timeline = in_parts();
        let wanted = |t: &Timeline| [1, 2, 3, 4, 5].map(|p| t.is_wanted(&part(19, p)));
        assert_eq!(wanted(&timeline), [false, false, true, true, true]);
        assert!(timeline.is_wanted(&part(20, 1)) && !timeline.is_wanted(&part(18, 4)));
        assert_eq!(timeline.playing(VIDEO).map(|c| c.next), Some(19), "neighbours may offer them");
        timeline.delivered(part(19, 4), after(0));
        assert_eq!(wanted(&timeline), [false, false, false, false, true]);
        timeline.demanded(part(20, 1));
        assert_eq!(wanted(&timeline), [false; 5]);
        assert_eq!(timeline.playing(VIDEO).map(|c| c.next), Some(20));
    }

    // R2
    #[test]
    fn a_player_of_parts_wants_no_whole_segments_and_the_other_way_round() {
        let timeline = in_parts();
        assert!(!timeline.is_wanted(&key(VIDEO, 20)) && timeline.is_wanted(&part(20, 4)));
        assert!(!live().is_wanted(&part(16, 1)) && live().is_wanted(&key(VIDEO, 16)));
    }

    // R2
    #[test]
    fn parts_ahead_of_the_playlist_have_deadlines_of_their_own() {
        let timeline = in_parts();
        let due = |number, p| timeline.deadline(&part(number, p), after(0));
        assert_eq!([due(20, 2), due(20, 3), due(20, 4), due(21, 1)], [4000, 5000, 6000, 7000].map(after));
        assert_eq!(due(22, 2), after(12_000));
    }

    // R2 R58
    #[test]
    fn soon_is_half_of_the_way_to_the_live_edge_and_no_more_than_four_seconds_and_a_half() {
        let timeline = in_parts();
        let soon = |t: &Timeline, ms| t.soon(VIDEO, after(ms));
        assert_eq!(soon(&timeline, 0), Duration::from_millis(2500));
        assert_eq!(soon(&timeline, 1000), Duration::from_millis(2000), "the player comes nearer");
        assert_eq!(soon(&timeline, 9000), Duration::from_millis(500), "as if at the newest's start");
        let mut far = live();
        assert_eq!(soon(&far, 0), SOON, "the edge is 32 s away");
        for (position, ms) in [(71_000, 4500), (71_001, 4499), (70_999, 4500)] {
            far.set_playhead(playing(position, 100), after(0));
            assert_eq!(millis(soon(&far, 0)), ms);
        }
        assert_eq!(far.soon(HIGH, after(0)), SOON, "nothing is known of it");
    }

    // R2
    #[test]
    fn who_plays_near_the_live_edge_has_less_time_for_precautions() {
        let mut timeline = in_parts();
        let haste = |t: &Timeline, ms| t.haste(VIDEO, after(ms));
        assert_eq!(haste(&timeline, 0), 1000, "five seconds ahead");
        assert_eq!([2299, 2300, 2301, 3650].map(|ms| haste(&timeline, ms)), [1000, 1000, 999, 500]);
        assert_eq!(timeline.haste(HIGH, after(0)), 1000, "nothing is known of it");
        timeline.set_playhead(playing(82_000, 100), after(0));
        assert_eq!(haste(&timeline, 0), 370, "it can't play what isn't there yet");
    }

    // After a discontinuity numbers go on but the key differs: two encodings never meet in one segment.
    #[test]
    fn a_discontinuity_changes_the_key_and_keeps_the_order() {
        let mut timeline = live();
        let mut list = entries(VIDEO, 10..20);
        for e in list.iter_mut().skip(6) {
            e.key.discontinuity = 1;
        }
        timeline.update(VIDEO, MediaKind::Main, list, true);
        let after_break = SegmentKey { discontinuity: 1, ..key(VIDEO, 17) };
        assert!(timeline.is_listed(&after_break) && !timeline.is_listed(&key(VIDEO, 17)));
        assert!(timeline.is_wanted(&after_break));
        assert_eq!(timeline.deadline(&after_break, after(0)), after(20_000));
        let order: Vec<_> = timeline.listed_from(VIDEO, 14).map(|e| e.key.number).collect();
        assert_eq!(order, [14, 15, 16, 17, 18, 19]);
    }

    #[test]
    fn playlists_are_bounded_and_those_played_stay() {
        let mut timeline = live();
        for n in 0..MAX_TRACKS as u64 - 1 {
            timeline.update(TrackId(100 + n), MediaKind::Main, entries(TrackId(100 + n), 0..3), true);
        }
        assert_eq!(timeline.tracks.len(), MAX_TRACKS, "at the limit");
        timeline.update(TrackId(9), MediaKind::Main, entries(TrackId(9), 0..3), true);
        assert_eq!(timeline.tracks.len(), MAX_TRACKS, "one over");
        assert!(timeline.is_listed(&key(VIDEO, 12)), "the one being played stays");
        assert!(timeline.is_listed(&key(TrackId(9), 2)), "and so does the new one");
    }
}
