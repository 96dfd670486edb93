//! An honest viewer: the engine, and a player that plays a [`Stream`] in real time and compares every byte with what it should be.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, bail};
use rillcast_core::engine::{
    Config, Delivery, Engine, Event, FetchId, Input, LinkId, MediaKind, Output, Patience, Playhead,
    SegmentEntry, SourceError, SourceHead, Stats,
};
use rillcast_core::payload::Payload;
use rillcast_core::time::{Duration as Span, Instant};
use rillcast_core::trust::Refusal;
use rillcast_core::wire::Message;
use rillcast_protocol::coding::{Blob, List, Text};
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, PublisherKey, Role, SegmentKey};
use rillcast_protocol::signal::{ClientMessage, ServerMessage, TrackSource};
use rillcast_publisher::track_id;
use rillcast_seed::check;
use rillcast_seed::payload::Media;
use rillcast_seed::rtc::{Happening, LinkEvent};
use rillcast_seed::signaling::News;

use super::station::{Heard, Station, Visit};
use super::stream::{SEGMENT, Stream, WINDOW};

/// The player keeps so far from the edge.
const BEHIND_MS: i64 = 6000;
const PATIENCE: Patience = Patience { first_byte: Span::from_secs(20), whole: Span::from_secs(60) };
/// How often the player looks.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of media that a viewer may hold.
const STORE: u64 = 64 << 20;
/// A condition that takes longer than this has failed: generous, for test machines are slow.
const LONG: Duration = Duration::from_secs(60);

/// What the player and its shell have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Our name.
    pub me: Option<PeerId>,
    /// Segments played.
    pub played: u64,
    /// Bytes handed to the player that aren't the stream's.
    pub altered_bytes: u64,
    /// Segments that came after they were to be played.
    pub late: u64,
    /// Times that the player fell out of the playlist and went to the newest segment.
    pub skips: u64,
    /// Bytes of blocks that came from other peers, in what was played.
    pub from_peers: u64,
    /// Bytes from the source, in what was played.
    pub from_source: u64,
    /// Links that have opened: to whom.
    pub opened: Vec<PeerId>,
    /// Peers that broke the rules: who, how, when.
    pub liars: Vec<(PeerId, &'static str, Instant)>,
    /// Digests heard of, from whomever: what each is of, who has signed it, and when it came.
    pub digests: Vec<(SegmentKey, PublisherKey, std::time::Instant)>,
    /// Segments of which the source's bytes aren't those of the digest.
    pub mismatches: Vec<SegmentKey>,
    /// Segments about which two publishers contradict each other.
    pub disputes: Vec<(SegmentKey, [PublisherKey; 2])>,
    /// Links that weren't let in: to whom, why, when.
    pub refused: Vec<(PeerId, Refusal, Instant)>,
    /// Links that were open and have ended.
    pub ended: u64,
    /// Bytes of media that links brought, wanted or not.
    pub bulk_bytes: u64,
}

/// The viewer.
#[derive(Debug)]
pub struct Viewer {
    /// What it has seen.
    pub seen: Seen,
    engine: Engine<Media>,
    station: Station,
    stream: Stream,
    has_source: bool,
    pending: VecDeque<Input<Media>>,
    /// The segment that the player waits for, or will ask for next.
    next: u64,
    asked: Option<u64>,
}

impl Viewer {
    /// Comes and begins to watch. Without a source, what it plays comes from peers or not at all.
    pub fn come(visit: &Visit, stream: &Stream, has_source: bool) -> Result<Self> {
        Self::come_with(visit, stream, has_source, STORE)
    }

