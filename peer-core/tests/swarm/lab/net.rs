//! The clock and the nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rillcast_core::engine::{Conditions, Config, Engine, Event as Told, FetchId, Input, LinkId, Output};
use rillcast_core::overlay::census::Slots;
use rillcast_core::protocol::id::{PeerId, Role, SegmentKey, TrackId};
use rillcast_core::protocol::receipt::Voucher;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::Network;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};
use rillcast_core::wire::Message;

use super::figures::Figures;
use super::media::{Buf, MAIN, Rendition, SEGMENT, SIGNATURE, digest, holds, peer_id, video};
use super::player::Player;
use super::source::{Answers, Asked, Fetching};
use super::tape::{Answer, Tape};
use super::tickets::server_time;
use super::wires::Packet;

/// The stream has run for a minute when the first viewer comes.
pub const START: Duration = Duration::from_secs(60);
/// Segments of a video on demand.
const ON_DEMAND: u64 = 60;
/// From a segment's end to its publisher's digest.
const PUBLISHING: Duration = Duration::from_millis(350);
/// A page's timers are no finer.
const TIMER: Duration = Duration::from_millis(1);

/// What a scenario sets.
#[derive(Clone, Debug)]
pub struct Setup {
    pub viewers: usize,
    /// So many are introduced to whoever joins or asks, by chance; seeds only where there's nobody else.
    pub introduce: usize,
    /// Bytes/s of a viewer's uplink.
    pub uplink: u64,
    /// Bytes/s from the source to one viewer.
    pub source_rate: u64,
    /// What there is to play; a viewer begins with the first of each kind.
    pub renditions: Vec<Rendition>,
    pub join_gap: Duration,
    pub length: Duration,
    pub latency: Duration,
    pub live: bool,
    /// Somebody signs digests: the seed node if there is one, else signaling.
    pub publisher: bool,
    /// Node number `viewers` is a seed.
    pub seed_node: bool,
    /// For every random choice.
    pub seed: u64,
    pub settings: Settings,
    /// Time between two readings of a live playlist.
    pub poll: Duration,
    pub store_budget: u64,
    /// Where everybody is.
    pub net: Network,
    /// Keep what is needed to replay the run.
    pub record: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            viewers: 8,
            introduce: usize::MAX,
            uplink: 2_100_000 / 8,
            source_rate: 20_000_000 / 8,
            renditions: vec![video(MAIN, 1_450_000)],
            join_gap: Duration::from_secs(2),
            length: Duration::from_secs(90),
            latency: Duration::from_millis(5),
            live: true,
            publisher: true,
            seed_node: false,
            seed: 1,
            settings: Settings { report_secs: 0, ..Settings::default() },
            poll: SEGMENT,
            store_budget: 64 << 20,
            net: Network::default(),
            record: false,
        }
    }
}

/// Something to happen.
pub(super) enum Event {
    Input(usize, Input<Buf>),
    Timer(usize),
    Join(usize),
    Poll(usize),
    Tick(usize),
    Ask(usize),
    Depart(usize),
    Publish(TrackId, u64),
    PublishAll(u64),
    Link(usize, usize),
    /// The server brings a signal.
    Signal(usize, PeerId, Vec<u8>),
    GiveUp(usize, PeerId),
    Fetch(usize, FetchId, u32),
    Do(Box<dyn FnOnce(&mut Net)>),
}

pub(super) struct Node {
    pub engine: Engine<Buf>,
    pub alive: bool,
    pub role: Role,
    pub player: Player,
    pub links: BTreeMap<LinkId, (usize, LinkId)>,
    /// Peers that the engine wants a link with, and whether we made the offer.
    pub trying: BTreeMap<PeerId, bool>,
    /// Peers whose offer came before the engine wanted a link.
    pub early: BTreeSet<PeerId>,
    pub uplink: VecDeque<(LinkId, Packet)>,
    pub buffered: BTreeMap<LinkId, u32>,
    pub sending: bool,
    pub fetches: BTreeMap<FetchId, Fetching>,
    timer: Instant,
    pub tape: Tape,
}

