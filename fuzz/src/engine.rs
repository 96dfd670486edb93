//! An engine among peers, a source, a server and a player that do anything in any order.
//!
//! An input is a sequence of steps, each a byte that says what happens and the bytes that say how. Where random bytes
//! would never get anywhere a step knows the way: a link that says hello, a block served as it was asked for.

use bytes::Bytes;
use rillcast_core::engine::{
    BULK_HEADER, Check, CheckId, Conditions, Config, Engine, FetchId, Input, LinkId, MAX_CONTROL, MediaKind,
    Output, Patience, Playhead, SegmentEntry, SourceError, SourceHead,
};
use rillcast_core::time::{Duration, Instant};
use rillcast_core::wire::{BulkHeader, Message, TransferId};
use rillcast_protocol::coding::Wire;
use rillcast_protocol::digest::{BLOCK, SegmentDigest};
use rillcast_protocol::id::{Fingerprint, PeerId, PublisherKey, Role, SegmentKey, SwarmId, TrackId};
use rillcast_protocol::nat::NatClass;
use rillcast_protocol::settings::Settings;
use rillcast_protocol::signal::{PeerDescriptor, ServerMessage, Welcome};
use rillcast_protocol::ticket::{Signed, Ticket};
use rillcast_seed::payload::Media;

use crate::feed::Feed;
use crate::wire::filled;

/// What the made-up verifier takes for a true signature.
pub const SIGNATURE: [u8; 64] = [1; 64];
/// The stream's one track.
pub const TRACK: TrackId = TrackId(0x0101_0101_0101_0101);
/// Its swarm.
pub const SWARM: SwarmId = SwarmId([1; 16]);
/// Who signs for it.
pub const PUBLISHER: PublisherKey = PublisherKey([1; 32]);

/// Neighbours.
const PEERS: u8 = 5;
const BUDGET: u64 = 512 * 1024;
/// The oldest segment of the playlist.
const FIRST: u64 = 10;
/// Two blocks and a bit of a third.
const LENGTH: usize = 2 * BLOCK as usize + 1000;

/// Steps, by the byte that begins one.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Step {
    /// A peer is introduced and a link to it opens: which peer.
    Open,
    /// A link or an attempt at one ends: which peer, which link.
    Close,
    /// A neighbour says hello and what it plays: which link.
    Greet,
    /// A control message: which link, then bytes with their number before them.
    Control,
    /// A bulk message: which link, a header, how much behind it.
    Bulk,
    /// A neighbour serves the block that was last asked of it: which link.
    Serve,
    /// Time passes, with every call that the engine asks for: sixtieths of a second.
    Wait,
    /// The player asks for a segment: which.
    Demand,
    /// And no longer wants it.
    Cancel,
    /// The player plays: where, how much is buffered, how.
    Play,
    /// The playlist: its newest segment, and whether there will be more.
    Timeline,
    /// The publisher's true word on a segment: which.
    Describe,
    /// A message from signaling: bytes with their number before them.
    Server,
    /// The source answers: which fetch, how, how much.
    Source,
    /// The source ends: which fetch, how.
    End,
    /// The source answers the newest fetch as it should.
    Fulfil,
    /// A link's buffer changes: which, how full.
    Drained,
    /// The shell has a signal for a peer: which, how long.
    Signal,
    /// A verdict that nobody asked for: which, what.
    Verdict,
    /// What is allowed changes.
    Conditions,
    /// The node has signed for a segment itself: which.
    Published,
    /// What is to be verified waits from now on, or no more.
    Dawdle,
    /// How our network maps addresses is found out: how.
    Nat,
    /// No way was found to a peer: which.
    NoWay,
}

const STEPS: u8 = Step::NoWay as u8 + 1;

/// Plays the sequence.
pub fn run(data: &[u8]) {
    play(data);
}

fn play(data: &[u8]) -> World {
    let mut feed = Feed::new(data);
    let mut world = World::new(if feed.below(4) == 0 { Role::Seed } else { Role::Viewer });
    while !feed.is_over() {
        world.step(&mut feed);
    }
    world.wait(Duration::from_secs(4));
    world
}

/// A segment's bytes.
fn body(number: u64) -> Bytes {
    vec![number as u8; LENGTH].into()
}

fn key(number: u64) -> SegmentKey {
    SegmentKey { track: TRACK, number, discontinuity: 0, part: 0 }
}

/// The publisher's word on a segment.
fn digest(number: u64) -> SegmentDigest {
    let hashes = body(number).chunks(BLOCK as usize).map(|block| *blake3::hash(block).as_bytes()).collect();
    SegmentDigest {
        swarm: SWARM,
        key: key(number),
        length: LENGTH as u32,
        duration_ms: 4000,
        hashes,
        publisher: PUBLISHER,
        signature: SIGNATURE,
        hosted: false,
    }
}

