//! One run of one client.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::account::{self, Run, RunResult, ViewerReport};
use super::options::{Client, Options};
use super::stage::Stage;
use crate::browser::Page;
use crate::media::Library;

/// What setting the stage takes, roughly; for the estimate of the time left.
const SETTING: u64 = 20;

/// When in a segment the first viewer comes.
const PHASE: Duration = Duration::from_secs(1);

/// A run with its viewers still there.
pub(crate) struct Watched {
    /// Its figures.
    pub(crate) result: RunResult,
    /// The viewers' pages.
    pub(crate) pages: Vec<Page>,
}

/// Sets the stage, lets the viewers come, watches for the time given, and takes stock. `label` names the run in the
/// progress, `more` says how many runs follow it.
pub async fn run_client(
    library: &Library,
    client: Client,
    options: &Options,
    label: &str,
    more: usize,
) -> Result<RunResult> {
    eprintln!("{label}: setting the stage");
    let mut stage = Stage::set(library, client, options).await?;
    Ok(watch(&mut stage, client, options, label, more).await?.result)
}

/// The same on a stage that is set, which stays as it is at the end of the run.
pub(crate) async fn watch(
    stage: &mut Stage,
    client: Client,
    options: &Options,
    label: &str,
    more: usize,
) -> Result<Watched> {
    let url = stage.page(client, options);
    // How far behind the edge a player settles depends on when in a segment it comes: let all clients' runs begin
    // at the same moment of one.
    tokio::time::sleep(stage.origin.until_next_segment() + PHASE).await;
    stage.origin.ledger().reset();
    let cpu_before = stage.cpu_ms();
    let began = Instant::now();
    let began_ms = account::now_ms();
    let mut coming = JoinSet::new();
    for (index, browser) in stage.browsers.iter().enumerate() {
        let (browser, url) = (browser.clone(), url.clone());
        let turn = began + Duration::from_secs(options.gap() * index as u64);
        coming.spawn(async move {
            tokio::time::sleep_until(turn.into()).await;
            let came = Instant::now();
            browser.open(&url).await.map(|page| (index, came, page))
        });
    }
    let end = began + Duration::from_secs(options.seconds);
    while Instant::now() < end {
        let left = end.saturating_duration_since(Instant::now()).as_secs();
        let all = left + more as u64 * (options.seconds + SETTING);
        if left.is_multiple_of(15) {
            eprintln!("{label}: {left} s to go, about {} min in all", all.div_ceil(60));
        }
        stage.check()?;
        tokio::time::sleep(Duration::from_secs(1).min(end.saturating_duration_since(Instant::now()))).await;
    }
    let mut pages: Vec<(usize, Instant, Page)> = Vec::new();
    while let Some(came) = coming.join_next().await {
        pages.push(came?.context("a viewer's page didn't open")?);
    }
    pages.sort_by_key(|&(index, ..)| index);
    // The moment of truth: the ledger first, then the pages, all at once.
    let segments = stage.origin.ledger().segments();
    let per_second = stage.origin.ledger().media_per_second();
    let cpu_ms = stage.cpu_ms() - cpu_before;
    if std::env::var_os("RILLCAST_VERBOSE").is_some() {
        for (id, segment) in &segments {
            eprintln!(
                "{} {} {}: {} of {} by {:?}",
                id.stream.name(),
                id.rendition,
                id.number,
                segment.bytes,
                segment.size,
                segment.by_client
            );
        }
    }
    let reports = collect(&pages).await?;
    let run = Run {
        client,
        options,
        origin: &stage.origin,
        addresses: &stage.addresses,
        segments,
        per_second,
        cpu_ms,
        began_ms,
        sessions: pages.iter().map(|(_, came, _)| end - *came).collect(),
        reports,
    };
    let result = account::settle(&run);
    let pages = pages.into_iter().map(|(_, _, page)| page).collect();
    Ok(Watched { result, pages })
}

async fn collect(pages: &[(usize, Instant, Page)]) -> Result<Vec<ViewerReport>> {
    let mut asking = JoinSet::new();
    for (index, _, page) in pages {
        let (index, page) = (*index, page.clone());
        asking.spawn(async move { (index, page.eval::<ViewerReport>("rcStats.report()").await, page) });
    }
    let mut reports = Vec::new();
    while let Some(answer) = asking.join_next().await {
        let (index, report, page) = answer?;
        let report = match report {
            Ok(report) => report,
            Err(error) => {
                let log = page.log().await.unwrap_or_default().join("\n  | ");
                return Err(error)
                    .with_context(|| format!("viewer {index} gave no report; its console:\n  | {log}"));
            }
        };
        if std::env::var_os("RILLCAST_VERBOSE").is_some() {
            eprintln!("viewer {index}: {}", report.brief());
            let engine: serde_json::Value =
                page.eval("window.Rillcast?.stats?.().engine ?? null").await.unwrap_or_default();
            eprintln!("viewer {index}: engine {engine}");
            for line in page.log().await.unwrap_or_default() {
                eprintln!("viewer {index} | {line}");
            }
        }
        reports.push((index, report));
    }
    reports.sort_by_key(|&(index, _)| index);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}
