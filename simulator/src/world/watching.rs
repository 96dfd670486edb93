//! What players do: read playlists, ask for segments, play.

use rillcast_core::engine::{Delivery, Input, MediaKind, Patience};
use rillcast_core::time::Duration;

use super::{Event, World};
use crate::media::{Lump, Media};

const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(10), whole: Duration::from_secs(120) };
/// From navigation to a player that has read its first playlist.
const LOADING: Duration = Duration::from_millis(300);
/// The engine hears of the playhead so often.
const TICK: Duration = Duration::from_secs(1);
/// From having a segment to asking for the next one.
const APPEND: Duration = Duration::from_millis(50);
/// Segments in a playlist.
const WINDOW: u64 = 6;
/// hls.js stops asking with so much in its buffer.
const AHEAD_MS: f64 = 30_000.0;

impl World {
    fn segment_ms(&self) -> f64 {
        self.media.segment as f64 / 1000.0
    }

    pub(super) fn comes_to_watch(&mut self, n: u32) {
        self.after(LOADING, Event::Poll(n));
        self.after(LOADING + TICK, Event::Tick(n));
    }

    pub(super) fn poll(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let (edge, segment_ms, behind) =
            (self.edge(self.now), self.segment_ms(), self.scenario.stream.behind);
        let player = &mut self.node(n).player;
        player.listed = edge;
        if player.next.is_none() {
            player.begin(edge.saturating_sub(behind - 1), segment_ms);
        }
        let level = player.level;
        self.tell_playlist(n, level);
        self.after(Duration::from_micros(self.media.segment), Event::Poll(n));
        self.ask(n);
    }

    fn tell_playlist(&mut self, n: u32, level: usize) {
        let edge = self.nodes[n as usize].player.listed;
        let numbers = edge.saturating_sub(WINDOW - 1)..=edge;
        let segments = numbers.map(|number| self.media.entry(Media::key(level, number))).collect();
        let (track, kind) = (Media::track(level), MediaKind::Main);
        self.input(n, Input::Timeline { track, kind, segments, live: true });
    }

    pub(super) fn ask(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let player = &self.nodes[n as usize].player;
        let Some(next) = player.next else { return };
        let full = player.buffered_ms - player.position_ms > AHEAD_MS;
        if player.asked.is_some() || next > player.listed || full {
            return;
        }
        let level = player.choose(&self.media.rates);
        if level != player.level {
            self.tell_playlist(n, level);
        }
        let player = &mut self.node(n).player;
        player.level = level;
        player.asked = Some(next);
        let key = Media::key(level, next);
        self.input(n, Input::Demand { key, patience: PATIENCE });
    }

    pub(super) fn tick(&mut self, n: u32) {
        if !self.is_there(n) {
            return;
        }
        let now = self.now;
        let player = &mut self.node(n).player;
        player.advance(now);
        let playhead = player.playhead();
        self.input(n, Input::Playhead(playhead));
        self.ask(n);
        self.after(TICK, Event::Tick(n));
    }

    pub(super) fn delivered(&mut self, n: u32, delivery: &Delivery<Lump>) {
        let (now, key, segment_ms) = (self.now, delivery.key, self.segment_ms());
        let bytes = self.media.len(key);
        let player = &mut self.nodes[n as usize].player;
        if player.asked != Some(key.number) {
            return;
        }
        let first = player.first.is_none();
        let throughput = delivery.throughput.map(|rate| rate.bytes_per_second() as f64);
        player.got(now, key.number, bytes, throughput, segment_ms);
        let demand = self.ledger.demand.entry(key).or_default();
        demand.size = u64::from(bytes);
        demand.viewers += 1;
        demand.firsts += u64::from(first);
        self.after(APPEND, Event::Ask(n));
    }

    /// hls.js tries again after a while.
    pub(super) fn failed(&mut self, n: u32) {
        self.node(n).player.asked = None;
        self.after(Duration::from_secs(1), Event::Ask(n));
    }
}
