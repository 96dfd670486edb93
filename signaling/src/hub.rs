//! All swarms, and the ways into them. Swarms are spread over shards, each behind its own lock; no lock is held across
//! an `.await`, and none is taken while another shard's is held.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rillcast_protocol::id::{PeerId, Role, SwarmId};
use rillcast_protocol::signal::{ClientMessage, Join, Network, RefusedCode, ServerMessage};
use rillcast_publisher::{Event, Publisher};
use tokio::sync::mpsc;

use crate::audit::{Audit, By, Record};
use crate::auth::replay::Memory;
use crate::auth::{Asker, Denied, Grant, Open, Question};
use crate::content;
use crate::geo::Geo;
use crate::hosted::Host;
use crate::limits::Limits;
use crate::listen::group;
use crate::metrics::Metrics;
use crate::network::network;
use crate::policy::verdict::{Bar, judge};
use crate::policy::{Case, RuleError, RuleFile, Rules, Subject};
use crate::revocation::store::Kept;
use crate::revocation::{Request, RevocationError, Store};
use crate::site::{Allowance, SettingsError, SettingsFile, Site, SiteFile, Sites};
use crate::swarm::{Desk, Joiner, Swarm};

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

/// A join that may go on.
#[derive(Clone, Debug)]
pub struct Admission {
    /// The site, as it is now.
    pub site: Arc<Site>,
    /// Where it leads to.
    pub swarm: SwarmId,
    /// What the joiner named.
    pub content: String,
    /// What it is judged by.
    pub subject: Subject,
    /// What it is allowed below what the site allows.
    pub allowance: Allowance,
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
    open: Open,
    geo: Mutex<Arc<Geo>>,
    /// What is revoked.
    pub revocations: Store,
    /// Who changed what.
    pub audit: Audit,
    tokens: Mutex<Memory>,
    sites: Mutex<Sites>,
    shards: [Mutex<HashMap<SwarmId, Swarm>>; SHARDS],
}

impl Hub {
    /// A hub without swarms. `secret` keeps swarm ids from being guessed; the same secret gives the same ids again.
    /// `open` says who may join sites without keys.
    pub fn new(
        limits: Limits,
        sites: Sites,
        publisher: Option<Publisher>,
        secret: [u8; 32],
        open: Open,
        files: Files,
    ) -> Arc<Self> {
        let metrics = Arc::new(Metrics::default());
        let keep = Duration::from_secs(limits.hosted_secs);
        Arc::new(Self {
            host: Host::new(limits.hosted_bytes, keep, metrics.clone()),
            open,
            geo: Mutex::new(Arc::new(files.geo)),
            revocations: files.revocations,
            audit: files.audit,
            tokens: Mutex::new(Memory::new(limits.token_memory)),
            limits,
            metrics,
            publisher,
            secret,
            sites: Mutex::new(sites),
            shards: Default::default(),
        })
    }

    /// Checks a join and says which swarm it leads to.
    pub fn admit(&self, join: &Join, asker: Asker<'_>) -> Result<Admission, Refused> {
        let is_seed = join.role == Role::Seed;
        let refuse = |code, message: String| {
            self.metrics.joins_refused_total.up();
            Err(Refused { code, message })
        };
        let name = join.site.as_str();
        let Some(site) = lock(&self.sites).find(name) else {
            return refuse(
                RefusedCode::Site,
                format!("site {name:?} isn't known here; add [sites.{name}] to the server's settings file"),
            );
        };
        if !site.allows_origin(asker.origin, is_seed) {
            let origin = asker.origin.unwrap_or("(none)");
            return refuse(
                RefusedCode::Site,
                format!("pages of {origin} may not join site {name}; add the origin to its `origins`"),
            );
        }
        let content = content::canonical(join.content.as_str(), site.multi_cdn);
        let (subject, allowance) = match self.authorise(&site, join, asker, &content) {
            Ok(authorised) => authorised,
            Err(Unwelcome::Denied(denied)) => {
                self.metrics.tokens_refused_total.up();
                let code = match denied {
                    Denied::MemoryFull => RefusedCode::Unavailable,
                    _ => RefusedCode::Unauthorised,
                };
                return refuse(code, format!("site {name:?}: {denied}"));
            }
            Err(Unwelcome::Barred(bar)) => {
                self.metrics.joins_barred_total.up();
                let Refused { code, message } = bar.refusal(name);
                return refuse(code, message);
            }
        };
        if let Some(key) = join.publisher
            && (!is_seed || !site.allows_seed(&key))
        {
            return refuse(
                RefusedCode::Unauthorised,
                format!("publisher {key} may not publish for site {name}; add the key to its `seeds`"),
            );
        }
        let swarm = content::swarm_id(&self.secret, name, &content, join.delivery);
        Ok(Admission { site, swarm, content: join.content.as_str().to_owned(), subject, allowance })
    }

