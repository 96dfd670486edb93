//! The world that the engines live in: one clock, one queue of events, nodes.
//!
//! - `queue`: the events to come
//! - `calls`: what engines are told and ask for
//! - `node`, `people`: viewers and seeds, and who comes when
//! - `wires`: links between viewers, and what they carry
//! - `shared`, `flow`: an uplink that a TCP upload shares
//! - `source`, `sharing`: the origin, how it divides its capacity, and the publisher's copies
//! - `server`, `seeds`: joining, introductions, digests; nodes that publish themselves
//! - `tickets`, `repute`: who may take part, and who no more
//! - `watching`: what players do
//! - `ledger`, `stock`: what it all comes to, and the same as plain facts for the report

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use rillcast_core::engine::{BulkFrame, Conditions, Config, Engine, FetchId, Input, LinkId};
use rillcast_core::protocol::id::{PeerId, Role, SegmentKey, TrackId};
use rillcast_core::protocol::settings::Settings;
use rillcast_core::rng::mix;
use rillcast_core::schedule::Simple;
use rillcast_core::switches::Switches;
use rillcast_core::time::{Duration, Instant};

use crate::draw::Draw;
use crate::media::{Lump, Media};
use crate::pairs::Arrangement;
use crate::scenario::Scenario;
use crawler::Crawl;
use ledger::Ledger;
use node::Node;
use queue::Queue;
use shared::Whose;
use sharing::Sharing;
use wires::Line;

mod calls;
mod crawler;
mod flow;
pub(crate) mod ledger;
pub(crate) mod node;
mod people;
mod queue;
mod repute;
mod seeds;
mod server;
mod shared;
mod sharing;
mod source;
mod stock;
mod tickets;
mod watching;
mod wires;

/// The stream has run for so long when the first viewer comes.
const BEFORE: Duration = Duration::from_secs(60);
/// Bytes of blocks that a viewer holds, and a seed.
const STORE: u64 = 64 << 20;
const SEED_STORE: u64 = 1 << 30;

enum Event {
    Input(u32, Box<Input<Lump>>),
    /// A control message at a link's other end.
    Control {
        at: u32,
        link: LinkId,
        bytes: Vec<u8>,
    },
    /// A bulk message at the end of its receiver's downlink.
    Bulk {
        at: u32,
        link: LinkId,
        frame: BulkFrame<Lump>,
    },
    /// A bulk message through the receiver's downlink.
    Taken {
        at: u32,
        link: LinkId,
        frame: BulkFrame<Lump>,
    },
    /// So many bytes of a link's own bulk buffer have left.
    Left {
        at: u32,
        link: LinkId,
        bytes: u32,
    },
    /// News of a packet on an uplink that a TCP flow shares.
    Packet {
        at: u32,
        whose: Whose,
        number: u64,
        lost: bool,
    },
    Upload(u32),
    Timer(u32),
    Join(u32),
    Welcome(u32),
    Leave(u32),
    Poll(u32),
    Tick(u32),
    Ask(u32),
    Seek(u32),
    Crawl(u32),
    Link(u32, u32),
    GiveUp(u32, PeerId),
    Signaled {
        at: u32,
        from: u32,
        payload: Vec<u8>,
    },
    Fetch(u32, FetchId),
    Fetched(u32, FetchId, u32),
    /// The source's capacity: the next transfer's step ends, unless others have come since.
    Served(u64),
    /// A site's line has room again.
    Line(u16),
    Edge(u64),
    Publish(SegmentKey),
    /// A seed has fetched a segment.
    Seeded(u32, SegmentKey),
    Outage(bool),
    Partition(bool),
    SendAway(u32),
    Second,
}

impl Event {
    /// Whose engine it calls: that waits for a turn.
    fn called(&self) -> Option<u32> {
        match self {
            Self::Input(n, _) | Self::Timer(n) | Self::Tick(n) => Some(*n),
            Self::Control { at, .. } | Self::Taken { at, .. } | Self::Left { at, .. } => Some(*at),
            _ => None,
        }
    }
}

