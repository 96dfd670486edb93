//! A whole node: the port, the key, a driver for each stream, the agent, metrics, and a graceful end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rillcast_publisher::PublishingKey;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::Error;
use crate::agent;
use crate::config::Settings;
use crate::driver::{self, Joined, SwarmConfig};
use crate::metrics::{self, ServeGuard, Watched, WatchedAgent};
use crate::picture::Shared;
use crate::rtc::{Endpoint, EndpointConfig};

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
    endpoint: Arc<Endpoint>,
    tasks: JoinSet<Result<(), Error>>,
    joined: mpsc::Receiver<Joined>,
    stop: watch::Sender<bool>,
    _serving: Option<ServeGuard>,
}

impl Node {
    /// Starts it. Must be called within a tokio runtime.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        // Another provider may be installed already; any will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = match &settings.key {
            Some(path) => PublishingKey::load_or_create(path)?,
            None => PublishingKey::generate()?,
        };
        let tls = Arc::new(tls(settings.ca.as_deref())?);
        let endpoint = bind(&settings, settings.udp)?;
        let udp = endpoint.mux().local_addr().map_err(Error::Io)?;
        let (stop, stopped) = watch::channel(false);
        let (tell_joined, joined) = mpsc::channel(settings.manifests.len());
        let mut tasks = JoinSet::new();
        let mut swarms = Vec::new();
        let configs = configs(&settings);
        let agent = match settings.agent {
            None => None,
            Some(address) => {
                // A certificate stands for one visit to a swarm: a node that seeds it too needs another one, and so another port.
                let other = SocketAddr::new(settings.udp.ip(), 0);
                let own = if settings.seeds { bind(&settings, other)? } else { Arc::clone(&endpoint) };
                Some(agent::start(address, &configs, &own, &tls, &mut tasks, &stopped).await?)
            }
        };
        for config in configs.into_iter().filter(|_| settings.seeds) {
            let shared = Shared::default();
            swarms.push((rillcast_publisher::origin::bare(&config.manifest), Arc::clone(&shared)));
            tasks.spawn(driver::run(
                config,
                key.clone(),
                Arc::clone(&endpoint),
                Arc::clone(&tls),
                shared,
                tell_joined.clone(),
                stopped.clone(),
            ));
        }
        let watched = Watched {
            endpoint: Arc::clone(&endpoint),
            swarms: swarms.clone(),
            agent: agent
                .as_ref()
                .map(|a| WatchedAgent { tally: Arc::clone(&a.tally), swarms: a.swarms.clone() }),
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
        Ok(Self { udp, metrics, publisher, swarms, agent, endpoint, tasks, joined, stop, _serving: serving })
    }

    /// The next stream that was joined for the first time; `None` after the last.
    pub async fn joined(&mut self) -> Option<Joined> {
        self.joined.recv().await
    }

    /// Waits for a driver to end of itself, which it does only by an error.
    pub async fn failed(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(()))) | None => std::future::pending().await,
            Some(Err(panic)) => Error::Driver(panic.to_string()),
        }
    }

    /// The shared port.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Closes all links, so that viewers know at once, leaves signaling, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let goodbye = async {
            while self.tasks.join_next().await.is_some() {}
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

/// Of each manifest. Memory is shared by them, in every role that they have.
fn configs(settings: &Settings) -> Vec<SwarmConfig> {
    let roles = if settings.seeds && settings.agent.is_some() { 2 } else { 1 };
    let config = |manifest: &rillcast_publisher::Url| SwarmConfig {
        manifest: manifest.clone(),
        content: settings.content.clone(),
        token_file: settings.token_file.clone(),
        signal: settings.signal.clone(),
        site: settings.site.clone(),
        allow: settings.allow.clone(),
        all_renditions: settings.all_renditions,
        store_budget: settings.memory / settings.manifests.len() as u64 / roles,
        upload_cap: settings.upload_cap,
    };
    settings.manifests.iter().map(config).collect()
}

fn tls(ca: Option<&std::path::Path>) -> Result<rustls::ClientConfig, Error> {
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