pub struct Net {
    pub setup: Setup,
    pub now: Instant,
    /// By time; of two at one moment the one scheduled first.
    queue: BTreeMap<(Instant, u64), Event>,
    pub(super) serial: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) next_link: u32,
    /// The server is up: it introduces, relays digests, asks for segments.
    pub signaling: bool,
    pub(super) published: BTreeSet<(TrackId, u64)>,
    pub(super) handed_on: BTreeSet<(SegmentKey, u32)>,
    /// What the origin does with requests.
    pub answers: Answers,
    /// Which of the two bodies the origin gives to a node for a segment.
    pub versions: fn(usize, u64) -> u8,
    /// Nodes that flip a bit in every piece they send.
    pub liars: BTreeSet<usize>,
    /// The source's log.
    pub log: Vec<Asked>,
    /// The last that each node told of each population.
    pub census: BTreeMap<(usize, u64), Slots>,
    /// What the engines told.
    pub told: Vec<(Instant, usize, Told)>,
    /// What nodes have shown the server, and whom they have accused.
    pub vouchers: Vec<(usize, Voucher)>,
    pub accusations: Vec<(usize, PeerId, SegmentKey)>,
    pub figures: Figures,
}

impl Net {
    pub fn new(setup: Setup) -> Self {
        let total = setup.viewers + usize::from(setup.seed_node);
        let mut net = Self {
            now: Instant::ZERO,
            queue: BTreeMap::new(),
            serial: 0,
            nodes: (0..total).map(|n| Node::new(n, &setup)).collect(),
            next_link: 0,
            signaling: true,
            published: BTreeSet::new(),
            handed_on: BTreeSet::new(),
            answers: Answers::Ranges,
            versions: |_, _| 0,
            liars: BTreeSet::new(),
            log: Vec::new(),
            census: BTreeMap::new(),
            told: Vec::new(),
            vouchers: Vec::new(),
            accusations: Vec::new(),
            figures: Figures::default(),
            setup,
        };
        let zero = Instant::ZERO;
        if net.setup.seed_node {
            net.schedule(zero + START.saturating_sub(Duration::from_secs(2)), Event::Join(net.setup.viewers));
        }
        for n in 0..net.setup.viewers {
            net.schedule(zero + START + net.setup.join_gap * n as u32, Event::Join(n));
        }
        if net.setup.live {
            for number in 10..(START + net.setup.length).as_secs() / 4 + 2 {
                net.schedule(zero + SEGMENT * (number as u32 + 1) + PUBLISHING, Event::PublishAll(number));
            }
        }
        net
    }

    /// So long after the first viewer has come, do this.
    pub fn at(&mut self, when: Duration, act: impl FnOnce(&mut Self) + 'static) {
        self.schedule(Instant::ZERO + START + when, Event::Do(Box::new(act)));
    }

    pub(super) fn schedule(&mut self, when: Instant, event: Event) {
        self.serial += 1;
        self.queue.insert((when.max(self.now), self.serial), event);
    }

    /// Runs to the end.
    pub fn run(&mut self) {
        self.run_until(self.setup.length);
    }

