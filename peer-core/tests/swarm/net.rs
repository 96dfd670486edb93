//! A small network in virtual time for tests: uplinks with a queue, a latency, a source, a publisher and players that behave
//! like hls.js. The full simulator is a program of its own; this one is here so that the engine's tests need nothing else.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use bytes::Bytes;
use rillcast_core::engine::{
    BulkFrame, Check, Conditions, Config, Engine, FetchId, Input, LinkId, MediaKind, Output, Playhead,
    SegmentEntry, SourceError, SourceHead, Via,
};
use rillcast_core::payload::Payload;
use rillcast_core::protocol::coding::{List, Text};
use rillcast_core::protocol::digest::{SegmentDigest, block_size};
use rillcast_core::protocol::id::{PeerId, PublisherKey, Role, SegmentKey, SwarmId, TrackId};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::{PeerDescriptor, Welcome};
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buf(pub Bytes);

impl Payload for Buf {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        Self(self.0.slice(range))
    }
    fn concat(parts: &[Self]) -> Self {
        Self(parts.iter().flat_map(|p| p.0.iter().copied()).collect())
    }
}

pub const SWARM: SwarmId = SwarmId([9; 16]);
pub const PUBLISHER: PublisherKey = PublisherKey([7; 32]);
pub const SEGMENT: Duration = Duration::from_secs(4);

pub fn peer_id(n: usize) -> PeerId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(n as u64).to_be_bytes());
    id[15] = n as u8;
    PeerId(id)
}

/// What a scenario sets.
#[derive(Clone, Debug)]
pub struct Setup {
    pub viewers: usize,
    /// Bytes/s.
    pub uplink: u64,
    /// Bytes/s from the source to one viewer.
    pub source_rate: u64,
    pub bitrate: u64,
    pub join_gap: Duration,
    pub length: Duration,
    pub latency: Duration,
    pub live: bool,
    pub publisher: bool,
    pub seed_node: bool,
    pub seed: u64,
    pub settings: Settings,
    /// 0 = playlists are read as soon as a segment is there; else every viewer at its own phase.
    pub poll: Duration,
    pub ranges: bool,
    /// The node that flips a bit in every block it gives.
    pub liar: Option<usize>,
    /// (node, when): closes its tab without a word.
    pub vanish: Option<(usize, Duration)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            viewers: 8,
            uplink: 2_100_000 / 8,
            source_rate: 20_000_000 / 8,
            bitrate: 1_450_000 / 8,
            join_gap: Duration::from_secs(2),
            length: Duration::from_secs(90),
            latency: Duration::from_millis(5),
            live: true,
            publisher: true,
            seed_node: false,
            seed: 1,
            settings: Settings { report_secs: 0, ..Settings::default() },
            poll: SEGMENT,
            ranges: true,
            liar: None,
            vanish: None,
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Input(usize, Input<Buf>),
    Timer(usize),
    Join(usize),
    Poll(usize),
    Tick(usize),
    Depart(usize),
    Publish(u64),
    Vanish(usize),
    Link(usize, usize, LinkId),
    FetchStep(usize, FetchId, u32),
}

#[derive(Clone, Debug)]
enum Packet {
    Control(Vec<u8>),
    Bulk(BulkFrame<Buf>),
}

pub struct Player {
    pub joined: Option<Instant>,
    pub next: Option<u64>,
    pub asked: Option<u64>,
    pub listed: u64,
    pub position_ms: f64,
    pub buffered_ms: f64,
    pub started: Option<Instant>,
    pub stalls: u32,
    pub stall_ms: f64,
    pub stalled: bool,
    pub segments: Vec<(u64, usize)>,
    pub failures: u32,
    updated: Instant,
}

struct Node {
    engine: Engine<Buf>,
    alive: bool,
    links: BTreeMap<LinkId, (usize, LinkId)>,
    uplink: VecDeque<(LinkId, Packet)>,
    queued: BTreeMap<LinkId, u32>,
    sending: bool,
    fetches: BTreeMap<FetchId, (SegmentKey, core::ops::Range<u32>)>,
    timer: Instant,
    player: Player,
    role: Role,
}

