//! What the town's people watch: an origin, a seed that brings its stream to those who ask, and whole viewers in browsers at home.

use anyhow::{Context, Result};
use rillcast_seed::node::Node;

use super::town::{Home, Town};
use crate::browser::{Browser, Kind, Launch};
use crate::media::Library;
use crate::origin::{Origin, OriginConfig};
use crate::scene::Viewer;
use crate::services::{SITE, content};
use crate::site;

/// The origin's port.
const ORIGIN: u16 = 8080;

impl Town {
    /// An origin with a public address.
    pub async fn origin(&mut self, library: Library) -> Result<Origin> {
        let (host, _) = self.internet.public("origin")?;
        let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
        Origin::start_on(library, config, host.listen(ORIGIN)?).await
    }

    /// A seed of a stream of the origin's, which relays and gives so many bytes a second.
    pub async fn seed_of(&self, home: &Home, origin: &Origin, stream: &str, cap: &str) -> Result<Node> {
        let master = origin.url(stream);
        let flags =
            ["--manifest", &master, "--site", SITE, "--content", content(&master), "--upload-cap", cap];
        self.seed_that(home, &flags).await
    }

    /// Somebody at home watches a stream of the origin's; the home must have its namespace to itself.
    pub async fn viewer(&self, kind: Kind, home: &Home, origin: &Origin, stream: &str) -> Result<Viewer> {
        let launch = Launch::new(kind).in_namespace(home.host.namespace()).trusting(&origin.url(""));
        let browser = Browser::launch(&launch).await?;
        let script = format!("http://{}/rillcast.js", self.signaling());
        let page = origin.url(&format!("/pages/rillcast.html?src={stream}&script={script}&sha&wires"));
        let page = browser.open(&page).await.context("the viewer's page doesn't open")?;
        Ok(Viewer { page, browser, host: home.host.clone() })
    }
}
