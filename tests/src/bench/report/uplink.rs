//! The report of `bench uplink`, as text and as a page.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::{Area, Bar, Drawing, escape};
use crate::bench::uplink::Findings;

fn how(yields: bool) -> &'static str {
    if yields { "yields" } else { "as any other" }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Everything as text.
pub(crate) fn text(found: &Findings) -> String {
    let mut text =
        format!("{:<22} {:<14} {:>16} {:>10}\n", "uploads of", "", "used while alone", "TCP keeps");
    for case in &found.cases {
        let (alone, keeps) = (percent(case.alone), percent(case.tcp_keeps));
        let _ = writeln!(text, "{:<22} {:<14} {alone:>16} {keeps:>10}", case.uploader, how(case.yields));
    }
    let _ = write!(text, "TCP alone carries {} of the uplink, headers left out", percent(found.tcp_alone));
    text
}

/// Everything as a page.
pub(crate) fn page(conditions: &str, found: &Findings) -> String {
    let mut drawing = Drawing::new(960.0, 300.0);
    let bars = |of: &dyn Fn(&crate::bench::uplink::Case) -> f64| -> Vec<Bar> {
        let bar = |value: f64| Bar { value, label: percent(value), mark: Some(0.9) };
        found.cases.iter().map(|case| bar(of(case))).collect()
    };
    let names: Vec<String> =
        found.cases.iter().map(|case| format!("{}, {}", case.uploader, how(case.yields))).collect();
    drawing.legend(50.0, 30.0, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let area = |left: f64| Area { left, top: 95.0, width: 380.0, height: 150.0 };
    drawing.bars(area(50.0), "Used of an idle uplink (line: required)", 1.0, &bars(&|case| case.alone));
    drawing.bars(
        area(520.0),
        "What TCP keeps beside it (line: required)",
        1.0,
        &bars(&|case| case.tcp_keeps),
    );
    let table = found.cases.iter().flat_map(|case| {
        case.rounds.iter().enumerate().map(move |(round, [alone, keeps])| {
            let name = format!("{}, {}", case.uploader, how(case.yields));
            vec![name, (round + 1).to_string(), percent(*alone), percent(*keeps)]
        })
    });
    let titles = ["uploads of", "round", "used while alone", "TCP keeps"];
    let body = format!("<p>{}</p>\n{}{}", escape(conditions), drawing.finish(), rows(&titles, table));
    html_page("Uploads that yield", &body)
}