pub struct Net {
    pub setup: Setup,
    pub now: Instant,
    queue: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    events: Vec<Option<Event>>,
    serial: u64,
    nodes: Vec<Node>,
    next_link: u32,
    hosted: BTreeMap<(u64, u32), bool>,
    pub source_bytes: u64,
    pub hosted_bytes: u64,
    pub publisher_bytes: u64,
    published: std::collections::BTreeSet<u64>,
    pub delivered: u64,
    pub record: Vec<(Instant, usize, Input<Buf>)>,
    pub trace: Vec<String>,
    pub keep_record: bool,
    pub liars_caught: Vec<(usize, PeerId)>,
    pub share: (u64, u64, u64, u64),
}

pub fn track() -> TrackId {
    TrackId(77)
}

pub fn key(number: u64) -> SegmentKey {
    SegmentKey { track: track(), number, discontinuity: 0, part: 0 }
}

thread_local! {
    static BODIES: std::cell::RefCell<BTreeMap<(u64, u64), Bytes>> = const { std::cell::RefCell::new(BTreeMap::new()) };
}

pub fn body(setup: &Setup, number: u64) -> Bytes {
    BODIES.with_borrow_mut(|b| {
        b.entry((setup.bitrate, number)).or_insert_with(|| make_body(setup, number)).clone()
    })
}

fn make_body(setup: &Setup, number: u64) -> Bytes {
    let len = (setup.bitrate * 4) as usize - (number as usize * 131) % 9000;
    let mut state = mix(number);
    (0..len.div_ceil(8))
        .flat_map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state.to_le_bytes()
        })
        .take(len)
        .collect()
}

pub fn digest(setup: &Setup, number: u64, hosted: bool) -> SegmentDigest {
    thread_local! {
        static DIGESTS: std::cell::RefCell<BTreeMap<(u64, u64, bool), SegmentDigest>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    }
    DIGESTS.with_borrow_mut(|d| {
        d.entry((setup.bitrate, number, hosted)).or_insert_with(|| make_digest(setup, number, hosted)).clone()
    })
}

fn make_digest(setup: &Setup, number: u64, hosted: bool) -> SegmentDigest {
    let body = body(setup, number);
    let size = block_size(body.len() as u32) as usize;
    SegmentDigest {
        swarm: SWARM,
        key: key(number),
        length: body.len() as u32,
        duration_ms: 4000,
        hashes: body.chunks(size).map(|c| *blake3::hash(c).as_bytes()).collect(),
        publisher: PUBLISHER,
        signature: [1; 64],
        hosted,
    }
}

pub fn config(n: usize, role: Role, seed: u64) -> Config {
    Config { role, seed: mix(seed ^ n as u64), store_budget: 64 << 20 }
}

impl Net {
    pub fn new(setup: Setup) -> Self {
        let total = setup.viewers + usize::from(setup.seed_node);
        let mut net = Self {
            nodes: (0..total)
                .map(|n| {
                    let role = if n < setup.viewers { Role::Viewer } else { Role::Seed };
                    Node {
                        engine: Engine::new(config(n, role, setup.seed)),
                        alive: false,
                        links: BTreeMap::new(),
                        uplink: VecDeque::new(),
                        queued: BTreeMap::new(),
                        sending: false,
                        fetches: BTreeMap::new(),
                        timer: Instant::NEVER,
                        role,
                        player: Player {
                            joined: None,
                            next: None,
                            asked: None,
                            listed: 0,
                            position_ms: 0.0,
                            buffered_ms: 0.0,
                            started: None,
                            stalls: 0,
                            stall_ms: 0.0,
                            stalled: false,
                            segments: Vec::new(),
                            failures: 0,
                            updated: Instant::ZERO,
                        },
                    }
                })
                .collect(),
            now: Instant::ZERO,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            serial: 0,
            next_link: 0,
            hosted: BTreeMap::new(),
            source_bytes: 0,
            hosted_bytes: 0,
            publisher_bytes: 0,
            published: Default::default(),
            delivered: 0,
            record: Vec::new(),
            trace: Vec::new(),
            keep_record: false,
            liars_caught: Vec::new(),
            share: (0, 0, 0, 0),
            setup,
        };
        // The stream has run for a minute when the first viewer comes.
        let start = Duration::from_secs(60);
        if net.setup.seed_node {
            net.at(start.minus_or_zero(Duration::from_secs(2)), Event::Join(net.setup.viewers));
        }
        for n in 0..net.setup.viewers {
            net.at(start + net.setup.join_gap * n as u32, Event::Join(n));
        }
        if net.setup.live {
            let last = (start + net.setup.length).as_secs() / 4 + 2;
            for number in 10..last {
                net.at(SEGMENT * (number as u32 + 1) + Duration::from_millis(350), Event::Publish(number));
            }
        }
        if let Some((n, when)) = net.setup.vanish {
            net.at(start + when, Event::Vanish(n));
        }
        net
    }

