//! Where a native player is, of which nothing is known but what it asks for and when it gets it.
//!
//! It can't play what it hasn't got, and it plays no faster than time passes: so it is at most as far as if it had begun with its
//! first segment at once and never paused. That is what is told to the engine. It may be further behind, which makes deadlines too
//! early and costs the source a little; it is never further ahead, which would make it stall.
//!
//! Several players behind one agent can't be told apart, so each run of consecutive requests counts as one ([`Head`]), and the one
//! furthest ahead is told: the others' deadlines are earlier then.

use rillcast_core::engine::Playhead;
use rillcast_core::time::{Duration, Instant, millis};

/// Most players reckoned with; the one that asked longest ago gives way.
const MAX_HEADS: usize = 8;
/// Playlists round; starts that are no further apart are the same, in milliseconds, or less than half of what is asked for.
const ROUNDING: i64 = 300;
/// A player that waits so long between a segment and asking for the next doesn't do so for want of it.
const AT_EASE: Duration = Duration::from_millis(500);
/// A player that has run dry by our reckoning and asked for nothing for so long is gone, if there are others.
const GONE: Duration = Duration::from_secs(10);

/// A segment on the stream's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its start.
    pub start_ms: i64,
    /// Its end.
    pub end_ms: i64,
    /// Players begin here: live, or at the beginning. Elsewhere they have jumped, perhaps to its last moment.
    pub is_beginning: bool,
}

/// One presumed player.
#[derive(Clone, Debug)]
struct Head {
    /// It was there at that time.
    position_ms: i64,
    at: Instant,
    /// What it has got ends here.
    end_ms: i64,
    started: bool,
    /// The segment that it waits for.
    waits: Option<Span>,
    /// When it last asked or was given something.
    seen: Instant,
    /// The least that it had left when it asked for more at its ease, in milliseconds.
    habit: Option<i64>,
}

impl Head {
    fn reckoned(&self, now: Instant) -> i64 {
        let passed = if self.started { millis(now.since(self.at)) as i64 } else { 0 };
        self.position_ms + passed
    }

    fn position(&self, now: Instant) -> i64 {
        self.reckoned(now).min(self.end_ms)
    }

    fn is_dry(&self, now: Instant) -> bool {
        self.reckoned(now) >= self.end_ms
    }

    fn is_gone(&self, now: Instant) -> bool {
        self.waits.is_none() && self.is_dry(now) && now.since(self.seen) >= GONE
    }
}

/// All presumed players of one stream's picture, or sound.
#[derive(Clone, Debug, Default)]
pub struct Reckoning {
    heads: Vec<Head>,
}

impl Reckoning {
    /// A player asks for a segment.
    pub fn asked(&mut self, span: Span, now: Instant) {
        if self.heads.len() > 1 {
            let all = std::mem::take(&mut self.heads);
            self.heads = all.iter().filter(|head| !head.is_gone(now)).cloned().collect();
            if self.heads.is_empty() {
                self.heads.extend(all.into_iter().max_by_key(|head| head.seen));
            }
        }
        let again = |h: &Head| h.waits.is_some_and(|w| near(w.start_ms, span));
        if self.heads.iter().any(again) {
            return;
        }
        let next = |h: &Head| near(h.end_ms, span);
        if let Some(head) = self.heads.iter_mut().filter(|h| next(h)).max_by_key(|h| h.seen) {
            let at_ease = head.waits.is_none() && now.since(head.seen) >= AT_EASE;
            if at_ease && head.is_dry(now) {
                // It had more than we thought: it was paused, or began later.
                head.position_ms = head.end_ms - head.habit.unwrap_or(0);
                head.at = now;
            } else if at_ease {
                let left = head.end_ms - head.position(now);
                head.habit = Some(head.habit.map_or(left, |habit| habit.min(left)));
            }
            head.waits = Some(span);
            head.seen = now;
            return;
        }
        if self.heads.len() == MAX_HEADS {
            let idle = (0..MAX_HEADS).min_by_key(|at| self.heads[*at].seen);
            idle.map(|at| self.heads.swap_remove(at));
        }
        self.heads.push(Head {
            position_ms: span.start_ms,
            at: now,
            end_ms: span.start_ms,
            started: false,
            waits: Some(span),
            seen: now,
            habit: None,
        });
    }

    /// It has got it.
    pub fn delivered(&mut self, span: Span, now: Instant) {
        for head in &mut self.heads {
            if !head.waits.is_some_and(|w| near(w.start_ms, span)) {
                continue;
            }
            if !head.started {
                (head.started, head.at) = (true, now);
                head.position_ms = if span.is_beginning { span.start_ms } else { span.end_ms };
            } else if head.is_dry(now) {
                (head.position_ms, head.at) = (head.end_ms, now);
            }
            head.end_ms = span.end_ms;
            head.waits = None;
            head.seen = now;
        }
    }

    /// It doesn't want it any more.
    pub fn cancelled(&mut self, span: Span) {
        let waits = |head: &Head| head.waits.is_some_and(|w| near(w.start_ms, span));
        self.heads.retain(|head| head.started || !waits(head));
        self.heads.iter_mut().filter(|head| waits(head)).for_each(|head| head.waits = None);
    }

    /// What to tell the engine; nothing while nobody has asked for anything.
    pub fn playhead(&self, now: Instant) -> Option<Playhead> {
        let furthest = self.heads.iter().max_by_key(|head| head.position(now))?;
        let starving = self.heads.iter().any(|h| h.waits.is_some() && h.is_dry(now));
        let (position_ms, dry) = (furthest.position(now), furthest.is_dry(now));
        // One that asks for nothing lacks nothing, whatever we reckon.
        let holds = dry && furthest.waits.is_none() && furthest.started;
        let position_ms = if holds { position_ms - furthest.habit.unwrap_or(0) } else { position_ms };
        Some(Playhead {
            position_ms,
            rate_percent: if dry || !furthest.started { 0 } else { 100 },
            buffered_ms: furthest.end_ms.max(position_ms),
            starving,
        })
    }

