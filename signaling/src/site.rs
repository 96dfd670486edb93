//! Sites and what they allow: the settings file, the operator's changes on top of it, and what follows for one peer.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{PeerId, PublisherKey};
use rillcast_protocol::settings::{IceServer, Settings};
use rillcast_publisher::AllowList;
use rillcast_publisher::allow::PrefixError;
use rillcast_publisher::key::unhex;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::auth::keys::{KeyError, KeyFile, Keyring};
use crate::geo::Tells;
use crate::limits::Limits;
use crate::policy::{RuleError, RuleFile, Rules};

/// Why settings can't be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file can't be read.
    #[error("settings file {path}: {source}; check the path given with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file isn't what it should be.
    #[error("settings file {path}: {source}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A value out of bounds.
    #[error("site {site}: {field} is {value}, but must be {must}")]
    Value {
        /// The site.
        site: String,
        /// The field.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        must: &'static str,
    },
    /// A prefix under `publish`.
    #[error("site {site}: publish: {source}")]
    Publish {
        /// The site.
        site: String,
        /// What's wrong.
        source: PrefixError,
    },
    /// One of `rules`.
    #[error("site {site}: rules: {source}")]
    Rule {
        /// The site.
        site: String,
        /// What's wrong.
        source: RuleError,
    },
    /// One of `keys`.
    #[error("site {site}: keys: {source}")]
    Key {
        /// The site.
        site: String,
        /// What's wrong.
        source: KeyError,
    },
}

/// A STUN or TURN server for a site's viewers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ice {
    /// `stun:host:port` or `turn:host:port?transport=udp`.
    pub url: String,
    /// Empty for STUN.
    #[serde(default)]
    pub username: String,
    /// Empty for STUN.
    #[serde(default, skip_serializing)]
    pub credential: String,
}

/// One site's settings. `None` is "as in `[default]`", and there "as built in".
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteFile {
    /// Off is the kill switch.
    pub enabled: Option<bool>,
    /// Page origins that may join, such as `https://www.example`; empty is all.
    pub origins: Option<Vec<String>>,
    /// Percentage of viewers that take part.
    pub rollout: Option<f64>,
    /// Percentage of the participants that are counted but left without peers.
    pub holdout: Option<f64>,
    /// Upload allowed per byte downloaded.
    pub ratio: Option<f64>,
    /// Upload cap in bytes/s; 0 is none.
    pub upload_cap: Option<u32>,
    /// What viewers upload yields to everything else on their uplinks.
    pub yields: Option<bool>,
    /// Open links a browser may have.
    pub max_links: Option<u8>,
    /// Seconds between two reports of a viewer; 0 is never.
    pub report_secs: Option<u16>,
    /// STUN and TURN servers; where there are none, this server's own STUN.
    pub ice: Option<Vec<Ice>>,
    /// URL prefixes that the built-in publisher may fetch from.
    pub publish: Option<Vec<String>>,
    /// Public keys (64 hex digits) of the seeds that may publish; empty is any.
    pub seeds: Option<Vec<String>>,
    /// The same path on any host is the same content.
    pub multi_cdn: Option<bool>,
    /// Who may take part, in what, when and from where: the first that fits decides.
    pub rules: Option<Vec<RuleFile>>,
    /// What the backend's tokens are verified with; empty asks for none. The file alone can set them.
    #[serde(skip_serializing)]
    pub keys: Option<Vec<KeyFile>>,
}

/// The settings file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsFile {
    /// Bounds; read once, at start.
    pub limits: Limits,
    /// What every site starts from.
    pub default: SiteFile,
    /// The sites. If there are none, any name is a site with the defaults.
    pub sites: BTreeMap<String, SiteFile>,
}

impl SettingsFile {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        let mut file: Self = toml::from_str(&text)
            .map_err(|source| SettingsError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let sites = file.sites.values_mut().chain([&mut file.default]);
        sites.flat_map(|site| site.keys.iter_mut().flatten()).for_each(|key| key.resolve(dir));
        Ok(file)
    }
}

