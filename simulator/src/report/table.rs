//! Figures for people.

use super::statistics::{median, ratio};
use super::{Figures, Outcome, Report};
use crate::machine::Machine;

/// What isn't there.
const DASH: &str = "-";

/// A line of a table: what it is, and its value.
pub(super) type Row = (&'static str, String);

/// Rows of one run, in groups with a heading. What a run doesn't have is a dash.
pub(super) fn rows(f: &Figures) -> Vec<(&'static str, Vec<Row>)> {
    let versus = f.comparison.as_ref();
    let consumed = f.bytes.consumed as f64;
    let of = |bytes: u64| percent(ratio(bytes as f64, consumed));
    let list = |values: &[f64]| values.iter().map(|v| format!("{v:.1}")).collect::<Vec<_>>().join(" / ");
    vec![
        (
            "Savings",
            vec![
                ("savings", percent(f.savings)),
                ("  of those who give", or_dash(f.givers_savings.as_ref(), |s| percent(*s))),
                ("bound", percent(f.bound)),
                ("eta (savings / bound)", format!("{:.4}", f.eta)),
                ("copies", format!("{:.2}", f.copies)),
                ("copies, steady", format!("{:.2}", f.copies_steady)),
                ("  by rendition", list(&f.copies_steady_by_rendition)),
                ("source, peak", mbit(f.peak_source_bps)),
                ("source, p95", mbit(f.p95_source_bps)),
                ("  over the CDN alone's", or_dash(versus, |v| format!("{:.3}", v.p95_source_over_cdn))),
            ],
        ),
        (
            "Viewers",
            vec![
                ("buffer longer than alone", or_dash(versus, |v| percent(v.worse_buffering))),
                ("at a lower bitrate", or_dash(versus, |v| percent(v.lower_bitrate))),
                ("viewers that stalled", percent(f.stalled_peers)),
                ("stalls per hour", format!("{:.3}", f.stalls_per_hour)),
                ("  of those who give", or_dash(f.givers_stalls_per_hour.as_ref(), |s| format!("{s:.3}"))),
                ("jumps ahead per hour", format!("{:.3}", f.skips_per_hour)),
                ("buffering per hour", format!("{:.2} s", f.buffering_s_per_hour)),
                ("start-up, median", format!("{:.0} ms", f.start_ms)),
                ("start-up, p99", format!("{:.0} ms", f.p99_start_ms)),
                ("never started", percent(f.never_started)),
                ("live latency", or_dash(f.latency_s.as_ref(), |s| format!("{s:.2} s"))),
                (
                    "  above the CDN alone's",
                    or_dash(versus.and_then(|v| v.latency_above_s).as_ref(), |s| format!("{s:+.3} s")),
                ),
                ("bitrate", format!("{:.0} kbit/s", f.bitrate_bps / 1e3)),
            ],
        ),
        (
            "Bytes received, of those consumed",
            vec![
                ("from viewers", of(f.bytes.peers)),
                ("from seeds", of(f.bytes.seeds)),
                ("from the publisher", of(f.bytes.publisher)),
                ("source: election", of(f.bytes.election)),
                ("source: rescue", of(f.bytes.rescue)),
                ("source: whole segments", of(f.bytes.whole)),
                ("source: first segments", of(f.bytes.first)),
                ("source: to publishers", of(f.bytes.published)),
                ("in vain", of(f.bytes.wasted)),
                ("  false", of(f.bytes.polluted)),
                ("    passed on by others", of(f.lies.relayed_bytes)),
                ("    played", of(f.lies.played_bytes)),
                ("  senders sent away", f.lies.sent_away.to_string()),
            ],
        ),
        (
            "Swarm",
            vec![
                ("upload ratio", format!("{:.3}", f.upload_ratio)),
                ("hop depth", or_dash(f.mean_depth.as_ref(), |d| format!("{d:.2}"))),
                ("rank corr. depth, upload", or_dash(f.rho_depth_upload.as_ref(), |r| format!("{r:+.3}"))),
                ("to another ISP", or_dash(f.cross_isp.as_ref(), |share| percent(*share))),
                ("  over blind choice", or_dash(f.cross_isp_over_blind.as_ref(), |r| format!("{r:.3}"))),
                ("copies into a site", or_dash(f.site_copies.as_ref(), |c| format!("{c:.2}"))),
                ("  at most", or_dash(f.site_copies_max.as_ref(), |c| format!("{c:.2}"))),
                ("  once all are there", or_dash(f.site_copies_filled.as_ref(), |c| format!("{c:.2}"))),
                ("TCP's share beside ours", or_dash(f.tcp_share.as_ref(), |share| percent(*share))),
                ("uplink used alone", or_dash(f.uplink_used_alone.as_ref(), |share| percent(*share))),
                ("addresses learned by crawlers", or_dash(f.crawled.as_ref(), |c| c[0].to_string())),
                ("  shown to as many honest", or_dash(f.crawled.as_ref(), |c| c[1].to_string())),
                ("    by their links", or_dash(f.crawled.as_ref(), |c| c[2].to_string())),
                (
                    "  learned over links'",
                    or_dash(f.crawled_over_linked.as_ref(), |share| format!("{share:.2}")),
                ),
                ("control messages", format!("{:.1} /s", f.control_per_second)),
                ("control bytes", format!("{:.0} B/s", f.control_bytes_per_second)),
                ("engine calls", format!("{:.1} /s", f.calls_per_second)),
            ],
        ),
        ("Bounds on savings", bounds(f)),
    ]
}

fn bounds(f: &Figures) -> Vec<Row> {
    let b = &f.bounds;
    let maybe = |bound: Option<f64>| or_dash(bound.as_ref(), |share| percent(*share));
    vec![
        ("one copy, and the starts", percent(b.structure)),
        ("uplinks pooled (rho)", format!("{:.3}", b.rho)),
        ("  without the ratio cap", format!("{:.3}", b.rho_without_ratio)),
        ("latency, blocks", maybe(b.latency_blocks)),
        ("on demand", maybe(b.demand)),
        ("least of these: bound", percent(f.bound)),
        ("uplinks by rendition", percent(b.by_rendition)),
        ("starts alone", percent(b.start)),
        ("latency, whole segments", maybe(b.latency_segments)),
        ("UDP blocked", percent(b.linkable)),
    ]
}

fn machine(m: Option<&Machine>) -> Vec<Row> {
    vec![
        ("took", or_dash(m, |m| format!("{:.1} s", m.wall_s))),
        ("processor", or_dash(m, |m| format!("{:.1} s", m.cpu_s))),
        ("  per viewer-second", or_dash(m, |m| format!("{:.0} us", m.cpu_us_per_peer_second))),
        ("memory, peak", or_dash(m, |m| format!("{:.0} MiB", m.rss_mib))),
    ]
}

/// A heading, and its lines: what each is, and its value in each run.
pub(super) type Group = (&'static str, Vec<(&'static str, Vec<String>)>);

