//! A laboratory with everything in it for tests of whole sessions: origin, signaling, a seed if wanted, and viewers
//! that come one by one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::offload::ViewerReport;
use crate::browser::{Browser, Kind, Launch, Page};
use crate::hostile::{Attack, Guest};
use crate::media::Library;
use crate::netlab::{Host, Lab, Link};
use crate::origin::{Origin, OriginConfig};
use crate::services::{Agent, Place, Rillcast, Setup, Turn};
use crate::site;

/// What a scene is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Path of the master playlist that viewers watch.
    pub stream: &'static str,
    /// Whether a seed node follows it.
    pub seed: bool,
    /// The origin's link.
    pub origin_link: Link,
    /// Whether signaling keeps a log of receipts.
    pub receipts: bool,
    /// How viewers may be linked.
    pub links: Links,
    /// The folder of another version's programs to begin with; what an upgrade needs is kept then.
    pub programs: Option<PathBuf>,
}

/// How viewers may be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// As they can.
    Any,
    /// Through relays alone, and the site has one.
    Relayed,
    /// Through relays alone, and the site has none.
    RelayedInVain,
}

impl Plan {
    /// The live transport stream, without a seed, on the benches' links.
    pub const LIVE: Self = Self {
        stream: "/live/master.m3u8",
        seed: false,
        origin_link: Link::ORIGIN,
        receipts: false,
        links: Links::Any,
        programs: None,
    };

    /// Signaling's settings file.
    fn settings(&self, turn: Option<&Turn>) -> String {
        if self.links == Links::Any {
            return String::new();
        }
        let ice = turn.map(|turn| format!("ice = [{}]\n", turn.ice())).unwrap_or_default();
        format!("[default]\n{ice}[[default.rules]]\nid = \"hidden\"\neffect = \"relay-only\"\n")
    }
}

/// The scene. Dropping it ends everything in it but the viewers, which are their owners'.
#[derive(Debug)]
pub struct Scene {
    /// The origin.
    pub origin: Origin,
    /// Signaling, and the seed.
    pub servers: Rillcast,
    /// The relay, where links need one.
    pub turn: Option<Turn>,
    plan: Plan,
    viewers: AtomicU32,
    lab: Lab,
}

/// One viewer, in a browser of its own on a host of its own.
#[derive(Debug)]
pub struct Viewer {
    /// Its page.
    pub page: Page,
    /// Its browser.
    pub browser: Browser,
    /// Where it is.
    pub host: Host,
}

impl Scene {
    /// Sets it up, without viewers.
    pub async fn set(library: Library, plan: Plan) -> Result<Self> {
        let lab = Lab::new()?;
        let at = lab.add("origin", plan.origin_link)?;
        let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
        let origin = Origin::start_on(library, config, at.listen(8080)?).await?;
        let place = Place::Host(lab.add("services", Link::UNSHAPED)?);
        let turn = match plan.links {
            Links::Relayed => Some(Turn::start(&Place::Host(lab.add("turn", Link::UNSHAPED)?)).await?),
            Links::Any | Links::RelayedInVain => None,
        };
        let setup = Setup {
            seed: plan.seed,
            settings: plan.settings(turn.as_ref()),
            receipts: plan.receipts,
            keeps: plan.programs.is_some(),
            programs: plan.programs.clone(),
        };
        let servers = Rillcast::start_with(&place, 0, &origin.url(plan.stream), &setup).await?;
        Ok(Self { origin, servers, turn, plan, viewers: AtomicU32::new(0), lab })
    }

    /// A Chromium on the benches' viewer link comes and watches.
    pub async fn viewer(&self) -> Result<Viewer> {
        self.viewer_with(Kind::Chromium, Link::VIEWER, "").await
    }

    /// A viewer of another kind: `more` is added to the page's query (`&nortc`).
    pub async fn viewer_with(&self, kind: Kind, link: Link, more: &str) -> Result<Viewer> {
        let number = self.viewers.fetch_add(1, Ordering::Relaxed);
        let host = self.lab.add(&format!("viewer{number}"), link)?;
        let launch = Launch::new(kind).in_namespace(host.namespace()).trusting(&self.origin.url(""));
        let browser = Browser::launch(&launch).await?;
        let query = format!("src={}&script={}&sha{more}", self.plan.stream, self.servers.script());
        let page = browser.open(&self.origin.url(&format!("/pages/rillcast.html?{query}"))).await?;
        Ok(Viewer { page, browser, host })
    }

    /// One more host, for whoever isn't a viewer.
    pub fn host(&self, name: &str, link: Link) -> Result<Place> {
        Ok(Place::Host(self.lab.add(name, link)?))
    }

    /// An agent for native players, on a host of its own with a viewer's link.
    pub async fn agent(&self) -> Result<Agent> {
        let place = self.host("agent", Link::VIEWER)?;
        Agent::start(&place, self.servers.address(), &self.origin.url(self.plan.stream)).await
    }

    /// A hostile peer comes, on a link without limits.
    pub async fn hostile(&self, name: &str, attack: impl Attack + 'static) -> Result<Guest> {
        let host = self.lab.add(name, Link::UNSHAPED)?;
        Guest::invite(&host, self.servers.address(), self.plan.stream, attack).await
    }

    /// Fails unless all that the viewer's player was handed is what the origin serves, and could be decoded. Returns
    /// its report.
    pub async fn intact(&self, viewer: &Viewer) -> Result<ViewerReport> {
        viewer.page.wait_until("rcStats.state.hashing === 0", Duration::from_secs(30)).await?;
        let report = viewer.report().await?;
        ensure!(report.decode_errors.is_empty(), "decoding failed: {:?}", report.decode_errors);
        ensure!(!report.hashes.is_empty(), "the player was handed nothing: {}", report.brief());
        for handed in &report.hashes {
            let expected = self.origin.sha256(&handed.path)?;
            ensure!(handed.sha256 == expected, "{} was altered ({} bytes)", handed.path, handed.bytes);
        }
        Ok(report)
    }
}

impl Viewer {
    /// What its page measured.
    pub async fn report(&self) -> Result<ViewerReport> {
        self.page.eval("rcStats.report()").await.context("the viewer's page gave no report")
    }

    /// Waits until it has played for so many more seconds.
    pub async fn plays(&self, seconds: u64) -> Result<()> {
        let from: f64 = self.page.eval("rcStats.state.playedMs").await?;
        let enough = format!("rcStats.state.playedMs > {}", from + seconds as f64 * 1000.0);
        // Generous, for test machines are slow; what counts is that it gets there.
        let limit = Duration::from_secs(60 + 3 * seconds);
        let Err(error) = self.page.wait_until(&enough, limit).await else { return Ok(()) };
        let standing: serde_json::Value = self.page.eval("rcStats.standing()").await.unwrap_or_default();
        Err(error).with_context(|| format!("the viewer doesn't play on; it stands at {standing}"))
    }

    /// Bytes that came from other viewers so far.
    pub async fn from_peers(&self) -> Result<u64> {
        Ok(self.report().await?.sources.peers)
    }
}