/// A site with everything decided.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its name.
    pub name: String,
    enabled: bool,
    origins: Vec<String>,
    rollout: f64,
    holdout: f64,
    ratio_percent: u16,
    upload_cap: u32,
    yields: bool,
    /// Open links a browser may have.
    pub max_links: u8,
    report_secs: u16,
    ice: Vec<IceServer>,
    /// Where the built-in publisher may fetch.
    pub publish: Arc<AllowList>,
    seeds: Vec<PublisherKey>,
    /// The same path on any host is the same content.
    pub multi_cdn: bool,
    /// What tokens are verified with. Without any, nobody is asked for one.
    pub keys: Arc<Keyring>,
    /// Who may take part, in what, when and from where.
    pub rules: Arc<Rules>,
}

/// What one peer is allowed below what its site allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Upload per byte downloaded, in hundredths.
    pub ratio_percent: Option<u16>,
    /// Upload in bytes/s, 1 or more.
    pub upload_cap: Option<u32>,
}

impl Allowance {
    /// The site's settings, lowered.
    pub fn lower(&self, mut settings: Settings) -> Settings {
        if let Some(percent) = self.ratio_percent {
            settings.ratio_percent = settings.ratio_percent.min(percent);
        }
        if let Some(cap) = self.upload_cap
            && (settings.upload_cap == 0 || cap < settings.upload_cap)
        {
            settings.upload_cap = cap;
        }
        settings
    }
}

impl Site {
    fn build(
        name: &str,
        layers: [&SiteFile; 3],
        publish_everywhere: &[String],
        keys: Arc<Keyring>,
        tells: Tells,
    ) -> Result<Self, SettingsError> {
        macro_rules! first {
            ($field:ident, $built_in:expr) => {
                layers.iter().find_map(|l| l.$field.clone()).unwrap_or($built_in)
            };
        }
        let wrong =
            |field, value: String, must| SettingsError::Value { site: name.to_owned(), field, value, must };
        let share = |field, value: f64| {
            if (0.0..=100.0).contains(&value) {
                Ok(value)
            } else {
                Err(wrong(field, value.to_string(), "a percentage, 0 to 100"))
            }
        };
        let text = |field, value: &str| {
            Text::new(value)
                .ok_or_else(|| wrong(field, format!("{} bytes long", value.len()), "at most 256 bytes"))
        };
        let built_in = Settings::default();
        let ratio = first!(ratio, 2.0);
        if !(0.0..=600.0).contains(&ratio) {
            return Err(wrong("ratio", ratio.to_string(), "0 to 600"));
        }
        let max_links = first!(max_links, built_in.max_links);
        if !(1..=64).contains(&max_links) {
            return Err(wrong("max_links", max_links.to_string(), "1 to 64"));
        }
        let ice: Vec<Ice> = first!(ice, Vec::new());
        if ice.len() > 8 {
            return Err(wrong("ice", format!("{} servers", ice.len()), "at most 8 servers"));
        }
        let ice = ice
            .iter()
            .map(|server| {
                Ok(IceServer {
                    url: text("ice.url", &server.url)?,
                    username: text("ice.username", &server.username)?,
                    credential: text("ice.credential", &server.credential)?,
                })
            })
            .collect::<Result<_, _>>()?;
        let mut publish: Vec<String> = first!(publish, Vec::new());
        publish.extend_from_slice(publish_everywhere);
        let seeds: Vec<String> = first!(seeds, Vec::new());
        let seeds = seeds
            .iter()
            .map(|hex| {
                unhex(hex)
                    .map(PublisherKey)
                    .ok_or_else(|| wrong("seeds", hex.clone(), "public keys of 64 hex digits"))
            })
            .collect::<Result<_, _>>()?;
        let multi_cdn = first!(multi_cdn, false);
        let rules = Rules::load(&first!(rules, Vec::new()), multi_cdn, tells)
            .map_err(|source| SettingsError::Rule { site: name.to_owned(), source })?;
        Ok(Self {
            name: name.to_owned(),
            enabled: first!(enabled, true),
            origins: first!(origins, Vec::new()),
            rollout: share("rollout", first!(rollout, 100.0))?,
            holdout: share("holdout", first!(holdout, 0.0))?,
            ratio_percent: (ratio * 100.0).round() as u16,
            upload_cap: first!(upload_cap, 0),
            yields: first!(yields, built_in.yields),
            max_links,
            report_secs: first!(report_secs, built_in.report_secs),
            ice,
            publish: Arc::new(
                AllowList::new(&publish)
                    .map_err(|source| SettingsError::Publish { site: name.to_owned(), source })?,
            ),
            seeds,
            multi_cdn,
            keys,
            rules: Arc::new(rules),
        })
    }

