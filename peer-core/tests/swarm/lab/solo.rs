//! One engine, driven by hand: its neighbours say what a test makes them say.

use rillcast_core::engine::{
    Conditions, Config, Delivery, Engine, Event, FetchId, Input, LinkId, MediaKind, Output, Patience,
    Playhead, Via,
};
use rillcast_core::media::Bits;
use rillcast_core::protocol::coding::{List, Wire};
use rillcast_core::protocol::id::{BlockIndex, PeerId, Role, SealingKey, SegmentKey, TrackId};
use rillcast_core::protocol::nat::NatClass;
use rillcast_core::protocol::receipt::Voucher;
use rillcast_core::protocol::settings::Settings;
use rillcast_core::protocol::signal::{Network, PeerDescriptor};
use rillcast_core::protocol::ticket::SignedTicket;
use rillcast_core::rng::mix;
use rillcast_core::time::{Duration, Instant};
use rillcast_core::transfer::Priority;
use rillcast_core::wire::message::{BlockName, HaveMap, No, Playing};
use rillcast_core::wire::{BulkHeader, Message, TransferId};

use super::media::{
    Buf, MAIN, PUBLISHER, Rendition, SIGNATURE, body, digest, entry, holds, key, peer_id, video,
};
use super::tickets::{certificate, hello, sealing, server_time, ticket, welcome};

const PATIENCE: Patience = Patience { first_byte: Duration::from_secs(20), whole: Duration::from_secs(120) };

/// A fetch that the engine has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub fetch: FetchId,
    pub key: SegmentKey,
    pub range: Option<core::ops::Range<u32>>,
    pub via: Via,
}

/// The engine and what it has put out so far, by kind.
pub struct Solo {
    pub engine: Engine<Buf>,
    pub now: Instant,
    pub rendition: Rendition,
    /// Verdicts are given at once; otherwise they wait in `checks`.
    pub verifies: bool,
    pub checks: Vec<Input<Buf>>,
    /// What has to be told before anything else happens.
    next: Vec<Input<Buf>>,
    /// Neighbours answer pings at once; otherwise they fall silent.
    pub answers_pings: bool,
    pongs: Vec<Input<Buf>>,
    pub said: Vec<(LinkId, Message)>,
    pub bulk: Vec<(LinkId, BulkHeader, Buf)>,
    pub fetches: Vec<Asked>,
    pub cancelled: Vec<FetchId>,
    pub delivered: Vec<Delivery<Buf>>,
    pub events: Vec<Event>,
    pub vouchers: Vec<Voucher>,
    pub accused: Vec<(PeerId, SegmentKey)>,
    pub connects: Vec<PeerId>,
    /// What signals to them are to be sealed with.
    pub keys: Vec<Option<SealingKey>>,
    pub closed: Vec<PeerId>,
    pub failed: Vec<SegmentKey>,
    /// What signaling was told last that is played here.
    pub playing: Vec<TrackId>,
    /// Signals that the server is to relay.
    pub signals: Vec<(PeerId, Vec<u8>)>,
    /// Signals that neighbours have brought.
    pub signaled: Vec<(PeerId, Vec<u8>)>,
    /// What the server was told of how our network maps addresses.
    pub told_nat: Vec<NatClass>,
    /// The server answers when the engine asks it to renew its ticket.
    pub server: bool,
    /// How often it asked.
    pub renewals: usize,
    /// Who is at the other end of each link.
    strangers: Vec<(usize, Role)>,
    greeted: Vec<LinkId>,
}

impl Solo {
    /// A viewer that has joined a swarm with a publisher.
    pub fn viewer() -> Self {
        Self::with(Role::Viewer, 64 << 20, Settings::default())
    }

    /// A viewer that the server hasn't let in.
    pub fn outsider() -> Self {
        Self::unwelcome(Role::Viewer, 64 << 20)
    }

    pub fn with(role: Role, store_budget: u64, settings: Settings) -> Self {
        let mut solo = Self::unwelcome(role, store_budget);
        let own = ticket(0, role, solo.now);
        solo.tell(Input::Welcome(welcome(own, settings, Some(PUBLISHER), solo.now).into()));
        solo
    }

