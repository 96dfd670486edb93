//! `bench seed`: what a seed carries, and what that costs it.
//!
//! - [`crowd`]: hundreds of native viewers at one port, against the same links without a seed behind them
//! - [`transfers`]: twenty megabytes to and from browsers over links of some length, against those between browsers
//! - [`lossy`]: browsers that play from one seed over lines that lose packets
//! - [`process`]: parts in processes of their own, and what a process costs
//! - [`findings`]: all that, and what it is judged by

mod crowd;
mod findings;
mod lossy;
mod options;
mod process;
mod transfers;

use std::path::PathBuf;

use anyhow::{Result, ensure};

pub use options::{Alone, Options, Part};

pub(crate) use self::crowd::Load;
pub(crate) use self::findings::{Findings, Judged};
pub use self::transfers::Pair;
use super::report;

/// Measures as told, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn seed(options: &Options) -> Result<()> {
    let mut found = Findings::default();
    if options.has(Part::Crowd) {
        found.crowd = Some(crowd::measure(options).await?);
    }
    if options.has(Part::Transfers) {
        found.transfers = transfers::measure(options).await?;
    }
    if options.has(Part::Lossy) {
        found.lossy = Some(lossy::measure(options).await?);
    }
    let path = write_report(options, &found)?;
    let judged = found.judged();
    println!("{}", report::seed::text(&found, &judged));
    println!("{}", options.conditions());
    println!("report: {}", path.display());
    println!(
        "{}",
        serde_json::json!({ "crowd": found.crowd, "transfers": found.legs(), "lossy": found.lossy, "judged": judged })
    );
    let failed: Vec<_> = judged.iter().filter(|one| !one.holds).map(|one| one.what.as_str()).collect();
    ensure!(failed.is_empty(), "doesn't hold: {}", failed.join("; "));
    Ok(())
}

/// A part that another process of ours has started.
pub async fn alone(part: Alone) -> Result<()> {
    part.run().await
}

fn write_report(options: &Options, found: &Findings) -> Result<PathBuf> {
    let judged = found.judged();
    let html = report::seed::page(&options.conditions(), found, &judged);
    let json = serde_json::json!({ "conditions": options.conditions(), "findings": found, "judged": judged });
    options.reports.write("seed.json", &serde_json::to_string_pretty(&json)?)?;
    options.reports.write("seed.html", &html)
}
