//! `bench offload`: the same live stream (or VOD), watched by the same number of viewers through one client after
//! another; what the origin wrote, and what the viewers saw.
//!
//! The origin's ledger says what was fetched, the pages say what was played; neither is asked of the client.

mod account;
mod options;
mod run;
mod stage;
mod summary;

use std::path::PathBuf;

use anyhow::{Context, Result};

pub use account::{RunResult, ViewerReport};
pub use options::{Client, Options};
pub use run::run_client;
pub(crate) use run::{Watched, watch};
pub(crate) use stage::Stage;
pub use summary::Summary;

use super::report;

/// Measures as told, prints the table and, as the last line, JSON; writes the report.
pub async fn offload(options: &Options) -> Result<()> {
    let library = super::library().await?;
    let clients = options.expanded();
    let total = clients.len() * options.runs();
    let mut results: Vec<RunResult> = Vec::with_capacity(total);
    // A B A B rather than A A B B, so that a machine that changes in between changes for all.
    for round in 0..options.runs() {
        for &client in &clients {
            let label = format!("run {}/{total} {} (round {})", results.len() + 1, client.name(), round + 1);
            let result = run_client(&library, client, options, &label, total - results.len() - 1).await;
            let result = result.with_context(|| format!("{label} failed"))?;
            if results.is_empty() {
                eprintln!("{}", report::table::header(&report::table::COLUMNS));
            }
            eprintln!("{}", report::table::row(&report::table::cells(client.name(), &result)));
            for line in result.altered.iter().chain(&result.decode_errors).take(10) {
                eprintln!("    {line}");
            }
            results.push(result);
        }
    }
    let summaries: Vec<Summary> =
        clients.iter().filter_map(|&client| Summary::of(client, &results)).collect();
    let path = write_report(options, &summaries, &results)?;
    println!("{}", table(&summaries));
    println!("{}", options.conditions());
    println!("report: {}", path.display());
    println!("{}", serde_json::to_string(&summaries)?);
    Ok(())
}

/// The figures as an aligned table.
pub fn table(summaries: &[Summary]) -> String {
    report::table::table(summaries)
}

fn write_report(options: &Options, summaries: &[Summary], results: &[RunResult]) -> Result<PathBuf> {
    let name = options.report_name();
    let svg = report::chart::offload(summaries, results);
    let html = report::page::offload(options, summaries, results, &svg);
    let json = serde_json::json!({
        "conditions": options.conditions(), "clients": summaries, "runs": results,
    });
    let write = |ending: &str, text: &str| options.reports.write(&format!("{name}.{ending}"), text);
    write("svg", &svg)?;
    write("json", &serde_json::to_string_pretty(&json)?)?;
    write("html", &html)
}
