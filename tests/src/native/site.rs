//! A site: signaling in this process, the key of the site's backend, and the authority's, so that a test can sign what the server would not.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Parser;
use rillcast_seed::node::Node;
use rillcast_signaling::auth::mint::Minter;
use rillcast_signaling::authority::Authority;
use rillcast_signaling::{Options, Running, start};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The site's name.
pub const NAME: &str = "demo";
/// Seconds that a token lasts.
const LIFE: u64 = 600;

/// A running site. Dropping it ends the server.
#[derive(Debug)]
pub struct Site {
    /// The server.
    pub server: Running,
    minter: Minter,
    dir: TempDir,
}

impl Site {
    /// Opens it, with these settings (TOML) besides the key.
    pub async fn open(settings: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let state = dir.path().join("state");
        std::fs::create_dir(&state)?;
        let minter = Minter::from_seed(&[1; 32], Some("one".to_owned()));
        let public = minter.public().context("the key is a pair")?;
        let key = format!("[[sites.{NAME}.keys]]\nid = \"one\"\npublic = \"{public}\"\n");
        let config = dir.path().join("settings.toml");
        std::fs::write(&config, format!("{settings}\n{key}"))?;
        let options = Options {
            listen: vec![([127, 0, 0, 1], 0).into()],
            config: Some(config),
            state_dir: Some(state),
            ..Options::default()
        };
        Ok(Self { server: start(options).await?, minter, dir })
    }

    /// Ends the server.
    pub async fn close(self) {
        self.server.stop().await;
    }

    /// Where it listens, as a WebSocket's address.
    pub fn signal(&self) -> String {
        format!("ws://{}/ws", self.server.listening[0])
    }

    /// A token that says this besides the site and an expiry.
    pub fn token(&self, more: &Value) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut claims = json!({"site": NAME, "exp": now + LIFE});
        for (name, value) in more.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        Ok(self.minter.mint(&claims)?)
    }

    /// The authority itself, with its key: it signs what it is told to.
    pub fn authority(&self) -> Result<Authority> {
        Ok(Authority::open(&self.dir.path().join("state/authority.keys"), false)?)
    }

    /// A seed that follows a manifest, once it has joined. What `key` names is its signing key, and made where it isn't there.
    pub async fn seed(&self, manifest: &str, content: &str, key: &str) -> Result<Node> {
        self.seed_with(manifest, content, key, &[]).await
    }

    /// The same with more flags.
    pub async fn seed_with(&self, manifest: &str, content: &str, key: &str, flags: &[&str]) -> Result<Node> {
        let token = self.dir.path().join(format!("{key}.token"));
        std::fs::write(&token, self.token(&json!({"role": "publisher"}))?)?;
        let key = self.dir.path().join(format!("{key}.key"));
        let path = |path: &Path| path.display().to_string();
        let (signal, token, key) = (self.signal(), path(&token), path(&key));
        let named = [
            ["--manifest", manifest],
            ["--content", content],
            ["--signal", &signal],
            ["--site", NAME],
            ["--token-file", &token],
            ["--key", &key],
            ["--udp", "127.0.0.1:0"],
        ];
        let arguments = std::iter::once("rillcast-seed").chain(named.into_iter().flatten());
        let arguments = arguments.chain(flags.iter().copied());
        let mut node =
            Node::start(rillcast_seed::config::Options::try_parse_from(arguments)?.settle()?).await?;
        node.joined().await.context("the seed isn't let in")?;
        Ok(node)
    }
}
