//! Puts the rooms together; decides nothing itself.
//!
//! - [`io`]: inputs and outputs
//! - [`stats`]: the picture of the moment
//! - `admission`: who becomes a neighbour and who may stay one
//! - `links`: opening and closing of links, upkeep
//! - `calls`: signals carried by neighbours
//! - `control`: what neighbours say
//! - `copying`: what a seed takes of other seeds
//! - `blocks`: digests, verification, delivery
//! - `fetching`: what the source says
//! - `gossip`: how many there are, and who
//! - `helping`: what is taken for others alone
//! - `news`: what neighbours are to hear of what has come
//! - `pump`: thinking, and sending
//! - `reach`: whom no way leads to
//! - `receipts`: who gave how much to whom

use std::collections::VecDeque;

use crate::index::Index;
use crate::map::Map;

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PeerId, PublisherKey, Role, SegmentKey, SwarmId, TrackId};
use rillcast_protocol::receipt::{Receipt, Voucher};
use rillcast_protocol::settings::Settings;
use rillcast_protocol::ticket::{SignedRevocations, SignedTicket};

use crate::media::{Store, Timeline};
use crate::overlay::helping::Helping;
use crate::overlay::{Members, Place, Populations};
use crate::payload::Payload;
use crate::rng::Rng;
use crate::schedule::{Demand, Hybrid, Scheduler};
use crate::switches::Switches;
use crate::time::{Duration, Instant, millis, times};
use crate::transfer::{Downloads, Pacer, Sources, Uploads};
use crate::trust::{Gate, Ledger, Trust};
use crate::wire::message::Acquaintance;

mod admission;
mod blocks;
mod calls;
mod control;
mod copying;
mod event;
mod fetching;
mod gossip;
mod helping;
pub mod io;
mod links;
mod news;
mod pump;
mod reach;
mod receipts;
pub mod stats;

pub use copying::MAX_COPIES;
pub use io::*;
pub use stats::{LinkStats, Stats};

/// What a node is built with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Viewer or seed.
    pub role: Role,
    /// For every random choice.
    pub seed: u64,
    /// Bytes of blocks that may be held. At least what the player has asked for is always held.
    pub store_budget: u64,
}

/// Who we are in the swarm, once joined.
#[derive(Clone, Copy, Debug)]
struct Membership {
    swarm: SwarmId,
    peer: PeerId,
    nonce: u64,
    weight: u16,
}

/// What a verification is about.
#[derive(Clone, Debug)]
enum Pending {
    Block(SegmentKey, u16),
    Digest(Box<SegmentDigest>, Option<LinkId>),
    Ticket(Box<SignedTicket>, LinkId),
    Revocations(Box<SignedRevocations>, Option<LinkId>),
    /// Somebody that a neighbour tells of.
    Heard(Box<Acquaintance>, LinkId),
    /// Somebody that a neighbour carries a call of, with what it has said so far.
    Call(Box<Acquaintance>, LinkId, Vec<Vec<u8>>),
    /// A receipt of ours that is being signed.
    Thanks(Receipt, LinkId),
    /// A neighbour's.
    Voucher(Box<Voucher>, LinkId),
}

/// One peer's engine.
#[derive(Debug)]
pub struct Engine<P> {
    config: Config,
    switches: Switches,
    rng: Rng,
    /// When the first input came, and when the server first let us in.
    born: Option<Instant>,
    joined: Option<Instant>,
    /// That the server speaks.
    server_version: u8,
    membership: Option<Membership>,
    settings: Settings,
    conditions: Conditions,
    /// See [`Input::Leaving`].
    leaving: bool,
    publishers: Vec<PublisherKey>,
    timeline: Timeline,
    store: Store<P>,
    trust: Trust,
    gate: Gate,
    ledger: Ledger,
    members: Members,
    index: Index,
    populations: Populations,
    place: Place,
    downloads: Downloads<P>,
    uploads: Uploads,
    sources: Sources<P>,
    pacer: Pacer,
    demands: Map<SegmentKey, Demand>,
    checks: Map<CheckId, Pending>,
    scheduler: Box<dyn Scheduler<P> + Send>,
    outputs: VecDeque<Output<P>>,
    news: news::News,
    announced: Vec<TrackId>,
    /// Of what the player was last given, in bytes/s; 0 before.
    bitrate: u64,
    told: Option<(Vec<crate::wire::message::Playing>, bool, u32, Option<TrackId>)>,
    helping: Helping,
    copying: copying::Copying,
    counters: Stats,
    next_check: u32,
    next_request: u32,
    /// What we might get has changed since the last thought of it; what we might give.
    dirty: Dirty,
    /// Something wanted could not be asked for.
    hungry: bool,
    /// The uplink had room, and nobody lacked what we hold.
    spare: bool,
    get_at: Instant,
    give_at: Instant,
    pump_at: Instant,
    thought_at: Instant,
    settled_at: Instant,
    shuffle_at: Instant,
    census_at: Instant,
    flush_at: Instant,
    upkeep_at: Instant,
}

