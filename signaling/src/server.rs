//! Puts the parts together and starts them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use rillcast_protocol::id::PublisherKey;
use rillcast_publisher::key::KeyError;
use rillcast_publisher::origin::OriginError;
use rillcast_publisher::{Config, Publisher, PublishingKey};
use rillcast_tls::{Certificate, TlsAcceptor, TlsError};
use thiserror::Error;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::audit::{Audit, AuditError};
use crate::auth::Open;
use crate::auth::places::{Places, PlacesError};
use crate::authority::{Authority, AuthorityError};
use crate::bundle::{self, Bundle};
use crate::geo::{GeoError, GeoFiles};
use crate::http::{self, Front};
use crate::hub::{Files, Hub};
use crate::listen::{self, Gate, Server};
use crate::options::Options;
use crate::proxy::Proxies;
use crate::receipts::{Receipts, ReceiptsError};
use crate::revocation::{Store, StoreError};
use crate::site::{Changes, ChangesError, SettingsError, SettingsFile, Sites};
use crate::{random, watch as files};
use rillcast_relay::stun::{self, Guard};

/// Why the server doesn't start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address that others reach, and a site without authorisation.
    #[error(
        "{address} can be reached from other machines, but nobody would be asked for authorisation: [{table}] has no \
         keys, so anyone could join its swarms and take its viewers' addresses. Give it [[{table}.keys]] (make one \
         with: rillcast-token keygen), listen on 127.0.0.1, or accept that with --insecure-open"
    )]
    Open {
        /// The address.
        address: SocketAddr,
        /// Where the settings file lacks keys.
        table: String,
    },
    /// `--turn` without a relay's address.
    #[error(
        "--turn {0} says no address that relays could have; name the one by which peers reach this machine with \
         --turn-relay, such as --turn-relay 203.0.113.7"
    )]
    NoRelay(SocketAddr),
    /// An address that relays can't have.
    #[error(
        "relays can't be bound to {0}: {1}; is it an address of this machine? Behind a NAT write both addresses: \
         --turn-relay PUBLIC/LOCAL"
    )]
    Relay(IpAddr, std::io::Error),
    /// An address that can't be had.
    #[error("can't listen on {0}: {1}; is it in use, or not an address of this machine?")]
    Listen(SocketAddr, std::io::Error),
    /// `--listen-tls` without its files.
    #[error("--listen-tls needs --cert FILE and --key FILE")]
    NoCertificate,
    /// A file of the operator's.
    #[error("{0}: {1}; check the path and its permissions")]
    File(PathBuf, std::io::Error),
    /// A secret that isn't one.
    #[error("{0}: {1}")]
    Secret(PathBuf, &'static str),
    /// Settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A database of countries or providers.
    #[error(transparent)]
    Geo(#[from] GeoError),
    /// What was revoked before.
    #[error(transparent)]
    Revocations(#[from] StoreError),
    /// From where tokens were used.
    #[error(transparent)]
    Places(#[from] PlacesError),
    /// What was changed at run time.
    #[error(transparent)]
    Changes(#[from] ChangesError),
    /// The audit log.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The log of receipts.
    #[error(transparent)]
    Receipts(#[from] ReceiptsError),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The publisher's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The keys that sign tickets.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The publisher's client.
    #[error("the built-in publisher can't start: {0}")]
    Publisher(#[from] OriginError),
}

/// A server that runs until it's dropped or told to stop.
#[derive(Debug)]
pub struct Running {
    /// Plain listeners, as bound.
    pub listening: Vec<SocketAddr>,
    /// TLS listeners, as bound.
    pub listening_tls: Vec<SocketAddr>,
    /// STUN, as bound.
    pub stun: Vec<SocketAddr>,
    /// TURN, as bound.
    pub turn: Vec<SocketAddr>,
    /// The built-in publisher's key.
    pub publisher: Option<PublisherKey>,
    /// The swarms.
    pub hub: Arc<Hub>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Ends all connections and frees the addresses.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        self.hub.close();
        self.tasks.shutdown().await;
    }
}

/// Binds every address and starts serving. Must be called within a tokio runtime.
//
// Boxed, so that what it runs is compiled here, and not once more in every program and test that starts a server.
pub fn start(options: Options) -> BoxFuture<'static, Result<Running, StartError>> {
    Box::pin(start_here(options))
}

async fn start_here(mut options: Options) -> Result<Running, StartError> {
    if options.listen.is_empty() && options.listen_tls.is_empty() {
        options.listen.push(SocketAddr::from(([127, 0, 0, 1], 9100)));
    }
    let file = match &options.config {
        Some(path) => SettingsFile::read(path)?,
        None => SettingsFile::default(),
    };
    let mut limits = file.limits.clone();
    if options.no_hosting {
        limits.hosted_bytes = 0;
    }
    let geo = GeoFiles { country: options.geo_country.clone(), asn: options.geo_asn.clone() };
    let mut sites = Sites::located(&file, options.publish.clone(), geo.tells())?;
    let changes = match &options.state_dir {
        Some(dir) => {
            let (changes, all) = Changes::open(&dir.join("changes.json"))?;
            sites.restore(all)?;
            changes
        }
        None => Changes::default(),
    };
    refuse_open(&options, &sites)?;
    let open = if options.insecure_open { Open::Everyone } else { Open::Loopback };
    let key = match &options.state_dir {
        Some(dir) => PublishingKey::load_or_create(&dir.join("publisher.key"))?,
        None => PublishingKey::generate()?,
    };
    let config = Config {
        backlog: limits.publish_backlog,
        settle: Duration::from_millis(limits.publish_settle_ms),
        max_tracks: limits.tracks,
        max_fetches: limits.fetches,
        playlists: true,
        // Viewers ask for the digests of what they are about to play. Anything digested beyond that is a copy which
        // nobody may come to play: they start with one rendition and go on with another.
        lead: None,
        ..Config::default()
    };
    let (publisher, events) = Publisher::new(key, config)?;
    let secret = secret(options.state_dir.as_deref())?;
    let authority = match &options.state_dir {
        Some(dir) => Authority::open(&dir.join("authority.keys"), options.rotate_authority)?,
        None if options.rotate_authority => return Err(AuthorityError::NoStateDir.into()),
        None => Authority::fresh()?,
    };
    let public = publisher.key();
    let kept = Files {
        geo: geo.load()?,
        revocations: match &options.state_dir {
            Some(dir) => Store::open(&dir.join("revocations.json"))?,
            None => Store::default(),
        },
        audit: options.audit_log.as_deref().map(Audit::open).transpose()?.unwrap_or_default(),
        receipts: options.receipts.as_deref().map(Receipts::open).transpose()?.unwrap_or_default(),
        changes,
        places: match &options.state_dir {
            Some(dir) => Some(Places::open(&dir.join("used-tokens"), authority.now_ms() / 1000)?),
            None => None,
        },
    };
    let hub = Hub::new(limits, sites, Some(publisher), (secret, authority), open, kept);
    let certificate = match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => Some(Certificate::load(cert, key)?),
        _ if options.listen_tls.is_empty() => None,
        _ => return Err(StartError::NoCertificate),
    };
    let bundle = match &options.bundle {
        Some(dir) => Bundle::load(dir).map_err(|e| StartError::File(dir.clone(), e))?,
        None => Bundle::embedded(),
    };
    if bundle.is_empty() {
        tracing::warn!("{}", bundle::MISSING.trim_end());
    }
    let admin = match &options.admin_token_file {
        Some(path) => Some(Arc::new(Admin::new(&token(path)?, &hub.limits))),
        None => None,
    };
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut stun = Vec::new();
    for address in &options.stun {
        let socket = UdpSocket::bind(address).await.map_err(|e| StartError::Listen(*address, e))?;
        stun.push(socket.local_addr().map_err(|e| StartError::Listen(*address, e))?);
        let guard = Guard::new(&hub.limits.relay(), Instant::now());
        tasks.spawn(stun::serve(socket, guard, hub.metrics.relay.clone()));
    }
    let turn = relay(&options, &hub, &mut tasks).await?;
    let front = Front {
        hub: hub.clone(),
        bundle: Arc::new(bundle),
        stun_ports: stun.iter().map(SocketAddr::port).collect(),
        stun_also: options.stun_also.clone(),
        turn_port: turn.first().map(SocketAddr::port),
        insecure_open: options.insecure_open,
        metrics_open: options.metrics_open,
        started: Instant::now(),
        admin,
    };
    let server = Server {
        router: http::router(front),
        gate: Gate::new(&hub.limits, hub.metrics.clone()),
        proxies: Proxies::new(&options.trusted_proxy),
        handshake: hub.limits.handshake(),
        http: Duration::from_secs(hub.limits.http_secs),
        stop: stopped,
    };
    let mut listening = Vec::new();
    for address in &options.listen {
        listening.push(listen_on(*address, None, &server, &mut tasks).await?);
    }
    let mut listening_tls = Vec::new();
    for address in &options.listen_tls {
        let acceptor = certificate.as_ref().map(Certificate::acceptor);
        listening_tls.push(listen_on(*address, acceptor, &server, &mut tasks).await?);
    }
    tasks.spawn(hub.clone().listen(events));
    tasks.spawn(hub.clone().tick());
    tasks.spawn(files::run(hub.clone(), options.config.clone(), certificate, geo));
    if options.insecure_open && hub.open_table().is_some() {
        tracing::warn!(
            "--insecure-open: NOBODY IS ASKED FOR AUTHORISATION where a site has no keys. Anyone who reaches this server \
             can join its swarms"
        );
    }
    Ok(Running { listening, listening_tls, stun, turn, publisher: Some(public), hub, tasks, stop })
}

async fn listen_on(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    server: &Server,
    tasks: &mut JoinSet<()>,
) -> Result<SocketAddr, StartError> {
    let listener = TcpListener::bind(address).await.map_err(|e| StartError::Listen(address, e))?;
    let bound = listener.local_addr().map_err(|e| StartError::Listen(address, e))?;
    tasks.spawn(listen::accept(listener, tls, server.clone()));
    Ok(bound)
}

/// Starts the TURN server, if there is to be one.
async fn relay(
    options: &Options,
    hub: &Arc<Hub>,
    tasks: &mut JoinSet<()>,
) -> Result<Vec<SocketAddr>, StartError> {
    if options.turn.is_empty() {
        return Ok(Vec::new());
    }
    let place = rillcast_relay::Place {
        listen: options.turn.clone(),
        addresses: options.turn_relay.clone(),
        ports: options.turn_ports.clone().unwrap_or_default(),
        allow: options.turn_allow.clone(),
    };
    let started =
        rillcast_relay::start(&place, hub.turn.clone(), &hub.limits.relay(), hub.metrics.relay.clone()).await;
    let (bound, serves) = started.map_err(|error| match error {
        rillcast_relay::StartError::NoAddress(at) => StartError::NoRelay(at),
        rillcast_relay::StartError::Relay(at, error) => StartError::Relay(at, error),
        rillcast_relay::StartError::Listen(at, error) => StartError::Listen(at, error),
    })?;
    tasks.spawn(serves);
    Ok(bound)
}

/// Without authorisation only this machine may come in, unless the operator says otherwise.
fn refuse_open(options: &Options, sites: &Sites) -> Result<(), StartError> {
    let mut all = options.listen.iter().chain(&options.listen_tls);
    let reached = all.find(|a| !a.ip().to_canonical().is_loopback());
    match (reached, sites.open()) {
        (Some(address), Some(table)) if !options.insecure_open => {
            Err(StartError::Open { address: *address, table })
        }
        _ => Ok(()),
    }
}

/// What keeps swarm ids from being guessed.
fn secret(state_dir: Option<&Path>) -> Result<[u8; 32], StartError> {
    let Some(dir) = state_dir else { return Ok(random::fresh()) };
    let path = dir.join("swarm.key");
    // Same form, same protection and same messages as the publisher's key.
    let key = PublishingKey::load_or_create(&path)?;
    Ok(blake3::derive_key("rillcast swarm secret v1", &key.secret()))
}

fn token(path: &Path) -> Result<String, StartError> {
    let text = std::fs::read_to_string(path).map_err(|e| StartError::File(path.to_owned(), e))?;
    let token = text.lines().next().unwrap_or("").trim();
    if token.len() < 16 {
        let why = "the admin token must have at least 16 characters; make one with: openssl rand -hex 32";
        return Err(StartError::Secret(path.to_owned(), why));
    }
    Ok(token.to_owned())
}
