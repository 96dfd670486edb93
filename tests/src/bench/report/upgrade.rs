//! The report of `bench upgrade`, as text and as a page.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::{Area, Bar, Drawing};
use crate::bench::upgrade::Findings;

fn viewers(found: &Findings) -> Vec<Vec<String>> {
    let megabytes = |bytes: u64| format!("{:.1}", bytes as f64 / 1e6);
    let row = |viewer: &crate::bench::upgrade::Watched| {
        vec![
            if viewer.former { "former" } else { "new" }.to_owned(),
            format!("{:.0}", viewer.played_s),
            format!("{} ({:.0} ms)", viewer.stalls, viewer.stall_ms),
            megabytes(viewer.consumed),
            megabytes(viewer.from_peers),
            megabytes(viewer.uploaded),
        ]
    };
    found.viewers.iter().map(row).collect()
}

const TITLES: [&str; 6] =
    ["version", "played, s", "stalls", "consumed, MB", "from peers, MB", "uploaded, MB"];

/// Everything as text.
pub(crate) fn text(found: &Findings) -> String {
    let mut text = format!("{:<32} {:>8} {:>12}\n", "former viewers, while", "stalls", "from peers");
    for stretch in &found.stretches {
        let share = format!("{:.1} %", stretch.offload * 100.0);
        let _ = writeln!(text, "{:<32} {:>8} {share:>12}", stretch.what, stretch.stalls);
    }
    for row in std::iter::once(TITLES.map(str::to_owned).to_vec()).chain(viewers(found)) {
        let _ = write!(text, "\n{:<8}", row[0]);
        row[1..].iter().for_each(|cell| {
            let _ = write!(text, " {cell:>15}");
        });
    }
    text
}

/// Everything as a page.
pub(crate) fn page(found: &Findings) -> String {
    let mut drawing = Drawing::new(960.0, 290.0);
    let names: Vec<&str> = found.stretches.iter().map(|stretch| stretch.what).collect();
    drawing.legend(50.0, 30.0, &names);
    let bar = |share: f64| Bar { value: share, label: format!("{:.1}%", share * 100.0), mark: None };
    let bars: Vec<Bar> = found.stretches.iter().map(|stretch| bar(stretch.offload)).collect();
    let area = Area { left: 50.0, top: 95.0, width: 600.0, height: 150.0 };
    drawing.bars(area, "From peers and seeds, of what came to former viewers", 1.0, &bars);
    let stretches = found.stretches.iter().map(|s| vec![s.what.to_owned(), s.stalls.to_string()]);
    let body = drawing.finish()
        + &rows(&["former viewers, while", "stalls"], stretches)
        + &rows(&TITLES, viewers(found).into_iter());
    html_page("An upgrade while viewers watch", &body)
}
