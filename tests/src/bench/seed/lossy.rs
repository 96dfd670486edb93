//! Browsers that all play from one seed, each over a line of some length that loses packets.
//!
//! Viewers give nothing to each other (the site's ratio is 0), so that the seed has to bring what is brought; what it couldn't bring in time would come
//! from the origin, and its share is told.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use super::Options;
use crate::bench::offload::ViewerReport;
use crate::browser::{Browser, Kind, Launch, Page};
use crate::netlab::internet::Internet;
use crate::netlab::internet::net::{Line, Net};
use crate::origin::{Origin, OriginConfig};
use crate::services::{Place, Rillcast, Setup};
use crate::site;

/// The top of the ladder alone: nobody may get by with less.
const STREAM: &str = "/live/1400/index.m3u8";
const RTT: Duration = Duration::from_millis(20);
/// Of each viewer's packets, each way.
const LOSS: f64 = 0.005;
/// One comes so much after the other.
const APART: Duration = Duration::from_secs(2);
const ORIGIN_PORT: u16 = 8080;

/// What they went through.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Lossy {
    /// Viewers in browsers.
    pub(crate) viewers: usize,
    pub(crate) stalls: u64,
    pub(crate) stall_ms: f64,
    /// The least that one has played, of the time it was there after its start.
    pub(crate) least_played: f64,
    /// Of all bytes brought, those that the seed brought; the rest is first segments and what it couldn't bring in time.
    pub(crate) seed_share: f64,
    /// Bytes that players were handed.
    pub(crate) consumed_bytes: u64,
}

pub(super) async fn measure(options: &Options) -> Result<Lossy> {
    let library = crate::bench::library().await?;
    let mut internet = Internet::new(1)?;
    let (origin_host, _) = internet.public("origin")?;
    let (services, _) = internet.public("services")?;
    let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
    let origin = Origin::start_on(library, config, origin_host.listen(ORIGIN_PORT)?).await?;
    let setup = Setup { seed: true, settings: "[default]\nratio = 0.0\n".to_owned(), ..Setup::default() };
    let mut servers = Rillcast::start_with(&Place::Host(services), 0, &origin.url(STREAM), &setup).await?;
    let line = Line { delay: RTT / 2, loss: LOSS, ..Line::default() };
    let page = format!("/pages/rillcast.html?src={STREAM}&script={}", servers.script());
    let (mut browsers, mut opening) = (Vec::new(), JoinSet::new());
    for number in 0..options.browsers {
        let address = internet.public_address()?;
        let (host, _) = internet.host(&format!("viewer{number}"), Net::ROOT, &[address], line)?;
        let launch = Launch::new(Kind::Chromium).in_namespace(host.namespace()).trusting(&origin.url(""));
        browsers.push(Arc::new(Browser::launch(&launch).await?));
    }
    for browser in &browsers {
        let (browser, url) = (Arc::clone(browser), origin.url(&page));
        opening.spawn(async move { browser.open(&url).await });
        tokio::time::sleep(APART).await;
    }
    let mut pages: Vec<Page> = Vec::new();
    while let Some(page) = opening.join_next().await {
        pages.push(page?.context("a viewer's page didn't open")?);
    }
    tokio::time::sleep(Duration::from_secs(options.seconds.max(20))).await;
    servers.check()?;
    let mut reports: Vec<ViewerReport> = Vec::new();
    for page in &pages {
        let report: ViewerReport = page.eval("rcStats.report()").await?;
        if std::env::var_os("RILLCAST_VERBOSE").is_some() {
            eprintln!("{}", report.brief());
        }
        reports.push(report);
    }
    let sum = |of: &dyn Fn(&ViewerReport) -> f64| reports.iter().map(of).sum::<f64>();
    let brought = sum(&|r| (r.sources.http + r.sources.peers + r.sources.seeds + r.sources.publisher) as f64);
    let played = |r: &ViewerReport| r.played_ms / (r.played_ms + r.stall_ms).max(1.0);
    Ok(Lossy {
        viewers: reports.len(),
        stalls: reports.iter().map(|r| r.stalls).sum(),
        stall_ms: sum(&|r| r.stall_ms),
        least_played: reports.iter().map(played).fold(1.0, f64::min),
        seed_share: sum(&|r| r.sources.seeds as f64) / brought.max(1.0),
        consumed_bytes: reports.iter().map(|r| r.consumed_bytes).sum(),
    })
}