/// What has changed since the last thought.
#[derive(Clone, Copy, Debug, Default)]
struct Dirty {
    get: bool,
    give: bool,
}

/// Thoughts are at least so far apart, whatever happens.
const THINK_GAP: Duration = Duration::from_millis(15);
const UPKEEP: Duration = Duration::from_millis(1000);
/// Upkeep that comes so late comes after a sleep, or our clock has jumped: the server is asked for a ticket and the time.
const SLEPT: Duration = Duration::from_millis(90_000);

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    /// A node that knows nobody and plays nothing.
    pub fn new(config: Config) -> Self {
        Self {
            switches: Switches::default(),
            born: None,
            joined: None,
            server_version: 0,
            rng: Rng::new(config.seed),
            membership: None,
            settings: Settings::default(),
            conditions: Conditions { may_upload: true, may_download: true, hidden: false, upload_cap: 0 },
            leaving: false,
            publishers: Vec::new(),
            timeline: Timeline::default(),
            store: Store::new(config.store_budget),
            trust: Trust::default(),
            gate: Gate::default(),
            ledger: Ledger::default(),
            members: Members::new(config.role),
            index: Index::default(),
            populations: Populations::default(),
            place: Place::default(),
            downloads: Downloads::default(),
            uploads: Uploads::of(config.role),
            sources: Sources::default(),
            pacer: Pacer::default(),
            demands: Map::new(),
            checks: Map::new(),
            scheduler: Box::new(Hybrid::default()),
            outputs: VecDeque::new(),
            news: news::News::default(),
            announced: Vec::new(),
            bitrate: 0,
            told: None,
            helping: Helping::default(),
            copying: copying::Copying::default(),
            counters: Stats::default(),
            next_check: 0,
            next_request: 0,
            dirty: Dirty::default(),
            hungry: false,
            spare: true,
            get_at: Instant::NEVER,
            give_at: Instant::NEVER,
            pump_at: Instant::NEVER,
            thought_at: Instant::ZERO,
            settled_at: Instant::ZERO,
            shuffle_at: Instant::ZERO,
            census_at: Instant::ZERO,
            flush_at: Instant::NEVER,
            upkeep_at: Instant::NEVER,
            config,
        }
    }

    /// Puts another scheduler in, for an experiment.
    pub fn with_scheduler(mut self, scheduler: Box<dyn Scheduler<P> + Send>) -> Self {
        self.scheduler = scheduler;
        self
    }

    /// Switches mechanisms off, for an experiment.
    #[cfg(feature = "switches")]
    #[must_use]
    pub fn with_switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input<P>) {
        self.born.get_or_insert(now);
        self.stir(&input);
        match input {
            Input::Welcome(welcome) => self.joined(*welcome, now),
            Input::ServerLost => self.trust.lost_server(),
            Input::ServerTime(milliseconds) => self.trust.set_time(milliseconds, now),
            Input::Ticket(ticket) => self.renewed(*ticket, now),
            Input::Revoked(revocations) => self.revocations_offered(*revocations, None),
            Input::Settings(settings) => self.apply(settings, now),
            Input::Publishers(keys) => self.publishers = keys,
            Input::Introduced(peers) => self.introduced(&peers, now),
            Input::Gone(peer) => self.gone(peer, now),
            Input::Signal { to, payload } => self.signal(to, payload),
            Input::Digest(digest) => self.digest_offered(digest, None, now),
            Input::LinkOpen { link, peer, fingerprint } => self.link_open(link, peer, fingerprint, now),
            Input::LinkClosed { peer, link } => self.link_closed(peer, link, now),
            Input::NoWay { peer } => self.no_way(peer, now),
            Input::Nat(class) => self.placed(class, now),
            Input::Control { link, bytes } => self.control(link, &bytes, now),
            Input::Bulk { link, header, payload } => self.bulk(link, header, payload, now),
            Input::Drained { link, buffered } => {
                if let Some(l) = self.members.link_mut(link) {
                    l.buffered = buffered;
                }
            }
            Input::Timeline { track, kind, segments, live } => {
                self.timeline.update(track, kind, segments, live)
            }
            Input::Playhead(playhead) => {
                self.timeline.set_playhead(playhead, now);
                self.tell_priorities(now);
            }
            Input::Demand { key, patience } => self.demand(key, patience, now),
            Input::Handed { key, bytes, first_byte, transfer } => {
                self.sources.seen(u64::from(bytes), first_byte, transfer, now);
                self.handed(key, now);
            }
            Input::Cancel { key } => self.cancel(key, now),
            Input::SourceHead { fetch, head } => self.source_head(fetch, head, now),
            Input::SourceData { fetch, data } => self.source_data(fetch, data, now),
            Input::SourceEnd { fetch } => self.source_end(fetch, now),
            Input::SourceFailed { fetch, error } => self.source_failed(fetch, error, now),
            Input::Verdict { check, ok } => self.verdict(check, ok, now),
            Input::Signed { check, signature } => self.signed(check, signature),
            Input::Published { digest, body } => self.published(digest, body, now),
            Input::Recalled { digest, body } => self.recalled(digest, body, now),
            #[cfg(not(target_arch = "wasm32"))]
            Input::Replicas { take, spare } => self.share_out(take, spare),
            Input::Leaving => self.leaving = true,
            Input::Conditions(conditions) => {
                self.conditions = conditions;
                self.limit_upload();
            }
            Input::Timeout => {}
        }
        if self.upkeep_at == Instant::NEVER {
            self.upkeep_at = now;
        }
        if now >= self.upkeep_at {
            if now.since(self.upkeep_at) >= SLEPT {
                self.trust.hurry(now);
            }
            self.upkeep(now);
            // While there are peers to be dialed, it is what brings the next ones.
            self.upkeep_at = now + if self.members.expects_company() { UPKEEP / 2 } else { UPKEEP };
        }
        let ready = now.since(self.thought_at) >= THINK_GAP;
        let get = now >= self.get_at || (self.dirty.get && ready);
        let give = now >= self.give_at || (self.dirty.give && ready);
        if get || give {
            self.think(get, give, now);
        }
        self.pump(now);
        if now >= self.flush_at {
            self.flush();
        }
    }

    /// The next thing to do; drain to `None` after every input.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`] if nothing else happens before.
    pub fn poll_timeout(&self) -> Instant {
        let soon = self.thought_at + THINK_GAP;
        let think = if self.dirty.get || self.dirty.give { soon } else { Instant::NEVER };
        think.min(self.get_at).min(self.give_at).min(self.pump_at).min(self.flush_at).min(self.upkeep_at)
    }

    /// Notes what an input may change. Messages of neighbours say so themselves, for most change little.
    fn stir(&mut self, input: &Input<P>) {
        match input {
            Input::Control { .. } | Input::Bulk { .. } | Input::Drained { .. } | Input::Timeout => {}
            Input::SourceHead { .. } | Input::SourceData { .. } | Input::Digest(_) => {}
            Input::Signed { .. } => {}
            Input::Verdict { .. } => self.has_news(),
            _ => self.dirty = Dirty { get: true, give: true },
        }
    }

    /// Counters and the picture of the moment.
    pub fn stats(&self) -> Stats {
        let links = self.members.links().map(|(_, l)| LinkStats {
            peer: l.peer,
            role: l.role,
            rtt_ms: l.rtt.map(|rtt| millis(rtt) as u32),
            received: l.received,
            sent: l.sent,
            playing: l.playing.first().map(|p| (p.track.0, p.next)),
        });
        Stats {
            stored_bytes: self.store.bytes(),
            upload_rate: self.pacer.rate().map_or(0, |r| r.bytes_per_second()),
            source_rate: self.sources.throughput(self.thought_at).map_or(0, |r| r.bytes_per_second()),
            links: links.collect(),
            ..self.counters.clone()
        }
    }

    /// Joining takes a moment, and so do the first links. Meanwhile what isn't urgent waits for them.
    fn arriving(&self, now: Instant) -> bool {
        const JOINING: Duration = Duration::from_millis(3000);
        const MEETING: Duration = Duration::from_millis(1500);
        match (self.membership, self.born) {
            (Some(_), _) => self.joined.is_some_and(|at| now.since(at) < MEETING),
            (None, born) => born.is_some_and(|at| now.since(at) < JOINING),
        }
    }

    /// Whether all of a segment is here and verified.
    pub fn holds(&self, key: &SegmentKey) -> bool {
        self.store.segment(key).is_some_and(crate::media::Segment::is_complete)
    }

    /// Whether something that was offered or promised is still to be sent, or to be reported as arrived.
    pub fn is_giving(&self) -> bool {
        !self.uploads.is_settled()
    }

    fn sharing(&self) -> bool {
        self.settings.enabled && !self.settings.holdout
    }

    fn may_download(&self) -> bool {
        self.sharing() && self.conditions.may_download
    }

    /// The site, the viewer and the page let us give, limits aside.
    fn is_willing(&self) -> bool {
        self.sharing() && self.conditions.may_upload && !self.conditions.hidden
    }

    /// What isn't promised yet may be.
    fn may_upload(&self) -> bool {
        !self.leaving && self.may_give()
    }

    /// Within the site's and the viewer's limits. A ratio binds only above a first few megabytes, or nobody could begin.
    fn may_give(&self) -> bool {
        const FREE: u64 = 8 * 1024 * 1024;
        let c = &self.counters;
        let taken = c.source_bytes + c.publisher_bytes + c.peer_bytes + c.seed_bytes;
        let allowed = times(taken, u64::from(self.settings.ratio_percent)) / 100 + FREE;
        let capped = self.config.role == Role::Viewer && c.uploaded_bytes >= allowed;
        let nothing = self.config.role == Role::Viewer && self.settings.ratio_percent == 0;
        self.is_willing() && !capped && !nothing
    }
}
