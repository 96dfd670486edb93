//! What a run happens on: the network, the servers, the browsers.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::options::{Client, Options};
use crate::browser::{Browser, Kind, Launch};
use crate::media::Library;
use crate::netlab::{Host, Lab, Link};
use crate::origin::{Origin, OriginConfig};
use crate::services::{Place, Rillcast, Tracker};
use crate::site;

/// Port of the origin in a laboratory.
const ORIGIN_PORT: u16 = 8080;
/// Browsers that start at once: more only wait for each other.
const STARTING: usize = 2;

/// Everything of one run. Dropping it ends it all, browsers first.
#[derive(Debug)]
pub(crate) struct Stage {
    /// One per viewer; with `--flat` the same one for all.
    pub(crate) browsers: Vec<Arc<Browser>>,
    /// Each viewer's address, as the origin sees it; empty if they share one.
    pub(super) addresses: Vec<IpAddr>,
    pub(crate) origin: Origin,
    servers: Servers,
    lab: Option<Lab>,
}

#[derive(Debug)]
enum Servers {
    None,
    Tracker(Box<Tracker>),
    Rillcast(Box<Rillcast>),
}

impl Stage {
    pub(crate) async fn set(library: &Library, client: Client, options: &Options) -> Result<Self> {
        // Without root, `--flat` is the one that still works.
        let root = rustix::process::geteuid().is_root();
        let lab = if options.flat && !root { None } else { Some(Lab::new()?) };
        let place = |name: &str, link: Link| {
            let link = if options.flat { Link::UNSHAPED } else { link };
            lab.as_ref().map_or(Ok(Place::LOOPBACK), |lab| lab.add(name, link).map(Place::Host))
        };
        let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
        let at = place("origin", Link::ORIGIN)?;
        let port = if lab.is_some() { ORIGIN_PORT } else { 0 };
        let origin = Origin::start_on(library.clone(), config, at.listen(port)?).await?;
        let services = place("services", Link::UNSHAPED)?;
        let servers = match client {
            Client::Plain => Servers::None,
            Client::P2pMediaLoader | Client::P2pMediaLoaderTuned => {
                Servers::Tracker(Box::new(Tracker::start(&services).await?))
            }
            Client::Rillcast => {
                let master = origin.url(options.stream());
                Servers::Rillcast(Box::new(Rillcast::start(&services, 0, &master, options.seed_node).await?))
            }
        };
        let seats = if options.flat { 1 } else { options.viewers };
        let places = (0..seats)
            .map(|index| place(&format!("viewer{index}"), Link::VIEWER))
            .collect::<Result<Vec<Place>>>()?;
        let addresses = if options.flat { Vec::new() } else { places.iter().map(Place::address).collect() };
        let mut browsers = launch_all(&places, &origin.url("")).await?;
        if options.flat {
            browsers = vec![browsers[0].clone(); options.viewers as usize];
        }
        Ok(Self { browsers, addresses, origin, servers, lab })
    }

    /// The address that each viewer opens.
    pub(super) fn page(&self, client: Client, options: &Options) -> String {
        let verify = if options.verify { "&sha" } else { "" };
        let stream = format!("{}{verify}{}", options.stream(), options.page);
        let page = match (&self.servers, client) {
            (Servers::Tracker(tracker), Client::P2pMediaLoaderTuned) => {
                format!("p2pml.html?src={stream}&tracker={}&window=4", tracker.url())
            }
            (Servers::Tracker(tracker), _) => format!("p2pml.html?src={stream}&tracker={}", tracker.url()),
            (Servers::Rillcast(servers), _) => {
                format!("rillcast.html?src={stream}&script={}", servers.script())
            }
            (Servers::None, _) => format!("plain.html?src={stream}"),
        };
        self.origin.url(&format!("/pages/{page}"))
    }

    /// Rillcast's servers, where it is they that are measured.
    pub(crate) fn rillcast(&mut self) -> Result<&mut Rillcast> {
        match &mut self.servers {
            Servers::Rillcast(servers) => Ok(servers),
            _ => bail!("this stage has no Rillcast"),
        }
    }

    /// One more host, for whoever isn't a viewer.
    pub(crate) fn host(&self, name: &str, link: Link) -> Result<Host> {
        self.lab.as_ref().context("this stage has no laboratory")?.add(name, link)
    }

    /// Fails if a server has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        match &mut self.servers {
            Servers::None => Ok(()),
            Servers::Tracker(tracker) => tracker.server().check(),
            Servers::Rillcast(servers) => servers.check(),
        }
    }

    /// CPU time of all browsers so far, in ms.
    pub(super) fn cpu_ms(&self) -> u64 {
        let mut pids: Vec<u32> = self.browsers.iter().map(|browser| browser.pid()).collect();
        pids.dedup();
        let of =
            |pid| self.browsers.iter().find(|browser| browser.pid() == pid).map_or(0, |found| found.cpu_ms());
        pids.into_iter().map(of).sum()
    }
}

async fn launch_all(places: &[Place], origin: &str) -> Result<Vec<Arc<Browser>>> {
    let turns = Arc::new(Semaphore::new(STARTING));
    let mut starting = JoinSet::new();
    for (index, place) in places.iter().enumerate() {
        let mut launch = Launch::new(Kind::Chromium).trusting(origin);
        launch.namespace = place.namespace().map(str::to_owned);
        let turns = turns.clone();
        starting.spawn(async move {
            let _turn = turns.acquire().await;
            (index, Browser::launch(&launch).await)
        });
    }
    let mut browsers = Vec::new();
    while let Some(started) = starting.join_next().await {
        let (index, browser) = started?;
        browsers.push((index, Arc::new(browser.with_context(|| format!("viewer {index} can't start"))?)));
    }
    browsers.sort_by_key(|&(index, _)| index);
    Ok(browsers.into_iter().map(|(_, browser)| browser).collect())
}
