//! The world that the engines live in: one clock, one queue of events, nodes.
//!
//! - `wires`: links between viewers, and what they carry
//! - `source`: the origin, and the publisher's copies
//! - `server`: joining, introductions, digests
//! - `watching`: what players do

use std::collections::{BTreeMap, HashMap, HashSet};

use rillcast_core::engine::{BulkFrame, Conditions, Config, Engine, FetchId, Input, LinkId, Output};
use rillcast_core::protocol::id::{PeerId, Role, SegmentKey, TrackId};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};

use crate::bound::{Demand, Viewer};
use crate::draw::{Draw, paired};
use crate::media::{Lump, Media, holds};
use crate::player::Player;
use crate::scenario::Scenario;
use source::Fetching;

mod server;
mod source;
mod watching;
mod wires;

/// The stream has run for so long when the first viewer comes.
const BEFORE: Duration = Duration::from_secs(60);
/// A page's timers are no finer.
const TIMER: Duration = Duration::from_millis(1);
/// Bytes of blocks that a viewer holds.
const STORE: u64 = 64 << 20;

enum Event {
    Input(u32, Box<Input<Lump>>),
    /// A message on its way to a link's other end.
    Arrives {
        at: u32,
        link: LinkId,
        message: Box<Message>,
    },
    Timer(u32),
    Join(u32),
    Leave(u32),
    Poll(u32),
    Tick(u32),
    Ask(u32),
    Link(u32, u32),
    GiveUp(u32, PeerId),
    Fetch(u32, FetchId),
    Fetched(u32, FetchId, u32),
    Edge(u64),
    Publish(SegmentKey),
    Second,
}

enum Message {
    Control(Vec<u8>),
    Bulk(BulkFrame<Lump>),
    /// Not from the other end: so many bytes of our own have left.
    Left(u32),
}

/// A viewer, there or not.
pub(crate) struct Node {
    /// While it is there.
    engine: Option<Engine<Lump>>,
    /// Bytes/s.
    up: f64,
    down: f64,
    /// On a unit square.
    place: (f64, f64),
    up_free: Instant,
    down_free: Instant,
    links: BTreeMap<LinkId, Wire>,
    trying: Vec<PeerId>,
    introduced: Vec<u32>,
    fetches: BTreeMap<FetchId, Fetching>,
    timer: Instant,
    plays: Option<TrackId>,
    left: Option<Instant>,
    uploaded: u64,
    pub(crate) player: Player,
}

/// One end of a link.
#[derive(Debug, Clone, Copy)]
struct Wire {
    other: u32,
    theirs: LinkId,
    delay: Duration,
    buffered: u32,
}

/// What a run has come to.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By segment: bytes that the source gave, and those of joiners' first segments among them.
    pub(crate) source: HashMap<SegmentKey, (u64, u64)>,
    /// By segment: what was played.
    pub(crate) demand: HashMap<SegmentKey, Demand>,
    /// Bytes of the source in each second.
    pub(crate) per_second: Vec<u64>,
    /// Calls of engines.
    pub(crate) calls: u64,
    /// Of these, for nothing but time.
    pub(crate) timeouts: u64,
    /// Messages on control channels, and their bytes.
    pub(crate) control: (u64, u64),
    /// Viewer-seconds simulated.
    pub(crate) peer_seconds: f64,
}

/// The world.
pub(crate) struct World {
    scenario: Scenario,
    media: Media,
    settings: Settings,
    now: Instant,
    end: Instant,
    /// By time; of two at one moment the one scheduled first.
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    draw: Draw,
    pub(crate) nodes: Vec<Node>,
    /// Numbers of those who are there, and where each is in it.
    present: Vec<u32>,
    place_in: HashMap<u32, usize>,
    next_link: u32,
    source_free: Instant,
    /// How many play a track, and since when somebody has.
    playing: BTreeMap<TrackId, (usize, Instant)>,
    published: HashSet<SegmentKey>,
    handed_on: HashSet<(SegmentKey, u32)>,
    newest: BTreeMap<TrackId, Vec<u64>>,
    pub(crate) ledger: Ledger,
}