    fn unwelcome(role: Role, store_budget: u64) -> Self {
        let mut solo = Self {
            engine: Engine::new(Config { role, seed: 5, store_budget }),
            now: Instant::ZERO + Duration::from_secs(100),
            rendition: video(MAIN, 800_000),
            verifies: true,
            checks: Vec::new(),
            next: Vec::new(),
            answers_pings: true,
            pongs: Vec::new(),
            said: Vec::new(),
            bulk: Vec::new(),
            fetches: Vec::new(),
            cancelled: Vec::new(),
            delivered: Vec::new(),
            events: Vec::new(),
            vouchers: Vec::new(),
            accused: Vec::new(),
            connects: Vec::new(),
            keys: Vec::new(),
            closed: Vec::new(),
            failed: Vec::new(),
            playing: Vec::new(),
            signals: Vec::new(),
            signaled: Vec::new(),
            told_nat: Vec::new(),
            server: true,
            renewals: 0,
            strangers: Vec::new(),
            greeted: Vec::new(),
        };
        solo.tell(Input::Conditions(Conditions {
            may_upload: true,
            may_download: true,
            hidden: false,
            upload_cap: 0,
        }));
        solo
    }

    /// One input, and all that follows from it at once.
    pub fn tell(&mut self, input: Input<Buf>) {
        self.engine.handle(self.now, input);
        while let Some(output) = self.engine.poll_output() {
            self.take(output);
        }
        while !self.next.is_empty() {
            let input = self.next.remove(0);
            self.tell(input);
        }
        while !self.pongs.is_empty() {
            let pong = self.pongs.remove(0);
            self.tell(pong);
        }
        while self.verifies && !self.checks.is_empty() {
            let verdict = self.checks.remove(0);
            self.tell(verdict);
        }
    }

    fn take(&mut self, output: Output<Buf>) {
        match output {
            Output::Connect { peer, sealing, .. } => {
                self.connects.push(peer);
                self.keys.push(sealing);
            }
            Output::Close { peer } => self.closed.push(peer),
            Output::Control { link, bytes } => {
                let message = Message::parse(&bytes).expect("an engine sends what an engine can read");
                if let Message::Ping { stamp } = message
                    && self.answers_pings
                    && self.greeted.contains(&link)
                {
                    self.pongs.push(Input::Control { link, bytes: Message::Pong { stamp }.to_bytes() });
                }
                self.said.push((link, message));
            }
            Output::Bulk { link, frame } => {
                let buffered = Input::Drained { link, buffered: 0 };
                self.bulk.push((link, BulkHeader::from_bytes(frame.header), frame.payload));
                // The link is fast: whatever goes out is gone.
                self.engine.handle(self.now, buffered);
            }
            Output::Fetch { fetch, key, range, via, .. } => {
                self.fetches.push(Asked { fetch, key, range, via });
            }
            Output::CancelFetch { fetch } => self.cancelled.push(fetch),
            Output::Verify { check, what } => self.checks.push(Input::Verdict { check, ok: holds(&what) }),
            Output::Sign { check, .. } => self.next.push(Input::Signed { check, signature: SIGNATURE }),
            Output::Vouchers { vouchers } => self.vouchers.extend(vouchers),
            Output::Accuse { peer, key } => self.accused.push((peer, key)),
            Output::Deliver(delivery) => self.delivered.push(delivery),
            Output::Failed { key, .. } => self.failed.push(key),
            Output::Event(event) => self.events.push(event),
            Output::Playing { tracks } => self.playing = tracks,
            Output::Signal { to, payload } => self.signals.push((to, payload)),
            Output::Signaled { from, payload } => self.signaled.push((from, payload)),
            Output::Renew => {
                self.renewals += 1;
                if self.server {
                    let own = self.own_ticket();
                    self.next.push(Input::ServerTime(server_time(self.now)));
                    self.next.push(Input::Ticket(own.into()));
                }
            }
            Output::Nat { class } => self.told_nat.push(class),
            Output::WantPeers { .. } | Output::Progress { .. } | Output::WantDigests { .. } => {}
        }
    }