/// The world.
pub(crate) struct World {
    scenario: Scenario,
    arrangement: Arrangement,
    switches: Switches,
    media: Media,
    settings: Settings,
    now: Instant,
    end: Instant,
    queue: Queue<Event>,
    /// For what happens on the way; who comes is drawn from another.
    draw: Draw,
    pub(crate) nodes: Vec<Node>,
    /// Numbers of those who are there, and where each is in it.
    present: Vec<u32>,
    place_in: HashMap<u32, usize>,
    /// Signaling is away; some are cut off.
    outage: bool,
    partition: bool,
    /// Microseconds between two turns of a page.
    turns: u64,
    sharing: Option<Sharing>,
    /// The enterprises' lines.
    lines: Vec<Line>,
    /// How many play a track, and since when somebody has.
    playing: BTreeMap<TrackId, (usize, Instant)>,
    published: HashSet<SegmentKey>,
    handed_on: HashSet<(SegmentKey, u32)>,
    newest: BTreeMap<TrackId, Vec<u64>>,
    crawl: Crawl,
    /// Inputs of one call: verdicts wait for the outputs before them. Kept for its memory.
    inputs: VecDeque<Input<Lump>>,
    pub(crate) ledger: Ledger,
}

impl World {
    /// Everything before the first viewer comes.
    pub(crate) fn new(scenario: &Scenario, seed: u64) -> Self {
        let mut draw = Draw::new(seed);
        let media = Media::new(&scenario.stream);
        let start = Instant::ZERO + BEFORE;
        let site = &scenario.site;
        let mut world = Self {
            settings: Settings {
                ratio_percent: (site.ratio * 100.0).min(65_535.0) as u16,
                max_links: site.max_links,
                report_secs: 0,
                ..Settings::default()
            },
            arrangement: Arrangement::Hybrid,
            switches: Switches::default(),
            media,
            now: Instant::ZERO,
            end: start + Duration::from_secs_f64(scenario.minutes * 60.0),
            queue: Queue::default(),
            nodes: Vec::new(),
            present: Vec::new(),
            place_in: HashMap::new(),
            outage: false,
            partition: false,
            turns: (scenario.viewers.turn_ms * 1000.0) as u64,
            sharing: Sharing::new(&scenario.source),
            lines: Vec::new(),
            playing: BTreeMap::new(),
            published: HashSet::new(),
            handed_on: HashSet::new(),
            newest: BTreeMap::new(),
            crawl: Crawl::default(),
            inputs: VecDeque::new(),
            ledger: Ledger::default(),
            scenario: scenario.clone(),
            draw: Draw::new(draw.seed()),
        };
        world.lay_lines(&mut draw);
        world.people(&mut draw, start);
        world.happenings(start);
        world
    }

    /// What the scenario says happens at which moment.
    fn happenings(&mut self, start: Instant) {
        self.schedule(start, Event::Second);
        if self.media.film.is_none() {
            let first = start.as_micros() / self.media.unit;
            self.schedule(Instant::from_micros(first * self.media.unit), Event::Edge(first - 1));
        }
        let at = |minute: f64| start + Duration::from_secs_f64(minute * 60.0);
        if let Some(outage) = self.scenario.outage.clone() {
            self.schedule(at(outage.from_minute), Event::Outage(true));
            self.schedule(at(outage.to_minute), Event::Outage(false));
        }
        if let Some(partition) = self.scenario.partition.clone() {
            self.schedule(at(partition.from_minute), Event::Partition(true));
            self.schedule(at(partition.to_minute), Event::Partition(false));
        }
        if let Some(background) = self.scenario.background.clone() {
            (0..background.viewers as u32).for_each(|n| {
                self.schedule(at(background.from_minute), Event::Upload(n));
            });
        }
    }

    /// How its viewers get their media; said before it runs.
    pub(crate) fn arranged(mut self, arrangement: Arrangement, switches: Switches) -> Self {
        (self.arrangement, self.switches) = (arrangement, switches);
        self.settings.holdout = arrangement.is_alone();
        self
    }

