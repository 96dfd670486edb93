//! The report of `bench seed`, as text and as a page.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::{Area, Bar, Drawing, escape};
use crate::bench::seed::{Findings, Judged, Load, Pair};

/// Everything as text.
pub(crate) fn text(found: &Findings, judged: &[Judged]) -> String {
    let mut lines = String::new();
    if let Some(crowd) = &found.crowd {
        for (name, runs) in [("seed", &crowd.seed), ("bare links", &crowd.raw)] {
            for load in runs {
                let _ = writeln!(lines, "{name:<12} {}", cells(load).join("  "));
            }
        }
        for care in &crowd.care {
            let _ = writeln!(
                lines,
                "{:<12} {:.1} % of all segments played in time",
                "players",
                care.in_time() * 100.0
            );
        }
        lines.push('\n');
    }
    for leg in found.legs() {
        let _ = writeln!(
            lines,
            "{:>4} ms  {:<22} {:>7.2} MB/s, longest freeze {:>6.0} ms, {} of {} hung",
            leg.rtt_ms,
            leg.pair.words(),
            leg.bytes_per_s / 1e6,
            leg.freeze_ms,
            leg.hung,
            leg.transfers
        );
    }
    if let Some(lossy) = &found.lossy {
        let _ = writeln!(
            lines,
            "\n{} browsers: {} stalls of {:.0} ms, {:.1} % from the seed, {:.1} MB played",
            lossy.viewers,
            lossy.stalls,
            lossy.stall_ms,
            lossy.seed_share * 100.0,
            lossy.consumed_bytes as f64 / 1e6
        );
    }
    lines.push('\n');
    for one in judged {
        let mark = if one.holds { "holds" } else { "FAILS" };
        let _ = writeln!(lines, "{mark}  {:<88} {}", one.what, one.measured);
    }
    lines
}

/// Everything as a page.
pub(crate) fn page(conditions: &str, found: &Findings, judged: &[Judged]) -> String {
    let required = judged.iter().map(|one| {
        let mark = if one.holds { "holds" } else { "fails" };
        vec![one.what.clone(), one.measured.clone(), mark.to_owned()]
    });
    let mut body = format!(
        "<p>{}</p>\n{}<h2>What is required</h2>\n{}",
        escape(conditions),
        charts(found),
        rows(&["what", "measured", ""], required)
    );
    if let Some(crowd) = &found.crowd {
        let runs = [("seed", &crowd.seed), ("bare links", &crowd.raw)];
        let runs = runs.into_iter().flat_map(|(name, runs)| {
            runs.iter().map(move |load| [vec![name.to_owned()], cells(load).to_vec()].concat())
        });
        body += "<h2>A crowd</h2>\n";
        body += &rows(&["", "rate", "processor a byte", "processor", "memory a peer"], runs);
    }
    html_page("What a seed carries", &body)
}

fn cells(load: &Load) -> [String; 4] {
    [
        format!("{:.1} MB/s", load.bytes_per_s / 1e6),
        format!("{:.1} ms/MB", load.cpu_ms_per_mb),
        format!("{:.2} of a processor", load.cpu),
        format!("{:.2} MiB a peer", load.rss_mib_per_peer),
    ]
}

fn charts(found: &Findings) -> String {
    const ROW: f64 = 260.0;
    let legs = found.legs();
    // A row of charts for each part that was measured.
    let (of_crowd, of_legs) = (found.crowd.is_some(), !legs.is_empty());
    let below = if of_crowd { ROW } else { 0.0 };
    let mut drawing = Drawing::new(960.0, 30.0 + below + if of_legs { ROW } else { 0.0 });
    if let Some(crowd) = &found.crowd {
        drawing.legend(50.0, 30.0, &["seed", "bare links"]);
        let chart = |drawing: &mut Drawing, at: f64, title, of: &dyn Fn(&Load) -> f64, unit| {
            let bars =
                crowd.medians(of).map(|value| Bar { value, label: format!("{value:.1} {unit}"), mark: None });
            let top = bars.iter().map(|bar| bar.value).fold(0.1, f64::max) * 1.1;
            let area = Area { left: 50.0 + at * 305.0, top: 95.0, width: 260.0, height: 150.0 };
            drawing.bars(area, title, top, &bars);
        };
        chart(&mut drawing, 0.0, "Rate", &|load| load.bytes_per_s / 1e6, "MB/s");
        chart(&mut drawing, 1.0, "Processor a byte", &|load| load.cpu_ms_per_mb, "ms/MB");
        chart(&mut drawing, 2.0, "Memory a peer", &|load| load.rss_mib_per_peer, "MiB");
    }
    if of_legs {
        drawing.legend(50.0, 30.0 + below, &Pair::ALL.map(Pair::words));
        let top = legs.iter().map(|leg| leg.bytes_per_s / 1e6).fold(0.1, f64::max) * 1.1;
        for (at, legs) in legs.chunks(Pair::ALL.len()).enumerate() {
            let bars: Vec<Bar> = legs
                .iter()
                .map(|leg| {
                    let value = leg.bytes_per_s / 1e6;
                    Bar { value, label: format!("{value:.1}"), mark: None }
                })
                .collect();
            let area =
                Area { left: 50.0 + at as f64 * 305.0, top: 95.0 + below, width: 260.0, height: 150.0 };
            let title = format!("{} ms of round trip, MB/s", legs[0].rtt_ms);
            drawing.bars(area, &title, top, &bars);
        }
    }
    drawing.finish()
}
