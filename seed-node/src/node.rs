//! A whole node: the port, the key, a driver for each stream, the agent, metrics, and a graceful end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rillcast_publisher::{Copies, PublishingKey, Url};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::Error;
use crate::agent;
use crate::cache::Cache;
use crate::config::Settings;
use crate::driver::{self, Joined, Stage, SwarmConfig};
use crate::ingest;
use crate::metrics::{self, ServeGuard, Watched, WatchedAgent};
use crate::picture::Shared;
use crate::relay;
use crate::rtc::{Endpoint, EndpointConfig};
use crate::share::{self, Share};

/// How long links may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A node that runs until stopped or dropped.
#[derive(Debug)]
pub struct Node {
    /// Where viewers reach it.
    pub udp: SocketAddr,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// Whose signature its digests carry.
    pub publisher: rillcast_protocol::id::PublisherKey,
    /// The pictures of the swarms that it seeds.
    pub swarms: Vec<(String, Shared)>,
    /// What native players play through, if they do.
    pub agent: Option<agent::Running>,
    /// What encoders push to, if they do.
    pub ingest: Option<ingest::Running>,
    /// The relay, if there is one.
    pub relay: Option<relay::Running>,
    endpoint: Arc<Endpoint>,
    seeds: JoinSet<Result<(), Error>>,
    /// The agent's tasks, and those of what encoders push to.
    served: JoinSet<Result<(), Error>>,
    joined: mpsc::Receiver<Joined>,
    stage: watch::Sender<Stage>,
    stop: watch::Sender<bool>,
    _serving: Option<ServeGuard>,
}

impl Node {
    /// Starts it. Must be called within a tokio runtime.
    //
    // Boxed, so that what it runs is compiled here, and not once more in every program and test that starts a node.
    pub fn start(settings: Settings) -> BoxFuture<'static, Result<Self, Error>> {
        Box::pin(Self::start_here(settings))
    }

    async fn start_here(settings: Settings) -> Result<Self, Error> {
        // Another provider may be installed already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = match &settings.key {
            Some(path) => PublishingKey::load_or_create(path)?,
            None => PublishingKey::generate()?,
        };
        let cache = match &settings.cache {
            Some(config) => Some(Arc::new(Cache::open(config, key.public())?)),
            None => None,
        };
        let tls = Arc::new(tls(settings.ca.as_deref())?);
        let endpoint = bind(&settings, settings.udp)?;
        let udp = endpoint.mux().local_addr().map_err(Error::Io)?;
        let (stop, stopped) = watch::channel(false);
        let (tell_joined, joined) = mpsc::channel(settings.manifests.len().max(1));
        let (stage, staged) = watch::channel(Stage::Serving);
        let (mut seeds, mut served) = (JoinSet::new(), JoinSet::new());
        let mut swarms = Vec::new();
        let ingest = match &settings.ingest {
            None => None,
            Some(config) => Some(ingest::start(config, &mut served, &stopped).await?),
        };
        let relay = match &settings.relay {
            None => None,
            Some(config) => Some(relay::start(config, &key, &mut served, &stopped).await?),
        };
        let shares = shares(&settings);
        let mut seeded = configs(&settings, cache.as_ref(), &shares);
        seeded.iter_mut().for_each(|config| config.relay = relay.as_ref().map(|relay| relay.offer));
        if let Some(ingest) = &ingest {
            let own = seeded.iter_mut().filter(|config| settings.is_pushed(&config.manifest, ingest.address));
            own.for_each(|config| at_home(config, ingest));
        }
        // The last shares, where each manifest has two roles.
        let played = configs(&settings, None, &shares[shares.len().saturating_sub(seeded.len())..]);
        let agent = match settings.agent {
            None => None,
            Some(address) => {
                // A certificate stands for one visit to a swarm: a node that seeds it too needs another one, and so another port.
                let other = SocketAddr::new(settings.udp.ip(), 0);
                let own = if settings.seeds { bind(&settings, other)? } else { Arc::clone(&endpoint) };
                Some(agent::start(address, &played, &own, &tls, &mut served, &stopped).await?)
            }
        };
        for config in seeded.into_iter().filter(|_| settings.seeds) {
            let shared = Shared::default();
            swarms.push((rillcast_publisher::origin::bare(&config.manifest), Arc::clone(&shared)));
            seeds.spawn(driver::run(
                config,
                key.clone(),
                Arc::clone(&endpoint),
                Arc::clone(&tls),
                shared,
                tell_joined.clone(),
                staged.clone(),
            ));
        }
        let watched = Watched {
            endpoint: Arc::clone(&endpoint),
            swarms: swarms.clone(),
            mirrors: Arc::clone(&settings.mirrors),
            cache,
            agent: agent
                .as_ref()
                .map(|a| WatchedAgent { tally: Arc::clone(&a.tally), swarms: a.swarms.clone() }),
            ingest: ingest.as_ref().map(|ingest| Arc::clone(&ingest.library)),
            relay: relay.as_ref().map(|relay| Arc::clone(&relay.counters)),
        };
        let (metrics, serving) = match settings.metrics {
            None => (None, None),
            Some(address) => {
                let (bound, guard) =
                    metrics::serve(address, watched).await.map_err(|e| Error::Metrics(address, e))?;
                (Some(bound), Some(guard))
            }
        };
        let publisher = key.public();
        Ok(Self {
            udp,
            metrics,
            publisher,
            swarms,
            agent,
            ingest,
            relay,
            endpoint,
            seeds,
            served,
            joined,
            stage,
            stop,
            _serving: serving,
        })
    }

    /// The next stream that was joined for the first time; `None` after the last.
    pub async fn joined(&mut self) -> Option<Joined> {
        self.joined.recv().await
    }

    /// Waits for a driver to end of itself, which it does only by an error.
    pub async fn failed(&mut self) -> Error {
        let ended = tokio::select! {
            Some(ended) = self.seeds.join_next() => ended,
            Some(ended) = self.served.join_next() => ended,
            else => return std::future::pending().await,
        };
        match ended {
            Ok(Err(error)) => error,
            Ok(Ok(())) => std::future::pending().await,
            Err(panic) => Error::Driver(panic.to_string()),
        }
    }

    /// The shared port.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Sets out to leave: signaling sends nobody here any more, viewers ask for nothing more, and what they were promised is finished.
    /// Waits until it is, but no longer than this; then [`stop`](Self::stop) is due. May be dropped, to stop at once.
    pub async fn drain(&mut self, within: Duration) {
        self.stage.send_replace(Stage::Leaving);
        let given = async { while self.seeds.join_next().await.is_some() {} };
        if tokio::time::timeout(within, given).await.is_err() {
            tracing::warn!(
                "not all that viewers were promised could be given in time; they get it elsewhere"
            );
        }
    }

    /// Closes all links, so that viewers know at once, leaves signaling, and ends.
    pub async fn stop(mut self) {
        self.stage.send_replace(Stage::Ending);
        self.stop.send_replace(true);
        let goodbye = async {
            while self.seeds.join_next().await.is_some() {}
            while self.served.join_next().await.is_some() {}
            while self.endpoint.mux().routes().0 > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            tracing::warn!("some links didn't close in time; their viewers will find out by themselves");
        }
    }
}