    /// Runs until so long after the first viewer has come.
    pub fn run_until(&mut self, time: Duration) {
        let end = Instant::ZERO + START + time;
        while let Some(due) = self.queue.first_entry().filter(|due| due.key().0 <= end) {
            let ((when, _), event) = due.remove_entry();
            self.now = when;
            self.step(event);
        }
        self.now = end;
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Input(n, input) => self.input(n, input),
            Event::Timer(n) => {
                if self.nodes[n].timer == self.now {
                    self.nodes[n].timer = Instant::NEVER;
                    self.input(n, Input::Timeout);
                }
            }
            Event::Join(n) => self.join(n),
            Event::Poll(n) => self.poll(n),
            Event::Tick(n) => self.tick(n),
            Event::Ask(n) => self.ask(n),
            Event::Depart(n) => self.depart(n),
            Event::Publish(track, number) => self.publish(track, number),
            Event::PublishAll(number) => {
                for rendition in self.setup.renditions.clone() {
                    self.publish(rendition.track, number);
                }
            }
            Event::Link(a, b) => self.link(a, b),
            Event::Signal(n, from, payload) => self.signalled(n, from, &payload),
            Event::GiveUp(n, peer) => self.give_up_attempt(n, peer),
            Event::Fetch(n, fetch, at) => self.fetch_step(n, fetch, at),
            Event::Do(act) => act(self),
        }
    }

    /// Tells an engine something and does what it asks for.
    pub fn input(&mut self, n: usize, input: Input<Buf>) {
        if !self.nodes[n].alive {
            return;
        }
        let now = self.now;
        self.figures.inputs += 1;
        self.figures.timeouts += u64::from(matches!(input, Input::Timeout));
        let kept = self.setup.record.then(|| input.clone());
        let node = &mut self.nodes[n];
        node.engine.handle(now, input);
        let outputs: Vec<_> = core::iter::from_fn(|| node.engine.poll_output()).collect();
        let timeout = node.engine.poll_timeout();
        if let Some(input) = kept {
            let mut answer = Answer::default();
            outputs.iter().for_each(|output| answer.output(output));
            node.tape.record(now, input, answer, timeout);
        }
        if timeout != Instant::NEVER {
            let timer = timeout.max(now + TIMER);
            if node.timer != timer {
                node.timer = timer;
                self.schedule(timer, Event::Timer(n));
            }
        }
        for output in outputs {
            self.output(n, output);
        }
    }

    fn output(&mut self, n: usize, output: Output<Buf>) {
        match output {
            Output::Connect { peer, initiate, .. } => self.connect(n, peer, initiate),
            Output::Close { peer } => self.unlink(n, peer),
            Output::Control { link, bytes } => {
                if let Ok(Message::Census { of, slots }) = Message::parse(&bytes) {
                    self.census.insert((n, of), slots);
                }
                self.send(n, link, Packet::Control(bytes));
            }
            Output::Bulk { link, frame } => self.send(n, link, Packet::Bulk(frame)),
            Output::WantDigests { keys } => keys.into_iter().for_each(|key| self.want_digest(n, key)),
            Output::WantPeers { .. } => self.introduce_others(n),
            Output::Renew if self.signaling => {
                let soon = self.now + Duration::from_millis(30);
                self.schedule(soon, Event::Input(n, Input::ServerTime(server_time(soon))));
                self.schedule(soon, Event::Input(n, Input::Ticket(self.ticket(n).into())));
            }
            Output::Renew => {}
            Output::Playing { .. } | Output::Progress { .. } | Output::Nat { .. } => {}
            Output::Fetch { fetch, key, range, via, .. } => self.fetch(n, fetch, key, range, via),
            Output::CancelFetch { fetch } => {
                self.nodes[n].fetches.remove(&fetch);
            }
            Output::Verify { check, what } => {
                let ok = holds(&what);
                self.schedule(self.now, Event::Input(n, Input::Verdict { check, ok }));
            }
            Output::Sign { check, .. } => {
                self.schedule(self.now, Event::Input(n, Input::Signed { check, signature: SIGNATURE }));
            }
            Output::Vouchers { vouchers } => self.vouchers.extend(vouchers.into_iter().map(|v| (n, v))),
            Output::Accuse { peer, key } => self.accusations.push((n, peer, key)),
            Output::Deliver(delivery) => self.deliver(n, delivery),
            Output::Failed { key, .. } => self.failed(n, key),
            Output::Event(event) => self.told.push((self.now, n, event)),
            Output::Signal { to, payload } => self.relay(n, to, &payload),
            Output::Signaled { from, payload } => self.signalled(n, from, &payload),
        }
    }

    fn join(&mut self, n: usize) {
        self.nodes[n].alive = true;
        let soon = self.now + Duration::from_millis(100);
        if self.signaling {
            self.let_in(n, soon);
        }
        let conditions = Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 };
        self.input(n, Input::Conditions(conditions));
        self.introduce_others(n);
        if self.nodes[n].role == Role::Viewer {
            self.start_player(n);
            if self.setup.publisher && self.setup.live && !self.setup.seed_node && self.signaling {
                for rendition in self.setup.renditions.clone() {
                    for number in self.edge().saturating_sub(6)..=self.edge() {
                        let digest = digest(&rendition, number, false);
                        self.schedule(
                            soon + Duration::from_millis(200),
                            Event::Input(n, Input::Digest(digest)),
                        );
                    }
                }
            }
        }
    }

    /// A node is gone without a word: a crash, a closed laptop.
    pub fn vanish(&mut self, n: usize) {
        self.nodes[n].alive = false;
    }

    /// The link between two breaks.
    pub fn unlink_pair(&mut self, n: usize, m: usize) {
        let link = self.nodes[n].links.iter().find(|(_, (other, _))| *other == m).map(|(link, _)| *link);
        self.unlink(n, peer_id(m));
        self.input(n, Input::LinkClosed { peer: peer_id(m), link });
    }

    /// A node says goodbye: its links are closed and signaling tells everybody.
    pub fn leave(&mut self, n: usize) {
        self.nodes[n]
            .links
            .values()
            .map(|(other, _)| peer_id(*other))
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|peer| {
                self.unlink(n, peer);
            });
        self.nodes[n].alive = false;
        for m in (0..self.nodes.len()).filter(|m| self.nodes[*m].alive).collect::<Vec<_>>() {
            self.schedule(self.now + Duration::from_millis(20), Event::Input(m, Input::Gone(peer_id(n))));
        }
    }

    /// The number of the newest segment that exists.
    pub fn edge(&self) -> u64 {
        if self.setup.live { self.now.as_micros() / 4_000_000 - 1 } else { ON_DEMAND - 1 }
    }

    pub fn rendition(&self, track: TrackId) -> Rendition {
        *self.setup.renditions.iter().find(|r| r.track == track).expect("only listed renditions are played")
    }

    pub fn player(&self, n: usize) -> &Player {
        &self.nodes[n].player
    }

    pub fn player_mut(&mut self, n: usize) -> &mut Player {
        &mut self.nodes[n].player
    }

    pub fn engine(&self, n: usize) -> &Engine<Buf> {
        &self.nodes[n].engine
    }

    pub fn tapes(&self) -> impl Iterator<Item = &Tape> {
        self.nodes.iter().map(|n| &n.tape)
    }
}

impl Node {
    fn new(n: usize, setup: &Setup) -> Self {
        let role = if n < setup.viewers { Role::Viewer } else { Role::Seed };
        let config = Config { role, seed: mix(setup.seed ^ n as u64), store_budget: setup.store_budget };
        let mut tracks: Vec<_> = Vec::new();
        for rendition in setup.renditions.iter().filter(|_| role == Role::Viewer) {
            if tracks.iter().all(|(_, kind)| *kind != rendition.kind) {
                tracks.push((rendition.track, rendition.kind));
            }
        }
        Self {
            engine: Engine::new(config.clone()),
            alive: false,
            role,
            player: Player::new(tracks),
            links: BTreeMap::new(),
            trying: BTreeMap::new(),
            early: BTreeSet::new(),
            uplink: VecDeque::new(),
            buffered: BTreeMap::new(),
            sending: false,
            fetches: BTreeMap::new(),
            timer: Instant::NEVER,
            tape: Tape::new(config),
        }
    }
}
