//! One page that shows a seed's runs: figures, plots, bounds. It needs nothing from anywhere else.

use std::fmt::Write;

use super::chart::escape;
use super::plots::Plot;
use super::{Report, table};

const STYLE: &str = "\
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#111827;--soft:#4b5563;--line:#e5e7eb;--accent:#2563eb}\
@media(prefers-color-scheme:dark){:root{--paper:#0d0f13;--card:#16191f;--ink:#f3f4f6;--soft:#a3adbd;--line:#2a2f3a;--accent:#60a5fa}}\
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);\
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
main{max-width:1320px;margin:0 auto;padding:32px 20px 64px}h1{font-size:26px;margin:0}h2{font-size:18px;margin:40px 0 12px}\
p{color:var(--soft);margin:4px 0 0}a{color:var(--accent)}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin-top:24px}\
.tile,.plot,.scroll{background:var(--card);border:1px solid var(--line);border-radius:10px}\
.tile{padding:14px 16px}.tile b{display:block;font-size:24px;font-weight:600;font-variant-numeric:tabular-nums}\
.tile span{color:var(--soft);font-size:13px}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:16px}\
.plot{padding:8px;overflow:hidden}.plot svg{display:block;width:100%;height:auto}\
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}th,td{padding:5px 16px;text-align:right;white-space:nowrap}\
td{font-variant-numeric:tabular-nums}th:first-child,td:first-child{text-align:left}td.in{padding-left:32px;color:var(--soft)}\
tr+tr td{border-top:1px solid var(--line)}\
tr.group th{text-align:left;padding-top:18px;font-size:13px;color:var(--soft);font-weight:600}\
thead th{font-size:13px;color:var(--soft);padding-top:12px}";

/// The page.
pub(super) fn page(report: &Report, about: &str, plots: &[Plot]) -> String {
    let f = &report.engine.figures;
    let title = format!("{}, seed {}", escape(&report.scenario), report.seed);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\
         <p>{}</p><p>{} viewers at a time, {} visits, {:.1} hours watched</p>\n",
        escape(about),
        f.peers,
        f.visitors,
        f.viewing_hours
    );
    out += "<div class=\"tiles\">";
    for (name, value) in tiles(report) {
        let _ = write!(out, "<div class=\"tile\"><b>{value}</b><span>{name}</span></div>");
    }
    out += "</div>\n<h2>Plots</h2><div class=\"plots\">\n";
    for (_, chart) in plots {
        let _ = writeln!(out, "<div class=\"plot\">{}</div>", chart.svg());
    }
    out += "</div>\n<h2>Figures</h2><div class=\"scroll\">";
    figures(&mut out, report);
    out += "</div>\n<h2>Files</h2><p>";
    let files = ["report.json", "machine.json", "seconds.csv", "viewers.csv"];
    let links: Vec<_> = files.iter().map(|file| format!("<a href=\"{file}\">{file}</a>")).collect();
    out += &links.join(", ");
    out += "</p>\n</main></body></html>\n";
    out
}

/// What everybody looks for first.
fn tiles(report: &Report) -> Vec<(&'static str, String)> {
    let f = &report.engine.figures;
    let percent = |share: f64| format!("{:.2}&thinsp;%", share * 100.0);
    let mut all = vec![
        ("savings", percent(f.savings)),
        ("eta, of the best possible", format!("{:.3}", f.eta)),
        ("copies of a segment, steady", format!("{:.1}", f.copies_steady)),
        ("stalls per viewing hour", format!("{:.3}", f.stalls_per_hour)),
    ];
    if let Some(versus) = &f.comparison {
        all.push(("buffer longer than from the CDN alone", percent(versus.worse_buffering)));
        all.push(("p95 source rate over the CDN alone's", format!("{:.3}", versus.p95_source_over_cdn)));
    }
    all
}

fn figures(out: &mut String, report: &Report) {
    *out += "<table><thead><tr><th></th>";
    report.outcomes().for_each(|(a, _)| *out += &format!("<th>{}</th>", escape(a.name())));
    *out += "</tr></thead><tbody>\n";
    let columns = report.outcomes().count() + 1;
    for (heading, lines) in table::beside(report.outcomes().map(|(_, o)| table::rows(&o.figures)).collect()) {
        let _ = writeln!(out, "<tr class=\"group\"><th colspan=\"{columns}\">{heading}</th></tr>");
        for (name, values) in lines {
            let class = if name.starts_with(' ') { " class=\"in\"" } else { "" };
            let _ = write!(out, "<tr><td{class}>{}</td>", escape(name.trim()));
            values.iter().for_each(|value| *out += &format!("<td>{}</td>", escape(value)));
            *out += "</tr>\n";
        }
    }
    *out += "</tbody></table>";
}
