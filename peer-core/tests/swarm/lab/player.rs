//! Players that behave like hls.js: a playlist read once per segment, one segment at a time and up to 30 s ahead, live playback three
//! segments behind the edge.

use rillcast_core::engine::{Delivery, Input, MediaKind, Patience, Playhead, Share};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::id::{SegmentKey, TrackId};
use rillcast_core::time::{Duration, Instant, Rate};

use super::media::{Buf, body, entry, key_of};
use super::net::{Event, Net};

const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(20), whole: Duration::from_secs(120) };

const TICK: Duration = Duration::from_millis(250);
/// From having a segment to asking for the next one.
const APPEND: Duration = Duration::from_millis(30);
const AHEAD_MS: f64 = 30_000.0;

/// A segment that a player got.
#[derive(Clone, Debug)]
pub struct Got {
    pub at: Instant,
    pub key: SegmentKey,
    pub bytes: u64,
    pub share: Share,
    pub throughput: Option<Rate>,
    /// Which of the two bodies it was.
    pub version: u8,
}

/// One kind of media being played.
#[derive(Clone, Debug)]
pub struct Playing {
    pub track: TrackId,
    pub kind: MediaKind,
    pub next: Option<u64>,
    pub asked: Option<u64>,
    pub listed: u64,
    pub buffered_ms: f64,
}

#[derive(Clone, Debug)]
pub struct Player {
    pub joined: Option<Instant>,
    pub started: Option<Instant>,
    pub position_ms: f64,
    pub paused: bool,
    pub stalls: u32,
    pub stall_ms: f64,
    pub stalled: bool,
    pub failures: u32,
    pub got: Vec<Got>,
    pub playing: Vec<Playing>,
    updated: Instant,
}

impl Player {
    pub fn new(tracks: impl IntoIterator<Item = (TrackId, MediaKind)>) -> Self {
        let playing =
            |(track, kind)| Playing { track, kind, next: None, asked: None, listed: 0, buffered_ms: 0.0 };
        Self {
            joined: None,
            started: None,
            position_ms: 0.0,
            paused: false,
            stalls: 0,
            stall_ms: 0.0,
            stalled: false,
            failures: 0,
            got: Vec::new(),
            playing: tracks.into_iter().map(playing).collect(),
            updated: Instant::ZERO,
        }
    }

    pub fn buffered_ms(&self) -> f64 {
        self.playing.iter().map(|p| p.buffered_ms).fold(f64::INFINITY, f64::min)
    }

    pub fn played(&self, track: TrackId) -> Option<&Playing> {
        self.playing.iter().find(|p| p.track == track)
    }

    fn advance(&mut self, now: Instant) {
        let passed = now.since(self.updated).as_secs_f64() * 1000.0;
        self.updated = now;
        if self.started.is_none() || self.paused {
            return;
        }
        let room = (self.buffered_ms() - self.position_ms).max(0.0);
        self.position_ms += passed.min(room);
        let dry = room < passed;
        if dry {
            self.stall_ms += passed - room;
            self.stalls += u32::from(!self.stalled);
        }
        self.stalled = dry;
    }

    fn playhead(&self) -> Playhead {
        Playhead {
            position_ms: self.position_ms as i64,
            rate_percent: if self.started.is_some() && !self.paused { 100 } else { 0 },
            buffered_ms: self.buffered_ms() as i64,
            starving: self.started.is_none() || self.stalled,
        }
    }
}

impl Net {
    pub(super) fn start_player(&mut self, n: usize) {
        self.nodes[n].player.joined = Some(self.now);
        self.nodes[n].player.updated = self.now;
        self.schedule(self.now + Duration::from_millis(50), Event::Poll(n));
        self.schedule(self.now + Duration::from_millis(100), Event::Tick(n));
    }

    /// The player reads its playlists.
    pub(super) fn poll(&mut self, n: usize) {
        if !self.nodes[n].alive {
            return;
        }
        let edge = self.edge();
        let live = self.setup.live;
        let first = if live { edge.saturating_sub(5) } else { 0 };
        for at in 0..self.nodes[n].player.playing.len() {
            let (track, kind) =
                (self.nodes[n].player.playing[at].track, self.nodes[n].player.playing[at].kind);
            let segments = (first..=edge).map(|number| entry(key_of(track, number))).collect();
            self.input(n, Input::Timeline { track, kind, segments, live });
            let player = &mut self.nodes[n].player;
            player.playing[at].listed = edge;
            if player.playing[at].next.is_none() {
                let start = if live { edge.saturating_sub(2) } else { 0 };
                player.position_ms = start as f64 * 4000.0;
                player.playing[at].next = Some(start);
                player.playing[at].buffered_ms = player.position_ms;
            }
        }
        if live {
            self.schedule(self.now + self.setup.poll, Event::Poll(n));
        }
        self.ask(n);
    }

