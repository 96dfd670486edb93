//! What an operator can set: flags, environment, a TOML file. README.md has the table; a test holds it to this.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Parser;
use rillcast_publisher::Url;
use serde::Deserialize;
use thiserror::Error;

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
    /// Manifest of a stream to seed, or to play through the agent, as viewers' players load it. Repeatable.
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
    /// Bytes per second given to viewers of one stream together; 0 is no cap. Default: 0.
    #[arg(long, value_name = "BYTES", env = "RILLCAST_SEED_UPLOAD_CAP")]
    pub upload_cap: Option<Amount>,
    /// Follow every rendition of the manifests, not only those that linked viewers play.
    #[arg(long, env = "RILLCAST_SEED_ALL_RENDITIONS")]
    pub all_renditions: bool,
    /// Let segments and playlists come from under this URL prefix too: a manifest's own origin needs no mention.
    /// Repeatable.
    #[arg(long, value_name = "URL-PREFIX", env = "RILLCAST_SEED_ALLOW", value_delimiter = ' ')]
    pub allow: Vec<String>,
    /// Most viewers linked at a time. Default: 512.
    #[arg(long, value_name = "N", env = "RILLCAST_SEED_MAX_LINKS")]
    pub max_links: Option<usize>,
    /// Be an agent: native players play the manifests through this address, and take part in their swarms. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_AGENT")]
    pub agent: Option<SocketAddr>,
    /// Seed the manifests as well, besides being an agent.
    #[arg(long, env = "RILLCAST_SEED_SEED")]
    pub seed: bool,
    /// Serve /metrics and /health here. Default: nowhere.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SEED_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Trust this certificate authority (PEM) for wss, besides the system's.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SEED_CA")]
    pub ca: Option<PathBuf>,
    /// Serve addresses other than loopback without a token, or the agent or metrics to everybody.
    #[arg(long, env = "RILLCAST_SEED_INSECURE_OPEN")]
    pub insecure_open: bool,
}

/// A number of bytes: digits, then K, M or G for powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "AmountText")]
pub struct Amount(pub u64);

#[derive(Deserialize)]
#[serde(untagged)]
enum AmountText {
    Number(u64),
    Text(String),
}

impl TryFrom<AmountText> for Amount {
    type Error = ConfigError;
    fn try_from(text: AmountText) -> Result<Self, ConfigError> {
        match text {
            AmountText::Number(n) => Ok(Self(n)),
            AmountText::Text(t) => t.parse(),
        }
    }
}

impl FromStr for Amount {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Amount(text.to_owned());
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
            Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
            Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let n: u64 = digits.parse().map_err(|_| wrong())?;
        n.checked_mul(1 << shift).map(Self).ok_or_else(wrong)
    }
}

/// Something is set wrongly.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file isn't what it should be.
    #[error("{0}: {1}")]
    Toml(PathBuf, String),
    /// Nothing to seed.
    #[error("no stream to seed; give at least one --manifest URL")]
    NoManifest,
    /// More than can be run.
    #[error("{0} manifests, but one node seeds at most {MAX_MANIFESTS}; start another node")]
    TooManyManifests(usize),
    /// No signaling.
    #[error("no signaling server; give --signal, such as --signal ws://127.0.0.1:9100/")]
    NoSignal,
    /// Not a URL of the right kind.
    #[error("--{0} {1:?} isn't a URL that starts with {2}")]
    Url(&'static str, String, &'static str),
    /// A content id for several manifests.
    #[error("--content names one swarm, but there are several manifests; start a node for each")]
    Content,
    /// Not an amount.
    #[error("{0:?} isn't a number of bytes; write 536870912 or 512M")]
    Amount(String),
    /// Out of bounds.
    #[error("--{0} must be at least {1}")]
    TooLittle(&'static str, u64),
    /// Viewers of a site without keys.
    #[error(
        "--udp {0} can be reached by others, and without --token-file the site asks nobody for a token: whoever likes could be \
         served; name the token's file, use a loopback address, or add --insecure-open if that is what you want"
    )]
    Open(SocketAddr),
    /// Metrics for everybody.
    #[error(
        "--metrics {0} can be reached by others, who are not asked who they are; use a loopback address, or add \
         --insecure-open if that is what you want"
    )]
    OpenMetrics(SocketAddr),
    /// An agent for everybody.
    #[error(
        "--agent {0} can be reached by others, who could play what this machine may; use a loopback address, or add \
         --insecure-open if that is what you want"
    )]
    OpenAgent(SocketAddr),
}

