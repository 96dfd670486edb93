//! Players that behave like hls.js: a playlist read once per segment, one segment of each track at a time, live playback some
//! segments behind the edge.
//!
//! The rendition follows the buffer, as Huang et al. have it ("A Buffer-Based Approach to Rate Adaptation", SIGCOMM 2014, BBA-0):
//! the lowest while there is less than a reservoir, any above the reservoir plus a cushion, linearly between; one that
//! may stay is not left. A live buffer never holds more than the few seconds that players are behind, so reservoir and
//! cushion are measured in segments. Above it lies a ceiling: the throughput that the player is told of, less a margin.

use rillcast_core::engine::Playhead;
use rillcast_core::time::Instant;

/// A segment at a rendition is asked for only if the source gives so many times its rate.
const HEADROOM: f64 = 1.25;
/// hls.js's estimate before anything was measured, in bytes/s.
const UNKNOWN: f64 = 500_000.0 / 8.0;
/// Of a segment's length.
const RESERVOIR: f64 = 0.4;
const CUSHION: f64 = 0.5;

/// One of the tracks that are played together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    /// The segment to be asked for next.
    pub(crate) next: Option<u64>,
    /// It waits for this one.
    pub(crate) asked: Option<u64>,
    /// The first that it got.
    pub(crate) first: Option<u64>,
    /// Media up to here is in its buffer, in ms.
    pub(crate) buffered_ms: f64,
}

/// One player.
#[derive(Debug, Clone)]
pub(crate) struct Player {
    /// When its viewer came.
    pub(crate) joined: Instant,
    /// When it began to play.
    pub(crate) started: Option<Instant>,
    /// Playing time reached, in ms.
    pub(crate) position_ms: f64,
    /// Times that it ran dry after starting.
    pub(crate) stalls: u32,
    /// How long in all, in ms.
    pub(crate) stall_ms: f64,
    /// How long it played, in ms.
    pub(crate) played_ms: f64,
    /// Jumps that its viewer made, and how long it waited after them, in ms.
    pub(crate) seeks: u32,
    pub(crate) seek_ms: f64,
    /// Times that it fell so far behind that it jumped ahead.
    pub(crate) skips: u32,
    /// Changes of rendition after the first segment.
    pub(crate) switches: u32,
    /// The rendition asked for last.
    pub(crate) level: usize,
    /// The newest in its playlist.
    pub(crate) listed: u64,
    /// The first segment that it got.
    pub(crate) first: Option<u64>,
    /// Bytes of media that it got.
    pub(crate) consumed: u64,
    /// Video, or all in one; and separate audio, where there is some.
    pub(crate) lanes: Vec<Lane>,
    /// Time since it started, times how far it was behind the live edge, in square ms.
    behind: f64,
    stalled: bool,
    seeking: bool,
    estimate: f64,
    updated: Instant,
}

