//! The report as a page.

use std::fmt::Write;

use super::svg::escape;
use super::table::{COLUMNS, cells, summary_cells};
use crate::bench::offload::{Options, RunResult, Summary};

/// A page of its own: nothing else is needed to show it.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #111827 }}\n\
         table {{ border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block; overflow-x: auto }}\n\
         th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap }}\n\
         th:first-child, td:first-child, .words th, .words td {{ text-align: left }}\n\
         .words td {{ white-space: normal }}\n</style>\n\
         <h1>{title}</h1>\n{body}"
    )
}

/// Medians, chart and single runs of `bench offload`.
pub(crate) fn offload(options: &Options, summaries: &[Summary], results: &[RunResult], svg: &str) -> String {
    let medians = summaries.iter().map(summary_cells);
    let runs = results.iter().map(|result| cells(result.client, result));
    let titles = COLUMNS.map(|(title, _)| title);
    let body = format!(
        "<p>{}</p>\n{svg}\n<h2>Medians</h2>\n{}<h2>Runs</h2>\n{}",
        escape(&options.conditions()),
        table("<table>", &titles, medians),
        table("<table>", &titles, runs),
    );
    page("Offload, side by side", &body)
}

/// A table of words rather than of numbers.
pub(crate) fn rows(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    table("<table class=\"words\">", titles, rows)
}

fn table(tag: &str, titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = format!("{tag}\n<tr>");
    for title in titles {
        let _ = write!(html, "<th>{}</th>", escape(title));
    }
    html += "</tr>\n";
    for row in rows {
        html += "<tr>";
        for cell in row {
            let _ = write!(html, "<td>{}</td>", escape(&cell));
        }
        html += "</tr>\n";
    }
    html + "</table>\n"
}
