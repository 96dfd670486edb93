//! A viewer without a browser: the engine as a viewer, and a player that asks for one segment after the other.

use std::collections::VecDeque;

use rillcast_core::engine::{
    Config, Delivery, Engine, Input, LinkId, MediaKind, Output, Patience, Playhead, SegmentEntry, Share,
    SourceError,
};
use rillcast_core::time::{Duration, Instant};
use rillcast_protocol::coding::{Blob, List, Text};
use rillcast_protocol::id::{self, PublisherKey, Role, SegmentKey};
use rillcast_protocol::signal::{ClientMessage, Join, ServerMessage, TrackSource};
use rillcast_publisher::track_id;
use rillcast_seed::check;
use rillcast_seed::links::Links;
use rillcast_seed::payload::Media;
use rillcast_seed::rtc::{Happening, LinkEvent};
use rillcast_seed::signaling::{News, Signaling};
use tokio::sync::mpsc;

use super::endpoint;
use super::origin::{Origin, SEGMENT, segment};

const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(20), whole: Duration::from_secs(120) };

pub(crate) struct Viewer {
    engine: Engine<Media>,
    zero: std::time::Instant,
    links: Links,
    events: mpsc::Receiver<LinkEvent>,
    signaling: Signaling,
    news: mpsc::Receiver<News>,
    pending: VecDeque<Input<Media>>,
    rendition: &'static str,
    playlist: String,
    delivered: Vec<(SegmentKey, Share)>,
    failed: bool,
    pub(crate) publishers: Vec<PublisherKey>,
    pub(crate) open_links: usize,
    pub(crate) links_closed: usize,
}

