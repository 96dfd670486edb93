//! The report as a page.

use std::fmt::Write;

use super::svg::escape;
use super::table::{COLUMNS, cells, summary_cells};
use crate::bench::offload::{Options, RunResult, Summary};

/// Medians, chart and single runs of `bench offload`.
pub(crate) fn offload(options: &Options, summaries: &[Summary], results: &[RunResult], svg: &str) -> String {
    let medians = summaries.iter().map(summary_cells);
    let runs = results.iter().map(|result| cells(result.client, result));
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Offload, side by side</title>\n<style>\n\
         body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #111827 }}\n\
         table {{ border-collapse: collapse; margin: 1rem 0; font-size: 13px; display: block; overflow-x: auto }}\n\
         th, td {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e5e7eb; white-space: nowrap }}\n\
         th:first-child, td:first-child {{ text-align: left }}\n</style>\n\
         <h1>Offload, side by side</h1>\n<p>{}</p>\n{svg}\n<h2>Medians</h2>\n{}<h2>Runs</h2>\n{}",
        escape(&options.conditions()),
        html_table(medians),
        html_table(runs),
    )
}

fn html_table(rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut html = String::from("<table>\n<tr>");
    for (title, _) in COLUMNS {
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