fn peer(n: u8) -> PeerId {
    PeerId([n + 2; 16])
}

struct World {
    engine: Engine<Media>,
    now: Instant,
    checks: Vec<Input<Media>>,
    dawdles: bool,
    requests: Vec<(LinkId, TransferId, SegmentKey, u16)>,
    fetches: Vec<(FetchId, SegmentKey, Option<core::ops::Range<u32>>)>,
    delivered: Vec<SegmentKey>,
    links: u32,
    /// Which peer is at the other end of each.
    ends: Vec<(LinkId, u8)>,
}

impl World {
    fn new(role: Role) -> Self {
        let config = Config { role, seed: 5, store_budget: BUDGET };
        let mut world = Self {
            engine: Engine::new(config),
            now: Instant::ZERO + Duration::from_secs(100),
            checks: Vec::new(),
            dawdles: false,
            requests: Vec::new(),
            fetches: Vec::new(),
            delivered: Vec::new(),
            links: 0,
            ends: Vec::new(),
        };
        world.tell(Input::Welcome(welcome().into()));
        world
    }

    fn step(&mut self, feed: &mut Feed<'_>) {
        let number = |feed: &mut Feed<'_>| FIRST + u64::from(feed.below(24));
        match feed.below(STEPS) {
            0 => {
                let n = feed.below(PEERS);
                let peer = peer(n);
                // Links to strangers are closed at once. Of the peers one is a seed.
                let role = u8::from(n == 0);
                let known = filled::<PeerDescriptor>(&[&peer.0[..], &[role]].concat(), 1);
                self.tell(Input::Introduced(known.into_iter().collect()));
                self.links += 1;
                self.ends.push((LinkId(self.links), n));
                self.tell(Input::LinkOpen { link: LinkId(self.links), peer, fingerprint: certificate(n) });
            }
            1 => {
                let (peer, link) = (peer(feed.below(PEERS)), self.link(feed));
                self.tell(Input::LinkClosed { peer, link: Some(link).filter(|_| feed.byte() != 0) });
            }
            2 => {
                let link = self.link(feed);
                let end = self.ends.iter().find(|(open, _)| *open == link).map_or(0, |(_, n)| *n);
                self.tell(Input::Control { link, bytes: hello(end) });
            }
            3 => {
                let link = self.link(feed);
                self.tell(Input::Control { link, bytes: feed.bytes().to_vec() });
            }
            4 => {
                let link = self.link(feed);
                let header = feed.take(BULK_HEADER).first_chunk().copied().unwrap_or_default();
                let payload = Media(vec![feed.byte(); usize::from(feed.short())].into());
                self.tell(Input::Bulk { link, header, payload });
            }
            5 => {
                let link = self.link(feed);
                self.serve(link);
            }
            6 => self.wait(Duration::from_millis(u64::from(feed.byte()) * 17)),
            7 => {
                let patience =
                    Patience { first_byte: Duration::from_secs(20), whole: Duration::from_secs(120) };
                let key = key(number(feed));
                self.delivered.retain(|known| *known != key);
                self.tell(Input::Demand { key, patience });
            }
            8 => self.tell(Input::Cancel { key: key(number(feed)) }),
            9 => {
                let position_ms = i64::from(feed.short()) * 4;
                let buffered_ms = position_ms.saturating_add(i64::from(feed.byte()) * 100);
                let how = feed.byte();
                let rate_percent = u16::from(how & 0x7f) * 4;
                self.tell(Input::Playhead(Playhead {
                    position_ms,
                    rate_percent,
                    buffered_ms,
                    starving: how & 0x80 != 0,
                }));
            }
            10 => {
                let newest = number(feed);
                let live = feed.byte() & 1 == 0;
                let entry =
                    |n: u64| SegmentEntry { key: key(n), start_ms: n as i64 * 4000, duration_ms: 4000 };
                let segments = (FIRST..=newest).map(entry).collect();
                self.tell(Input::Timeline { track: TRACK, kind: MediaKind::Main, segments, live });
            }
            11 => self.tell(Input::Digest(digest(number(feed)))),
            12 => {
                if let Ok(message) = ServerMessage::from_bytes(feed.bytes()) {
                    self.hear(message);
                }
            }
            13 => {
                let fetch = self.fetch(feed);
                let total = Some(feed.long()).filter(|n| *n != 0);
                let head = match feed.below(3) {
                    0 => Some(SourceHead::Whole { total }),
                    1 => Some(SourceHead::Partial { total }),
                    _ => None,
                };
                if let Some(head) = head {
                    self.tell(Input::SourceHead { fetch, head });
                }
                let data = Media(vec![feed.byte(); usize::from(feed.short()) * 2].into());
                self.tell(Input::SourceData { fetch, data });
            }
            14 => {
                let fetch = self.fetch(feed);
                self.tell(match feed.below(4) {
                    0 => Input::SourceFailed { fetch, error: SourceError::Network },
                    1 => Input::SourceFailed { fetch, error: SourceError::Status(feed.short()) },
                    2 => Input::SourceFailed { fetch, error: SourceError::Unknown },
                    _ => Input::SourceEnd { fetch },
                });
            }
            15 => self.fulfil(),
            16 => {
                let (link, buffered) = (self.link(feed), feed.long());
                self.tell(Input::Drained { link, buffered });
            }
            17 => {
                let (to, payload) = (peer(feed.below(PEERS)), vec![5; usize::from(feed.short())]);
                self.tell(Input::Signal { to, payload });
            }
            18 => {
                let check = CheckId(feed.byte().into());
                self.tell(Input::Verdict { check, ok: feed.byte() & 1 == 0 });
            }
            19 => {
                let bits = feed.byte();
                let bit = |n: u8| bits >> n & 1 == 1;
                self.tell(Input::Conditions(Conditions {
                    may_upload: bit(0),
                    may_download: bit(1),
                    hidden: bit(2),
                    upload_cap: feed.long(),
                }));
            }
            20 => {
                let number = number(feed);
                self.tell(Input::Published { digest: digest(number), body: Media(body(number)) });
                // What comes next is another seed's to fetch, and this is others' to hold.
                self.tell(Input::Replicas { take: vec![key(number + 1)], spare: vec![key(number)] });
            }
            21 => {
                self.dawdles = !self.dawdles;
                self.settle();
            }
            22 => {
                let class = NatClass::from_bytes(&[feed.below(5)]).unwrap_or_default();
                self.tell(Input::Nat(class));
            }
            _ => self.tell(Input::NoWay { peer: peer(feed.below(PEERS)) }),
        }
    }

