//! The report of `bench ingest`, as text and as a page.

use super::page::{page as html_page, rows};
use super::svg::{Area, Bar, Drawing, escape};
use crate::bench::ingest::{MOST_BEHIND_S, Run};

/// The table's titles.
pub(crate) const TITLES: &str = "way       latency   most  start s  stalls  peers  seeds  publisher  errors";

/// A run as a line of it.
pub(crate) fn line(run: &Run) -> String {
    format!(
        "{:<8}  {:>7.2}  {:>5.2}  {:>7.2}  {:>6}  {:>4.0}%  {:>4.0}%  {:>8.0}%  {:>6}",
        run.way,
        run.latency_s,
        run.latency_most_s,
        run.start_ms / 1e3,
        run.stalls,
        100.0 * run.peer_share,
        100.0 * run.seed_share,
        100.0 * run.publisher_share,
        run.decode_errors
    )
}

/// Everything as a page: medians and single runs.
pub(crate) fn page(conditions: &str, medians: &[Run; 2], runs: &[Run]) -> String {
    let mut drawing = Drawing::new(960.0, 300.0);
    drawing.legend(50.0, 30.0, &medians.each_ref().map(|run| run.way));
    let area = |left: f64| Area { left, top: 95.0, width: 260.0, height: 150.0 };
    let allowed = medians[0].latency_s + MOST_BEHIND_S;
    let latency = |run: &Run| Bar {
        value: run.latency_s,
        label: format!("{:.2} s", run.latency_s),
        mark: Some(allowed),
    };
    let title = "Behind the encoder (line: most allowed)";
    drawing.bars(area(50.0), title, 1.2 * allowed, &medians.each_ref().map(latency));
    let share = |value: f64| Bar { value, label: format!("{:.0}%", value * 100.0), mark: None };
    let with = &medians[1];
    let shares = [with.peer_share, with.seed_share, with.publisher_share].map(share);
    drawing.bars_in(area(480.0), "With peers: from viewers, seed, publisher", 1.0, &shares, 3);
    let row = |run: &Run| {
        vec![
            run.way.to_owned(),
            format!("{:.2}", run.latency_s),
            format!("{:.2}", run.latency_most_s),
            format!("{:.2}", run.start_ms / 1e3),
            run.stalls.to_string(),
            format!("{:.0} %", 100.0 * run.peer_share),
            format!("{:.0} %", 100.0 * run.seed_share),
        ]
    };
    let titles = ["way", "latency, s", "most", "start, s", "stalls", "from viewers", "from the node"];
    let body = format!(
        "<p>{}</p>\n{}<h2>Medians</h2>\n{}<h2>Runs</h2>\n{}",
        escape(conditions),
        drawing.finish(),
        rows(&titles, medians.iter().map(row)),
        rows(&titles, runs.iter().map(row))
    );
    html_page("Pushed by ffmpeg, watched with and without peers", &body)
}
