//! Aligned tables.

use crate::bench::offload::{RunResult, Summary};

/// Titles and widths.
pub(crate) const COLUMNS: [(&str, usize); 16] = [
    ("client", 22),
    ("savings", 7),
    ("bound", 6),
    ("eta", 6),
    ("peers", 6),
    ("seeds", 6),
    ("copies", 6),
    ("steady", 6),
    ("(best)", 6),
    ("stalls", 6),
    ("stall s", 7),
    ("start s", 7),
    ("latency", 7),
    ("kbit/s", 6),
    ("CPU", 5),
    ("ms/MB", 6),
];

/// The line of titles.
pub(crate) fn header(columns: &[(&str, usize)]) -> String {
    row(&columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>())
}

/// A line of cells, aligned to the columns: the first to the left, numbers to the right.
pub(crate) fn row(cells: &[String]) -> String {
    let padded = cells.iter().zip(COLUMNS).enumerate().map(|(index, (cell, (_, width)))| {
        if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// A single run's cells.
pub(crate) fn cells(client: &str, run: &RunResult) -> Vec<String> {
    let eta = if run.bound > 0.0 { run.savings / run.bound } else { 0.0 };
    vec![
        client.to_owned(),
        share(run.savings),
        share(run.bound),
        share(eta),
        share(run.peer_share),
        share(run.seed_share),
        format!("{:.2}", run.copies),
        format!("{:.2}", run.copies_steady),
        format!("{:.2}", run.copies_bound),
        run.stalls.to_string(),
        format!("{:.1}", run.stall_ms / 1000.0),
        seconds(run.start_ms.map(|ms| ms / 1000.0)),
        seconds(run.latency_s),
        format!("{:.0}", run.bitrate_bps / 1000.0),
        format!("{:.2}", run.cpu_per_viewer),
        format!("{:.0}", run.cpu_ms_per_mb),
    ]
}

/// The medians' cells.
pub(crate) fn summary_cells(summary: &Summary) -> Vec<String> {
    vec![
        summary.client.to_owned(),
        share(summary.savings),
        share(summary.bound),
        share(summary.eta),
        share(summary.peer_share),
        share(summary.seed_share),
        format!("{:.2}", summary.copies),
        format!("{:.2}", summary.copies_steady),
        format!("{:.2}", summary.copies_bound),
        format!("{:.0}", summary.stalls),
        format!("{:.1}", summary.stall_ms / 1000.0),
        seconds(summary.start_ms.map(|ms| ms / 1000.0)),
        seconds(summary.latency_s),
        format!("{:.0}", summary.bitrate_bps / 1000.0),
        format!("{:.2}", summary.cpu_per_viewer),
        format!("{:.0}", summary.cpu_ms_per_mb),
    ]
}

/// The whole table.
pub(crate) fn table(summaries: &[Summary]) -> String {
    let mut lines = vec![header(&COLUMNS)];
    lines.extend(summaries.iter().map(|summary| row(&summary_cells(summary))));
    lines.join("\n")
}

fn share(value: f64) -> String {
    format!("{:.1}%", value * 100.0)
}

fn seconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}