    /// Somebody waits for something.
    pub fn waits(&self) -> bool {
        self.heads.iter().any(|head| head.waits.is_some())
    }
}

/// Whether a time is that at which something begins. Parts are short: the next one's beginning must not be taken for its own.
fn near(at: i64, span: Span) -> bool {
    (at - span.start_ms).abs() <= ROUNDING.min((span.end_ms - span.start_ms - 1) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments of four seconds.
    fn span(number: i64) -> Span {
        Span { start_ms: number * 4000, end_ms: (number + 1) * 4000, is_beginning: true }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    impl Reckoning {
        fn gets(&mut self, number: i64, ms: u64) {
            self.asked(span(number), at(ms));
            self.delivered(span(number), at(ms));
        }

        fn left(&self, ms: u64) -> i64 {
            let playhead = self.playhead(at(ms)).expect("somebody plays");
            playhead.buffered_ms - playhead.position_ms
        }
    }

    // R2
    #[test]
    fn short_parts_are_told_apart() {
        let mut reckoning = Reckoning::default();
        let part = |n: i64| Span { start_ms: n * 200, end_ms: (n + 1) * 200, is_beginning: true };
        for n in 10..20 {
            reckoning.asked(part(n), at(1000));
            reckoning.delivered(part(n), at(1000));
        }
        assert_eq!((reckoning.heads.len(), reckoning.left(1000)), (1, 2000));
    }

    #[test]
    fn before_its_first_segment_a_player_waits() {
        let mut reckoning = Reckoning::default();
        assert_eq!(reckoning.playhead(at(0)), None);
        reckoning.asked(span(5), at(0));
        let playhead = reckoning.playhead(at(900)).expect("somebody asks");
        assert_eq!((playhead.position_ms, playhead.rate_percent, playhead.starving), (20_000, 0, true));
    }

    #[test]
    fn it_plays_from_its_first_segment_on_and_never_what_it_has_not_got() {
        let mut reckoning = Reckoning::default();
        (5..8).for_each(|n| reckoning.gets(n, 1000));
        let playhead = reckoning.playhead(at(3000)).expect("it plays");
        assert_eq!((playhead.position_ms, playhead.buffered_ms), (22_000, 32_000));
        assert_eq!((playhead.rate_percent, playhead.starving), (100, false));
        assert_eq!(reckoning.left(90_000), 0);
    }

    #[test]
    fn one_that_runs_dry_while_it_waits_starves_and_goes_on_from_there() {
        let mut reckoning = Reckoning::default();
        reckoning.gets(0, 0);
        reckoning.asked(span(1), at(3000));
        assert!(!reckoning.playhead(at(3999)).expect("it plays").starving);
        assert!(reckoning.playhead(at(4000)).expect("it plays").starving);
        reckoning.delivered(span(1), at(6000));
        assert_eq!(reckoning.left(6000), 4000);
    }

    #[test]
    fn after_a_pause_it_has_what_it_used_to_have_left() {
        let mut reckoning = Reckoning::default();
        (0..3).for_each(|n| reckoning.gets(n, 0));
        reckoning.gets(3, 4000);
        reckoning.gets(4, 8000);
        // Each time it asked with eight seconds left. Now it stops for a minute.
        reckoning.asked(span(5), at(70_000));
        assert_eq!(reckoning.left(70_000), 8000);
        let mut unknown = Reckoning::default();
        unknown.gets(0, 0);
        unknown.asked(span(1), at(70_000));
        assert!(unknown.playhead(at(70_000)).expect("it plays").starving, "nothing is believed of it");
    }

    #[test]
    fn whoever_jumps_may_have_jumped_to_the_end_of_a_segment() {
        let mut reckoning = Reckoning::default();
        reckoning.gets(0, 0);
        let jumped = Span { is_beginning: false, ..span(50) };
        reckoning.asked(jumped, at(1000));
        reckoning.delivered(jumped, at(1500));
        assert_eq!(reckoning.left(1500), 0);
        reckoning.gets(51, 1600);
        assert_eq!(reckoning.left(1600), 4000);
    }

    #[test]
    fn of_several_players_the_one_furthest_ahead_is_told() {
        let mut reckoning = Reckoning::default();
        (5..8).for_each(|n| reckoning.gets(n, 0));
        (3..5).for_each(|n| reckoning.gets(n, 1000));
        assert_eq!(reckoning.playhead(at(2000)).map(|p| p.position_ms), Some(22_000));
        // It goes away; half a minute later the other one counts.
        let mut other = reckoning.clone();
        (5..12).for_each(|n| other.gets(n, 1000));
        other.gets(12, 31_000);
        assert_eq!(other.playhead(at(31_000)).map(|p| p.position_ms), Some(42_000));
    }

    #[test]
    fn what_is_asked_for_twice_is_one_players_request() {
        let mut reckoning = Reckoning::default();
        reckoning.gets(0, 0);
        reckoning.asked(span(1), at(500));
        reckoning.asked(span(1), at(600));
        assert_eq!(reckoning.heads.len(), 1);
        reckoning.cancelled(span(1));
        assert!(!reckoning.waits());
        reckoning.gets(1, 700);
        assert_eq!(reckoning.left(700), 7300);
    }

    #[test]
    fn heads_are_bounded() {
        let mut reckoning = Reckoning::default();
        (0..50).for_each(|n| reckoning.gets(n * 3, n as u64));
        assert_eq!(reckoning.heads.len(), MAX_HEADS);
    }
}