impl Viewer {
    pub(crate) fn start(origin: &Origin, signal: &str, rendition: &'static str) -> Self {
        let endpoint = endpoint();
        let join = Join {
            version: rillcast_protocol::VERSION,
            site: Text::new("default").expect("short"),
            content: Text::new(origin.url("master.m3u8")).expect("short"),
            delivery: id::Delivery::Hls,
            role: Role::Viewer,
            token: Blob::default(),
            publisher: None,
            fingerprint: endpoint.fingerprint(),
            session: None,
            sealing: Some(endpoint.sealer().key()),
            ticket: None,
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let (signaling, news) = Signaling::start(format!("{signal}/ws"), join, None, tls.into());
        let (tell, events) = mpsc::channel(256);
        Self {
            engine: Engine::new(Config { role: Role::Viewer, seed: 7, store_budget: 64 << 20 }),
            zero: std::time::Instant::now(),
            links: Links::new(endpoint, tell),
            events,
            signaling,
            news,
            pending: VecDeque::new(),
            rendition,
            playlist: origin.url(&format!("{rendition}/live.m3u8")),
            delivered: Vec::new(),
            failed: false,
            publishers: Vec::new(),
            open_links: 0,
            links_closed: 0,
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(self.zero.elapsed().as_micros() as u64)
    }

    fn input(&mut self, input: Input<Media>) {
        self.pending.push_back(input);
        while let Some(input) = self.pending.pop_front() {
            self.engine.handle(self.now(), input);
            while let Some(output) = self.engine.poll_output() {
                self.act(output);
            }
        }
    }

    fn act(&mut self, output: Output<Media>) {
        let now = self.now();
        match output {
            Output::Connect { peer, initiate, sealing } => self.links.connect(now, peer, initiate, sealing),
            Output::Close { peer } => self.links.close(peer),
            Output::Control { link, bytes } => {
                if let Some(link) = self.links.link(link.0) {
                    link.control(bytes);
                }
            }
            Output::Bulk { link, frame } => {
                if let Some(link) = self.links.link(link.0) {
                    link.bulk(frame);
                }
            }
            Output::Signal { to, payload } => {
                if let Some(payload) = Blob::new(payload) {
                    self.signaling.send(ClientMessage::Relay { to, payload });
                }
            }
            Output::Signaled { from, payload } => {
                self.pending.extend(self.links.signalled(now, from, &payload));
            }
            Output::WantPeers { count } => {
                self.signaling.send(ClientMessage::WantPeers { count });
            }
            // There is no source for this viewer: what it plays comes from peers or not at all.
            Output::Fetch { fetch, .. } => {
                self.pending.push_back(Input::SourceFailed { fetch, error: SourceError::Status(503) });
            }
            Output::Verify { check, what } => {
                self.pending.push_back(Input::Verdict { check, ok: check::holds(&what) });
            }
            Output::Deliver(Delivery { key, parts, share, .. }) => {
                let bytes: Vec<u8> = parts.iter().flat_map(|p| p.0.to_vec()).collect();
                assert_eq!(
                    bytes,
                    segment(self.rendition, key.number),
                    "segment {} is the origin's",
                    key.number
                );
                self.delivered.push((key, share));
            }
            Output::Failed { .. } => self.failed = true,
            _ => {}
        }
    }

    /// One step of waiting for whatever comes next.
    async fn step(&mut self) {
        let timeout = self.engine.poll_timeout();
        let wait = timeout.since(self.now()).min(Duration::from_millis(100));
        tokio::select! {
            Some(event) = self.events.recv() => self.link(event),
            Some(news) = self.news.recv() => self.heard(news),
            () = tokio::time::sleep(wait) => {
                for input in self.links.overdue(self.now()) {
                    self.input(input);
                }
                self.input(Input::Timeout);
            }
        }
    }

    fn link(&mut self, LinkEvent { link: id, what }: LinkEvent) {
        let link = LinkId(id);
        match what {
            Happening::Signal(signal) => {
                if let Some(to) = self.links.peer(id)
                    && let Some(payload) = self.links.seal(to, &signal)
                {
                    self.input(Input::Signal { to, payload });
                }
            }
            Happening::Open(fingerprint) => {
                if let Some(peer) = self.links.opened(id) {
                    self.open_links += 1;
                    self.input(Input::LinkOpen { link, peer, fingerprint });
                }
            }
            Happening::Control(bytes) => self.input(Input::Control { link, bytes }),
            Happening::Bulk { header, payload } => self.input(Input::Bulk { link, header, payload }),
            Happening::Drained => {
                if let Some(buffered) = self.links.link(id).map(|l| l.queued()) {
                    self.input(Input::Drained { link, buffered });
                }
            }
            Happening::Closed(why) => {
                eprintln!("viewer: link ended: {why:?}");
                self.links_closed += 1;
                if let Some(input) = self.links.ended(id) {
                    self.input(input);
                }
            }
        }
    }

    fn heard(&mut self, news: News) {
        let News::Message(message) = news else {
            if let News::Joined(welcome) = news {
                self.publishers = welcome.publishers.to_vec();
                self.links.joined(welcome.peer());
                self.input(Input::Welcome(welcome));
                let source = TrackSource {
                    track: track_id(&self.playlist),
                    playlist: Text::new(self.playlist.as_str()).expect("short"),
                };
                self.signaling.send(ClientMessage::Playing { tracks: List::clipped([source]) });
            }
            return;
        };
        match *message {
            ServerMessage::Introduce { peers } => self.input(Input::Introduced(peers.into_vec())),
            ServerMessage::Gone { peer } => self.input(Input::Gone(peer)),
            ServerMessage::Digest { digest } => self.input(Input::Digest(digest)),
            ServerMessage::Publishers { keys } => {
                self.publishers = keys.to_vec();
                self.input(Input::Publishers(keys.into_vec()));
            }
            ServerMessage::Relayed { from, payload } => {
                if let Some(input) = self.links.signalled(self.now(), from, payload.as_slice()) {
                    self.input(input);
                }
            }
            _ => {}
        }
    }

    /// Media bytes that came from seeds.
    pub(crate) fn seeded(&self) -> u64 {
        self.engine.stats().seed_bytes
    }

    /// Blocks that weren't what was signed.
    pub(crate) fn false_blocks(&self) -> u64 {
        self.engine.stats().false_blocks
    }

    /// Asks for a segment as play comes to it, and takes what comes until something holds.
    pub(crate) async fn begin(&mut self, origin: &Origin, number: u64, holds: impl Fn(&Self) -> bool) {
        let key = SegmentKey { track: track_id(&self.playlist), number, discontinuity: 0, part: 0 };
        while origin.state.newest() < number {
            self.step().await;
        }
        self.sees(origin, number);
        self.input(Input::Demand { key, patience: PATIENCE });
        while !holds(self) {
            self.step().await;
            if std::mem::take(&mut self.failed) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.input(Input::Demand { key, patience: PATIENCE });
            }
        }
    }

    /// The numbers of the segments that were delivered so far.
    pub(crate) fn played(&self) -> Vec<u64> {
        self.delivered.iter().map(|(key, _)| key.number).collect()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&mut self, what: impl Fn(&Self) -> bool) {
        while !what(self) {
            self.step().await;
        }
    }

    /// Plays segments from the newest on, each when it has been delivered; told back: who brought them.
    pub(crate) async fn play(&mut self, origin: &Origin, segments: usize) -> Share {
        self.play_from(origin, origin.state.newest(), segments).await
    }

    /// The same from a given one on.
    pub(crate) async fn play_from(&mut self, origin: &Origin, first: u64, segments: usize) -> Share {
        let track = track_id(&self.playlist);
        let start = self.delivered.len();
        let mut number = first;
        let mut shares = Share::default();
        let key = |number| SegmentKey { track, number, discontinuity: 0, part: 0 };
        while self.delivered.len() < start + segments {
            let newest = origin.state.newest();
            self.sees(origin, number);
            if number <= newest {
                // What is held already is delivered at once.
                let wanted = self.delivered.len() + 1;
                self.input(Input::Demand { key: key(number), patience: PATIENCE });
                while self.delivered.len() < wanted {
                    self.step().await;
                    // As a player does: it asks again for what it couldn't have.
                    if std::mem::take(&mut self.failed) && self.delivered.len() < wanted {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        self.input(Input::Demand { key: key(number), patience: PATIENCE });
                    }
                }
                let (_, share) = self.delivered[wanted - 1];
                shares.source += share.source;
                shares.publisher += share.publisher;
                shares.peers += share.peers;
                shares.seeds += share.seeds;
                number += 1;
            } else {
                self.step().await;
            }
        }
        shares
    }

    /// The playlist as it is now, with play coming to a segment.
    fn sees(&mut self, origin: &Origin, number: u64) {
        let track = track_id(&self.playlist);
        let (newest, ms) = (origin.state.newest(), SEGMENT.as_millis() as i64);
        let entry = |n: u64| SegmentEntry {
            key: SegmentKey { track, number: n, discontinuity: 0, part: 0 },
            start_ms: n as i64 * ms,
            duration_ms: SEGMENT.as_millis() as u32,
        };
        let segments = (newest.saturating_sub(5)..=newest).map(entry).collect();
        self.input(Input::Timeline { track, kind: MediaKind::Main, segments, live: true });
        self.input(Input::Playhead(Playhead {
            position_ms: (number as i64 - 3) * ms,
            rate_percent: 100,
            buffered_ms: number as i64 * ms,
            starving: false,
        }));
    }
}