impl World {
    /// Everything before the first viewer comes.
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let media = Media::new(&scenario.stream);
        let start = Instant::ZERO + BEFORE;
        let length = Duration::from_secs_f64(scenario.minutes * 60.0);
        let site = &scenario.site;
        let mut world = Self {
            settings: Settings {
                ratio_percent: (site.ratio * 100.0).min(65_535.0) as u16,
                max_links: site.max_links,
                report_secs: 0,
                ..Settings::default()
            },
            media,
            now: Instant::ZERO,
            end: start + length,
            queue: BTreeMap::new(),
            serial: 0,
            nodes: Vec::new(),
            present: Vec::new(),
            place_in: HashMap::new(),
            next_link: 0,
            source_free: Instant::ZERO,
            playing: BTreeMap::new(),
            published: HashSet::new(),
            handed_on: HashSet::new(),
            newest: BTreeMap::new(),
            ledger: Ledger::default(),
            scenario: scenario.clone(),
            draw: Draw::new(draw.seed()),
        };
        world.people(&mut draw, start);
        let first = world.edge(start);
        let last = world.edge(world.end);
        for number in first..=last {
            world.schedule(Instant::from_micros((number + 1) * world.media.segment), Event::Edge(number));
        }
        world.schedule(start, Event::Second);
        world
    }

    /// Who comes when, with what links, and for how long.
    fn people(&mut self, draw: &mut Draw, start: Instant) {
        let Scenario { viewers, links, minutes, .. } = self.scenario.clone();
        let mut visits: Vec<(f64, f64)> = Vec::new();
        for n in 0..viewers.peers {
            let mut comes = viewers.come_within_seconds * n as f64 / viewers.peers as f64;
            loop {
                let stays = viewers.session_seconds.draw(draw);
                visits.push((comes, stays));
                comes += stays;
                if !viewers.replaced || comes >= minutes * 60.0 {
                    break;
                }
            }
        }
        let mut pairs = paired(&links.up_kbps, &links.down_kbps, links.correlation, visits.len(), draw);
        if let Some(times) = links.up_over_demand {
            let top = self.media.rates.last().copied().unwrap_or(0) as f64 / 125.0;
            let watches = |down: f64| {
                let fit = self.scenario.stream.ladder_kbps.iter().rev().find(|rate| **rate * 1.25 <= down);
                fit.copied().unwrap_or(self.scenario.stream.ladder_kbps[0]).min(top)
            };
            let demand: f64 = pairs.iter().map(|(_, down)| watches(*down)).sum();
            let scale = times * demand / pairs.iter().map(|(up, _)| up).sum::<f64>();
            pairs.iter_mut().for_each(|(up, _)| *up *= scale);
        }
        for (n, ((comes, stays), (up, down))) in visits.into_iter().zip(pairs).enumerate() {
            let joins = start + Duration::from_secs_f64(comes);
            self.nodes.push(Node {
                engine: None,
                up: (up * 125.0).max(1000.0),
                down: (down * 125.0).max(8000.0),
                place: (draw.unit(), draw.unit()),
                up_free: Instant::ZERO,
                down_free: Instant::ZERO,
                links: BTreeMap::new(),
                trying: Vec::new(),
                introduced: Vec::new(),
                fetches: BTreeMap::new(),
                timer: Instant::NEVER,
                plays: None,
                left: None,
                uploaded: 0,
                player: Player::new(joins),
            });
            self.schedule(joins, Event::Join(n as u32));
            self.schedule(joins + Duration::from_secs_f64(stays), Event::Leave(n as u32));
        }
    }

    /// Runs to the end; `progress` is told the share done, now and then.
    pub(crate) fn run(&mut self, mut progress: impl FnMut(f64, usize)) {
        let start = Instant::ZERO + BEFORE;
        let span = self.end.since(start).as_secs_f64();
        let mut told = 0;
        while let Some(due) = self.queue.first_entry().filter(|due| due.key().0 <= self.end) {
            let ((when, _), event) = due.remove_entry();
            self.now = when;
            self.step(event);
            let second = self.now.since(start).as_secs();
            if second > told {
                told = second;
                progress(self.now.since(start).as_secs_f64() / span, self.present.len());
            }
        }
        self.now = self.end;
        for n in self.present.clone() {
            self.leave(n);
        }
    }

    fn schedule(&mut self, when: Instant, event: Event) {
        self.serial += 1;
        self.queue.insert((when.max(self.now), self.serial), event);
    }

    fn after(&mut self, wait: Duration, event: Event) {
        self.schedule(self.now + wait, event);
    }

    fn give(&mut self, wait: Duration, n: u32, input: Input<Lump>) {
        self.after(wait, Event::Input(n, Box::new(input)));
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Input(n, input) => self.input(n, *input),
            Event::Arrives { at, link, message } => self.arrives(at, link, *message),
            Event::Timer(n) => {
                if self.nodes[n as usize].timer == self.now {
                    self.node(n).timer = Instant::NEVER;
                    self.ledger.timeouts += 1;
                    self.input(n, Input::Timeout);
                }
            }
            Event::Join(n) => self.join(n),
            Event::Leave(n) => self.leave(n),
            Event::Poll(n) => self.poll(n),
            Event::Tick(n) => self.tick(n),
            Event::Ask(n) => self.ask(n),
            Event::Link(a, b) => self.link(a, b),
            Event::GiveUp(n, peer) => self.give_up(n, peer),
            Event::Fetch(n, fetch) => self.fetch_step(n, fetch),
            Event::Fetched(n, fetch, bytes) => self.fetched(n, fetch, bytes),
            Event::Edge(number) => self.edge_moves(number),
            Event::Publish(key) => self.publish(key),
            Event::Second => {
                self.ledger.peer_seconds += self.present.len() as f64;
                self.ledger.per_second.push(0);
                self.after(Duration::from_secs(1), Event::Second);
            }
        }
    }

    fn node(&mut self, n: u32) -> &mut Node {
        &mut self.nodes[n as usize]
    }

    fn is_there(&self, n: u32) -> bool {
        self.nodes[n as usize].engine.is_some()
    }

    /// Number of the newest segment that exists.
    fn edge(&self, now: Instant) -> u64 {
        (now.as_micros() / self.media.segment).saturating_sub(1)
    }

    fn settle_in(&mut self, n: u32) {
        let config =
            Config { role: Role::Viewer, seed: mix(u64::from(n) ^ self.draw.seed()), store_budget: STORE };
        self.node(n).engine = Some(Engine::new(config));
        self.place_in.insert(n, self.present.len());
        self.present.push(n);
        let conditions = Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 };
        self.input(n, Input::Conditions(conditions));
    }

    fn move_out(&mut self, n: u32) {
        self.node(n).engine = None;
        if let Some(at) = self.place_in.remove(&n) {
            self.present.swap_remove(at);
            if let Some(moved) = self.present.get(at) {
                self.place_in.insert(*moved, at);
            }
        }
    }

    /// Tells an engine something, and does what it asks for.
    fn input(&mut self, n: u32, input: Input<Lump>) {
        let now = self.now;
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(engine) = &mut self.nodes[n as usize].engine else { return };
            self.ledger.calls += 1;
            engine.handle(now, input);
            while let Some(engine) = &mut self.nodes[n as usize].engine
                && let Some(output) = engine.poll_output()
            {
                if let Output::Verify { check, what } = &output {
                    inputs.insert(0, Input::Verdict { check: *check, ok: holds(what) });
                } else {
                    self.output(n, output);
                }
            }
        }
        let Some(engine) = &self.nodes[n as usize].engine else { return };
        let timeout = engine.poll_timeout();
        if timeout != Instant::NEVER {
            let timer = timeout.max(now + TIMER);
            if self.node(n).timer != timer {
                self.node(n).timer = timer;
                self.schedule(timer, Event::Timer(n));
            }
        }
    }

    fn output(&mut self, n: u32, output: Output<Lump>) {
        match output {
            Output::Connect { peer, initiate } => self.connect(n, peer, initiate),
            Output::Close { peer } => self.unlink(n, peer),
            Output::Control { link, bytes } => self.send_control(n, link, bytes),
            Output::Bulk { link, frame } => self.send_bulk(n, link, frame),
            Output::WantPeers { count } => self.introduce(n, usize::from(count)),
            Output::WantDigests { keys } => keys.into_iter().for_each(|key| self.want_digest(n, key)),
            Output::Fetch { fetch, key, range, via, .. } => self.fetch(n, fetch, key, range, via),
            Output::CancelFetch { fetch } => {
                self.node(n).fetches.remove(&fetch);
            }
            Output::Deliver(delivery) => self.delivered(n, &delivery),
            Output::Failed { .. } => self.failed(n),
            Output::Playing { tracks } => self.plays(n, tracks.first().copied()),
            Output::Verify { .. } | Output::Progress { .. } | Output::Event(_) => {}
        }
    }

    /// What each viewer played and could have given, for the bound.
    pub(crate) fn viewers(&self) -> Vec<Viewer> {
        let came = |n: &&Node| n.left.is_some();
        let viewer = |n: &Node| {
            let there = n.left.map_or(Duration::ZERO, |left| left.since(n.player.joined));
            Viewer { consumed: n.player.consumed, uplink: (n.up * there.as_secs_f64()) as u64 }
        };
        self.nodes.iter().filter(came).map(viewer).collect()
    }

    /// Everybody who came.
    pub(crate) fn visitors(&self) -> impl Iterator<Item = &Player> {
        self.nodes.iter().filter(|n| n.left.is_some()).map(|n| &n.player)
    }

    /// Bytes that viewers gave to each other.
    pub(crate) fn uploaded(&self) -> u64 {
        self.nodes.iter().map(|n| n.uploaded).sum()
    }
}
