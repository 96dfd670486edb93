//! All swarms, and the ways into them. Swarms are spread over shards, each behind its own lock; no lock is held across
//! an `.await`, and none is taken while another shard's is held.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rillcast_protocol::id::{PeerId, SwarmId};
use rillcast_protocol::signal::{ClientMessage, RefusedCode, ServerMessage};
use rillcast_publisher::{Came, Event, Publisher};
use tokio::sync::mpsc;

use crate::audit::Audit;
use crate::auth::Open;
use crate::auth::places::{Place, Places};
use crate::auth::replay::Memory;
use crate::authority::Authority;
use crate::geo::Geo;
use crate::hosted::Host;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::receipts::Receipts;
use crate::revocation::Store;
use crate::site::{Changes, SiteFile, Sites};
use crate::swarm::{Desk, Swarm};
use rillcast_relay::Secret;

mod change;
pub mod join;

pub use join::Admission;

const SHARDS: usize = 16;
/// How often swarms are told of the time.
pub const TICK: Duration = Duration::from_millis(250);

/// A refusal, for programs and for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// For programs.
    pub code: RefusedCode,
    /// For people.
    pub message: String,
}

/// What a hub reads and writes besides its settings.
#[derive(Debug, Default)]
pub struct Files {
    /// Where addresses are.
    pub geo: Geo,
    /// What is revoked.
    pub revocations: Store,
    /// Who changed what.
    pub audit: Audit,
    /// Who gave how much.
    pub receipts: Receipts,
    /// What was changed at run time.
    pub changes: Changes,
    /// From where tokens were used, and what is known of that from before.
    pub places: Option<(Places, Vec<Place>)>,
}

/// Everything that connections share.
#[derive(Debug)]
pub struct Hub {
    /// Bounds.
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Hosted segments.
    pub host: Arc<Host>,
    publisher: Option<Publisher>,
    secret: [u8; 32],
    /// Signs tickets.
    pub authority: Authority,
    /// Makes credentials for this server's own relays.
    pub turn: Secret,
    /// What addresses, tokens and sites have used.
    pub quotas: Quotas,
    open: Open,
    geo: Mutex<Arc<Geo>>,
    /// What is revoked.
    pub revocations: Store,
    /// Who changed what.
    pub audit: Audit,
    /// Who gave how much.
    pub receipts: Receipts,
    changes: Changes,
    tokens: Mutex<Memory>,
    sites: Mutex<Sites>,
    shards: [Mutex<HashMap<SwarmId, Swarm>>; SHARDS],
}

impl Hub {
    /// A hub without swarms. The secret keeps swarm ids from being guessed (the same secret gives the same ids again), the
    /// authority signs tickets.
    /// `open` says who may join sites without keys.
    pub fn new(
        limits: Limits,
        sites: Sites,
        publisher: Option<Publisher>,
        (secret, authority): ([u8; 32], Authority),
        open: Open,
        files: Files,
    ) -> Arc<Self> {
        let metrics = Arc::new(Metrics::default());
        let keep = Duration::from_secs(limits.hosted_secs);
        Arc::new(Self {
            host: Host::new(limits.hosted_bytes, keep, metrics.clone()),
            quotas: Quotas::new(&limits),
            open,
            geo: Mutex::new(Arc::new(files.geo)),
            revocations: files.revocations,
            audit: files.audit,
            receipts: files.receipts,
            changes: files.changes,
            tokens: Mutex::new(match files.places {
                Some((file, known)) => Memory::kept(
                    limits.token_memory,
                    blake3::derive_key("rillcast used tokens v1", &secret),
                    file,
                    &known,
                ),
                None => Memory::new(limits.token_memory),
            }),
            limits,
            metrics,
            publisher,
            secret,
            authority,
            turn: Secret::new(&blake3::derive_key("rillcast turn secret v1", &secret)),
            sites: Mutex::new(sites),
            shards: Default::default(),
        })
    }

    /// Lets a peer go.
    pub fn leave(&self, swarm: SwarmId, peer: PeerId) {
        self.with(swarm, |swarm, desk, now| swarm.leave(desk, peer, now));
    }

    /// A joined peer's message. Pings are the socket's own business.
    pub fn message(&self, swarm: SwarmId, peer: PeerId, message: ClientMessage) {
        self.message_at(swarm, peer, message, self.authority.now_ms());
    }

    /// The same, at this time of the authority's clock.
    pub fn message_at(&self, swarm: SwarmId, peer: PeerId, message: ClientMessage, server_ms: u64) {
        let at = Desk { server_ms, ..self.desk() };
        self.with_desk(swarm, &at, |swarm, desk, now| match message {
            ClientMessage::WantPeers { count } => swarm.want_peers(desk, peer, count, now),
            ClientMessage::Relay { to, payload } => swarm.relay(desk, peer, to, payload),
            ClientMessage::Playing { tracks } => swarm.playing(desk, peer, &tracks, now),
            ClientMessage::Publish { digest } => swarm.publish(desk, peer, digest, now),
            ClientMessage::WantDigests { keys } => swarm.want_digests(desk, peer, &keys),
            ClientMessage::Report { report } => swarm.report(desk, peer, report),
            ClientMessage::Renew {} => swarm.renew(desk, peer, now),
            ClientMessage::Nat { class } => swarm.nat(peer, class),
            ClientMessage::Vouchers { vouchers } => swarm.vouchers(desk, peer, &vouchers, now),
            ClientMessage::Accuse { peer: accused, key } => swarm.accuse(desk, peer, accused, key, now),
            ClientMessage::OfferRelay { port, secret } => swarm.offer_relay(peer, port, &secret),
            ClientMessage::Join { .. } | ClientMessage::Ping { .. } => {}
        });
    }

