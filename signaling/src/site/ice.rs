//! Which STUN and TURN servers a peer is told of, and with what credentials.
//!
//! Credentials of TURN are made for each peer and reach exactly as far as its ticket: until it runs out, and for the site's grace after that. So whoever may
//! make a link may have it relayed, also while this server is away; a new ticket brings new ones. Quotas go by the peer's name, which stays the same.

use std::path::{Path, PathBuf};

use rillcast_protocol::coding::Text;
use rillcast_protocol::id::PeerId;
use rillcast_protocol::settings::IceServer;
use serde::{Deserialize, Serialize};

use super::SettingsError;
use crate::auth::keys::read_secret;
use rillcast_relay::Secret;

/// Most servers that a peer is told of.
pub const MAX_SERVERS: usize = 8;
/// Of this server's own STUN addresses, so many are told.
pub const MAX_STUN: usize = 2;

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

/// TURN servers of the operator's (coturn with `use-auth-secret`, say), as the settings file names them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayFile {
    /// `turn:host:port?transport=udp`, `turn:host:port?transport=tcp`, `turns:host:443`; none takes those of `[default]` away.
    pub urls: Vec<String>,
    /// Holds the secret that they share with us.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

/// The same, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Relay {
    urls: Vec<Text<256>>,
    secret: Option<Secret>,
}

/// What a peer's servers are told with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reach<'a> {
    /// This server's own, as the peer reaches it.
    pub own: Option<&'a Own>,
    /// What this server's own TURN shares with us.
    pub secret: Option<&'a Secret>,
    /// Until when credentials count, in seconds since 1970.
    pub until: u64,
}

/// This server's own STUN and TURN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// `stun:host:port`; two tell a peer how its NAT maps addresses.
    pub stun: Vec<String>,
    /// `turn:host:port?transport=udp`.
    pub turn: Option<String>,
}

impl RelayFile {
    /// Paths are meant from the settings file on.
    pub(super) fn resolve(&mut self, dir: &Path) {
        if let Some(path) = &mut self.secret_file {
            *path = dir.join(&path);
        }
    }

    /// Reads the secret.
    pub(super) fn load(&self, site: &str) -> Result<Relay, SettingsError> {
        let wrong = |field, value, must| SettingsError::Value { site: site.to_owned(), field, value, must };
        let mut urls = Vec::new();
        for url in &self.urls {
            let is_turn = url.starts_with("turn:") || url.starts_with("turns:");
            let text = Text::new(url.as_str()).filter(|_| is_turn);
            urls.push(text.ok_or_else(|| {
                wrong(
                    "turn.urls",
                    url.clone(),
                    "turn:HOST:PORT?transport=udp (or tcp), or turns:HOST:PORT, at most 256 bytes",
                )
            })?);
        }
        if urls.is_empty() {
            return Ok(Relay::default());
        }
        let missing =
            || wrong("turn.secret_file", "missing".to_owned(), "the file with coturn's static-auth-secret");
        let path = self.secret_file.as_ref().ok_or_else(missing)?;
        let secret = read_secret("turn", path)
            .map_err(|source| SettingsError::Turn { site: site.to_owned(), source })?;
        Ok(Relay { urls, secret: Some(Secret::new(&secret)) })
    }
}

impl Relay {
    /// How many servers.
    pub(super) fn len(&self) -> usize {
        self.urls.len()
    }

    /// A peer's servers: those that the site names, or this server's own; and the site's relays.
    pub(super) fn servers(&self, named: &[IceServer], peer: PeerId, reach: Reach<'_>) -> Vec<IceServer> {
        let user = peer.to_string();
        let mut servers = named.to_vec();
        if let Some(own) = reach.own.filter(|_| servers.is_empty()) {
            // Where there are relays enough to fill the list nobody asks how a NAT maps.
            let room = MAX_SERVERS - self.urls.len() - usize::from(own.turn.is_some());
            for url in own.stun.iter().take(room.min(MAX_STUN)).filter_map(|url| Text::new(url.as_str())) {
                servers.push(IceServer { url, username: Text::default(), credential: Text::default() });
            }
            let turn = own.turn.as_deref().and_then(Text::new).zip(reach.secret);
            servers.extend(turn.and_then(|(url, secret)| server(url, secret, reach.until, &user)));
        }
        let relays = self.urls.iter().zip(std::iter::repeat(self.secret.as_ref()));
        servers.extend(relays.filter_map(|(url, secret)| server(url.clone(), secret?, reach.until, &user)));
        servers
    }
}

/// A TURN server with credentials for one peer.
pub(crate) fn server(url: Text<256>, secret: &Secret, until: u64, user: &str) -> Option<IceServer> {
    let made = secret.credentials(until, user);
    Some(IceServer { url, username: Text::new(made.name)?, credential: Text::new(made.password)? })
}