    /// Runs to the end; `progress` is told the share done, now and then.
    pub(crate) fn run(&mut self, mut progress: impl FnMut(f64, usize)) {
        let start = Instant::ZERO + BEFORE;
        let span = self.end.since(start).as_secs_f64();
        let mut told = 0;
        while let Some((when, event)) = self.queue.pop(self.end) {
            self.now = when.max(self.now);
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
        let when = when.max(self.now);
        let when = event.called().map_or(when, |n| calls::turn(n, when, self.turns));
        self.queue.push(when, event);
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
            Event::Control { at, link, bytes } => {
                if self.is_crawler(at) {
                    self.overhear(at, link, &bytes);
                }
                self.input(at, Input::Control { link, bytes });
            }
            Event::Bulk { at, link, frame } => self.bulk_arrives(at, link, frame),
            Event::Taken { at, link, frame } => self.bulk_taken(at, link, frame),
            Event::Left { at, link, bytes } => self.bulk_left(at, link, bytes),
            Event::Packet { at, whose, number, lost } => self.packet(at, whose, number, lost),
            Event::Upload(n) => self.tcp_begins(n),
            Event::Timer(n) => self.timer(n),
            Event::Join(n) => self.join(n),
            Event::Welcome(n) => self.welcome(n),
            Event::Leave(n) => self.leave(n),
            Event::Poll(n) => self.poll(n),
            Event::Tick(n) => self.tick(n),
            Event::Ask(n) => self.ask(n),
            Event::Seek(n) => self.seek(n),
            Event::Link(a, b) => self.link(a, b),
            Event::Crawl(n) => self.crawl(n),
            Event::Signaled { at, from, payload } => self.signaled(at, from, &payload),
            Event::GiveUp(n, peer) => self.give_up(n, peer),
            Event::Fetch(n, fetch) => self.fetch_step(n, fetch),
            Event::Fetched(n, fetch, bytes) => self.fetched(n, fetch, bytes),
            Event::Served(turn) => self.served(turn),
            Event::Line(site) => self.line_has_room(site),
            Event::Edge(unit) => self.edge_moves(unit),
            Event::Publish(key) => self.publish(key),
            Event::Seeded(n, key) => self.seeded(n, key),
            Event::Outage(begins) => self.outage(begins),
            Event::Partition(begins) => self.partition(begins),
            Event::SendAway(n) => self.send_away(n),
            Event::Second => {
                let viewers = self.present.iter().filter(|n| self.is_viewer(**n)).count();
                self.ledger.peer_seconds += viewers as f64;
                self.ledger.present_per_second.push(viewers as u32);
                self.ledger.per_second.push(0);
                self.ledger.played_per_second.push(0);
                self.ledger.peers_per_second.push(0);
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

    fn is_viewer(&self, n: u32) -> bool {
        self.nodes[n as usize].role == Role::Viewer
    }

    /// Number of the newest unit that exists.
    fn edge(&self) -> u64 {
        self.media.newest(self.now).unwrap_or(0)
    }

    fn settle_in(&mut self, n: u32) {
        // A crawler has as many links as a seed.
        let role = if self.is_crawler(n) { Role::Seed } else { self.nodes[n as usize].role };
        let store_budget = if role == Role::Seed { SEED_STORE } else { STORE };
        let seed = mix(u64::from(n) ^ self.draw.seed());
        let mut engine = Engine::new(Config { role, seed, store_budget }).with_switches(self.switches);
        if self.arrangement == Arrangement::Simple {
            engine = engine.with_scheduler(Box::new(Simple::default()));
        }
        let node = self.node(n);
        node.engine = Some(Box::new(engine));
        let gives = node.conduct != node::Conduct::FreeRider;
        self.place_in.insert(n, self.present.len());
        self.present.push(n);
        let peers = !self.arrangement.is_alone();
        let (may_upload, may_download) = (peers && gives, peers);
        let conditions = Conditions { may_upload, may_download, hidden: false, upload_cap: 0 };
        self.input(n, Input::Conditions(conditions));
    }

    fn move_out(&mut self, n: u32) {
        if let Some(engine) = self.node(n).engine.take() {
            self.node(n).taken.wasted = engine.stats().wasted_bytes;
        }
        if let Some(at) = self.place_in.remove(&n) {
            self.present.swap_remove(at);
            if let Some(moved) = self.present.get(at) {
                self.place_in.insert(*moved, at);
            }
        }
    }

    fn guests(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.role == Role::Viewer && n.left.is_some())
    }

    fn stayed(node: &Node) -> f64 {
        node.left.map_or(0.0, |left| left.since(node.player.joined).as_secs_f64())
    }

    /// Share of the bytes between viewers that would go from one ISP to another if partners were chosen blindly.
    fn blind_cross_isp(&self) -> f64 {
        let mut sizes: BTreeMap<u16, f64> = BTreeMap::new();
        self.guests().for_each(|n| *sizes.entry(n.isp).or_default() += Self::stayed(n));
        let all: f64 = sizes.values().sum();
        if all == 0.0 { 0.0 } else { 1.0 - sizes.values().map(|s| (s / all).powi(2)).sum::<f64>() }
    }
}

#[cfg(test)]
mod tests;
