//! Fetches from the source, what they have shown about it, and how fast it is.

use crate::map::Map;
use std::ops::Range;

use rillcast_protocol::digest::BLOCK;
use rillcast_protocol::id::SegmentKey;

use crate::engine::io::{FetchId, Via};
use crate::media::{Bits, Cutter};
use crate::payload::Payload;
use crate::time::{Duration, Instant, Rate};

use super::meter::{MIN_SAMPLE, Meter, Way};

/// A fetch that has brought nothing for so long isn't relied on.
const STALLED: Duration = Duration::from_millis(2500);

/// Blocks that may be on a narrow way before what is asked of the source, and the time for them that is no matter.
const BEFORE: u64 = 4;
const NO_MATTER: Duration = Duration::from_millis(600);
/// They are reckoned with up to here.
const MOST_BEFORE: Duration = Duration::from_millis(2000);

/// Whether the source answers Range requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Not tried.
    Unknown,
    /// Yes.
    Yes,
    /// No: whole segments only.
    No,
}

/// One fetch.
#[derive(Clone, Debug)]
pub struct Fetch<P> {
    /// The segment.
    pub key: SegmentKey,
    /// Blocks asked for; `None` is the whole segment.
    pub blocks: Option<Range<u16>>,
    /// First byte of what is in the buffer.
    pub at: u32,
    /// Bytes not yet cut into blocks.
    pub buffer: Cutter<P>,
    /// From where.
    pub via: Via,
    /// When it began.
    pub began: Instant,
    /// The whole resource comes, asked for or not.
    pub whole: bool,
    /// When bytes last came.
    pub moved: Instant,
    /// Bytes still to come, where that is known.
    pub left: u64,
    metered: bool,
}

/// All fetches.
#[derive(Clone, Debug)]
pub struct Sources<P> {
    fetches: Map<FetchId, Fetch<P>>,
    /// When any of them last brought something.
    moved: Instant,
    next: u32,
    ranges: Ranges,
    meter: Meter,
    way: Way,
}

impl<P> Default for Sources<P> {
    fn default() -> Self {
        Self {
            fetches: Map::new(),
            moved: Instant::ZERO,
            next: 0,
            ranges: Ranges::Unknown,
            meter: Meter::default(),
            way: Way::default(),
        }
    }
}

impl<P: Payload> Sources<P> {
    /// Begins a fetch of `left` bytes, 0 if that isn't known, whose first is byte `at` of the segment.
    pub fn begin(
        &mut self,
        key: SegmentKey,
        blocks: Option<Range<u16>>,
        (at, left): (u32, u64),
        via: Via,
        now: Instant,
    ) -> FetchId {
        self.next = self.next.wrapping_add(1);
        let id = FetchId(self.next);
        let whole = blocks.is_none();
        let fetch = Fetch {
            key,
            blocks,
            at,
            buffer: Cutter::default(),
            via,
            began: now,
            whole,
            moved: now,
            left,
            metered: false,
        };
        self.fetches.insert(id, fetch);
        id
    }

    /// A fetch.
    pub fn fetch_mut(&mut self, id: FetchId) -> Option<&mut Fetch<P>> {
        self.fetches.get_mut(&id)
    }

    /// All fetches.
    pub fn iter(&self) -> impl Iterator<Item = (FetchId, &Fetch<P>)> {
        self.fetches.iter().map(|(id, f)| (*id, f))
    }

    /// Ends a fetch.
    pub fn end(&mut self, id: FetchId, now: Instant) -> Option<Fetch<P>> {
        let fetch = self.fetches.remove(&id)?;
        if fetch.metered {
            self.meter.stop(now);
        }
        Some(fetch)
    }

    /// A fetch's answer has begun.
    pub fn head(&mut self, id: FetchId, now: Instant) {
        if let Some(fetch) = self.fetches.get_mut(&id)
            && fetch.via == Via::Origin
            && !fetch.metered
        {
            fetch.metered = true;
            self.meter.start(now, now.since(fetch.began));
        }
    }

    /// Bytes of a fetch have come.
    pub fn got(&mut self, id: FetchId, bytes: usize, now: Instant) {
        if let Some(fetch) = self.fetches.get_mut(&id) {
            (fetch.moved, self.moved) = (now, now);
            fetch.left = fetch.left.saturating_sub(bytes as u64);
            self.way.came(bytes as u64, now);
            if fetch.via == Via::Origin {
                self.meter.bytes += bytes as u64;
            }
        }
    }

    /// A peer's bytes have come: they share the way to us with the source's.
    pub fn beside(&mut self, bytes: u64, now: Instant) {
        self.meter.beside += bytes;
        self.way.came(bytes, now);
    }