    /// The same with room for so many bytes of media.
    pub fn come_with(visit: &Visit, stream: &Stream, has_source: bool, store_budget: u64) -> Result<Self> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        // Nobody gives what was published before anybody came.
        let behind = if has_source { BEHIND_MS as u64 / 1000 } else { 1 };
        Ok(Self {
            seen: Seen::default(),
            engine: Engine::new(Config { role: Role::Viewer, seed: u64::from_le_bytes(seed), store_budget }),
            station: Station::start(visit)?,
            stream: stream.clone(),
            has_source,
            pending: VecDeque::new(),
            next: stream.newest() + 1 - behind,
            asked: None,
        })
    }

    /// The engine's counters.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// Whether it is linked with somebody.
    pub fn is_linked(&self, peer: PeerId) -> bool {
        self.engine.stats().links.iter().any(|link| link.peer == peer)
    }

    /// Time since it came.
    pub fn now(&self) -> Instant {
        self.station.now()
    }

    /// Watches until something holds; fails where that takes too long.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let begun = std::time::Instant::now();
        while !holds(self) {
            self.step().await;
            if begun.elapsed() > LONG {
                bail!("waited in vain until {what}: {:?}, {:?}", self.seen, self.stats());
            }
        }
        Ok(())
    }

    /// Watches so many segments more.
    pub async fn plays(&mut self, segments: u64) -> Result<()> {
        let enough = self.seen.played + segments;
        self.until("the player plays on", |viewer| viewer.seen.played >= enough).await
    }

    /// Watches for so long.
    pub async fn watches(&mut self, time: Duration) {
        let begun = std::time::Instant::now();
        while begun.elapsed() < time {
            self.step().await;
        }
    }

    /// Takes in what comes next.
    pub async fn step(&mut self) {
        let timeout = self.engine.poll_timeout().since(self.station.now());
        match self.station.hear(timeout.min(LOOK)).await {
            Heard::Link(event) => self.link(event),
            Heard::News(news) => self.news(news),
            Heard::Nothing => {
                for input in self.station.links.overdue(self.station.now()) {
                    self.input(input);
                }
                self.input(Input::Timeout);
            }
        }
        self.play();
    }

    fn key(&self, number: u64) -> SegmentKey {
        SegmentKey { track: track_id(&self.stream.playlist()), number, discontinuity: 0, part: 0 }
    }

    /// As a player does: looks at the playlist, asks for the next segment when it is there, and waits for it.
    fn play(&mut self) {
        if self.seen.me.is_none() {
            return;
        }
        let newest = self.stream.newest();
        if self.next + WINDOW <= newest {
            // It has fallen out of the playlist.
            (self.next, self.asked) = (newest, None);
            self.seen.skips += 1;
        }
        if self.asked.is_some() || self.next > newest {
            return;
        }
        let entry = |number: u64| SegmentEntry {
            key: self.key(number),
            start_ms: number as i64 * 1000,
            duration_ms: SEGMENT.as_millis() as u32,
        };
        let segments = ((newest + 1).saturating_sub(WINDOW)..=newest).map(entry).collect();
        let track = track_id(&self.stream.playlist());
        self.input(Input::Timeline { track, kind: MediaKind::Main, segments, live: true });
        let position_ms = self.stream.edge_ms() - BEHIND_MS;
        let buffered_ms = self.next as i64 * 1000;
        let starving = buffered_ms <= position_ms;
        self.input(Input::Playhead(Playhead { position_ms, rate_percent: 100, buffered_ms, starving }));
        self.asked = Some(self.next);
        self.input(Input::Demand { key: self.key(self.next), patience: PATIENCE });
    }

    fn input(&mut self, input: Input<Media>) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            self.engine.handle(self.station.now(), input);
            while let Some(output) = self.engine.poll_output() {
                self.act(output);
            }
        }
    }

    fn act(&mut self, output: Output<Media>) {
        let now = self.station.now();
        match output {
            Output::Connect { peer, initiate, sealing } => {
                self.station.links.connect(now, peer, initiate, sealing);
            }
            Output::Close { peer } => self.station.links.close(peer),
            Output::Control { link, bytes } => {
                if let Some(link) = self.station.links.link(link.0) {
                    link.control(bytes);
                }
            }
            Output::Bulk { link, frame } => {
                if let Some(link) = self.station.links.link(link.0) {
                    link.bulk(frame);
                }
            }
            Output::Signal { to, payload } => {
                if let Some(payload) = Blob::new(payload) {
                    self.station.tell(ClientMessage::Relay { to, payload });
                }
            }
            Output::Signaled { from, payload } => {
                self.pending.extend(self.station.links.signalled(now, from, &payload));
            }
            Output::WantPeers { count } => {
                self.station.tell(ClientMessage::WantPeers { count });
            }
            Output::Renew => {
                self.station.tell(ClientMessage::Renew {});
            }
            Output::Nat { class } => {
                self.station.tell(ClientMessage::Nat { class });
            }
            Output::WantDigests { keys } => {
                self.station.tell(ClientMessage::WantDigests { keys: List::clipped(keys) });
            }
            Output::Fetch { fetch, key, range, .. } => self.fetch(fetch, key, range),
            Output::Verify { check, what } => {
                self.pending.push_back(Input::Verdict { check, ok: check::holds(&what) });
            }
            Output::Deliver(delivery) => self.delivered(&delivery),
            Output::Failed { .. } => self.asked = None,
            Output::Event(Event::Liar { peer, why }) => self.seen.liars.push((peer, why, now)),
            Output::Event(Event::Refused { peer, why }) => self.seen.refused.push((peer, why, now)),
            Output::Event(Event::SourceMismatch { key }) => self.seen.mismatches.push(key),
            Output::Event(Event::Disputed { key, publishers }) => self.seen.disputes.push((key, publishers)),
            Output::Accuse { peer, key } => {
                self.station.tell(ClientMessage::Accuse { peer, key });
            }
            // The visit has no key to sign with.
            Output::Sign { .. } | Output::Vouchers { .. } => {}
            Output::CancelFetch { .. }
            | Output::Progress { .. }
            | Output::Playing { .. }
            | Output::Event(_) => {}
        }
    }

    /// The source answers at once, or refuses.
    fn fetch(&mut self, fetch: FetchId, key: SegmentKey, range: Option<std::ops::Range<u32>>) {
        if !self.has_source || key.number > self.stream.newest() {
            let error = SourceError::Status(503);
            return self.pending.push_back(Input::SourceFailed { fetch, error });
        }
        let body = Media(self.stream.segment(key.number));
        let total = Some(body.len() as u32);
        let (head, data) = match range {
            Some(range) => {
                (SourceHead::Partial { total }, body.slice(range.start as usize..range.end as usize))
            }
            None => (SourceHead::Whole { total }, body),
        };
        self.pending.extend([
            Input::SourceHead { fetch, head },
            Input::SourceData { fetch, data },
            Input::SourceEnd { fetch },
        ]);
    }

    fn delivered(&mut self, delivery: &Delivery<Media>) {
        let number = delivery.key.number;
        let handed = Media::concat(&delivery.parts);
        let right = self.stream.segment(number);
        if handed.0 != right[..] {
            let same = handed.0.iter().zip(&right).filter(|(a, b)| a == b).count();
            self.seen.altered_bytes += (handed.0.len().max(right.len()) - same) as u64;
        }
        let share = delivery.share;
        self.seen.from_peers += u64::from(share.peers) + u64::from(share.seeds);
        self.seen.from_source += u64::from(share.source) + u64::from(share.publisher);
        self.seen.played += 1;
        // The first picture waits for its segment, whenever that comes.
        if self.seen.played > 1 && self.stream.edge_ms() - BEHIND_MS > number as i64 * 1000 {
            self.seen.late += 1;
        }
        if self.asked == Some(number) {
            self.asked = None;
            self.next = number + 1;
        }
    }

    fn link(&mut self, LinkEvent { link: id, what }: LinkEvent) {
        let link = LinkId(id);
        match what {
            Happening::Signal(signal) => {
                if let Some(to) = self.station.links.peer(id)
                    && let Some(payload) = self.station.links.seal(to, &signal)
                {
                    self.input(Input::Signal { to, payload });
                }
            }
            Happening::Open(fingerprint) => {
                if let Some(peer) = self.station.links.opened(id) {
                    self.seen.opened.push(peer);
                    self.input(Input::LinkOpen { link, peer, fingerprint });
                }
            }
            Happening::Control(bytes) => {
                if let Ok(Message::Digest { digest }) = Message::parse(&bytes) {
                    self.hears(&digest);
                }
                self.input(Input::Control { link, bytes });
            }
            Happening::Bulk { header, payload } => {
                self.seen.bulk_bytes += payload.0.len() as u64;
                self.input(Input::Bulk { link, header, payload });
            }
            Happening::Drained => {
                if let Some(buffered) = self.station.links.link(id).map(|link| link.queued()) {
                    self.input(Input::Drained { link, buffered });
                }
            }
            Happening::Closed(_) => {
                if let Some(input) = self.station.links.ended(id) {
                    if matches!(input, Input::LinkClosed { link: Some(_), .. }) {
                        self.seen.ended += 1;
                    }
                    self.input(input);
                }
            }
        }
    }

    fn hears(&mut self, digest: &SegmentDigest) {
        self.seen.digests.push((digest.key, digest.publisher, std::time::Instant::now()));
    }

    fn news(&mut self, news: News) {
        let message = match news {
            News::Joined(welcome) => {
                self.seen.me = Some(welcome.peer());
                self.station.links.joined(welcome.peer());
                self.input(Input::Welcome(welcome));
                let playlist = self.stream.playlist();
                let track = track_id(&playlist);
                let source = Text::new(playlist).map(|playlist| TrackSource { track, playlist });
                self.station.tell(ClientMessage::Playing { tracks: List::clipped(source) });
                return;
            }
            News::Away(_) => return self.input(Input::ServerLost),
            News::Message(message) => *message,
        };
        match message {
            ServerMessage::Introduce { peers } => self.input(Input::Introduced(peers.into_vec())),
            ServerMessage::Gone { peer } => self.input(Input::Gone(peer)),
            ServerMessage::Digest { digest } => {
                self.hears(&digest);
                self.input(Input::Digest(digest));
            }
            ServerMessage::Settings { settings } => self.input(Input::Settings(settings)),
            ServerMessage::Publishers { keys } => self.input(Input::Publishers(keys.into_vec())),
            ServerMessage::Pong { server_time_ms, .. } => self.input(Input::ServerTime(server_time_ms)),
            ServerMessage::Ticket { ticket, server_time_ms } => {
                self.input(Input::ServerTime(server_time_ms));
                self.input(Input::Ticket(ticket.into()));
            }
            ServerMessage::Revoked { revocations } => self.input(Input::Revoked(revocations.into())),
            ServerMessage::Relayed { from, payload } => {
                let told = self.station.links.signalled(self.now(), from, payload.as_slice());
                told.into_iter().for_each(|input| self.input(input));
            }
            ServerMessage::Welcome { .. } | ServerMessage::Refused { .. } | ServerMessage::Seeds { .. } => {}
        }
    }
}
