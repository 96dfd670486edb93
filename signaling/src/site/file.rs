//! The settings file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rillcast_publisher::allow::PrefixError;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::ice::{Ice, RelayFile};
use crate::auth::keys::{KeyError, KeyFile};
use crate::limits::Limits;
use crate::policy::{RuleError, RuleFile};

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
    /// The secret of `turn`.
    #[error("site {site}: {source}")]
    Turn {
        /// The site.
        site: String,
        /// What's wrong.
        source: KeyError,
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
    /// Minutes that tickets count on after their time while this server can't be reached.
    pub ticket_grace_min: Option<u32>,
    /// STUN and TURN servers; where there are none, this server's own STUN.
    pub ice: Option<Vec<Ice>>,
    /// TURN servers that share a secret with us. The file alone can set them.
    #[serde(skip_serializing)]
    pub turn: Option<RelayFile>,
    /// URL prefixes that the built-in publisher may fetch from.
    pub publish: Option<Vec<String>>,
    /// Public keys (64 hex digits) of the seeds that may publish; empty is any.
    pub seeds: Option<Vec<String>>,
    /// The same path on any host is the same content.
    pub multi_cdn: Option<bool>,
    /// Whether seeds may relay for viewers, where the site has no TURN server. Default: where the site has keys, which say who is a seed.
    pub seed_relays: Option<bool>,
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
        for site in file.sites.values_mut().chain([&mut file.default]) {
            site.keys.iter_mut().flatten().for_each(|key| key.resolve(dir));
            site.turn.iter_mut().for_each(|turn| turn.resolve(dir));
        }
        Ok(file)
    }
}