    /// What our downlink takes at least, as far as we have seen; `None` before anything was measured.
    pub fn way(&self, now: Instant) -> Option<Rate> {
        self.throughput(now).map(|rate| rate.max(Rate::new(self.way.rate)))
    }

    /// Whether the source gives less than a stream needs, in bytes/s, though our downlink takes much more: too many ask it.
    pub fn is_overloaded(&self, bitrate: u64, now: Instant) -> bool {
        self.way.rate >= bitrate * 2 && self.throughput(now).is_some_and(|rate| rate < Rate::new(bitrate))
    }

    /// Somebody else fetched from the source: what that took.
    pub fn seen(&mut self, bytes: u64, first_byte: Duration, transfer: Duration, now: Instant) {
        self.meter.wait(first_byte);
        self.meter.sample(bytes, 0, transfer, now);
    }

    /// Which of so many blocks of a segment fetches are about to bring. One that hasn't moved for a while doesn't count: others may bring
    /// it first.
    pub fn covered(&self, key: &SegmentKey, blocks: u16, now: Instant) -> Bits {
        let mut covered = Bits::default();
        for fetch in self.fetches.values().filter(|f| f.key == *key && !self.hangs(f, now)) {
            covered.put(fetch.blocks.clone().filter(|_| !fetch.whole).unwrap_or(0..blocks));
        }
        covered
    }

    /// Whether a fetch is about to bring the block.
    pub fn covers(&self, key: &SegmentKey, block: u16, now: Instant) -> bool {
        self.fetches.values().any(|f| {
            f.key == *key
                && (f.whole || f.blocks.as_ref().is_some_and(|b| b.contains(&block)))
                && !self.hangs(f, now)
        })
    }

    /// Fetches of a segment that have brought nothing for a while.
    pub fn stalled(&self, key: &SegmentKey, now: Instant) -> Vec<FetchId> {
        self.fetches.iter().filter(|(_, f)| f.key == *key && self.hangs(f, now)).map(|(id, _)| *id).collect()
    }

    /// Whether a fetch has brought nothing for a while. One that waits while others bring something has its turn to come: the way to us
    /// is full.
    fn hangs(&self, fetch: &Fetch<P>, now: Instant) -> bool {
        let silent = now.since(fetch.moved);
        // On a narrow one that takes its time.
        let more =
            self.meter.rate.map_or(Duration::ZERO, |r| Rate::new(r as u64).time_for(2 * u64::from(BLOCK)));
        let more = more.min(STALLED * 2);
        silent >= STALLED + more && (now.since(self.moved) >= STALLED / 2 + more || silent >= STALLED * 4)
    }

    /// Bytes that the source is about to bring. Those of a fetch that hangs aren't coming.
    pub fn outstanding(&self, now: Instant) -> u64 {
        self.fetches.values().filter(|f| !self.hangs(f, now)).map(|f| f.left).sum()
    }

    /// The first of the segments before this one that the source is bringing, and how many bytes of those before this one are to come.
    pub fn first_before(&self, key: &SegmentKey, now: Instant) -> Option<(SegmentKey, u64)> {
        let before = || {
            self.fetches.values().filter(|f| f.key.place() < key.place() && f.left > 0 && !self.hangs(f, now))
        };
        Some((before().map(|f| f.key).min_by_key(SegmentKey::place)?, before().map(|f| f.left).sum()))
    }

    /// Whether any fetch is for the segment.
    pub fn is_fetching(&self, key: &SegmentKey) -> bool {
        self.fetches.values().any(|f| f.key == *key)
    }

    /// Whether all of the segment is being fetched.
    pub fn is_fetching_whole(&self, key: &SegmentKey) -> bool {
        self.fetches.values().any(|f| f.key == *key && f.whole)
    }

    /// By how much earlier the source has to be asked for something because peers' blocks are on the same narrow way: nothing
    /// above some 1.7 Mbit/s.
    pub fn in_the_way(&self, now: Instant) -> Duration {
        let blocks = self.way(now).map_or(Duration::ZERO, |way| way.time_for(BEFORE * u64::from(BLOCK)));
        blocks.saturating_sub(NO_MATTER).min(MOST_BEFORE)
    }

    /// What is known about Range.
    pub fn ranges(&self) -> Ranges {
        self.ranges
    }

    /// The source has shown whether it answers Range requests.
    pub fn learn_ranges(&mut self, ranges: Ranges) {
        self.ranges = ranges;
    }

