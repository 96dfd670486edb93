//! What an operator can set: flags, environment, a TOML file. README.md has the table; a test holds it to this.

pub mod amount;
mod error;
mod ingest;
mod relay;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rillcast_publisher::{Mirrors, Url};
use serde::Deserialize;

pub use amount::{Amount, Span};
pub use error::ConfigError;
pub use ingest::{MIN_INGEST, MIN_RETAIN};
pub use relay::MIN_RELAY_CAP;

use crate::cache::CacheConfig;
use crate::ingest::Config as IngestConfig;

/// Follows live streams, signs their segments' digests, and serves viewers over WebRTC on one UDP port; or lets native players take
/// part in the same swarms.
///
/// A flag goes before its environment variable, that before the file, that before the default.
#[derive(Clone, Debug, Default, Parser, Deserialize)]
#[command(name = "rillcast-seed", version)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Options {
    /// Read settings from this TOML file; its keys are the flags' names.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// HLS or DASH (.mpd) manifest of a stream to seed, or to play through the agent, as viewers' players load it. Repeatable.
    #[arg(long, value_name = "URL", env = "RILLCAST_SEED_MANIFEST", value_delimiter = ' ')]
    pub manifest: Vec<String>,
    /// Signaling's WebSocket, such as wss://signal.example/.
    #[arg(long, value_name = "URL", env = "RILLCAST_SEED_SIGNAL")]
    pub signal: Option<String>,
    /// The site's name in signaling's settings. Default: default.
    #[arg(long, value_name = "NAME", env = "RILLCAST_SEED_SITE")]
    pub site: Option<String>,
    /// The site's own content id, where its pages name the swarm by one; with one manifest only.
    #[arg(long, value_name = "ID", env = "RILLCAST_SEED_CONTENT")]
    pub content: Option<String>,
    /// The first line of this file is the token that the site's backend signed for this node, of role publisher. Read again
    /// at each join, so a new one needs no restart.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// The UDP port for all viewers. Default: 127.0.0.1:9200.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_UDP")]
    pub udp: Option<SocketAddr>,
    /// Tell viewers this address instead of the interfaces' own, for a node behind a NAT that forwards the port.
    /// Repeatable.
    #[arg(long, value_name = "ADDR", env = "RILLCAST_SEED_ADVERTISE", value_delimiter = ' ')]
    pub advertise: Vec<IpAddr>,
    /// The signing key's file, made if it isn't there. Default: a new key at each start.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_KEY")]
    pub key: Option<PathBuf>,
    /// Memory for media, shared by all streams. Default: 512M.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_MEMORY")]
    pub memory: Option<Amount>,
    /// Keep copies of what was fetched and signed in this directory, so that a restart needn't fetch it again; needs --key. Default:
    /// nowhere.
    #[arg(long, value_name = "DIR", env = "RILLCAST_SEED_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// Bytes on disk for copies, of all streams together. Default: 10G.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_CACHE_SIZE")]
    pub cache_size: Option<Amount>,
    /// How long a copy is kept, such as 12h. Default: 7d.
    #[arg(long, value_name = "TIME", env = "RILLCAST_SEED_CACHE_KEEP")]
    pub cache_keep: Option<Span>,
    /// Bytes per second given to viewers of one stream together; 0 is no cap. Default: 0.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_UPLOAD_CAP")]
    pub upload_cap: Option<Amount>,
    /// Bytes per second given to the viewers of all streams together; 0 is no cap. Default: 0.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_SITE_CAP")]
    pub site_cap: Option<Amount>,
    /// Let what is uploaded yield to everything else on this machine's uplink, whatever the site says.
    #[arg(long, env = "RILLCAST_SEED_YIELDS")]
    pub yields: bool,
    /// When told to end, take up to so long to finish what viewers were promised; 0s ends at once. Default: 10s.
    #[arg(long, value_name = "TIME", env = "RILLCAST_SEED_DRAIN")]
    pub drain: Option<Span>,
    /// Follow every rendition of the manifests, not only those that linked viewers play.
    #[arg(long, env = "RILLCAST_SEED_ALL_RENDITIONS")]
    pub all_renditions: bool,
    /// Of the segments that another publisher has signed, fetch one in so many (up to 255) all the same and compare, so that nobody can lie unnoticed;
    /// 0 is none. Seeds that share a stream take turns. Default: 8.
    #[arg(long, value_name = "N", env = "RILLCAST_SEED_AUDIT")]
    pub audit: Option<u8>,
    /// Let segments and playlists come from under this URL prefix too: a manifest's own origin needs no mention.
    /// Repeatable.
    #[arg(long, value_name = "URL-PREFIX", env = "RILLCAST_SEED_ALLOW", value_delimiter = ' ')]
    pub allow: Vec<String>,
    /// When what lies under the first prefix can't be had, fetch it from under the second one. Repeatable, at most 16; tried in their
    /// order.
    #[arg(long, value_name = "PREFIX=PREFIX", env = "RILLCAST_SEED_FALLBACK", value_delimiter = ' ')]
    pub fallback: Vec<String>,
    /// Most viewers linked at a time. Default: 512.
    #[arg(long, value_name = "N", env = "RILLCAST_SEED_MAX_LINKS")]
    pub max_links: Option<usize>,
    /// Be an agent: native players play the manifests through this address, and take part in their swarms. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_AGENT")]
    pub agent: Option<SocketAddr>,
    /// Seed the manifests as well, besides being an agent.
    #[arg(long, env = "RILLCAST_SEED_SEED")]
    pub seed: bool,
    /// Sign the digests of the manifests' segments and do nothing else: hold nothing, give nothing, have no links. For a node beside a packager.
    #[arg(long, env = "RILLCAST_SEED_PUBLISH_ONLY")]
    pub publish_only: bool,
    /// Relay (TURN over UDP) at this address for viewers whom no direct path joins, where the site has no TURN server. What passes is sealed. Default:
    /// nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_RELAY")]
    pub relay: Option<SocketAddr>,
    /// Address of the relays, as peers reach it, and behind a NAT what it is here: 203.0.113.7/10.0.0.7. Once for IPv4, once for IPv6. Default: that of
    /// --relay.
    #[arg(long, value_name = "PUBLIC[/LOCAL]", env = "RILLCAST_SEED_RELAY_ADDRESS", value_delimiter = ' ')]
    pub relay_address: Vec<String>,
    /// Ports of the relays. Default: 49152-65535.
    #[arg(long, value_name = "FROM-TO", env = "RILLCAST_SEED_RELAY_PORTS")]
    pub relay_ports: Option<String>,
    /// Relay into this private range too: the public internet needs no mention. Repeatable.
    #[arg(long, value_name = "CIDR", env = "RILLCAST_SEED_RELAY_ALLOW", value_delimiter = ' ')]
    pub relay_allow: Vec<String>,
    /// Bytes per second relayed, each way counted, for all viewers together. Default: 4M.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_RELAY_CAP")]
    pub relay_cap: Option<Amount>,
    /// Take streams that encoders push over HTTP (HLS, DASH) at this address, and be their origin. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_INGEST")]
    pub ingest: Option<SocketAddr>,
    /// The same over TLS, for encoders elsewhere and viewers. --ingest is then a port of this machine's own, unless it is given. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_INGEST_TLS")]
    pub ingest_tls: Option<SocketAddr>,
    /// Certificate chain for --ingest-tls, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_INGEST_CERT")]
    pub ingest_cert: Option<PathBuf>,
    /// Its private key, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_INGEST_CERT_KEY")]
    pub ingest_cert_key: Option<PathBuf>,
    /// Where viewers find what is pushed: manifests under this prefix are this node's own. A proxy before it keeps paths. Default:
    /// http://ADDR:PORT/ of --ingest.
    #[arg(long, value_name = "URL-PREFIX", env = "RILLCAST_SEED_INGEST_URL")]
    pub ingest_url: Option<String>,
    /// Keep what is pushed in this directory, which belongs to this node alone.
    #[arg(long, value_name = "DIR", env = "RILLCAST_SEED_INGEST_DIR")]
    pub ingest_dir: Option<PathBuf>,
    /// Bytes on disk for what is pushed, of all streams together. Default: 10G.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_INGEST_SIZE")]
    pub ingest_size: Option<Amount>,
    /// The stream keys: lines of a stream's name (or *) and the key with which it is pushed. Read again when changed.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_INGEST_KEYS")]
    pub ingest_keys: Option<PathBuf>,
    /// Play a linear channel by this schedule (TOML), found at --ingest's address. Repeatable, at most 16.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_CHANNEL", value_delimiter = ' ')]
    pub channel: Vec<PathBuf>,
    /// How long what is pushed is kept, so that viewers can go back in time. Default: 1h.
    #[arg(long, value_name = "TIME", env = "RILLCAST_SEED_RETAIN")]
    pub retain: Option<Span>,
    /// Serve /metrics and /health here. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Trust this certificate authority (PEM) for wss, besides the system's.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_CA")]
    pub ca: Option<PathBuf>,
    /// Write the log for people (text) or for programs (json: one object a line). Not in the file, which is read when the log has
    /// begun.
    #[arg(long, value_name = "FORMAT", env = "RILLCAST_SEED_LOG_FORMAT", default_value = "text")]
    #[serde(skip)]
    pub log_format: LogFormat,
    /// Serve addresses other than loopback without a token, or the agent or metrics to everybody, or let everybody push.
    #[arg(long, env = "RILLCAST_SEED_INSECURE_OPEN")]
    pub insecure_open: bool,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where signaling's WebSocket is, if the URL names no path.
