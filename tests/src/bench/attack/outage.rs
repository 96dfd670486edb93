//! Signaling dies, and then two viewers do: whoever is left makes new links by way of common neighbours, and checks tickets as before.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::browsers::invite;
use super::options::Options;
use super::revocation::neighbours;
use crate::bench::offload::{self, Client, Stage, watch};
use crate::browser::Page;
use crate::hostile::tickets::ComesBack;
use crate::media::Library;

/// Links of a viewer: few, so that there is somebody left to make new ones with, and enough that two who lost one have a neighbour in common: with
/// two each, a swarm is a ring, and who stood on either side of one that died can hear of each other from nobody.
const LINKS: u8 = 4;
/// Viewers that die with signaling.
const LEAVERS: usize = 2;
/// Seconds that viewers watch before.
const BEFORE: u64 = 45;
/// And then.
const AFTER: u64 = 75;

/// What it came to.
#[derive(Debug, Serialize)]
pub(crate) struct Outage {
    /// Seconds without signaling.
    pub(crate) seconds: u64,
    /// Viewers that were left.
    pub(crate) viewers: usize,
    /// Ends of links to peers that a viewer had never been linked with before.
    pub(crate) new_links: usize,
    /// Attempts of the peer with a false ticket to be linked with again.
    pub(crate) attempts: u64,
    /// Links that viewers refused for want of a ticket.
    pub(crate) refused: u64,
    /// Links that it was let in to all the same.
    pub(crate) let_in: u64,
    /// Seconds that each viewer played meanwhile, the fewest.
    pub(crate) played: f64,
}

/// Sets a stage of its own.
pub(super) async fn run(library: &Library, options: &Options) -> Result<Outage> {
    let viewers = offload::Options::verified(options.viewers, BEFORE, "");
    eprintln!("outage: setting the stage");
    let mut stage = Stage::set(library, Client::Rillcast, &viewers).await?;
    stage.rillcast()?.set("max_links", LINKS.into()).await?;
    let hostile = invite(&mut stage, &viewers, "comes-back", ComesBack::default()).await?;
    let pages = watch(&mut stage, Client::Rillcast, &viewers, "outage", 0).await?.pages;
    let pages = pages.get(LEAVERS.min(pages.len().saturating_sub(2))..).unwrap_or_default();
    let (mut known, mut before) = (Vec::new(), 0);
    for page in pages {
        known.push(neighbours(page).await?.into_iter().collect::<BTreeSet<_>>());
        before += refused(page).await?;
    }
    let then = played(pages).await?;
    eprintln!("outage: signaling and {LEAVERS} viewers die");
    stage.rillcast()?.signaling().kill().await?;
    let leaving = stage.browsers.len() - pages.len();
    stage.browsers.iter().take(leaving).for_each(|browser| browser.kill());
    let mut new = BTreeSet::new();
    for _ in 0..AFTER {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (viewer, page) in pages.iter().enumerate() {
            let strangers = neighbours(page).await?.into_iter().filter(|peer| !known[viewer].contains(peer));
            new.extend(strangers.map(|peer| (viewer, peer)));
        }
    }
    let mut after = 0;
    for page in pages {
        after += refused(page).await?;
    }
    let log = hostile.hostile.log().clone();
    let me = log.me.map(|me| me.to_string());
    new.retain(|(_, peer)| Some(peer) != me.as_ref());
    let now = played(pages).await?;
    let fewest = now.iter().zip(&then).map(|(now, then)| now - then);
    Ok(Outage {
        seconds: AFTER,
        viewers: pages.len(),
        new_links: new.len(),
        attempts: log.fates.values().map(|fate| fate.attempts).sum(),
        refused: after - before,
        let_in: log.fates.values().map(|fate| fate.fooled).sum(),
        played: fewest.fold(f64::INFINITY, f64::min) / 1000.0,
    })
}

async fn refused(page: &Page) -> Result<u64> {
    Ok(page.eval("Rillcast.stats().engine?.refusedLinks ?? 0").await?)
}

async fn played(pages: &[Page]) -> Result<Vec<f64>> {
    let mut all = Vec::new();
    for page in pages {
        all.push(page.eval("rcStats.state.playedMs").await?);
    }
    Ok(all)
}