    /// What the source gives us, from its latest transfers; from the running one while there is no other.
    pub fn throughput(&self, now: Instant) -> Option<Rate> {
        let running = || {
            let since = self.meter.since.filter(|_| self.meter.bytes >= MIN_SAMPLE)?;
            Some(Rate::of(self.meter.bytes, now.since(since).max(Duration::from_millis(5))))
        };
        self.meter.rate.map(|r| Rate::new(r as u64)).or_else(running)
    }

    /// How long it lets us wait for a first byte.
    pub fn first_byte(&self) -> Option<Duration> {
        self.meter.first_byte
    }

    /// Nothing was measured since this moment, and peers have delivered well: believe a little more again, never more than
    /// this session has seen. Otherwise a viewer whom peers serve would never learn that the source has recovered.
    pub fn drift_up(&mut self, now: Instant) {
        let stale = self.meter.sampled.is_none_or(|at| now.since(at) > Duration::from_secs(8));
        if let (true, Some(rate), Some(best)) = (stale, self.meter.rate, self.meter.best) {
            self.meter.rate = Some((rate * 1.15).min(best));
        }
    }
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::id::TrackId;

    use super::*;

    fn key() -> SegmentKey {
        SegmentKey { track: TrackId(1), number: 1, discontinuity: 0, part: 0 }
    }