const WEBSOCKET: &str = "/ws";
/// Most streams of one node.
pub const MAX_MANIFESTS: usize = 16;
/// Least memory: a few segments of every rendition.
pub const MIN_MEMORY: u64 = 16 * 1024 * 1024;
/// Least disk: two of the longest segments, with their digests.
pub const MIN_CACHE: u64 = 64 * 1024 * 1024;
/// Least time that copies are kept for.
pub const MIN_KEEP: Duration = Duration::from_secs(1);
/// Least bytes/s of all streams: less is no use to any of them.
pub const MIN_SITE_CAP: u32 = 64 * 1024;
/// Longest time to leave in.
pub const MAX_DRAIN: Duration = Duration::from_secs(3600);
const DRAIN: Duration = Duration::from_secs(10);
const AUDIT: u8 = 8;
const CACHE_SIZE: u64 = 10 << 30;
const CACHE_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Settings with everything decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams.
    pub manifests: Vec<Url>,
    /// Signaling; none without manifests.
    pub signal: Option<Url>,
    /// Site.
    pub site: String,
    /// Content id.
    pub content: Option<String>,
    /// Where its token is.
    pub token_file: Option<PathBuf>,
    /// The UDP port.
    pub udp: SocketAddr,
    /// Addresses told.
    pub advertise: Vec<IpAddr>,
    /// The key's file.
    pub key: Option<PathBuf>,
    /// Bytes for media.
    pub memory: u64,
    /// Where copies are kept.
    pub cache: Option<CacheConfig>,
    /// Bytes/s; 0 is no cap.
    pub upload_cap: u32,
    /// Bytes/s of all streams together; 0 is no cap.
    pub site_cap: u32,
    /// What is uploaded yields to everything else on the uplink.
    pub yields: bool,
    /// How long it may take to leave.
    pub drain: Duration,
    /// Every rendition.
    pub all_renditions: bool,
    /// One in so many of others' segments is checked; 0 is none.
    pub audit: u8,
    /// More URL prefixes.
    pub allow: Vec<String>,
    /// Other places of what origins serve.
    pub mirrors: Arc<Mirrors>,
    /// Most links.
    pub max_links: usize,
    /// The agent's address.
    pub agent: Option<SocketAddr>,
    /// The manifests are seeded.
    pub seeds: bool,
    /// Their digests are signed, and that is all.
    pub publish_only: bool,
    /// Relays for viewers.
    pub relay: Option<crate::relay::Config>,
    /// The origin that encoders push to.
    pub ingest: Option<IngestConfig>,
    /// Where viewers find what is pushed, if that isn't its own address.
    pub ingest_url: Option<Url>,
    /// The metrics' address.
    pub metrics: Option<SocketAddr>,
    /// One more certificate authority.
    pub ca: Option<PathBuf>,
}