fn bind(settings: &Settings, udp: SocketAddr) -> Result<Arc<Endpoint>, Error> {
    let config = EndpointConfig { udp, advertise: settings.advertise.clone(), max_links: settings.max_links };
    Ok(Endpoint::bind(&config)?)
}

/// How many visits each manifest's swarm gets.
fn roles(settings: &Settings) -> usize {
    if settings.seeds && settings.agent.is_some() { 2 } else { 1 }
}

/// Of what all streams may give together, one for each manifest in each role; none without a cap.
fn shares(settings: &Settings) -> Vec<Share> {
    match settings.site_cap {
        0 => Vec::new(),
        _ if settings.manifests.is_empty() => Vec::new(),
        cap => share::divide(cap, settings.manifests.len() * roles(settings)),
    }
}

/// Of each manifest. Memory is shared by them, in every role that they have.
fn configs(settings: &Settings, cache: Option<&Arc<Cache>>, shares: &[Share]) -> Vec<SwarmConfig> {
    let Some(signal) = &settings.signal else { return Vec::new() };
    let config = |(at, manifest): (usize, &Url)| SwarmConfig {
        manifest: manifest.clone(),
        at: manifest.clone(),
        changes: None,
        content: settings.content.clone(),
        token_file: settings.token_file.clone(),
        signal: signal.clone(),
        site: settings.site.clone(),
        allow: settings.allow.clone(),
        all_renditions: settings.all_renditions,
        audit: settings.audit,
        publish_only: settings.publish_only,
        relay: None,
        store_budget: settings.memory / settings.manifests.len() as u64 / roles(settings) as u64,
        upload_cap: settings.upload_cap,
        share: shares.get(at).cloned(),
        yields: settings.yields,
        mirrors: Arc::clone(&settings.mirrors),
        copies: cache.map(|cache| Arc::clone(cache) as Arc<dyn Copies>),
    };
    settings.manifests.iter().enumerate().map(config).collect()
}

/// A manifest of this node's own is fetched without a way round by its public address, and looked at as soon as it changes.
fn at_home(config: &mut SwarmConfig, ingest: &ingest::Running) {
    let ip = match ingest.address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let address = SocketAddr::new(ip, ingest.address.port());
    if let Ok(at) = Url::parse(&format!("http://{address}{}", config.manifest.path())) {
        config.at = at;
        config.changes = Some(ingest.library.changes());
    }
}

/// What `wss://` is checked with.
pub(crate) fn tls(ca: Option<&std::path::Path>) -> Result<rustls::ClientConfig, Error> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    // Certificates that can't be read are of no use to anybody; whether enough are left shows in connecting.
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = ca {
        let wrong = |e: String| Error::Ca(path.to_owned(), e);
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| wrong(e.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
            roots.add(certificate).map_err(|e| wrong(e.to_string()))?;
        }
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}