    /// Time passes, with every call that the engine asks for. Fails if it asks for calls without end.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        loop {
            let at = self.engine.poll_timeout().max(self.now + Duration::from_millis(1));
            if at > end {
                break;
            }
            self.now = at;
            self.tell(Input::Timeout);
            calls += 1;
            assert!(calls < 10 + time.as_millis(), "the engine asks for call after call");
        }
        self.now = end;
        self.tell(Input::Timeout);
    }

    pub fn introduce(&mut self, n: usize, role: Role) {
        self.tell(Input::Introduced(vec![described(n, role)]));
    }

    /// An open link that hasn't said hello.
    pub fn stranger(&mut self, n: usize, role: Role) -> LinkId {
        self.introduce(n, role);
        self.strangers.push((n, role));
        let link = LinkId(self.strangers.len() as u32);
        self.tell(Input::LinkOpen { link, peer: peer_id(n), fingerprint: certificate(n) });
        link
    }

    /// Whoever is at a link's other end answers pings from now on.
    pub fn answers(&mut self, link: LinkId) {
        self.greeted.push(link);
    }

    /// A ticket of our own, given now.
    pub fn own_ticket(&self) -> SignedTicket {
        ticket(0, Role::Viewer, self.now)
    }

    /// Whoever is at a link's other end shows its ticket.
    pub fn greet(&mut self, link: LinkId) {
        if let Some((n, role)) = self.strangers.get(link.0 as usize - 1) {
            self.hear(link, hello(ticket(*n, *role, self.now)));
        }
    }

    /// A neighbour that plays the same and is one segment further.
    pub fn neighbour(&mut self, n: usize) -> LinkId {
        let link = self.stranger(n, Role::Viewer);
        self.greet(link);
        // What was asked of a stranger it doesn't answer.
        self.answers(link);
        self.hear(link, profile([Playing { track: MAIN, next: 21 }]));
        link
    }

    pub fn hear(&mut self, link: LinkId, message: Message) {
        self.tell(Input::Control { link, bytes: message.to_bytes() });
    }

    pub fn hear_bytes(&mut self, link: LinkId, bytes: &[u8]) {
        self.tell(Input::Control { link, bytes: bytes.to_vec() });
    }

    /// A bulk message with any header.
    pub fn piece(&mut self, link: LinkId, transfer: TransferId, offset: u32, bytes: &[u8]) {
        let header = BulkHeader { transfer, offset }.to_bytes();
        self.tell(Input::Bulk { link, header, payload: Buf(bytes.to_vec().into()) });
    }

    /// The playlist lists segments 10 to `newest`; the player plays at the start of `at` with nothing buffered beyond `buffered_s`.
    pub fn plays(&mut self, at: u64, buffered_s: u64, newest: u64, live: bool) {
        let segments = (10..=newest).map(|number| entry(key(number))).collect();
        self.tell(Input::Timeline { track: MAIN, kind: MediaKind::Main, segments, live });
        let position_ms = at as i64 * 4000;
        self.tell(Input::Playhead(Playhead {
            position_ms,
            rate_percent: 100,
            buffered_ms: position_ms + buffered_s as i64 * 1000,
            starving: false,
        }));
    }

    pub fn demand(&mut self, number: u64) {
        self.tell(Input::Demand { key: key(number), patience: PATIENCE });
        // Thoughts have a least distance.
        self.wait(Duration::from_millis(20));
    }

    /// The next fetch that the engine asks for within `time`.
    pub fn next_fetch(&mut self, time: Duration) -> Asked {
        let (end, before) = (self.now + time, self.fetches.len());
        while self.now < end && self.fetches.len() == before {
            self.wait(Duration::from_millis(20));
        }
        self.fetches.get(before).expect("a fetch").clone()
    }

    /// The publisher's digest comes by way of signaling.
    pub fn describe(&mut self, number: u64) {
        let digest = digest(&self.rendition, number, false);
        self.tell(Input::Digest(digest));
    }

    pub fn body(&self, number: u64) -> bytes::Bytes {
        body(&self.rendition, number, 0)
    }

    pub fn block(&self, number: u64, block: u16) -> bytes::Bytes {
        let range = digest(&self.rendition, number, false).range(BlockIndex(block));
        self.body(number).slice(range.start as usize..range.end as usize)
    }

    pub fn blocks(&self, number: u64) -> u16 {
        digest(&self.rendition, number, false).blocks()
    }

    /// A neighbour says that it holds blocks of a segment.
    pub fn holds(&mut self, link: LinkId, number: u64, blocks: impl IntoIterator<Item = u16>) {
        let mut bits = Bits::default();
        blocks.into_iter().for_each(|b| bits.insert(b));
        self.hear(link, Message::Have { maps: List::clipped([HaveMap { key: key(number), blocks: bits }]) });
    }

    /// What was said to a link and not yet looked at.
    pub fn take_said(&mut self, link: LinkId) -> Vec<Message> {
        let (to, rest) = core::mem::take(&mut self.said).into_iter().partition(|(l, _)| *l == link);
        self.said = rest;
        Vec::into_iter(to).map(|(_, m): (LinkId, Message)| m).collect()
    }

    /// Requests for blocks that the link was sent and that are not yet looked at.
    pub fn take_requests(&mut self, link: LinkId) -> Vec<(TransferId, BlockName)> {
        let request = |m: Message| match m {
            Message::Request { transfer, name, .. } => Some((transfer, name)),
            _ => None,
        };
        self.take_said(link).into_iter().filter_map(request).collect()
    }

    /// The source answers a fetch with `bytes` of it and no end.
    pub fn source(&mut self, fetch: FetchId, bytes: &[u8]) {
        self.tell(Input::SourceData { fetch, data: Buf(bytes.to_vec().into()) });
    }

    pub fn is_closed(&self, n: usize) -> bool {
        self.closed.contains(&peer_id(n))
    }
}