impl Options {
    /// Fills in what only the file says, and decides the rest.
    pub fn settle(mut self) -> Result<Settings, ConfigError> {
        if let Some(path) = self.config.take() {
            self = self.over(Self::read(&path)?);
        }
        if self.ingest_tls.is_some() && self.ingest.is_none() {
            self.ingest = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        if self.manifest.is_empty() && (self.ingest.is_none() || self.agent.is_some()) {
            return Err(ConfigError::NoManifest);
        }
        if self.manifest.len() > MAX_MANIFESTS {
            return Err(ConfigError::TooManyManifests(self.manifest.len()));
        }
        if self.content.is_some() && self.manifest.len() > 1 {
            return Err(ConfigError::Content);
        }
        let manifests =
            self.manifest.iter().map(|m| url("manifest", m, ["http", "https"], "http:// or https://"));
        if self.publish_only && self.agent.is_some() {
            return Err(ConfigError::PublishOnly);
        }
        let signal = self.signaling()?;
        let cache = self.cache()?;
        let relay = self.relaying()?;
        let ingest_url = self.ingest_url()?;
        let ingest = self.ingest(ingest_url.as_ref())?;
        // Where nothing is given nobody links.
        let port = if self.manifest.is_empty() || self.publish_only { 0 } else { 9200 };
        let settings = Settings {
            manifests: manifests.collect::<Result<_, _>>()?,
            signal,
            site: self.site.unwrap_or_else(|| "default".to_owned()),
            content: self.content,
            token_file: self.token_file,
            udp: self.udp.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port))),
            advertise: self.advertise,
            key: self.key,
            memory: self.memory.map_or(512 << 20, |a| a.0),
            cache,
            upload_cap: self.upload_cap.map_or(0, |a| u32::try_from(a.0).unwrap_or(0)),
            site_cap: self.site_cap.map_or(0, |a| u32::try_from(a.0).unwrap_or(u32::MAX)),
            yields: self.yields,
            drain: self.drain.map_or(DRAIN, |drain| drain.0),
            // Nobody who is linked with says what is played.
            all_renditions: self.all_renditions || self.publish_only,
            audit: self.audit.unwrap_or(AUDIT),
            allow: self.allow,
            mirrors: Arc::new(Mirrors::new(&self.fallback)?),
            max_links: self.max_links.unwrap_or(512),
            agent: self.agent,
            seeds: self.seed || self.agent.is_none(),
            publish_only: self.publish_only,
            relay,
            ingest,
            ingest_url,
            metrics: self.metrics,
            ca: self.ca,
        };
        if settings.memory < MIN_MEMORY {
            return Err(ConfigError::TooLittle("memory", MIN_MEMORY));
        }
        if settings.max_links == 0 {
            return Err(ConfigError::TooLittle("max-links", 1));
        }
        if (1..MIN_SITE_CAP).contains(&settings.site_cap) {
            return Err(ConfigError::TooLittle("site-cap", MIN_SITE_CAP.into()));
        }
        if settings.drain > MAX_DRAIN {
            return Err(ConfigError::TooLong("drain", "1h"));
        }
        let is_open =
            |address: &SocketAddr| !address.ip().to_canonical().is_loopback() && !self.insecure_open;
        // Where the site has keys, a viewer's ticket says that it has been let in.
        if is_open(&settings.udp) && settings.token_file.is_none() {
            return Err(ConfigError::Open(settings.udp));
        }
        if let Some(metrics) = settings.metrics.filter(is_open) {
            return Err(ConfigError::OpenMetrics(metrics));
        }
        if let Some(agent) = settings.agent.filter(is_open) {
            return Err(ConfigError::OpenAgent(agent));
        }
        let unlocked = settings.ingest.iter().filter(|ingest| ingest.keys.is_none());
        if let Some(ingest) = unlocked.flat_map(IngestConfig::addresses).find(is_open) {
            return Err(ConfigError::OpenIngest(ingest));
        }
        Ok(settings)
    }

    fn signaling(&self) -> Result<Option<Url>, ConfigError> {
        let Some(signal) = self.signal.as_deref() else {
            return if self.manifest.is_empty() { Ok(None) } else { Err(ConfigError::NoSignal) };
        };
        let mut signal = url("signal", signal, ["ws", "wss"], "ws:// or wss://")?;
        if signal.path() == "/" {
            signal.set_path(WEBSOCKET);
        }
        Ok(Some(signal))
    }

    fn cache(&self) -> Result<Option<CacheConfig>, ConfigError> {
        let Some(dir) = self.cache_dir.clone() else {
            let size = self.cache_size.map(|_| "cache-size");
            return size
                .or(self.cache_keep.map(|_| "cache-keep"))
                .map_or(Ok(None), |f| Err(ConfigError::NoCache(f)));
        };
        if self.key.is_none() {
            return Err(ConfigError::CacheKey);
        }
        let budget = self.cache_size.map_or(CACHE_SIZE, |size| size.0);
        let keep = self.cache_keep.map_or(CACHE_KEEP, |keep| keep.0);
        if budget < MIN_CACHE {
            return Err(ConfigError::TooLittle("cache-size", MIN_CACHE));
        }
        if keep < MIN_KEEP {
            return Err(ConfigError::TooShort("cache-keep", "1s"));
        }
        Ok(Some(CacheConfig { dir, budget, keep }))
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|e| ConfigError::File(path.to_owned(), e))?;
        toml::from_str(&text).map_err(|e| ConfigError::Toml(path.to_owned(), e.to_string()))
    }

    fn over(self, file: Self) -> Self {
        let list = |own: Vec<String>, file: Vec<String>| if own.is_empty() { file } else { own };
        Self {
            config: None,
            manifest: list(self.manifest, file.manifest),
            signal: self.signal.or(file.signal),
            site: self.site.or(file.site),
            content: self.content.or(file.content),
            token_file: self.token_file.or(file.token_file),
            udp: self.udp.or(file.udp),
            advertise: if self.advertise.is_empty() { file.advertise } else { self.advertise },
            key: self.key.or(file.key),
            memory: self.memory.or(file.memory),
            cache_dir: self.cache_dir.or(file.cache_dir),
            cache_size: self.cache_size.or(file.cache_size),
            cache_keep: self.cache_keep.or(file.cache_keep),
            upload_cap: self.upload_cap.or(file.upload_cap),
            site_cap: self.site_cap.or(file.site_cap),
            yields: self.yields || file.yields,
            drain: self.drain.or(file.drain),
            all_renditions: self.all_renditions || file.all_renditions,
            audit: self.audit.or(file.audit),
            allow: list(self.allow, file.allow),
            fallback: list(self.fallback, file.fallback),
            max_links: self.max_links.or(file.max_links),
            agent: self.agent.or(file.agent),
            seed: self.seed || file.seed,
            publish_only: self.publish_only || file.publish_only,
            relay: self.relay.or(file.relay),
            relay_address: list(self.relay_address, file.relay_address),
            relay_ports: self.relay_ports.or(file.relay_ports),
            relay_allow: list(self.relay_allow, file.relay_allow),
            relay_cap: self.relay_cap.or(file.relay_cap),
            ingest: self.ingest.or(file.ingest),
            ingest_tls: self.ingest_tls.or(file.ingest_tls),
            ingest_cert: self.ingest_cert.or(file.ingest_cert),
            ingest_cert_key: self.ingest_cert_key.or(file.ingest_cert_key),
            ingest_url: self.ingest_url.or(file.ingest_url),
            ingest_dir: self.ingest_dir.or(file.ingest_dir),
            ingest_size: self.ingest_size.or(file.ingest_size),
            ingest_keys: self.ingest_keys.or(file.ingest_keys),
            channel: if self.channel.is_empty() { file.channel } else { self.channel },
            retain: self.retain.or(file.retain),
            metrics: self.metrics.or(file.metrics),
            ca: self.ca.or(file.ca),
            log_format: self.log_format,
            insecure_open: self.insecure_open || file.insecure_open,
        }
    }
}

fn url(flag: &'static str, text: &str, schemes: [&str; 2], start: &'static str) -> Result<Url, ConfigError> {
    let wrong = || ConfigError::Url(flag, text.to_owned(), start);
    let url = Url::parse(text).map_err(|_| wrong())?;
    if schemes.contains(&url.scheme()) { Ok(url) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