    /// Takes in the publisher's news until there is no publisher any more.
    pub async fn listen(self: Arc<Self>, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            self.event(event);
        }
    }

    /// Takes in one piece of the publisher's news.
    pub fn event(&self, event: Event) {
        match event {
            Event::Published(published) => {
                let mut digest = published.digest;
                if published.came == Came::Fetched {
                    self.metrics.publisher_source_bytes_total.add(published.body.len() as u64);
                }
                digest.hosted = self.host.is_on()
                    && self.host.put(digest.swarm, digest.key, published.body, Instant::now());
                self.with(digest.swarm, |swarm, desk, now| swarm.published(desk, &digest, now));
            }
            Event::Conflict { swarm, key } => {
                self.metrics.conflicts_total.up();
                self.with(swarm, |swarm, _, _| swarm.conflict(key));
            }
            Event::Skipped { .. } => self.metrics.publisher_skipped_total.up(),
            Event::Failing { .. } => self.metrics.publisher_failing_total.up(),
            Event::Playlist { swarm, track, playlist } => {
                if playlist.ended {
                    self.with(swarm, |swarm, desk, _| swarm.finished(desk, track));
                }
            }
        }
    }

    /// Tells swarms of the time, for ever.
    pub async fn tick(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            self.tick_once(Instant::now());
        }
    }

    /// Tells swarms of the time, once.
    pub fn tick_once(&self, now: Instant) {
        self.tick_at(now, unix_ms() / 1000);
    }

    /// The same, at this time of the day: seconds since 1970.
    pub fn tick_at(&self, now: Instant, unix: u64) {
        self.host.tick(now);
        self.quotas.tick(now);
        let desk = Desk { unix, server_ms: unix * 1000, ..self.desk() };
        for shard in &self.shards {
            lock(shard).retain(|id, swarm| {
                swarm.tick(&desk, now);
                let over = swarm.is_over(&desk, now);
                if over {
                    self.metrics.swarms.down();
                    if let Some(publisher) = &self.publisher {
                        publisher.forget(*id);
                    }
                }
                !over
            });
        }
    }

    /// Whether a site of this name may be changed.
    pub fn has_site(&self, name: &str) -> bool {
        lock(&self.sites).find(name).is_some()
    }

    /// Which table of the settings file leaves a site open to whoever has no token, if one does.
    pub fn open_table(&self) -> Option<String> {
        lock(&self.sites).open()
    }

    /// The run-time changes of a site.
    pub fn site_changes(&self, name: &str) -> SiteFile {
        lock(&self.sites).changes_of(name)
    }

    /// The counters, with the gauges brought up to date.
    pub fn render_metrics(&self) -> String {
        let mut text = self.metrics.render();
        let followed = self.publisher.as_ref().map_or(0, |p| p.following().len());
        for (name, help, value) in [
            ("tracks_followed", "Tracks that the built-in publisher follows.", followed),
            ("hosted_bytes", "Bytes of hosted segments in memory.", self.host.bytes()),
            ("revocations", "Users, tokens, keys and peers that are revoked.", self.revocations.len()),
            ("shares_used", "Addresses, tokens and sites that are counted.", self.quotas.len()),
            ("tokens_remembered", "Places that tokens with a jti are used from.", lock(&self.tokens).len()),
        ] {
            text += &format!(
                "# HELP rillcast_{name} {help}\n# TYPE rillcast_{name} gauge\nrillcast_{name} {value}\n"
            );
        }
        text
    }

    /// The built-in publisher.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.publisher.as_ref()
    }

    /// Ends all connections: the server stops.
    pub fn close(&self) {
        for shard in &self.shards {
            lock(shard).values().for_each(Swarm::close);
        }
    }

    /// Sends nothing, but tells a peer why it is refused. For use before it has joined.
    pub fn refusal(refused: &Refused) -> ServerMessage {
        ServerMessage::Refused {
            code: refused.code,
            message: rillcast_protocol::coding::Text::clipped(&refused.message),
        }
    }

    fn with(&self, id: SwarmId, work: impl FnOnce(&mut Swarm, &Desk<'_>, Instant)) {
        self.with_desk(id, &self.desk(), work);
    }

    fn with_desk(&self, id: SwarmId, desk: &Desk<'_>, work: impl FnOnce(&mut Swarm, &Desk<'_>, Instant)) {
        if let Some(swarm) = self.shard(id).get_mut(&id) {
            work(swarm, desk, Instant::now());
        }
    }

    fn desk(&self) -> Desk<'_> {
        Desk {
            limits: &self.limits,
            metrics: &self.metrics,
            publisher: self.publisher.as_ref(),
            host: &self.host,
            revocations: &self.revocations,
            authority: &self.authority,
            turn: &self.turn,
            receipts: &self.receipts,
            unix: unix_ms() / 1000,
            server_ms: self.authority.now_ms(),
        }
    }

    fn shard(&self, id: SwarmId) -> MutexGuard<'_, HashMap<SwarmId, Swarm>> {
        lock(&self.shards[usize::from(id.0[0]) % SHARDS])
    }
}

/// The server's clock, in milliseconds since 1970.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// A panic in one connection's task must not take the others down with it: the data behind the lock is whole, for
/// every change to it is finished before anything can panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
