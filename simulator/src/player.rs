//! Players that behave like hls.js: a playlist read once per segment, one segment at a time, live playback some segments
//! behind the edge, the rendition chosen by the throughput that they are told.

use rillcast_core::engine::Playhead;
use rillcast_core::time::Instant;

/// A segment at a rendition is asked for only if the source gives so many times its rate.
const HEADROOM: f64 = 1.25;
/// hls.js's estimate before anything was measured, in bytes/s.
const UNKNOWN: f64 = 500_000.0 / 8.0;

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
    /// The rendition asked for last.
    pub(crate) level: usize,
    /// The segment to be asked for next.
    pub(crate) next: Option<u64>,
    /// It waits for this one.
    pub(crate) asked: Option<u64>,
    /// The newest in its playlist.
    pub(crate) listed: u64,
    /// The first that it got.
    pub(crate) first: Option<u64>,
    /// Media up to here is in its buffer, in ms.
    pub(crate) buffered_ms: f64,
    /// Bytes of media that it got.
    pub(crate) consumed: u64,
    stalled: bool,
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
            level: 0,
            next: None,
            asked: None,
            listed: 0,
            first: None,
            buffered_ms: 0.0,
            consumed: 0,
            stalled: false,
            estimate: UNKNOWN,
            updated: now,
        }
    }

    /// It has read a playlist for the first time.
    pub(crate) fn begin(&mut self, number: u64, segment_ms: f64) {
        self.next = Some(number);
        self.position_ms = number as f64 * segment_ms;
        self.buffered_ms = self.position_ms;
    }

    /// Plays on until `now`.
    pub(crate) fn advance(&mut self, now: Instant) {
        let passed = now.since(self.updated).as_secs_f64() * 1000.0;
        self.updated = now;
        if self.started.is_none() {
            return;
        }
        let room = (self.buffered_ms - self.position_ms).max(0.0);
        let played = passed.min(room);
        self.position_ms += played;
        self.played_ms += played;
        let dry = room < passed;
        if dry {
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
            buffered_ms: self.buffered_ms as i64,
            starving: self.started.is_none() || self.stalled,
        }
    }

    /// It got a segment, at `now`; `throughput` in bytes/s, as it was told.
    pub(crate) fn got(
        &mut self,
        now: Instant,
        number: u64,
        bytes: u32,
        throughput: Option<f64>,
        segment_ms: f64,
    ) {
        self.advance(now);
        self.consumed += u64::from(bytes);
        if let Some(seen) = throughput {
            self.estimate = if self.first.is_none() { seen } else { 0.7 * self.estimate + 0.3 * seen };
        }
        self.first.get_or_insert(number);
        self.asked = None;
        self.next = Some(number + 1);
        self.buffered_ms = (number + 1) as f64 * segment_ms;
        if self.started.is_none() {
            self.started = Some(now);
            self.updated = now;
        }
        self.stalled = false;
    }

    /// The rendition for the next segment.
    pub(crate) fn choose(&self, rates: &[u64]) -> usize {
        if self.first.is_none() {
            return 0;
        }
        rates.iter().rposition(|rate| *rate as f64 * HEADROOM <= self.estimate).unwrap_or(0)
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
        player.got(at(100), 5, 1000, None, 4000.0);
        player.advance(at(3100));
        assert_eq!((player.stalls, player.position_ms), (0, 23_000.0));
        player.advance(at(5100));
        player.advance(at(6100));
        assert_eq!((player.stalls, player.stall_ms), (1, 2000.0));
        player.got(at(6600), 6, 1000, None, 4000.0);
        assert_eq!((player.stalls, player.stall_ms), (1, 2500.0));
        player.advance(at(7600));
        assert_eq!(player.played_ms, 5000.0);
    }

    #[test]
    fn the_rendition_follows_what_it_is_told() {
        let rates = [50_000, 90_000, 180_000];
        let mut player = Player::new(at(0));
        assert_eq!(player.choose(&rates), 0, "everybody begins with the lowest");
        player.begin(1, 4000.0);
        player.got(at(1), 1, 1, Some(2e6), 4000.0);
        assert_eq!(player.choose(&rates), 2);
        for n in 2..20 {
            player.got(at(n), n, 1, Some(120_000.0), 4000.0);
        }
        assert_eq!(player.choose(&rates), 1);
    }
}