/// Where signaling's WebSocket is, if the URL names no path.
const WEBSOCKET: &str = "/ws";
/// Most streams of one node.
pub const MAX_MANIFESTS: usize = 16;
/// Least memory: a few segments of every rendition.
pub const MIN_MEMORY: u64 = 16 * 1024 * 1024;

/// Settings with everything decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Streams.
    pub manifests: Vec<Url>,
    /// Signaling.
    pub signal: Url,
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
    /// Bytes/s; 0 is no cap.
    pub upload_cap: u32,
    /// Every rendition.
    pub all_renditions: bool,
    /// More URL prefixes.
    pub allow: Vec<String>,
    /// Most links.
    pub max_links: usize,
    /// The agent's address.
    pub agent: Option<SocketAddr>,
    /// The manifests are seeded.
    pub seeds: bool,
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
        if self.manifest.is_empty() {
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
        let signal = self.signal.as_deref().ok_or(ConfigError::NoSignal)?;
        let mut signal = url("signal", signal, ["ws", "wss"], "ws:// or wss://")?;
        if signal.path() == "/" {
            signal.set_path(WEBSOCKET);
        }
        let settings = Settings {
            manifests: manifests.collect::<Result<_, _>>()?,
            signal,
            site: self.site.unwrap_or_else(|| "default".to_owned()),
            content: self.content,
            token_file: self.token_file,
            udp: self.udp.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9200))),
            advertise: self.advertise,
            key: self.key,
            memory: self.memory.map_or(512 << 20, |a| a.0),
            upload_cap: self.upload_cap.map_or(0, |a| u32::try_from(a.0).unwrap_or(0)),
            all_renditions: self.all_renditions,
            allow: self.allow,
            max_links: self.max_links.unwrap_or(512),
            agent: self.agent,
            seeds: self.seed || self.agent.is_none(),
            metrics: self.metrics,
            ca: self.ca,
        };
        if settings.memory < MIN_MEMORY {
            return Err(ConfigError::TooLittle("memory", MIN_MEMORY));
        }
        if settings.max_links == 0 {
            return Err(ConfigError::TooLittle("max-links", 1));
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
        Ok(settings)
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
            upload_cap: self.upload_cap.or(file.upload_cap),
            all_renditions: self.all_renditions || file.all_renditions,
            allow: list(self.allow, file.allow),
            max_links: self.max_links.or(file.max_links),
            agent: self.agent.or(file.agent),
            seed: self.seed || file.seed,
            metrics: self.metrics.or(file.metrics),
            ca: self.ca.or(file.ca),
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
mod tests {
    use super::*;
    use clap::CommandFactory;

    const BASE: [&str; 5] =
        ["rillcast-seed", "--manifest", "http://o.example/m.m3u8", "--signal", "ws://s.example/"];

    fn settle(extra: &[&str]) -> Result<Settings, ConfigError> {
        Options::try_parse_from(BASE.iter().chain(extra)).expect("flags that exist").settle()
    }

    #[test]
    fn the_defaults_listen_on_loopback_alone() {
        let settings = settle(&[]).expect("enough");
        assert!(settings.udp.ip().is_loopback());
        assert_eq!((settings.memory, settings.upload_cap, settings.max_links), (512 << 20, 0, 512));
    }

    #[test]
    fn other_addresses_need_a_word() {
        for flag in ["--udp", "--metrics", "--agent"] {
            for open in ["0.0.0.0:7", "[::]:7", "192.0.2.1:7"] {
                let said = settle(&[flag, open]).expect_err("refused").to_string();
                assert!(said.contains("--insecure-open"), "{said}");
                settle(&[flag, open, "--insecure-open"]).expect("the operator wants it");
            }
            settle(&[flag, "127.0.0.2:7"]).expect("loopback");
            settle(&[flag, "[::1]:7"]).expect("loopback");
        }
        // R41: with a token it is the site that says who may be served.
        settle(&["--udp", "0.0.0.0:7", "--token-file", "t"]).expect("viewers are authorised");
        settle(&["--metrics", "0.0.0.0:7", "--token-file", "t"]).expect_err("those who read metrics aren't");
        settle(&["--agent", "0.0.0.0:7", "--token-file", "t"])
            .expect_err("nor are those who play through the agent");
    }

    #[test]
    fn an_agent_seeds_only_if_told_so() {
        let seeds = |flags: &[&str]| settle(flags).expect("enough").seeds;
        assert!(seeds(&[]) && seeds(&["--agent", "127.0.0.1:0", "--seed"]));
        assert!(!seeds(&["--agent", "127.0.0.1:0"]));
    }

    #[test]
    fn amounts_are_read_with_their_unit() {
        for (text, bytes) in [("0", 0), ("1023", 1023), ("2K", 2048), ("512M", 512 << 20), ("3g", 3 << 30)] {
            assert_eq!(text.parse::<Amount>().expect(text), Amount(bytes));
        }
        for wrong in ["", "K", "-1", "1.5M", "9T", "99999999999999999999", "99999999999G"] {
            wrong.parse::<Amount>().expect_err(wrong);
        }
    }

    #[test]
    fn each_limit_holds_at_under_and_over() {
        settle(&["--memory", "16M"]).expect("at");
        settle(&["--memory", "17M"]).expect("over");
        settle(&["--memory", "15M"]).expect_err("under");
        settle(&["--max-links", "1"]).expect("at");
        settle(&["--max-links", "0"]).expect_err("under");
        let manifests = |n: usize| {
            let options = Options {
                manifest: vec!["http://o.example/m".to_owned(); n],
                signal: Some("ws://s.example/".to_owned()),
                ..Options::default()
            };
            options.settle()
        };
        manifests(MAX_MANIFESTS).expect("at");
        manifests(MAX_MANIFESTS + 1).expect_err("over");
        assert!(matches!(manifests(0), Err(ConfigError::NoManifest)));
    }

    #[test]
    fn urls_are_of_the_right_kind() {
        for (flag, wrong) in
            [("--signal", "http://s.example/"), ("--manifest", "file:///m"), ("--signal", "nonsense")]
        {
            let mut flags = BASE.to_vec();
            let at = flags.iter().position(|f| *f == flag).expect("there");
            flags[at + 1] = wrong;
            Options::try_parse_from(flags).expect("flags that exist").settle().expect_err(wrong);
        }
    }

    #[test]
    fn flags_go_before_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("seed.toml");
        std::fs::write(&path, "site = \"file\"\nmemory = \"64M\"\nmax-links = 9\nall-renditions = true\n")
            .expect("written");
        let path = path.to_str().expect("UTF-8").to_owned();
        let settings = settle(&["--config", &path, "--site", "flag"]).expect("enough");
        assert_eq!((settings.site.as_str(), settings.memory, settings.max_links), ("flag", 64 << 20, 9));
        assert!(settings.all_renditions);
        std::fs::write(&path, "sites = 1\n").expect("written");
        let said = settle(&["--config", &path]).expect_err("a key that isn't there").to_string();
        assert!(said.contains("sites"), "{said}");
    }

    #[test]
    fn the_readme_has_every_setting() {
        let readme = include_str!("../README.md");
        for arg in Options::command().get_arguments() {
            let Some(flag) = arg.get_long().filter(|l| !["help", "version"].contains(l)) else { continue };
            assert!(readme.contains(&format!("| `--{flag}`")), "README.md lacks --{flag}");
            let variable = arg.get_env().and_then(|e| e.to_str()).expect("each has a variable");
            assert!(readme.contains(&format!("`{variable}`")), "README.md lacks {variable}");
        }
    }
}
