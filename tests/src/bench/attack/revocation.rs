//! Somebody is let in no more, while viewers watch: how long until none of them is linked with it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::bench::offload::Stage;
use crate::browser::Page;
use crate::hostile::Running;

/// How often viewers are asked with whom they are linked.
const LOOK: Duration = Duration::from_millis(200);
/// Whoever is linked with longer than this stays.
const LONG: Duration = Duration::from_secs(60);

/// What it took.
#[derive(Debug, Serialize)]
pub(crate) struct Revocation {
    /// Of a viewer.
    pub(crate) viewer: Cut,
    /// Of a program that keeps its links if it can.
    pub(crate) program: Option<Cut>,
}

/// The end of somebody's links.
#[derive(Debug, Serialize)]
pub(crate) struct Cut {
    /// Viewers that were linked with it.
    pub(crate) neighbours: usize,
    /// Seconds until the last of them wasn't any more.
    pub(crate) seconds: f64,
}

/// Who a page is linked with, in hex.
pub(super) async fn neighbours(page: &Page) -> Result<Vec<String>> {
    page.eval("(Rillcast.stats().engine?.neighbours ?? []).map(({ peer }) => peer)")
        .await
        .context("a viewer's page doesn't say with whom it is linked")
}

/// Has two sent away: a hostile peer, and a viewer.
pub(super) async fn measure(stage: &mut Stage, pages: &[Page], hostile: &Running) -> Result<Revocation> {
    let program = hostile.log().me.map(|me| me.to_string()).context("it has been let in")?;
    let linked = linked_with(pages, &program).await?;
    let program = if linked > 0 { Some(revoke(stage, pages, &program).await?) } else { None };
    let first = pages.first().context("there are viewers")?;
    let viewer = neighbours(first).await?.into_iter().next().context("the first viewer has neighbours")?;
    Ok(Revocation { viewer: revoke(stage, pages, &viewer).await?, program })
}

async fn revoke(stage: &mut Stage, pages: &[Page], name: &str) -> Result<Cut> {
    let neighbours = linked_with(pages, name).await?;
    let begun = Instant::now();
    stage.rillcast()?.revoke(name).await?;
    while linked_with(pages, name).await? > 0 {
        if begun.elapsed() > LONG {
            bail!("{name} has been revoked for {LONG:?} and is still linked with");
        }
        tokio::time::sleep(LOOK).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("revocation: {neighbours} neighbours were rid of {name} in {seconds:.2} s");
    Ok(Cut { neighbours, seconds })
}

/// Viewers that are linked with somebody.
async fn linked_with(pages: &[Page], name: &str) -> Result<usize> {
    let mut asking = JoinSet::new();
    for page in pages {
        let page = page.clone();
        asking.spawn(async move { neighbours(&page).await });
    }
    let mut count = 0;
    while let Some(answer) = asking.join_next().await {
        count += usize::from(answer??.iter().any(|peer| peer == name));
    }
    Ok(count)
}
