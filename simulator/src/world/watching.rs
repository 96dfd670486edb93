//! What players do: read playlists, ask for segments, play, jump.

use rillcast_core::engine::{Delivery, Input, MediaKind, Patience};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::id::SegmentKey;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use super::{Event, World};
use crate::draw::Draw;
use crate::media::{AUDIO, Lump, Media};
use crate::player::Lane;

const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(10), whole: Duration::from_secs(120) };
/// From navigation to a player that has read its first playlist.
const LOADING: Duration = Duration::from_millis(300);
/// The engine hears of the playhead so often.
const TICK: Duration = Duration::from_secs(1);
/// From having a segment to asking for the next one.
const APPEND: Duration = Duration::from_millis(50);
/// Segments in a live playlist.
const WINDOW: u64 = 6;
/// hls.js stops asking with so much in its buffer.
const AHEAD_MS: f64 = 30_000.0;

fn lane_of(key: SegmentKey) -> usize {
    usize::from(Media::level(key.track) == AUDIO)
}

impl World {
    fn unit_ms(&self) -> f64 {
        self.media.unit as f64 / 1000.0
    }

    fn window(&self) -> u64 {
        WINDOW * self.media.parts
    }

    pub(super) fn comes_to_watch(&mut self, n: u32) {
        if self.media.audio.is_some() {
            self.node(n).player.lanes.push(Lane::default());
        }
        self.after(LOADING, Event::Poll(n));
        self.after(LOADING + TICK, Event::Tick(n));
        if self.scenario.seeks.is_some() {
            self.plan_seek(n, 0);
        }
    }

    pub(super) fn poll(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let (edge, unit_ms, behind) = (self.edge(), self.unit_ms(), self.scenario.stream.behind);
        let film = self.media.film.is_some();
        let player = &mut self.node(n).player;
        player.listed = edge;
        if !player.has_begun() {
            let first = if film { 0 } else { edge.saturating_sub(behind - 1) };
            player.begin(first, unit_ms);
        }
        let level = player.level;
        self.tell_playlist(n, level);
        if self.media.audio.is_some() {
            self.tell_playlist(n, AUDIO);
        }
        if !film {
            self.schedule(self.next_poll(), Event::Poll(n));
        }
        self.ask(n);
    }

    /// A playlist is read again a segment later, each player at its own moments. One with parts is asked for ahead of time, and the
    /// answer comes with the next part (RFC 8216bis, 6.2.5.2).
    fn next_poll(&self) -> Instant {
        if self.media.parts == 1 {
            return self.now + Duration::from_micros(self.media.unit);
        }
        let next = (self.now.as_micros() / self.media.unit + 1) * self.media.unit;
        Instant::from_micros(next) + Duration::from_secs_f64(self.scenario.source.first_byte_ms / 1000.0)
    }

    fn tell_playlist(&mut self, n: u32, level: usize) {
        let edge = self.nodes[n as usize].player.listed;
        let live = self.media.film.is_none();
        let oldest = if live { edge.saturating_sub(self.window() - 1) } else { 0 };
        let segments = (oldest..=edge).map(|unit| self.media.entry(self.media.key(level, unit))).collect();
        let kind = if level == AUDIO { MediaKind::Audio } else { MediaKind::Main };
        self.input(n, Input::Timeline { track: Media::track(level), kind, segments, live });
    }

    pub(super) fn ask(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        self.keep_up(n);
        for lane in 0..self.nodes[n as usize].player.lanes.len() {
            self.ask_lane(n, lane);
        }
    }

    /// A player that has fallen out of the playlist jumps ahead.
    fn keep_up(&mut self, n: u32) {
        let (unit_ms, window, behind) = (self.unit_ms(), self.window(), self.scenario.stream.behind);
        let (now, live) = (self.now, self.media.film.is_none());
        let player = &mut self.node(n).player;
        let next = player.lanes.iter().filter_map(|l| l.next).min();
        let lost = live && next.is_some_and(|next| next + window <= player.listed);
        if !lost {
            return;
        }
        player.advance(now);
        player.skips += 1;
        let to = player.listed.saturating_sub(behind - 1);
        self.jump(n, |player| player.begin(to, unit_ms));
    }

    /// Moves a player; what it waited for it wants no longer.
    fn jump(&mut self, n: u32, mut moves: impl FnMut(&mut crate::player::Player)) {
        let player = &mut self.node(n).player;
        let level = player.level;
        let asked: Vec<_> = player.lanes.iter().map(|l| l.asked).collect();
        moves(player);
        for (lane, unit) in asked.into_iter().enumerate() {
            if let Some(unit) = unit {
                let key = self.media.key(if lane == 0 { level } else { AUDIO }, unit);
                self.input(n, Input::Cancel { key });
            }
        }
    }