/// A peer as the server describes it.
pub fn described(n: usize, role: Role) -> PeerDescriptor {
    let net = Network::default();
    PeerDescriptor {
        id: peer_id(n),
        role,
        nonce: mix(n as u64),
        weight: 100,
        net,
        sealing: Some(sealing(n)),
        initiate: true,
        nat: NatClass::Unknown,
    }
}

/// What a willing neighbour says that it plays.
pub fn profile(playing: impl IntoIterator<Item = Playing>) -> Message {
    Message::Profile { playing: List::clipped(playing), passive: false, upload: 0, short: 0, helps: None }
}

/// An offer by somebody who holds nothing else of the segment.
pub fn offer(transfer: TransferId, name: BlockName) -> Message {
    Message::Offer { transfer, name, blocks: Bits::default() }
}

/// News of one block.
pub fn got(name: BlockName) -> Message {
    let mut blocks = Bits::default();
    blocks.insert(name.block.0);
    Message::Got { maps: List::clipped([HaveMap { key: name.key, blocks }]) }
}

/// Yes to an offer, by somebody who holds nothing of the segment.
pub fn grant(transfer: TransferId, name: BlockName) -> Message {
    Message::Grant { transfer, name, blocks: Bits::default() }
}

/// No to an offer, by somebody who holds nothing of the segment.
pub fn decline(transfer: TransferId, why: No) -> Message {
    Message::Decline { transfer, why, blocks: Bits::default() }
}

/// Asks for a block that its player needs in so many milliseconds, and that is as urgent as others.
pub fn request(transfer: TransferId, name: BlockName, need_ms: u32) -> Message {
    Message::Request { transfer, name, need_ms, priority: Priority::NORMAL }
}

/// The block that was granted under an offer's number.
pub fn granted(said: &[Message], transfer: TransferId) -> Option<BlockName> {
    said.iter().find_map(|m| match m {
        Message::Grant { transfer: t, name, .. } if *t == transfer => Some(*name),
        _ => None,
    })
}

/// Why an offer was declined.
pub fn declined(said: &[Message], transfer: TransferId) -> Option<No> {
    said.iter().find_map(|m| match m {
        Message::Decline { transfer: t, why, .. } if *t == transfer => Some(*why),
        _ => None,
    })
}

/// The name of a block of [`MAIN`].
pub fn name(number: u64, block: u16) -> BlockName {
    BlockName { key: key(number), block: BlockIndex(block) }
}