/// All runs' rows beside each other; what none of them has is left out.
pub(super) fn beside(runs: Vec<Vec<(&'static str, Vec<Row>)>>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (n, run) in runs.into_iter().enumerate() {
        for (g, (heading, rows)) in run.into_iter().enumerate() {
            if n == 0 {
                groups.push((heading, rows.into_iter().map(|(name, value)| (name, vec![value])).collect()));
            } else {
                groups[g].1.iter_mut().zip(rows).for_each(|((_, values), (_, value))| values.push(value));
            }
        }
    }
    groups.iter_mut().for_each(|(_, lines)| lines.retain(|(_, values)| values.iter().any(|v| v != DASH)));
    groups
}

/// A seed's runs beside each other.
pub(crate) fn table(report: &Report) -> String {
    let f = &report.engine.figures;
    let mut text = format!(
        "{}, seed {}: {} viewers at a time, {} visits, {:.1} hours watched\n\n{:<27}",
        report.scenario, report.seed, f.peers, f.visitors, f.viewing_hours, ""
    );
    report.outcomes().for_each(|(arrangement, _)| text += &format!("{:>22}", arrangement.name()));
    text.push('\n');
    let all = |o: &Outcome| {
        let mut all = rows(&o.figures);
        all.push(("This machine", machine(o.machine.as_ref())));
        all
    };
    for (heading, lines) in beside(report.outcomes().map(|(_, outcome)| all(outcome)).collect()) {
        text += &format!("{heading}\n");
        for (name, values) in lines {
            text += &format!("  {name:<25}");
            values.iter().for_each(|value| text += &format!("{value:>22}"));
            text.push('\n');
        }
    }
    text
}