    /// Whether the kill switch is not thrown.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether a page of this origin may join. A seed is no page: it has none.
    pub fn allows_origin(&self, origin: Option<&str>, is_seed: bool) -> bool {
        self.origins.is_empty()
            || match origin {
                Some(origin) => self.origins.iter().any(|o| o.trim_end_matches('/') == origin),
                None => is_seed,
            }
    }

    /// Whether a seed with this key may publish.
    pub fn allows_seed(&self, key: &PublisherKey) -> bool {
        self.seeds.is_empty() || self.seeds.contains(key)
    }

    /// What one peer gets. The groups follow from its id, so that they stay the same through every change.
    pub fn settings_for(&self, peer: PeerId, is_seed: bool, own_stun: Option<&str>) -> Settings {
        let mut ice = self.ice.clone();
        if ice.is_empty()
            && let Some(url) = own_stun.and_then(Text::new)
        {
            ice.push(IceServer { url, username: Text::default(), credential: Text::default() });
        }
        Settings {
            enabled: self.enabled && (is_seed || draw(peer, b"rollout") < self.rollout),
            holdout: !is_seed && draw(peer, b"holdout") < self.holdout,
            ratio_percent: self.ratio_percent,
            upload_cap: self.upload_cap,
            yields: self.yields && !is_seed,
            max_links: self.max_links,
            ice: List::clipped(ice),
            report_secs: self.report_secs,
        }
    }
}

/// A percentage that belongs to the peer: 0 <= it < 100, independent for each purpose.
fn draw(peer: PeerId, purpose: &[u8]) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose).update(&peer.0);
    let mut head = [0; 4];
    head.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    f64::from(u32::from_be_bytes(head)) / (f64::from(u32::MAX) + 1.0) * 100.0
}

/// All sites. The file's word, with the operator's changes at run time above it; those last until the server stops or
/// they are taken back.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    default: SiteFile,
    files: BTreeMap<String, SiteFile>,
    changes: BTreeMap<String, SiteFile>,
    publish_everywhere: Vec<String>,
    /// Of the sites that have keys of their own in the file, and of all others.
    keys: BTreeMap<String, Arc<Keyring>>,
    default_keys: Arc<Keyring>,
    tells: Tells,
    built: HashMap<String, Arc<Site>>,
}

impl Sites {
    /// The sites of a settings file; `publish` comes from the command line and holds for all of them.
    pub fn new(file: &SettingsFile, publish: Vec<String>) -> Result<Self, SettingsError> {
        Self::located(file, publish, Tells::default())
    }

    /// The same, where rules may name what there are databases for.
    pub fn located(file: &SettingsFile, publish: Vec<String>, tells: Tells) -> Result<Self, SettingsError> {
        let mut sites = Self { publish_everywhere: publish, tells, ..Self::default() };
        sites.reload(file)?;
        Ok(sites)
    }

