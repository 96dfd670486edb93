//! Viewers in browsers: first alone, then with two hostile native peers among them. One alters every block that it gives, the other
//! promises everything and gives a kilobyte.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rillcast_protocol::digest::BLOCK;
use rillcast_protocol::id::SegmentKey;
use rillcast_publisher::track_id;
use serde::{Deserialize, Serialize};

use super::findings::Findings;
use super::options::Options;
use super::{costs, revocation};
use crate::bench::offload::{self, Client, RunResult, Stage, Watched, watch};
use crate::browser::Page;
use crate::hostile::blocks::{FalseBlocks, Wrong};
use crate::hostile::promises::{Breaks, Promise};
use crate::hostile::{Attack, Guest, Running};
use crate::media::{Container, Library};
use crate::netlab::Link;

/// What it came to.
#[derive(Debug, Serialize)]
pub(crate) struct Browsers {
    /// Without hostile peers.
    pub(crate) clean: RunResult,
    /// With them.
    pub(crate) attacked: RunResult,
    /// Blocks that viewers found false.
    pub(crate) false_blocks: u64,
    /// Bytes of false blocks that honest viewers sent each other.
    pub(crate) relayed_bytes: u64,
    /// Honest peers that were taken for liars.
    pub(crate) framed: Vec<String>,
    /// How it went with each viewer that the altering peer lied to.
    pub(crate) victims: Vec<Victim>,
    /// Promises that the other one broke.
    pub(crate) broken_promises: u64,
}

/// One whom the altering peer lied to.
#[derive(Debug, Serialize)]
pub(crate) struct Victim {
    /// False blocks on their way to it when it ended the link, the first included.
    pub(crate) lies: u64,
    /// Seconds from the moment that the first was sent to the end of the link; none: it hasn't ended it.
    pub(crate) seconds: Option<f64>,
}

/// What a page tells of lies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lies {
    cut: Vec<Cut>,
    false_blocks: u64,
}

#[derive(Debug, Deserialize)]
struct Cut {
    peer: String,
    why: String,
}

const LIES: &str = "({ cut: rcStats.state.cut, falseBlocks: Rillcast.stats().engine?.falseBlocks ?? 0 })";

/// Has a hostile peer come to where a stage's viewers are, once it has been let in.
pub(super) async fn invite(
    stage: &mut Stage,
    options: &offload::Options,
    name: &str,
    attack: impl Attack + 'static,
) -> Result<Guest> {
    let host = stage.host(name, Link::UNSHAPED)?;
    let signaling = stage.rillcast()?.address();
    Guest::invite(&host, signaling, options.stream(), attack).await
}

/// The true bytes of the stream's segments, so that an altered block differs from one by a bit.
fn truth(library: &Library, stage: &Stage) -> impl Fn(SegmentKey) -> Vec<u8> + Send + 'static {
    let library = library.clone();
    let playlist = |name: &str| stage.origin.url(&format!("/live/{name}/index.m3u8"));
    let tracks: BTreeMap<_, _> =
        library.renditions().iter().map(|r| (track_id(&playlist(&r.name)), r.name.clone())).collect();
    move |key| {
        let rendition = tracks.get(&key.track).and_then(|name| library.rendition(name));
        let segment = rendition.and_then(|r| library.segment(r, Container::Ts, key.number).ok());
        segment.unwrap_or_default()
    }
}

/// Both runs; told besides: what verifying costs, of the clean one, and how a revocation goes, at the end of the other.
pub(super) async fn run(library: &Library, options: &Options, found: &mut Findings) -> Result<()> {
    let viewers = offload::Options::verified(options.viewers, options.seconds, "&costs");
    eprintln!("clean run: setting the stage");
    let mut stage = Stage::set(library, Client::Rillcast, &viewers).await?;
    let clean = watch(&mut stage, Client::Rillcast, &viewers, "clean run", 1).await?;
    found.costs = Some(costs::measure(&stage, &clean.pages).await?);
    drop(stage);

    eprintln!("attacked run: setting the stage");
    let mut stage = Stage::set(library, Client::Rillcast, &viewers).await?;
    let alters = FalseBlocks::new(Wrong::Altered, truth(library, &stage));
    let alters = invite(&mut stage, &viewers, "alters", alters).await?;
    let stalls = invite(&mut stage, &viewers, "stalls", Breaks(Promise::Upload)).await?;
    let attacked = watch(&mut stage, Client::Rillcast, &viewers, "attacked run", 0).await?;
    found.browsers = Some(account(clean.result, &attacked, &alters.hostile, &stalls.hostile).await?);
    found.revocation = Some(revocation::measure(&mut stage, &attacked.pages, &stalls.hostile).await?);
    Ok(())
}

async fn account(
    clean: RunResult,
    attacked: &Watched,
    alters: &Running,
    stalls: &Running,
) -> Result<Browsers> {
    let names = |running: &Running| running.log().me.map(|me| me.to_string());
    let hostile = [names(alters), names(stalls)];
    let mut all = Vec::new();
    for page in &attacked.pages {
        all.push(lies(page).await?);
    }
    let honest = all.iter().flat_map(|page| &page.cut).filter(|c| !hostile.contains(&Some(c.peer.clone())));
    let honest: Vec<_> = honest.collect();
    let relayed = honest.iter().filter(|cut| cut.why == "sent a false block").count() as u64;
    let log = alters.log();
    let victims = log.fates.values().filter(|fate| fate.lied.is_some());
    Ok(Browsers {
        clean,
        attacked: attacked.result.clone(),
        false_blocks: all.iter().map(|page| page.false_blocks).sum(),
        relayed_bytes: relayed * u64::from(BLOCK),
        framed: honest.iter().map(|cut| format!("{}: {}", cut.peer, cut.why)).collect(),
        victims: victims.map(|fate| Victim { lies: fate.lies, seconds: fate.lived() }).collect(),
        broken_promises: stalls.log().lies(),
    })
}

async fn lies(page: &Page) -> Result<Lies> {
    page.eval(LIES).await.context("a viewer's page doesn't say whom it has cut off")
}