    pub(super) fn ask(&mut self, n: usize) {
        if !self.nodes[n].alive {
            return;
        }
        for at in 0..self.nodes[n].player.playing.len() {
            let player = &mut self.nodes[n].player;
            let position = player.position_ms;
            let playing = &mut player.playing[at];
            let Some(next) = playing.next else { continue };
            let full = playing.buffered_ms - position > AHEAD_MS;
            if playing.asked.is_some() || next > playing.listed || full {
                continue;
            }
            playing.asked = Some(next);
            let key = key_of(playing.track, next);
            self.input(n, Input::Demand { key, patience: PATIENCE });
        }
    }

    pub(super) fn tick(&mut self, n: usize) {
        if !self.nodes[n].alive {
            return;
        }
        self.nodes[n].player.advance(self.now);
        let playhead = self.nodes[n].player.playhead();
        self.input(n, Input::Playhead(playhead));
        self.ask(n);
        self.schedule(self.now + TICK, Event::Tick(n));
    }

    pub(super) fn deliver(&mut self, n: usize, delivery: Delivery<Buf>) {
        let (key, now) = (delivery.key, self.now);
        let rendition = self.rendition(key.track);
        let bytes = Buf::concat(&delivery.parts).0;
        let version = (0..2).find(|v| body(&rendition, key.number, *v) == bytes);
        let version = version.expect("the player got bytes that are no version of the segment");
        self.figures.delivered += bytes.len() as u64;
        let player = &mut self.nodes[n].player;
        player.got.push(Got {
            at: now,
            key,
            bytes: bytes.len() as u64,
            share: delivery.share,
            throughput: delivery.throughput,
            version,
        });
        let Some(playing) = player.playing.iter_mut().find(|p| p.track == key.track) else { return };
        if playing.asked != Some(key.number) {
            return;
        }
        playing.asked = None;
        playing.next = Some(key.number + 1);
        playing.buffered_ms = (key.number + 1) as f64 * 4000.0;
        if player.playing.iter().all(|p| p.buffered_ms > player.position_ms) {
            player.started.get_or_insert(now);
        }
        self.schedule(now + APPEND, Event::Ask(n));
    }

    pub(super) fn failed(&mut self, n: usize, key: SegmentKey) {
        let player = &mut self.nodes[n].player;
        player.failures += 1;
        if let Some(playing) = player.playing.iter_mut().find(|p| p.track == key.track) {
            playing.asked = None;
        }
        // hls.js tries again after a while.
        self.schedule(self.now + Duration::from_secs(1), Event::Ask(n));
    }

    /// The viewer jumps to a place; all that is buffered is thrown away.
    pub fn seek(&mut self, n: usize, seconds: u64) {
        self.nodes[n].player.advance(self.now);
        self.nodes[n].player.position_ms = seconds as f64 * 1000.0;
        self.nodes[n].player.stalled = true;
        for at in 0..self.nodes[n].player.playing.len() {
            self.give_up(n, at);
            let playing = &mut self.nodes[n].player.playing[at];
            playing.next = Some(seconds / 4);
            playing.buffered_ms = seconds as f64 * 1000.0;
        }
        let playhead = self.nodes[n].player.playhead();
        self.input(n, Input::Playhead(playhead));
        self.ask(n);
    }

    /// The player's ABR takes another rendition from the next segment on.
    pub fn switch(&mut self, n: usize, track: TrackId) {
        let kind = self.rendition(track).kind;
        let at = self.nodes[n].player.playing.iter().position(|p| p.kind == kind).expect("plays that kind");
        self.give_up(n, at);
        self.nodes[n].player.playing[at].track = track;
        let (edge, live) = (self.edge(), self.setup.live);
        let first = if live { edge.saturating_sub(5) } else { 0 };
        let segments = (first..=edge).map(|number| entry(key_of(track, number))).collect();
        self.input(n, Input::Timeline { track, kind, segments, live });
        self.nodes[n].player.playing[at].listed = edge;
        self.ask(n);
    }

    fn give_up(&mut self, n: usize, at: usize) {
        let playing = &mut self.nodes[n].player.playing[at];
        if let Some(number) = playing.asked.take() {
            let key = key_of(playing.track, number);
            self.input(n, Input::Cancel { key });
        }
    }
}