    /// A link by the newest ones: those that were never opened too.
    fn link(&self, feed: &mut Feed<'_>) -> LinkId {
        LinkId((self.links + 1).saturating_sub(u32::from(feed.below(8))))
    }

    /// A fetch by the newest ones.
    fn fetch(&self, feed: &mut Feed<'_>) -> FetchId {
        let back = usize::from(feed.below(8));
        self.fetches.iter().rev().nth(back).map_or(FetchId(back as u32), |(fetch, ..)| *fetch)
    }

    /// What signaling says, as shells tell it.
    fn hear(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::Welcome { welcome } => self.tell(Input::Welcome(welcome.into())),
            ServerMessage::Introduce { peers } => self.tell(Input::Introduced(peers.into_vec())),
            ServerMessage::Digest { digest } => self.tell(Input::Digest(digest)),
            ServerMessage::Settings { settings } => self.tell(Input::Settings(settings)),
            ServerMessage::Publishers { keys } => self.tell(Input::Publishers(keys.into_vec())),
            ServerMessage::Ticket { ticket, server_time_ms } => {
                self.tell(Input::ServerTime(server_time_ms));
                self.tell(Input::Ticket(ticket.into()));
            }
            ServerMessage::Revoked { revocations } => self.tell(Input::Revoked(revocations.into())),
            ServerMessage::Gone { peer } => self.tell(Input::Gone(peer)),
            _ => {}
        }
    }

    fn serve(&mut self, link: LinkId) {
        let Some(at) = self.requests.iter().rposition(|(to, ..)| *to == link) else { return };
        let (_, transfer, key, block) = self.requests.remove(at);
        let body = body(key.number);
        let start = (usize::from(block) * BLOCK as usize).min(LENGTH);
        let block = body.slice(start..(start + BLOCK as usize).min(LENGTH));
        for (n, piece) in block.chunks(16 * 1024 - BULK_HEADER).enumerate() {
            let offset = (n * (16 * 1024 - BULK_HEADER)) as u32;
            let header = BulkHeader { transfer, offset }.to_bytes();
            self.tell(Input::Bulk { link, header, payload: Media(Bytes::copy_from_slice(piece)) });
        }
    }

    fn fulfil(&mut self) {
        let Some((fetch, key, range)) = self.fetches.pop() else { return };
        let total = Some(LENGTH as u32);
        let head = if range.is_some() { SourceHead::Partial { total } } else { SourceHead::Whole { total } };
        let range = range.map_or(0..LENGTH, |r| (r.start as usize).min(LENGTH)..(r.end as usize).min(LENGTH));
        self.tell(Input::SourceHead { fetch, head });
        self.tell(Input::SourceData { fetch, data: Media(body(key.number).slice(range)) });
        self.tell(Input::SourceEnd { fetch });
    }

    /// One input, and all that follows from it at once.
    fn tell(&mut self, input: Input<Media>) {
        self.engine.handle(self.now, input);
        let mut outputs = 0;
        while let Some(output) = self.engine.poll_output() {
            outputs += 1;
            assert!(outputs < 5000, "output after output");
            self.take(output);
        }
        self.settle();
        let stats = self.engine.stats();
        assert!(stats.links.len() <= usize::from(PEERS) * 2 + 2, "more links than peers");
        assert!(stats.stored_bytes <= BUDGET + (96 << 20), "{} bytes held", stats.stored_bytes);
    }

    fn settle(&mut self) {
        assert!(self.checks.len() < 20_000, "more to verify than anybody can have sent");
        while !self.dawdles && !self.checks.is_empty() {
            let verdict = self.checks.remove(0);
            self.tell(verdict);
        }
    }

    fn take(&mut self, output: Output<Media>) {
        match output {
            Output::Control { link, bytes } => {
                assert!(bytes.len() <= MAX_CONTROL);
                let message = Message::parse(&bytes).expect("an engine sends what an engine can read");
                if let Message::Request { transfer, name, .. } = message {
                    self.requests.push((link, transfer, name.key, name.block.0));
                }
            }
            Output::Bulk { link, .. } => self.engine.handle(self.now, Input::Drained { link, buffered: 0 }),
            Output::Fetch { fetch, key, range, .. } => {
                assert!(range.as_ref().is_none_or(|r| r.start < r.end), "nothing isn't fetched");
                self.fetches.push((fetch, key, range));
            }
            Output::CancelFetch { fetch } => self.fetches.retain(|(known, ..)| *known != fetch),
            Output::Verify { check, what } => {
                let ok = match what {
                    Check::Block { payload, hash } => blake3::hash(&payload.0) == hash,
                    Check::Signature { signature, .. } => signature == SIGNATURE,
                };
                self.checks.push(Input::Verdict { check, ok });
            }
            Output::Sign { check, .. } => self.checks.push(Input::Signed { check, signature: SIGNATURE }),
            Output::Deliver(delivery) => {
                assert!(!self.delivered.contains(&delivery.key), "a segment is delivered once for a demand");
                self.delivered.push(delivery.key);
            }
            _ => {}
        }
    }

    /// Time passes, with every call that the engine asks for.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut calls = 0;
        while self.now < end {
            let at = self.engine.poll_timeout().max(self.now + Duration::from_millis(1));
            self.now = at.min(end);
            self.tell(Input::Timeout);
            calls += 1;
            assert!(calls < 20 + time.as_millis(), "the engine asks for call after call");
        }
    }
}

