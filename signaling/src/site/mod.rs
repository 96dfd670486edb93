//! Sites and what they allow: the settings file, the operator's changes on top of it, and what follows for one peer.
//!
//! - [`changes`]: where the operator's changes are kept
//! - [`file`]: the settings file
//! - [`ice`]: which STUN and TURN servers a peer is told of
//! - [`sites`]: all sites, with what was changed at run time

use std::sync::Arc;

use rillcast_protocol::coding::{List, Text};
use rillcast_protocol::id::{PeerId, PublisherKey};
use rillcast_protocol::settings::{IceServer, Settings};
use rillcast_publisher::AllowList;
use rillcast_publisher::key::unhex;

use crate::auth::keys::Keyring;
use crate::geo::Tells;
use crate::policy::Rules;

pub mod changes;
pub mod file;
pub mod ice;
pub mod sites;

pub use changes::{Changes, ChangesError};
pub use file::{SettingsError, SettingsFile, SiteFile};
pub(crate) use ice::server;
pub use ice::{Ice, MAX_SERVERS, Own, Reach};
pub use sites::Sites;

/// Longest grace for tickets: a day.
const MAX_GRACE_MIN: u32 = 24 * 60;

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
    grace_secs: u32,
    ice: Vec<IceServer>,
    relay: Arc<ice::Relay>,
    /// Where the built-in publisher may fetch.
    pub publish: Arc<AllowList>,
    seeds: Vec<PublisherKey>,
    /// The same path on any host is the same content.
    pub multi_cdn: bool,
    /// Whether seeds may relay for viewers.
    pub seed_relays: bool,
    /// What tokens are verified with. Without any, nobody is asked for one.
    pub keys: Arc<Keyring>,
    /// Who may take part, in what, when and from where.
    pub rules: Arc<Rules>,
}

/// What a site has in files of its own.
#[derive(Clone, Debug, Default)]
struct Read {
    keys: Arc<Keyring>,
    relay: Arc<ice::Relay>,
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
        read: Read,
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
        let grace_min = first!(ticket_grace_min, built_in.grace_secs / 60);
        if grace_min > MAX_GRACE_MIN {
            return Err(wrong("ticket_grace_min", grace_min.to_string(), "0 to 1440"));
        }
        let ice: Vec<Ice> = first!(ice, Vec::new());
        // Without any there are this server's own two.
        let count = if ice.is_empty() { 2 } else { ice.len() } + read.relay.len();
        if count > MAX_SERVERS {
            let must = "at most 8 servers together with turn.urls, or 6 of those where ice names none";
            return Err(wrong("ice", format!("{count} servers"), must));
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
            grace_secs: grace_min * 60,
            ice,
            publish: Arc::new(
                AllowList::new(&publish)
                    .map_err(|source| SettingsError::Publish { site: name.to_owned(), source })?,
            ),
            seeds,
            multi_cdn,
            // Where the site's backend says who is a seed.
            seed_relays: first!(seed_relays, !read.keys.is_empty()),
            keys: read.keys,
            relay: read.relay,
            rules: Arc::new(rules),
        })
    }

    /// How long tickets count on while the server is away, in milliseconds.
    pub fn grace_ms(&self) -> u64 {
        u64::from(self.grace_secs) * 1000
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
    pub fn settings_for(&self, peer: PeerId, is_seed: bool, reach: Reach<'_>) -> Settings {
        Settings {
            enabled: self.enabled && (is_seed || draw(peer, b"rollout") < self.rollout),
            holdout: !is_seed && draw(peer, b"holdout") < self.holdout,
            ratio_percent: self.ratio_percent,
            upload_cap: self.upload_cap,
            yields: self.yields && !is_seed,
            max_links: self.max_links,
            ice: List::clipped(self.relay.servers(&self.ice, peer, reach)),
            // A rule says so, not the site.
            relay_only: false,
            report_secs: self.report_secs,
            grace_secs: self.grace_secs,
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