    fn authorise(
        &self,
        site: &Site,
        join: &Join,
        asker: Asker<'_>,
        content: &str,
    ) -> Result<(Subject, Allowance), Unwelcome> {
        let geo = self.geo();
        let place = geo.locate(asker.address);
        let now = unix_ms() / 1000;
        let judge = |grant: Grant| {
            let Grant { user, token, key, allowance } = grant;
            let subject = Subject { user, token, key, address: asker.address, place, role: join.role };
            let case = Case { subject: &subject, content, now };
            // Once more when it has joined: what changes in between reaches it there.
            judge(site, &self.revocations.of(&site.name), &case, None)?;
            Ok((subject, allowance))
        };
        if site.keys.is_empty() {
            let near = asker.address.to_canonical().is_loopback();
            return if near || self.open == Open::Everyone {
                judge(Grant::default())
            } else {
                Err(Denied::NoKeys.into())
            };
        }
        let (claims, key) = site.keys.verify(join.token.as_slice())?;
        let question = Question {
            join,
            asker,
            content,
            multi_cdn: site.multi_cdn,
            max_secs: self.limits.token_max_secs,
            now,
            key,
            place,
            tells: geo.tells(),
        };
        let authorised = judge(claims.check(&question)?)?;
        // Last: a token that is refused for something else isn't used up.
        if let Some(jti) = &claims.jti {
            let mut tokens = lock(&self.tokens);
            let token = tokens.name(&[site.name.as_bytes(), jti.as_bytes()]);
            let address = group(asker.address).to_string();
            let place = tokens.name(&[address.as_bytes(), asker.origin.unwrap_or_default().as_bytes()]);
            let taken = tokens.take(token, place, claims.uses.unwrap_or(1), claims.gone(), now);
            taken.inspect_err(|denied| {
                if *denied == Denied::MemoryFull {
                    self.metrics.token_memory_full_total.up();
                }
            })?;
        }
        Ok(authorised)
    }

    /// Where a peer with this address is, in the eyes of a swarm.
    pub fn locate(&self, swarm: SwarmId, address: IpAddr) -> Network {
        network(&self.secret, swarm, address, self.geo().locate(address))
    }

    fn geo(&self) -> Arc<Geo> {
        lock(&self.geo).clone()
    }

    /// Takes in databases that were read again, and judges everybody by them.
    pub fn relocate(&self, geo: Geo) {
        let geo = Arc::new(geo);
        *lock(&self.geo) = geo.clone();
        let desk = self.desk();
        for shard in &self.shards {
            for swarm in lock(shard).values_mut() {
                swarm.relocate(&geo);
                swarm.review(&desk, Instant::now());
            }
        }
    }

    /// Lets a peer into its swarm.
    pub fn join(&self, admission: &Admission, joiner: Joiner) -> Result<(), Refused> {
        let now = Instant::now();
        let id = admission.swarm;
        let full = |what: &str| {
            self.metrics.joins_refused_total.up();
            Err(Refused {
                code: RefusedCode::Unavailable,
                message: format!("{what}; come back later, or raise the limit in the server's settings file"),
            })
        };
        let mut shard = self.shard(id);
        let swarm = match shard.entry(id) {
            Entry::Occupied(swarm) => swarm.into_mut(),
            Entry::Vacant(place) => {
                if self.metrics.swarms.value() >= self.limits.swarms as u64 {
                    return full("the server has as many swarms as it may");
                }
                self.metrics.swarms.up();
                // The site may have changed since it was asked, when this swarm wasn't there to be told.
                let site = lock(&self.sites).find(&admission.site.name);
                let site = site.unwrap_or_else(|| admission.site.clone());
                place.insert(Swarm::new(id, site, &admission.content, now))
            }
        };
        if swarm.len() >= self.limits.members {
            return full("the swarm has as many members as it may");
        }
        swarm.join(&self.desk(), joiner, unix_ms(), now).inspect_err(|_| {
            self.metrics.joins_refused_total.up();
            self.metrics.joins_barred_total.up();
        })
    }

    /// Lets a peer go.
    pub fn leave(&self, swarm: SwarmId, peer: PeerId) {
        self.with(swarm, |swarm, desk, now| swarm.leave(desk, peer, now));
    }