    fn at(&mut self, when: Duration, event: Event) {
        self.schedule(Instant::ZERO + when, event);
    }

    fn schedule(&mut self, when: Instant, event: Event) {
        self.serial += 1;
        self.events.push(Some(event));
        self.queue.push(Reverse((when.max(self.now), self.serial, self.events.len() - 1)));
    }

    pub fn player(&self, n: usize) -> &Player {
        &self.nodes[n].player
    }

    pub fn engine(&self, n: usize) -> &Engine<Buf> {
        &self.nodes[n].engine
    }

    /// The number of the newest segment that exists.
    fn edge(&self) -> u64 {
        if self.setup.live { self.now.as_micros() / 4_000_000 - 1 } else { 59 }
    }

    pub fn run(&mut self) {
        let end = Instant::ZERO + Duration::from_secs(60) + self.setup.length;
        while let Some(Reverse((when, _, index))) = self.queue.pop() {
            if when > end {
                break;
            }
            self.now = when;
            if let Some(event) = self.events[index].take() {
                self.step(event);
            }
        }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Input(n, input) => self.input(n, input),
            Event::Timer(n) => {
                if self.nodes[n].timer <= self.now {
                    self.input(n, Input::Timeout);
                }
            }
            Event::Join(n) => self.join(n),
            Event::Poll(n) => self.poll(n),
            Event::Tick(n) => self.tick(n),
            Event::Depart(n) => self.depart(n),
            Event::Publish(number) => self.publish(number),
            Event::Vanish(n) => self.nodes[n].alive = false,
            Event::Link(a, b, _) => self.link(a, b),
            Event::FetchStep(n, fetch, at) => self.fetch_step(n, fetch, at),
        }
    }

    fn input(&mut self, n: usize, input: Input<Buf>) {
        if !self.nodes[n].alive {
            return;
        }
        if self.keep_record {
            self.record.push((self.now, n, input.clone()));
        }
        let now = self.now;
        self.nodes[n].engine.handle(now, input);
        while let Some(output) = self.nodes[n].engine.poll_output() {
            if self.keep_record {
                self.trace.push(format!("{now:?} {n} {output:?}"));
            }
            self.output(n, output);
        }
        let timer = self.nodes[n].engine.poll_timeout();
        if timer != Instant::NEVER {
            self.nodes[n].timer = timer;
            self.schedule(timer.max(now + Duration::from_micros(10)), Event::Timer(n));
        }
    }

    fn output(&mut self, n: usize, output: Output<Buf>) {
        match output {
            Output::Connect { peer, initiate } => {
                if initiate && let Some(other) = (0..self.nodes.len()).find(|m| peer_id(*m) == peer) {
                    self.schedule(self.now + Duration::from_millis(500), Event::Link(n, other, LinkId(0)));
                }
            }
            Output::Close { peer } => self.unlink(n, peer),
            Output::Control { link, bytes } => self.send(n, link, Packet::Control(bytes)),
            Output::Bulk { link, frame } => self.send(n, link, Packet::Bulk(frame)),
            Output::WantDigests { keys } => {
                for key in keys {
                    let ready = self.now + Duration::from_millis(450);
                    match self.published.contains(&key.number) {
                        true => {
                            let digest = digest(&self.setup, key.number, true);
                            let soon = self.now + Duration::from_millis(30);
                            self.schedule(soon, Event::Input(n, Input::Digest(digest)));
                        }
                        false => self.schedule(ready, Event::Publish(key.number)),
                    }
                }
            }
            Output::WantPeers { .. } | Output::Playing { .. } | Output::Progress { .. } => {}
            Output::Fetch { fetch, key, range, via, urgent } => {
                if std::env::var_os("SWARM_TRACE").is_some() {
                    let t = self.now.as_micros() as f64 / 1e6;
                    eprintln!("{t:.2} node {n} fetch {} {range:?} {via:?} urgent {urgent}", key.number);
                }
                self.fetch(n, fetch, key, range, via);
            }
            Output::CancelFetch { fetch } => {
                self.nodes[n].fetches.remove(&fetch);
            }
            Output::Verify { check, what } => {
                let ok = match what {
                    Check::Block { payload, hash } => *blake3::hash(&payload.0).as_bytes() == hash,
                    Check::Signature { signature, .. } => signature == [1; 64],
                };
                self.input(n, Input::Verdict { check, ok });
            }
            Output::Deliver(delivery) => {
                let whole = Buf::concat(&delivery.parts);
                assert_eq!(whole.0, body(&self.setup, delivery.key.number), "the player got other bytes");
                self.delivered += whole.len() as u64;
                self.share.0 += u64::from(delivery.share.source);
                self.share.1 += u64::from(delivery.share.publisher);
                self.share.2 += u64::from(delivery.share.peers);
                self.share.3 += u64::from(delivery.share.seeds);
                self.nodes[n].player.segments.push((delivery.key.number, whole.len()));
                self.got(n, delivery.key.number);
            }
            Output::Failed { .. } => {
                self.nodes[n].player.failures += 1;
                self.nodes[n].player.asked = None;
            }
            Output::Event(event) => match event {
                rillcast_core::engine::Event::Liar { peer, .. } => self.liars_caught.push((n, peer)),
                other if std::env::var_os("SWARM_TRACE").is_some() => {
                    eprintln!("{:.2} node {n} {other:?}", self.now.as_micros() as f64 / 1e6);
                }
                _ => {}
            },
        }
    }

    fn join(&mut self, n: usize) {
        self.nodes[n].alive = true;
        let now = self.now;
        self.nodes[n].player.joined = Some(now);
        self.nodes[n].player.updated = now;
        let welcome = Welcome {
            version: 1,
            peer: peer_id(n),
            swarm: SWARM,
            nonce: mix(n as u64 + 1000),
            weight: 100,
            server_time_ms: 0,
            settings: self.setup.settings.clone(),
            publishers: List::clipped(if self.setup.publisher { vec![PUBLISHER] } else { vec![] }),
            publisher_base: Text::clipped(""),
        };
        self.schedule(now + Duration::from_millis(100), Event::Input(n, Input::Welcome(welcome)));
        let conditions = Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 };
        self.input(n, Input::Conditions(conditions));
        let others: Vec<usize> = (0..self.nodes.len()).filter(|m| *m != n && self.nodes[*m].alive).collect();
        let describe = |m: usize, initiate: bool, nodes: &[Node]| PeerDescriptor {
            id: peer_id(m),
            role: nodes[m].role,
            nonce: mix(m as u64 + 1000),
            weight: 100,
            initiate,
        };
        let soon = now + Duration::from_millis(110);
        let list = others.iter().map(|m| describe(*m, true, &self.nodes)).collect();
        self.schedule(soon, Event::Input(n, Input::Introduced(list)));
        for m in others {
            let me = describe(n, false, &self.nodes);
            self.schedule(soon, Event::Input(m, Input::Introduced(vec![me])));
        }
        if self.nodes[n].role == Role::Viewer {
            self.schedule(now + Duration::from_millis(50), Event::Poll(n));
            self.schedule(now + Duration::from_millis(100), Event::Tick(n));
            if self.setup.publisher && self.setup.live && !self.setup.seed_node {
                for number in self.edge().saturating_sub(6)..=self.edge() {
                    let digest = digest(&self.setup, number, false);
                    self.schedule(now + Duration::from_millis(300), Event::Input(n, Input::Digest(digest)));
                }
            }
        }
    }

    /// The player reads its playlist.
    fn poll(&mut self, n: usize) {
        let edge = self.edge();
        let first = if self.setup.live { edge.saturating_sub(5) } else { 0 };
        let entry = |number: u64| SegmentEntry {
            key: key(number),
            start_ms: number as i64 * 4000,
            duration_ms: 4000,
        };
        let segments = (first..=edge).map(entry).collect();
        let live = self.setup.live;
        self.input(n, Input::Timeline { track: track(), kind: MediaKind::Main, segments, live });
        let start = if live { edge.saturating_sub(2) } else { 0 };
        let player = &mut self.nodes[n].player;
        player.listed = edge;
        if player.next.is_none() {
            player.next = Some(start);
            player.position_ms = start as f64 * 4000.0;
            player.buffered_ms = player.position_ms;
        }
        if live {
            self.schedule(self.now + self.setup.poll, Event::Poll(n));
        }
        self.ask(n);
    }

    /// One segment at a time, up to 30 s ahead, as hls.js does.
    fn ask(&mut self, n: usize) {
        let player = &mut self.nodes[n].player;
        let Some(next) = player.next else { return };
        if player.asked.is_some()
            || next > player.listed
            || player.buffered_ms - player.position_ms > 30_000.0
        {
            return;
        }
        player.asked = Some(next);
        self.input(n, Input::Demand { key: key(next), patience: Duration::from_secs(20) });
    }

    fn got(&mut self, n: usize, number: u64) {
        let now = self.now;
        let player = &mut self.nodes[n].player;
        if player.asked == Some(number) {
            player.asked = None;
            player.next = Some(number + 1);
            player.buffered_ms = (number + 1) as f64 * 4000.0;
            player.started.get_or_insert(now);
            // hls.js asks for the next one once this one is appended.
            self.schedule(now + Duration::from_millis(30), Event::Tick(n + 1_000_000));
        }
    }

    fn tick(&mut self, n: usize) {
        if n >= 1_000_000 {
            return self.ask(n - 1_000_000);
        }
        let now = self.now;
        let player = &mut self.nodes[n].player;
        let passed = now.since(player.updated).as_secs_f64() * 1000.0;
        player.updated = now;
        if player.started.is_some() {
            let room = player.buffered_ms - player.position_ms;
            player.position_ms += passed.min(room);
            let dry = room < passed;
            if dry {
                player.stall_ms += passed - room;
                player.stalls += u32::from(!player.stalled);
            }
            player.stalled = dry;
        }
        let playhead = Playhead {
            position_ms: player.position_ms as i64,
            rate_percent: if player.started.is_some() { 100 } else { 0 },
            buffered_ms: player.buffered_ms as i64,
            starving: player.started.is_none() || player.stalled,
        };
        self.input(n, Input::Playhead(playhead));
        self.ask(n);
        self.schedule(now + Duration::from_millis(250), Event::Tick(n));
    }

    fn publish(&mut self, number: u64) {
        if !self.setup.publisher {
            return;
        }
        if self.setup.seed_node {
            let seed = self.setup.viewers;
            if self.nodes[seed].alive {
                self.publisher_bytes += body(&self.setup, number).len() as u64;
                let digest = digest(&self.setup, number, false);
                let body = Buf(body(&self.setup, number));
                self.input(seed, Input::Published { digest, body });
            }
            return;
        }
        let alive: Vec<usize> = (0..self.setup.viewers).filter(|n| self.nodes[*n].alive).collect();
        if alive.is_empty() || !self.published.insert(number) {
            return;
        }
        self.publisher_bytes += body(&self.setup, number).len() as u64;
        let digest = digest(&self.setup, number, true);
        for n in alive {
            self.schedule(
                self.now + Duration::from_millis(20),
                Event::Input(n, Input::Digest(digest.clone())),
            );
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        if !self.nodes[a].alive
            || !self.nodes[b].alive
            || self.nodes[a].links.values().any(|(peer, _)| *peer == b)
        {
            return;
        }
        let (at_a, at_b) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        self.nodes[a].links.insert(at_a, (b, at_b));
        self.nodes[b].links.insert(at_b, (a, at_a));
        self.input(a, Input::LinkOpen { link: at_a, peer: peer_id(b) });
        self.input(b, Input::LinkOpen { link: at_b, peer: peer_id(a) });
    }

    fn unlink(&mut self, n: usize, peer: PeerId) {
        let Some((link, (other, theirs))) =
            self.nodes[n].links.iter().find(|(_, (o, _))| peer_id(*o) == peer).map(|(l, o)| (*l, *o))
        else {
            return;
        };
        self.nodes[n].links.remove(&link);
        self.nodes[other].links.remove(&theirs);
        let closed = Input::LinkClosed { peer: peer_id(n), link: Some(theirs) };
        self.schedule(self.now + self.setup.latency, Event::Input(other, closed));
    }

    fn send(&mut self, n: usize, link: LinkId, packet: Packet) {
        if !self.nodes[n].links.contains_key(&link) {
            return;
        }
        if let Packet::Bulk(frame) = &packet {
            *self.nodes[n].queued.entry(link).or_default() += frame.payload.len() as u32;
        }
        self.nodes[n].uplink.push_back((link, packet));
        if !self.nodes[n].sending {
            self.nodes[n].sending = true;
            self.begin(n);
        }
    }

    fn begin(&mut self, n: usize) {
        let Some((_, packet)) = self.nodes[n].uplink.front() else {
            self.nodes[n].sending = false;
            return;
        };
        let bytes = match packet {
            Packet::Control(bytes) => bytes.len() as u64 + 100,
            // DTLS, SCTP, UDP and IP headers at some 1200 bytes a packet.
            Packet::Bulk(frame) => frame.payload.len() as u64 * 107 / 100,
        };
        let rate = if self.nodes[n].role == Role::Seed { 12_500_000 } else { self.setup.uplink };
        let time = Duration::from_micros(bytes * 1_000_000 / rate);
        self.schedule(self.now + time, Event::Depart(n));
    }

    fn depart(&mut self, n: usize) {
        let Some((link, packet)) = self.nodes[n].uplink.pop_front() else { return };
        let lies = self.setup.liar == Some(n);
        if let Some((other, theirs)) = self.nodes[n].links.get(&link).copied() {
            let arrives = self.now + self.setup.latency;
            let input = match packet {
                Packet::Control(bytes) => Input::Control { link: theirs, bytes },
                Packet::Bulk(frame) => {
                    let queued = self.nodes[n].queued.entry(link).or_default();
                    *queued -= frame.payload.len() as u32;
                    let buffered = *queued;
                    self.schedule(self.now, Event::Input(n, Input::Drained { link, buffered }));
                    let mut payload = frame.payload;
                    if lies {
                        let mut bytes = payload.0.to_vec();
                        bytes[0] ^= 1;
                        payload = Buf(bytes.into());
                    }
                    Input::Bulk { link: theirs, header: frame.header, payload }
                }
            };
            if self.nodes[n].alive {
                self.schedule(arrives, Event::Input(other, input));
            }
        }
        self.begin(n);
    }

    fn fetch(
        &mut self,
        n: usize,
        fetch: FetchId,
        key: SegmentKey,
        range: Option<core::ops::Range<u32>>,
        via: Via,
    ) {
        let len = body(&self.setup, key.number).len() as u32;
        let ranged = range.is_some() && self.setup.ranges;
        let range = if ranged { range.unwrap_or(0..len) } else { 0..len };
        let ready = self.now + Duration::from_millis(40);
        if via == Via::Publisher {
            let fresh: Vec<u32> = (range.start / 32768..range.end.div_ceil(32768))
                .filter(|b| !self.hosted.contains_key(&(key.number, *b)))
                .collect();
            if fresh.len() < (range.end.div_ceil(32768) - range.start / 32768) as usize {
                let error = SourceError::Status(410);
                self.schedule(ready, Event::Input(n, Input::SourceFailed { fetch, error }));
                return;
            }
            fresh.iter().for_each(|b| {
                self.hosted.insert((key.number, *b), true);
            });
        }
        let head = if ranged || via == Via::Publisher {
            SourceHead::Partial { total: Some(len) }
        } else {
            SourceHead::Whole { total: Some(len) }
        };
        if via == Via::Publisher {
            self.hosted_bytes += u64::from(range.end - range.start);
        } else {
            self.source_bytes += u64::from(range.end - range.start);
        }
        let at = range.start;
        self.nodes[n].fetches.insert(fetch, (key, range));
        self.schedule(ready, Event::Input(n, Input::SourceHead { fetch, head }));
        self.schedule(ready, Event::FetchStep(n, fetch, at));
    }

    fn fetch_step(&mut self, n: usize, fetch: FetchId, at: u32) {
        let Some((key, range)) = self.nodes[n].fetches.get(&fetch).cloned() else { return };
        let end = (at + 16_000).min(range.end);
        let busy = self.nodes[n].fetches.len() as u64;
        let took = Duration::from_micros(u64::from(end - at) * 1_000_000 * busy / self.setup.source_rate);
        let data = Buf(body(&self.setup, key.number).slice(at as usize..end as usize));
        self.schedule(self.now + took, Event::Input(n, Input::SourceData { fetch, data }));
        if end < range.end {
            self.schedule(self.now + took, Event::FetchStep(n, fetch, end));
        } else {
            self.nodes[n].fetches.remove(&fetch);
            self.schedule(self.now + took, Event::Input(n, Input::SourceEnd { fetch }));
        }
    }

    /// One line of figures.
    pub fn summary(&self) -> String {
        let stalls: u32 = self.nodes.iter().map(|n| n.player.stalls).sum();
        let segs: usize = self.nodes.iter().map(|n| n.player.segments.len()).sum();
        let mut distinct: BTreeMap<u64, usize> = BTreeMap::new();
        self.nodes.iter().flat_map(|n| &n.player.segments).for_each(|(s, l)| {
            distinct.insert(*s, *l);
        });
        let once: usize = distinct.values().sum();
        let source = self.source_bytes + self.publisher_bytes;
        let (mut rescues, mut wasted, mut up) = (0, 0, Vec::new());
        for n in &self.nodes {
            let s = n.engine.stats();
            rescues += s.rescue_bytes;
            wasted += s.wasted_bytes;
            up.push(s.uploaded_bytes / 1000);
        }
        format!(
            "savings {:.3} copies {:.2} (viewers' own {:.2}, publisher {:.2}, hosted {:.2}) stalls {stalls} segments {segs} share s/p/peers/seeds {:?} rescued {} wasted {} up kB {:?}",
            1.0 - source as f64 / self.delivered as f64,
            source as f64 / once as f64,
            self.source_bytes as f64 / once as f64,
            self.publisher_bytes as f64 / once as f64,
            self.hosted_bytes as f64 / once as f64,
            (self.share.0 / 1000, self.share.1 / 1000, self.share.2 / 1000, self.share.3 / 1000),
            rescues / 1000,
            wasted / 1000,
            up,
        )
    }

    pub fn savings(&self) -> f64 {
        1.0 - (self.source_bytes + self.publisher_bytes) as f64 / self.delivered as f64
    }

    pub fn stalls(&self) -> u32 {
        self.nodes.iter().map(|n| n.player.stalls).sum()
    }
}

trait MinusOrZero {
    fn minus_or_zero(self, other: Duration) -> Duration;
}

impl MinusOrZero for Duration {
    fn minus_or_zero(self, other: Duration) -> Duration {
        self.saturating_sub(other)
    }
}