    fn ask_lane(&mut self, n: u32, lane: usize) {
        let (now, unit_ms) = (self.now, self.unit_ms());
        let player = &self.nodes[n as usize].player;
        let track = &player.lanes[lane];
        let Some(next) = track.next else { return };
        let full = track.buffered_ms - player.position_ms > AHEAD_MS;
        if track.asked.is_some() || next > player.listed || full {
            return;
        }
        let mut level = AUDIO;
        if lane == 0 {
            self.node(n).player.advance(now);
            let player = &self.nodes[n as usize].player;
            level = player.choose(&self.media.rates, unit_ms);
            let before = player.level;
            if level != before {
                self.tell_playlist(n, level);
            }
            self.node(n).player.switch_to(level);
        }
        self.node(n).player.lanes[lane].asked = Some(next);
        let key = self.media.key(level, next);
        self.input(n, Input::Demand { key, patience: PATIENCE });
    }

    pub(super) fn tick(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let now = self.now;
        let player = &mut self.node(n).player;
        player.advance(now);
        let (playhead, position) = (player.playhead(), player.position_ms);
        if self.media.film.is_some_and(|units| position >= units as f64 * self.unit_ms() - 1.0) {
            return self.leave(n);
        }
        self.input(n, Input::Playhead(playhead));
        self.ask(n);
        self.after(TICK, Event::Tick(n));
    }

    /// When somebody jumps next: drawn from who it is and how often it has, so that the same visit jumps alike in every run.
    fn plan_seek(&mut self, n: u32, times: u32) {
        let Some(seeks) = self.scenario.seeks.clone() else { return };
        let mut draw = Draw::new(mix(u64::from(n) << 20 | u64::from(times)));
        let is_one = Draw::new(mix(u64::from(n) ^ 0x5eec)).unit() < seeks.share;
        if is_one {
            let wait = seeks.after_seconds.draw(&mut draw);
            self.after(Duration::from_secs_f64(wait), Event::Seek(n));
        }
    }

    pub(super) fn seek(&mut self, n: u32) {
        let Some(units) = self.media.film.filter(|_| self.is_there(n)) else { return };
        let (now, unit_ms) = (self.now, self.unit_ms());
        let times = self.nodes[n as usize].player.seeks;
        let to = mix(mix(u64::from(n)) ^ u64::from(times)) % units;
        if self.nodes[n as usize].player.started.is_some() {
            self.jump(n, |player| player.seek(now, to, unit_ms));
            let playhead = self.nodes[n as usize].player.playhead();
            self.input(n, Input::Playhead(playhead));
            self.ask(n);
        }
        self.plan_seek(n, times + 1);
    }

    pub(super) fn delivered(&mut self, n: u32, delivery: &Delivery<Lump>) {
        let (now, key, unit_ms) = (self.now, delivery.key, self.unit_ms());
        let (bytes, unit, lane) = (self.media.len(key), self.media.unit_of(key), lane_of(key));
        let blocked = self.is_blocked(n);
        let node = &mut self.nodes[n as usize];
        let player = &mut node.player;
        if player.lanes.get(lane).and_then(|l| l.asked) != Some(unit) {
            return;
        }
        let first = player.lanes[lane].first.is_none();
        let throughput = delivery.throughput.map(|rate| rate.bytes_per_second() as f64);
        player.got(now, (lane, unit), bytes, throughput, unit_ms);
        let altered = delivery.parts.iter().filter(|part| part.is_false()).map(|part| part.len() as u64);
        self.ledger.lies.played_bytes += altered.sum::<u64>();
        if lane == 0 {
            node.levels.push(Media::level(key.track) as u8);
        }
        let demand = self.ledger.demand.entry(key).or_default();
        demand.size = u64::from(bytes);
        demand.viewers += 1;
        demand.firsts += u64::from(first);
        demand.blocked += u64::from(blocked && !first);
        if let Some(second) = self.ledger.played_per_second.last_mut() {
            *second += u64::from(bytes);
        }
        self.after(APPEND, Event::Ask(n));
    }

    /// hls.js tries again after a while.
    pub(super) fn failed(&mut self, n: u32, key: SegmentKey) {
        if let Some(lane) = self.node(n).player.lanes.get_mut(lane_of(key)) {
            lane.asked = None;
        }
        self.after(Duration::from_secs(1), Event::Ask(n));
    }
}