impl Player {
    /// One that knows nothing yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            joined: now,
            started: None,
            position_ms: 0.0,
            stalls: 0,
            stall_ms: 0.0,
            played_ms: 0.0,
            seeks: 0,
            seek_ms: 0.0,
            skips: 0,
            switches: 0,
            level: 0,
            listed: 0,
            first: None,
            consumed: 0,
            lanes: vec![Lane::default()],
            behind: 0.0,
            stalled: false,
            seeking: false,
            estimate: UNKNOWN,
            updated: now,
        }
    }

    /// Its place is the start of this segment, and nothing is in its buffer.
    pub(crate) fn begin(&mut self, number: u64, segment_ms: f64) {
        self.position_ms = number as f64 * segment_ms;
        for lane in &mut self.lanes {
            lane.next = Some(number);
            lane.asked = None;
            lane.buffered_ms = self.position_ms;
        }
    }

    /// Its viewer jumps to a segment. Waiting for it is no stall.
    pub(crate) fn seek(&mut self, now: Instant, number: u64, segment_ms: f64) {
        self.advance(now);
        self.begin(number, segment_ms);
        self.seeks += 1;
        self.seeking = true;
    }

    /// It knows where to play.
    pub(crate) fn has_begun(&self) -> bool {
        self.lanes[0].next.is_some()
    }

    /// Media up to here can be played, in ms.
    pub(crate) fn buffered_ms(&self) -> f64 {
        self.lanes.iter().map(|l| l.buffered_ms).fold(f64::INFINITY, f64::min)
    }

    /// Plays on until `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        let passed = now.since(self.updated).as_secs_f64() * 1000.0;
        self.updated = now;
        if self.started.is_none() {
            return;
        }
        let room = (self.buffered_ms() - self.position_ms).max(0.0);
        let played = passed.min(room);
        self.position_ms += played;
        self.played_ms += played;
        self.behind += passed * (now.as_micros() as f64 / 1000.0 - self.position_ms);
        let dry = room < passed;
        if dry && self.seeking {
            self.seek_ms += passed - room;
        } else if dry {
            self.stall_ms += passed - room;
            self.stalls += u32::from(!self.stalled);
        }
        self.stalled = dry;
    }

    /// What the engine is told.
    pub(crate) fn playhead(&self) -> Playhead {
        Playhead {
            position_ms: self.position_ms as i64,
            rate_percent: if self.started.is_some() { 100 } else { 0 },
            buffered_ms: self.buffered_ms() as i64,
            starving: self.started.is_none() || self.stalled,
        }
    }

    /// One of its tracks got a segment, at `now`; `throughput` in bytes/s, as it was told.
    pub(crate) fn got(
        &mut self,
        now: Instant,
        (lane, number): (usize, u64),
        bytes: u32,
        throughput: Option<f64>,
        segment_ms: f64,
    ) {
        self.advance(now);
        self.consumed += u64::from(bytes);
        if lane == 0 {
            if let Some(seen) = throughput {
                self.estimate = if self.first.is_none() { seen } else { 0.7 * self.estimate + 0.3 * seen };
            }
            self.first.get_or_insert(number);
        }
        let track = &mut self.lanes[lane];
        track.first.get_or_insert(number);
        track.asked = None;
        track.next = Some(number + 1);
        track.buffered_ms = (number + 1) as f64 * segment_ms;
        if self.buffered_ms() <= self.position_ms {
            return;
        }
        if self.started.is_none() {
            self.started = Some(now);
            self.updated = now;
        }
        self.stalled = false;
        self.seeking = false;
    }

    /// The rendition for the next segment.
    pub(crate) fn choose(&self, rates: &[u64], segment_ms: f64) -> usize {
        if self.first.is_none() {
            return 0;
        }
        let fits = |most: f64| rates.iter().rposition(|rate| *rate as f64 <= most).unwrap_or(0);
        let ceiling = fits(self.estimate / HEADROOM);
        let (least, most) = (rates[0] as f64, rates[rates.len() - 1] as f64);
        let segments = (self.buffered_ms() - self.position_ms) / segment_ms;
        let share = ((segments - RESERVOIR) / CUSHION).clamp(0.0, 1.0);
        let allowed = least + (most - least) * share;
        let by_buffer = fits(allowed);
        // BBA-0: up to the highest allowed; down only when the one below would do, and then to the lowest above what is allowed.
        let level = self.level.min(rates.len() - 1);
        let below = rates[level.saturating_sub(1)] as f64;
        let wished = match () {
            () if by_buffer >= level => by_buffer,
            () if allowed > below => level,
            () if share == 0.0 => 0,
            () => (by_buffer + 1).min(level),
        };
        ceiling.min(wished)
    }

    /// It asks for a segment in this rendition.
    pub(crate) fn switch_to(&mut self, level: usize) {
        self.switches += u32::from(self.first.is_some() && level != self.level);
        self.level = level;
    }

    /// How far behind the live edge it was on average, in s; `None` if it never played.
    pub(crate) fn latency_s(&self) -> Option<f64> {
        let time = self.played_ms + self.stall_ms + self.seek_ms;
        (time > 0.0).then(|| self.behind / time / 1000.0)
    }

    /// How long it took to begin, in ms; `None` if it never did.
    pub(crate) fn start_ms(&self) -> Option<f64> {
        Some(self.started?.since(self.joined).as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rillcast_core::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn a_dry_buffer_is_one_stall_of_its_length() {
        let mut player = Player::new(at(0));
        player.begin(5, 4000.0);
        player.got(at(100), (0, 5), 1000, None, 4000.0);
        player.advance(at(3100));
        assert_eq!((player.stalls, player.position_ms), (0, 23_000.0));
        player.advance(at(5100));
        player.advance(at(6100));
        assert_eq!((player.stalls, player.stall_ms), (1, 2000.0));
        player.got(at(6600), (0, 6), 1000, None, 4000.0);
        assert_eq!((player.stalls, player.stall_ms), (1, 2500.0));
        player.advance(at(7600));
        assert_eq!(player.played_ms, 5000.0);
    }

    #[test]
    fn waiting_after_a_jump_is_no_stall() {
        let mut player = Player::new(at(0));
        player.begin(0, 4000.0);
        player.got(at(0), (0, 0), 1000, None, 4000.0);
        player.seek(at(1000), 50, 4000.0);
        player.got(at(1700), (0, 50), 1000, None, 4000.0);
        player.advance(at(2700));
        assert_eq!((player.stalls, player.stall_ms, player.seek_ms), (0, 0.0, 700.0));
        assert_eq!((player.seeks, player.position_ms), (1, 201_000.0));
        player.advance(at(6700));
        assert_eq!(player.stalls, 1, "running dry later is one again");
    }

    #[test]
    fn two_tracks_play_as_far_as_the_shorter_goes() {
        let mut player = Player::new(at(0));
        player.lanes.push(Lane::default());
        player.begin(1, 4000.0);
        player.got(at(0), (0, 1), 1000, None, 4000.0);
        player.got(at(0), (0, 2), 1000, None, 4000.0);
        assert_eq!(player.started, None, "there is no sound yet");
        player.got(at(500), (1, 1), 100, None, 4000.0);
        assert_eq!(player.started, Some(at(500)));
        player.advance(at(5500));
        assert_eq!((player.stalls, player.stall_ms), (1, 1000.0));
        player.got(at(5600), (1, 2), 100, None, 4000.0);
        assert!((player.buffered_ms(), player.consumed) == (12_000.0, 2200));
    }

    #[test]
    fn the_ceiling_follows_what_it_is_told() {
        let rates = [50_000, 90_000, 180_000];
        let mut player = Player::new(at(0));
        assert_eq!(player.choose(&rates, 4000.0), 0, "everybody begins with the lowest");
        player.begin(1, 4000.0);
        player.got(at(1), (0, 1), 1, Some(2e6), 4000.0);
        assert_eq!(player.choose(&rates, 4000.0), 2);
        for n in 2..20 {
            player.got(at(n), (0, n), 1, Some(120_000.0), 4000.0);
        }
        assert_eq!(player.choose(&rates, 4000.0), 1);
    }

    #[test]
    fn a_short_buffer_brings_the_rendition_down_by_steps() {
        let rates = [50_000, 90_000, 180_000];
        let mut player = Player::new(at(0));
        player.begin(1, 4000.0);
        player.got(at(0), (0, 1), 1, Some(2e6), 4000.0);
        player.switch_to(2);
        let mut after = |ms: u64| {
            player.advance(at(ms));
            let level = player.choose(&rates, 4000.0);
            player.switch_to(level);
            level
        };
        assert_eq!(after(1000), 2, "three seconds are enough to stay");
        assert_eq!(after(1800), 1, "2.2 s allow 89,000 bytes/s: less than the one below, so down");
        assert_eq!(after(2300), 1);
        assert_eq!(after(2500), 0, "under the reservoir");
        assert_eq!(player.switches, 3, "once up, twice down");
    }

    #[test]
    fn latency_is_the_distance_to_the_live_edge() {
        let mut player = Player::new(at(60_000));
        player.begin(12, 4000.0);
        player.got(at(60_000), (0, 12), 1000, None, 4000.0);
        player.got(at(61_000), (0, 13), 1000, None, 4000.0);
        player.advance(at(66_000));
        assert_eq!(player.latency_s(), Some(12.0));
    }
}