    /// A joined peer's message. Pings are the socket's own business.
    pub fn message(&self, swarm: SwarmId, peer: PeerId, message: ClientMessage) {
        self.with(swarm, |swarm, desk, now| match message {
            ClientMessage::WantPeers { count } => swarm.want_peers(desk, peer, count, now),
            ClientMessage::Relay { to, payload } => swarm.relay(desk, peer, to, payload),
            ClientMessage::Playing { tracks } => swarm.playing(desk, peer, &tracks, now),
            ClientMessage::Publish { digest } => swarm.publish(desk, peer, digest, now),
            ClientMessage::WantDigests { keys } => swarm.want_digests(desk, peer, &keys),
            ClientMessage::Report { report } => swarm.report(desk, peer, report),
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
                self.metrics.publisher_source_bytes_total.add(published.body.len() as u64);
                digest.hosted = self.host.is_on()
                    && self.host.put(digest.swarm, digest.key, published.body, Instant::now());
                self.with(digest.swarm, |swarm, desk, _| swarm.published(desk, &digest));
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
        let desk = Desk { unix, ..self.desk() };
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

    /// Takes in a changed settings file and tells the peers concerned.
    pub fn reload(&self, file: &SettingsFile) -> Result<(), SettingsError> {
        let (before, after) = {
            let mut sites = lock(&self.sites);
            let before = sites.rules();
            sites.reload(file)?;
            (before, sites.rules())
        };
        self.apply(|_| true);
        for (site, rules) in after {
            let files = rules.files();
            if before.get(&site).is_some_and(|before| before.files() == files) {
                continue;
            }
            if files.is_empty() && !before.contains_key(&site) {
                continue;
            }
            let ids: Vec<&str> = files.iter().map(|rule| rule.id.as_str()).collect();
            let detail = serde_json::json!({ "rules": ids });
            let action = "rules.read".to_owned();
            let record = Record { at: unix_ms(), by: By::SettingsFile, from: None, action, site, detail };
            if let Err(error) = self.audit.write(record) {
                tracing::error!(%error, "rules changed, and there is no record of it");
            }
        }
        Ok(())
    }

    /// Tells the swarms of these sites what holds now. Returns how many peers were sent away.
    fn apply(&self, concerns: impl Fn(&str) -> bool) -> usize {
        let desk = self.desk();
        let mut sent_away = 0;
        for shard in &self.shards {
            for swarm in lock(shard).values_mut().filter(|swarm| concerns(swarm.site())) {
                // Asked for under the shard's lock: of two changes the later one is told last. A site that was taken
                // out of the file keeps its last settings until its swarms are empty.
                let site = lock(&self.sites).find(swarm.site());
                if let Some(site) = site {
                    sent_away += swarm.apply(&desk, site, Instant::now());
                } else {
                    sent_away += swarm.review(&desk, Instant::now());
                }
            }
        }
        sent_away
    }

    /// Whether a site of this name may be changed.
    pub fn has_site(&self, name: &str) -> bool {
        lock(&self.sites).find(name).is_some()
    }

    /// Which table of the settings file leaves a site open to whoever has no token, if one does.
    pub fn open_table(&self) -> Option<String> {
        lock(&self.sites).open()
    }

    /// Changes a site at run time and tells the peers concerned. Returns how many were sent away.
    pub fn change_site(&self, name: &str, edit: impl FnOnce(&mut SiteFile)) -> Result<usize, SettingsError> {
        lock(&self.sites).change(name, edit)?;
        Ok(self.apply(|site| site == name))
    }

    /// Changes a site's rules at run time and judges its members by them. Returns how many were sent away.
    pub fn change_rules(
        &self,
        name: &str,
        edit: impl FnOnce(&mut Vec<RuleFile>) -> Result<(), RuleError>,
    ) -> Result<usize, SettingsError> {
        lock(&self.sites).change_rules(name, edit)?;
        Ok(self.apply(|site| site == name))
    }

    /// A site's rules.
    pub fn rules_of(&self, name: &str) -> Option<Arc<Rules>> {
        Some(lock(&self.sites).find(name)?.rules.clone())
    }

    /// Revokes something of a site and sends away whom it concerns. Returns how many those were.
    pub fn revoke(&self, site: &str, request: Request) -> Result<(Kept, usize), RevocationError> {
        let kept = self.revocations.add(site, request, self.limits.revocations, unix_ms() / 1000)?;
        Ok((kept, self.apply(|name| name == site)))
    }

    /// Takes a revocation back.
    pub fn take_back(&self, site: &str, number: u64) -> Result<Kept, RevocationError> {
        self.revocations.take_back(site, number, unix_ms() / 1000)
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
        if let Some(swarm) = self.shard(id).get_mut(&id) {
            work(swarm, &self.desk(), Instant::now());
        }
    }

    fn desk(&self) -> Desk<'_> {
        Desk {
            limits: &self.limits,
            metrics: &self.metrics,
            publisher: self.publisher.as_ref(),
            host: &self.host,
            revocations: &self.revocations,
            unix: unix_ms() / 1000,
        }
    }

    fn shard(&self, id: SwarmId) -> MutexGuard<'_, HashMap<SwarmId, Swarm>> {
        lock(&self.shards[usize::from(id.0[0]) % SHARDS])
    }
}

/// Why a join isn't authorised.
enum Unwelcome {
    Denied(Denied),
    Barred(Bar),
}

impl From<Denied> for Unwelcome {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Bar> for Unwelcome {
    fn from(bar: Bar) -> Self {
        Self::Barred(bar)
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