    fn after(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// A fetch of so many bytes from `from` to `to`, in milliseconds.
    fn fetched(sources: &mut Sources<Vec<u8>>, bytes: usize, from: u64, to: u64) {
        let id = sources.begin(key(), None, (0, 0), Via::Origin, after(from));
        sources.head(id, after(from));
        sources.got(id, bytes, after(to));
        sources.end(id, after(to));
    }

    fn rate(sources: &Sources<Vec<u8>>, ms: u64) -> Option<u64> {
        sources.throughput(after(ms)).map(Rate::bytes_per_second)
    }

    #[test]
    fn a_source_is_overloaded_where_it_gives_less_than_the_stream_and_our_downlink_takes_twice_that() {
        let mut sources = Sources::<Vec<u8>>::default();
        assert!(!sources.is_overloaded(100_000, after(0)) && sources.way(after(0)).is_none(), "unknown");
        fetched(&mut sources, 99_000, 1000, 2000);
        assert_eq!(sources.way(after(2000)), Some(Rate::new(99_000)));
        assert!(!sources.is_overloaded(100_000, after(2000)), "the downlink may be as slow");
        let arrives = |sources: &mut Sources<_>, bytes, from: u64| {
            sources.beside(bytes, after(from));
            sources.beside(0, after(from + 1000));
        };
        arrives(&mut sources, 199_000, 3000);
        assert!(!sources.is_overloaded(100_000, after(4000)), "not quite twice");
        arrives(&mut sources, 201_000, 5000);
        assert!(sources.is_overloaded(100_000, after(6000)));
        assert!(!sources.is_overloaded(99_000, after(6000)), "it gives what the stream needs");
        for second in 7..200 {
            arrives(&mut sources, 10_000, second * 1000);
        }
        assert!(!sources.is_overloaded(100_000, after(200_000)), "long not seen is forgotten");
    }

    #[test]
    fn on_a_narrow_way_the_source_is_asked_earlier_and_on_others_it_is_not() {
        let early = |bytes| {
            let mut sources = Sources::<Vec<u8>>::default();
            fetched(&mut sources, bytes, 0, 1000);
            sources.in_the_way(after(1000)).as_millis()
        };
        assert_eq!((early(1_000_000), early(220_000)), (0, 0));
        assert_eq!((early(131_072), early(65_536), early(50_000)), (400, 1400, 2000));
    }

    // H9
    #[test]
    fn what_hangs_is_not_about_to_come_and_what_waits_its_turn_is() {
        let mut sources = Sources::<Vec<u8>>::default();
        let first = sources.begin(key(), Some(0..1), (0, 1000), Via::Origin, Instant::ZERO);
        sources.begin(key(), Some(1..2), (1000, 500), Via::Origin, Instant::ZERO);
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        sources.got(first, 400, at(2000));
        assert_eq!(sources.outstanding(at(3000)), 1100, "the second waits while the first brings something");
        assert!(sources.covers(&key(), 1, at(3000)));
        assert_eq!(sources.outstanding(at(3300)), 600, "nothing has come for a while");
        assert!(!sources.covers(&key(), 1, at(3300)));
        assert_eq!(sources.outstanding(at(4500)), 0);
    }

    #[test]
    fn throughput_is_that_of_all_fetches_together() {
        let mut sources = Sources::default();
        let ids: Vec<_> = (0..2).map(|_| sources.begin(key(), None, (0, 0), Via::Origin, after(0))).collect();
        ids.iter().for_each(|id| sources.head(*id, after(0)));
        ids.iter().for_each(|id| sources.got(*id, 500_000, after(1000)));
        ids.iter().for_each(|id| drop(sources.end(*id, after(1000))));
        assert_eq!(rate(&sources, 1000), Some(1_000_000));
    }

    #[test]
    fn small_transfers_and_the_publishers_say_nothing_of_the_source() {
        let mut sources = Sources::default();
        fetched(&mut sources, MIN_SAMPLE as usize - 1, 0, 10);
        assert_eq!(rate(&sources, 10), None, "under the limit");
        let id = sources.begin(key(), None, (0, 0), Via::Publisher, after(20));
        sources.head(id, after(20));
        sources.got(id, 9_000_000, after(30));
        sources.end(id, after(30));
        assert_eq!(rate(&sources, 30), None, "not the source's");
        fetched(&mut sources, MIN_SAMPLE as usize, 100, 1100);
        assert_eq!(rate(&sources, 1100), Some(MIN_SAMPLE), "at the limit");
    }

    #[test]
    fn what_the_player_fetched_by_itself_counts_like_our_own() {
        let mut sources = Sources::<Vec<u8>>::default();
        sources.seen(400_000, Duration::from_millis(80), Duration::from_millis(500), after(600));
        assert_eq!(
            (rate(&sources, 600), sources.first_byte()),
            (Some(800_000), Some(Duration::from_millis(80)))
        );
    }

    #[test]
    fn an_answer_in_one_instant_is_no_infinite_throughput() {
        let mut sources = Sources::default();
        fetched(&mut sources, 50_000, 10, 10);
        assert_eq!(rate(&sources, 10), Some(10_000_000), "as if it had taken 5 ms");
    }

    #[test]
    fn a_running_fetch_counts_while_there_is_no_other() {
        let mut sources = Sources::<Vec<u8>>::default();
        let id = sources.begin(key(), None, (0, 0), Via::Origin, after(0));
        sources.head(id, after(0));
        sources.got(id, 100_000, after(500));
        assert_eq!(rate(&sources, 500), Some(200_000));
        assert_eq!(rate(&sources, 1000), Some(100_000), "a fetch that stands still gets slower");
    }

    #[test]
    fn belief_drifts_up_after_a_while_but_never_above_the_best_seen() {
        let mut sources = Sources::default();
        fetched(&mut sources, 1_000_000, 0, 1000);
        fetched(&mut sources, 400_000, 2000, 6000);
        let low = rate(&sources, 6000).expect("measured");
        assert!(low < 500_000);
        sources.drift_up(after(6000 + 8000));
        assert_eq!(rate(&sources, 14_000), Some(low), "at the limit nothing moves");
        sources.drift_up(after(6000 + 8001));
        assert!(rate(&sources, 14_001) > Some(low));
        (0..100).for_each(|_| sources.drift_up(after(20_000)));
        assert_eq!(rate(&sources, 20_000), Some(1_000_000), "the best of this session");
    }

    #[test]
    fn a_fetch_that_hangs_is_not_relied_on() {
        let mut sources = Sources::<Vec<u8>>::default();
        sources.begin(key(), Some(2..4), (65536, 0), Via::Origin, after(0));
        let just = Instant::ZERO + STALLED;
        let before = just.minus(Duration::from_micros(1));
        assert!(sources.covers(&key(), 2, before) && sources.covers(&key(), 3, before));
        assert!(!sources.covers(&key(), 1, before) && !sources.covers(&key(), 4, before));
        assert!(!sources.covers(&key(), 2, just));
        assert_eq!(sources.covered(&key(), 9, before).list(), [2, 3]);
        assert!(sources.covered(&key(), 9, just).is_empty());
        sources.begin(key(), None, (0, 0), Via::Origin, just);
        assert_eq!(sources.covered(&key(), 3, just).list(), [0, 1, 2]);
    }

    #[test]
    fn on_a_narrow_way_silence_is_no_hanging() {
        for (bytes_per_second, more_ms) in [(32_768, 2000), (1000, 5000), (1_000_000, 65)] {
            let mut sources = Sources::<Vec<u8>>::default();
            fetched(&mut sources, bytes_per_second * 100, 0, 100_000);
            sources.begin(key(), Some(0..1), (0, 32_768), Via::Origin, after(100_000));
            assert!(sources.covers(&key(), 0, after(102_499 + more_ms)), "{bytes_per_second}");
            assert!(!sources.covers(&key(), 0, after(102_501 + more_ms)), "{bytes_per_second}");
        }
    }
}
