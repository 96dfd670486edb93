//! What runs happen on: an encoder, the node that it pushes to, signaling, pages, and browsers that come anew for each run.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::bench::offload::ViewerReport;
use crate::browser::{Browser, Kind, Launch, Page};
use crate::media::Library;
use crate::netlab::{Lab, Link};
use crate::origin::{Origin, OriginConfig};
use crate::services::{Ingest, Place, Rillcast, Server, push};
use crate::site;

/// Port of the pages, and of the node that is pushed to.
const PAGES: u16 = 8080;
const INGEST: u16 = 8081;
/// Pages are opened one after the other: more only wait for each other. How far behind the edge a player settles depends on when in a segment it
/// comes, by up to a segment: four of them come at each quarter of one, so that a page which takes longer to load is neither favoured nor
/// put at a disadvantage by the moment.
pub(super) const GAP: Duration = Duration::from_millis(2500);
/// When in a segment the first viewer of the first round comes.
const PHASE: Duration = Duration::from_millis(250);
/// By how much of a segment one viewer's moment is before the next one's: what rounds divide among them.
const BETWEEN: Duration = Duration::from_millis(500);
/// Players begin three segments behind the edge.
const SEGMENTS: usize = 4;
/// Longer than this nothing takes to be there.
const LONG: Duration = Duration::from_secs(60);

/// How viewers watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// hls.js alone.
    Plain,
    /// With peers.
    Peers,
}

impl Way {
    /// As tables and JSON have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Peers => "rillcast",
        }
    }
}

/// Everything but the viewers. Dropping it ends it all.
#[derive(Debug)]
pub struct Stage {
    pages: Origin,
    signaling: Rillcast,
    ingest: Ingest,
    encoder: Server,
    places: Vec<Place>,
    _lab: Lab,
}

/// A viewer that has come.
#[derive(Debug)]
pub struct Viewer {
    /// Its page.
    pub page: Page,
    _browser: Browser,
}

impl Stage {
    /// Sets it, and waits until the stream is there.
    pub async fn set(library: Library, viewers: u32, tape: &Path) -> Result<Self> {
        let lab = Lab::new()?;
        let pages_at = lab.add("pages", Link::UNSHAPED)?;
        let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
        let pages = Origin::start_on(library, config, pages_at.listen(PAGES)?).await?;
        let at = Place::Host(lab.add("ingest", Link::ORIGIN)?);
        let services = Place::Host(lab.add("services", Link::UNSHAPED)?);
        let manifest = Ingest::manifest(&at, INGEST);
        let signaling = Rillcast::start(&services, 0, &manifest, false).await?;
        let ingest = Ingest::start(&at, INGEST, signaling.address()).await?;
        let encoder_at = Place::Host(lab.add("encoder", Link::UNSHAPED)?);
        let encoder = push(&encoder_at, tape, &manifest)?;
        let places = (0..viewers).map(|n| Ok(Place::Host(lab.add(&format!("viewer{n}"), Link::VIEWER)?)));
        let places = places.collect::<Result<Vec<_>>>()?;
        let mut stage = Self { pages, signaling, ingest, encoder, places, _lab: lab };
        stage.begins(SEGMENTS).await?;
        Ok(stage)
    }

    /// The node that is pushed to.
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    /// Waits until so many segments are there, and then for the moment when one has just come.
    async fn begins(&mut self, count: usize) -> Result<()> {
        let begun = Instant::now();
        let mut newest = None;
        loop {
            self.check()?;
            // Before the first there is no playlist.
            let listed = self.ingest.listed().await.unwrap_or_default();
            let last = listed.last().cloned();
            if listed.len() >= count && newest.is_some() && last != newest {
                return Ok(());
            }
            newest = last;
            ensure!(begun.elapsed() < LONG, "nothing is pushed");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Viewers come one by one and watch; told back when the last one has come and `seconds` are over since the first one did. They stay until they are
    /// dropped. Of `(n, rounds)` each `n`, from 0 on, has moments of its own to come at, so that all together they come at many.
    pub async fn watch(&mut self, way: Way, seconds: u64, (n, rounds): (u32, u32)) -> Result<Vec<Viewer>> {
        let page = match way {
            Way::Plain => "plain.html".to_owned(),
            Way::Peers => format!("rillcast.html?script={}", self.signaling.script()),
        };
        let joint = if page.contains('?') { '&' } else { '?' };
        let url = self.pages.url(&format!("/pages/{page}{joint}sha&src={}", self.ingest.url()));
        let mut browsers = Vec::new();
        for place in &self.places {
            let mut launch = Launch::new(Kind::Chromium).trusting(&self.pages.url(""));
            launch.namespace = place.namespace().map(str::to_owned);
            browsers.push(Browser::launch(&launch).await.context("a viewer can't start")?);
        }
        self.begins(SEGMENTS).await?;
        let began = Instant::now() + PHASE + BETWEEN * n / rounds.max(1);
        let mut coming = JoinSet::new();
        for (index, browser) in browsers.into_iter().enumerate() {
            let (url, turn) = (url.clone(), began + GAP * index as u32);
            coming.spawn(async move {
                tokio::time::sleep_until(turn.into()).await;
                browser.open(&url).await.map(|page| Viewer { page, _browser: browser })
            });
        }
        let mut viewers = Vec::new();
        while let Some(came) = coming.join_next().await {
            viewers.push(came?.context("a viewer's page didn't open")?);
        }
        let end = began + Duration::from_secs(seconds);
        while Instant::now() < end {
            self.check()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(viewers)
    }

    /// Fails if a server has ended.
    pub fn check(&mut self) -> Result<()> {
        self.encoder.check()?;
        self.ingest.check()?;
        self.signaling.check()
    }
}

impl Viewer {
    /// What its page measured.
    pub async fn report(&self) -> Result<ViewerReport> {
        self.page.eval("rcStats.report()").await.context("the viewer's page gave no report")
    }
}