    /// Takes in a changed file. On an error everything stays as it was.
    pub fn reload(&mut self, file: &SettingsFile) -> Result<(), SettingsError> {
        let load = |name: &str, keys: &Option<Vec<KeyFile>>| {
            let Some(keys) = keys else { return Ok(None) };
            let wrong = |source| SettingsError::Key { site: name.to_owned(), source };
            Keyring::load(keys).map(|keys| Some(Arc::new(keys))).map_err(wrong)
        };
        let mut keys = BTreeMap::new();
        for (name, site) in &file.sites {
            if let Some(own) = load(name, &site.keys)? {
                keys.insert(name.clone(), own);
            }
        }
        let mut next = Self {
            default: file.default.clone(),
            files: file.sites.clone(),
            changes: self.changes.clone(),
            publish_everywhere: self.publish_everywhere.clone(),
            keys,
            default_keys: load("default", &file.default.keys)?.unwrap_or_default(),
            tells: self.tells,
            built: HashMap::new(),
        };
        // The defaults must hold even while no site uses them.
        let layers = [&next.default, &next.default, &next.default];
        Site::build("default", layers, &next.publish_everywhere, next.default_keys.clone(), next.tells)?;
        let names: Vec<String> =
            next.files.keys().chain(self.built.keys().filter(|_| next.files.is_empty())).cloned().collect();
        for name in names {
            next.build(&name)?;
        }
        *self = next;
        Ok(())
    }

    /// The site of this name.
    pub fn find(&self, name: &str) -> Option<Arc<Site>> {
        if let Some(site) = self.built.get(name) {
            return Some(site.clone());
        }
        if !self.files.is_empty() {
            return None;
        }
        // Not kept: anybody can make names up.
        let nothing = SiteFile::default();
        let layers = [&nothing, &nothing, &self.default];
        let keys = self.default_keys.clone();
        Site::build(name, layers, &self.publish_everywhere, keys, self.tells).ok().map(Arc::new)
    }

    /// Which table of the settings file leaves a site open to whoever has no token, if one does.
    pub fn open(&self) -> Option<String> {
        if self.files.is_empty() {
            return self.default_keys.is_empty().then(|| "default".to_owned());
        }
        let open = self.files.keys().find(|name| self.keys_of(name).is_empty())?;
        Some(format!("sites.{open}"))
    }

    fn keys_of(&self, name: &str) -> &Arc<Keyring> {
        self.keys.get(name).unwrap_or(&self.default_keys)
    }

    /// Changes a site at run time.
    pub fn change(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut SiteFile),
    ) -> Result<Arc<Site>, SettingsError> {
        let before = self.changes.get(name).cloned();
        edit(self.changes.entry(name.to_owned()).or_default());
        self.build(name).inspect_err(|_| {
            match before {
                Some(before) => self.changes.insert(name.to_owned(), before),
                None => self.changes.remove(name),
            };
        })
    }

    /// Changes a site's rules at run time. From then on the file's no longer count for it, until they are taken back.
    pub fn change_rules(
        &mut self,
        name: &str,
        edit: impl FnOnce(&mut Vec<RuleFile>) -> Result<(), RuleError>,
    ) -> Result<Arc<Site>, SettingsError> {
        let mut rules = self.find(name).map_or_else(Vec::new, |site| site.rules.files().to_vec());
        edit(&mut rules).map_err(|source| SettingsError::Rule { site: name.to_owned(), source })?;
        self.change(name, |changes| changes.rules = Some(rules))
    }

    /// The rules of every site that is known by name, as they are written.
    pub fn rules(&self) -> BTreeMap<String, Arc<Rules>> {
        self.built.iter().map(|(name, site)| (name.clone(), site.rules.clone())).collect()
    }

    /// The run-time changes of a site, as they are now.
    pub fn changes_of(&self, name: &str) -> SiteFile {
        self.changes.get(name).cloned().unwrap_or_default()
    }

    fn build(&mut self, name: &str) -> Result<Arc<Site>, SettingsError> {
        let nothing = SiteFile::default();
        let changes = self.changes.get(name).unwrap_or(&nothing);
        let file = self.files.get(name).unwrap_or(&nothing);
        let layers = [changes, file, &self.default];
        let keys = self.keys_of(name).clone();
        let site = Arc::new(Site::build(name, layers, &self.publish_everywhere, keys, self.tells)?);
        self.built.insert(name.to_owned(), site.clone());
        Ok(site)
    }
}
