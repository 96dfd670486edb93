//! Somebody with an uplink, and players elsewhere that want more from it than it carries.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use tokio::process::Child;

use super::options::Options;
use crate::browser::{Browser, Kind, Launch, Page};
use crate::media::{Library, MediaSpec, Rung};
use crate::netlab::{Host, Lab, Link};
use crate::origin::{Origin, OriginConfig};
use crate::services::{Agent, Place, Rillcast, Setup};
use crate::site;

const STREAM: &str = "/live/master.m3u8";
/// Segments in the playlist: more than anybody is behind.
const WINDOW: u64 = 12;

/// Who uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Uploader {
    /// A viewer in a Chromium.
    Browser,
    /// A seed node.
    Seed,
}

/// Everything of it. Dropping it ends it all.
#[derive(Debug)]
pub(super) struct Stage {
    /// Who uploads.
    pub(super) home: Host,
    /// Where the TCP flow goes.
    pub(super) away: Host,
    servers: Rillcast,
    takers: Vec<(Agent, Child)>,
    _uploader: Option<(Page, Browser)>,
    _origin: Origin,
    _lab: Lab,
}

impl Stage {
    /// Sets it, with everybody playing. `yields`: what the site, or the seed, is told.
    pub(super) async fn set(options: &Options, uploader: Uploader, yields: bool) -> Result<Self> {
        let library = tokio::task::spawn_blocking(library).await??;
        let lab = Lab::new()?;
        let home = lab.add_home("home", options.link())?;
        let away = lab.add("away", Link::UNSHAPED)?;
        let at = lab.add("origin", Link::UNSHAPED)?;
        let config = OriginConfig { mounts: site::mounts(), window: WINDOW, ..OriginConfig::default() };
        let origin = Origin::start_on(library, config, at.listen(8080)?).await?;
        let place = Place::Host(lab.add("services", Link::UNSHAPED)?);
        let setup = Setup { settings: settings(&home, yields), ..Setup::default() };
        let mut servers = Rillcast::start_with(&place, 0, &origin.url(STREAM), &setup).await?;
        let mut browser = None;
        match uploader {
            Uploader::Browser => {
                let launch =
                    Launch::new(Kind::Chromium).in_namespace(home.namespace()).trusting(&origin.url(""));
                let opened = Browser::launch(&launch).await?;
                let query = format!("src={STREAM}&script={}", servers.script());
                let page = opened.open(&origin.url(&format!("/pages/rillcast.html?{query}"))).await?;
                page.wait_until("rcStats.state.playedMs > 4000", Duration::from_secs(60)).await?;
                browser = Some((page, opened));
            }
            Uploader::Seed => {
                let more: &[&str] = if yields { &["--yields"] } else { &[] };
                servers.add_seed(&Place::Host(home.clone()), more).await?;
            }
        }
        let mut takers = Vec::new();
        for number in 0..options.takers {
            let place = Place::Host(lab.add(&format!("taker{number}"), Link::UNSHAPED)?);
            let agent = Agent::start(&place, servers.address(), &origin.url(STREAM)).await?;
            takers.push((player(&place, &agent.url(), options.behind)?, agent));
        }
        let takers = takers.into_iter().map(|(player, agent)| (agent, player)).collect();
        Ok(Self { home, away, servers, takers, _uploader: browser, _origin: origin, _lab: lab })
    }

    /// Fails if anybody has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.servers.check()?;
        self.takers.iter_mut().try_for_each(|(agent, _)| agent.check())
    }
}

/// Whoever is at home may give as much as the uplink carries, all others nothing, or they would give to each other.
fn settings(home: &Host, yields: bool) -> String {
    format!(
        "[default]\nratio = 600.0\nyields = {yields}\n\
         [[default.rules]]\nid = \"home\"\neffect = \"allow\"\nnetworks = [\"{}/32\"]\n\
         [[default.rules]]\nid = \"away\"\neffect = \"leech-only\"\nroles = [\"viewer\"]\n",
        home.address()
    )
}

/// One rendition, thick enough that a few players want more than the uplink carries.
fn library() -> Result<Library> {
    let rungs = vec![Rung { name: "4000".to_owned(), kbps: 4000 }];
    Library::prepare(&MediaSpec { rungs, ..MediaSpec::default() }, &Library::cache_dir(), &|_, _| ())
}

/// ffmpeg, which plays at the stream's pace and shows nothing.
fn player(place: &Place, url: &str, behind: u32) -> Result<Child> {
    let mut command = place.command(Path::new("ffmpeg"));
    command.args(["-nostdin", "-loglevel", "quiet", "-re", "-live_start_index", &format!("-{behind}")]);
    command.args(["-i", url, "-c", "copy", "-f", "null", "-"]);
    Ok(command.stdin(std::process::Stdio::null()).spawn()?)
}