/// The server's welcome to our swarm.
fn welcome() -> Welcome {
    match filled(&[0], 1) {
        Some(ServerMessage::Welcome { welcome }) => {
            let body = Ticket { expires_ms: u64::MAX, ..welcome.ticket.body };
            let ticket = Signed { body, ..welcome.ticket.clone() };
            Welcome { ticket, settings: Settings::default(), ..welcome }
        }
        other => unreachable!("ones are a welcome: {other:?}"),
    }
}

/// What a neighbour says first.
fn hello(n: u8) -> Vec<u8> {
    let Some(Message::Hello { version, ticket, revocations }) = filled(&[0, 1], 1) else { return Vec::new() };
    let role = if n == 0 { Role::Seed } else { Role::Viewer };
    let body = Ticket {
        swarm: SWARM,
        peer: peer(n),
        role,
        fingerprint: certificate(n),
        expires_ms: u64::MAX,
        ..ticket.body
    };
    let ticket = Signed { body, signature: SIGNATURE, ..ticket };
    Message::Hello { version, ticket, revocations }.to_bytes()
}

/// A peer's certificate.
fn certificate(n: u8) -> Fingerprint {
    Fingerprint([n + 2; 32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    fn played(name: &str) -> World {
        let seeds = seeds::all();
        play(&seeds.iter().find(|seed| seed.target == "engine" && seed.name == name).expect("a seed").bytes)
    }

    // A target that never gets as far as a delivery would find nothing behind it.
    #[test]
    fn what_it_begins_with_reaches_a_delivery() {
        let world = played("from-the-source");
        let stats = world.engine.stats();
        assert!(!world.delivered.is_empty() && stats.source_bytes > 0, "{stats:?}");
    }

    #[test]
    fn what_it_begins_with_reaches_a_block_from_a_neighbour() {
        let stats = played("from-a-neighbour").engine.stats();
        assert!(stats.seed_bytes > 0, "{stats:?}");
    }
}