/// One of the figures that seeds are compared by: its name, its value, and how it is written.
type Column = (&'static str, fn(&Figures) -> Option<f64>, fn(f64) -> String);

/// What runs are compared by.
const COLUMNS: [Column; 9] = [
    ("savings", |f| Some(f.savings), percent),
    ("eta", |f| Some(f.eta), |v| format!("{v:.4}")),
    ("copies, steady", |f| Some(f.copies_steady), |v| format!("{v:.2}")),
    ("source p95", |f| Some(f.p95_source_bps), mbit),
    ("over CDN's", |f| Some(f.comparison?.p95_source_over_cdn), |v| format!("{v:.3}")),
    ("buffer longer", |f| Some(f.comparison?.worse_buffering), percent),
    ("lower bitrate", |f| Some(f.comparison?.lower_bitrate), percent),
    ("stalls/hour", |f| Some(f.stalls_per_hour), |v| format!("{v:.3}")),
    ("latency above", |f| f.comparison?.latency_above_s, |v| format!("{v:+.3} s")),
];

/// Runs under each other, by name.
pub(crate) fn beneath<'a>(heading: &str, runs: impl Iterator<Item = (String, &'a Report)>) -> String {
    let mut text = heading_of(heading);
    for (name, report) in runs {
        text += &row(&name, |(_, value, write)| value(&report.engine.figures).map(write));
    }
    text
}

/// Several seeds under each other, and their medians.
pub(crate) fn seeds(reports: &[Report]) -> String {
    let mut text = beneath("seed", reports.iter().map(|report| (report.seed.to_string(), report)));
    text += &row("median", |(_, value, write)| {
        let all: Vec<f64> = reports.iter().filter_map(|r| value(&r.engine.figures)).collect();
        (!all.is_empty()).then(|| write(median(all)))
    });
    text
}

fn heading_of(name: &str) -> String {
    let mut text = format!("{name:<24}");
    COLUMNS.iter().for_each(|(name, ..)| text += &format!("{name:>16}"));
    text + "\n"
}

fn row(name: &str, cell: impl Fn(Column) -> Option<String>) -> String {
    let mut text = format!("{name:<24}");
    COLUMNS
        .iter()
        .for_each(|column| text += &format!("{:>16}", or_dash(cell(*column).as_ref(), String::clone)));
    text + "\n"
}

fn or_dash<T>(value: Option<&T>, write: impl Fn(&T) -> String) -> String {
    value.map_or_else(|| DASH.to_owned(), write)
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn mbit(bps: f64) -> String {
    format!("{:.2} Mbit/s", bps / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_stand_beside_each_other_without_what_none_of_them_has() {
        let run = |a: &str, b: &str, c: &str| {
            vec![("Group", vec![("a", a.to_owned()), ("b", b.to_owned()), ("c", c.to_owned())])]
        };
        let found = beside(vec![run("1", DASH, "2"), run("3", DASH, DASH)]);
        let values = |of: &[&str]| of.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        assert_eq!(found, [("Group", vec![("a", values(&["1", "3"])), ("c", values(&["2", DASH]))])]);
    }
}
