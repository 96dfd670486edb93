//! The report of `bench nat`, as text and as a page: a square of all kinds, with a cell for each pair.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::escape;
use crate::bench::nat::Findings;
use crate::traversal::{Met, Outcome};

const LEGEND: &str = "mapping-allocation-filtering; EI: the same for all, HD: by host, PD: by port; PP: keeps ports, PC: the next port, RD: any";

/// Everything as text; the square is coloured as terminals do.
pub(crate) fn text(found: &Findings) -> String {
    let mut lines = String::new();
    let _ = writeln!(lines, "\n{LEGEND}\n");
    for (at, one) in found.kinds.iter().enumerate() {
        let _ = write!(lines, "{:<9} ", one.to_string());
        for other in &found.kinds[..=at] {
            let (colour, sign) = match found.of(*one, *other).map(|met| met.outcome) {
                Some(Outcome::Direct) => (32, '#'),
                Some(Outcome::Relayed) => (33, 'o'),
                Some(Outcome::Failed) => (31, 'x'),
                None => (37, '.'),
            };
            let _ = write!(lines, "\x1b[{colour}m{sign}\x1b[0m ");
        }
        lines.push('\n');
    }
    let _ =
        writeln!(lines, "\n\x1b[32m#\x1b[0m direct  \x1b[33mo\x1b[0m relayed  \x1b[31mx\x1b[0m not at all\n");
    for place in &found.places {
        let mark = if place.met.outcome == place.wanted { "as it should" } else { "NOT AS IT SHOULD" };
        let _ = writeln!(lines, "{:<18} {:<24} {}", mark, place.met.to_string(), place.what);
    }
    let _ = writeln!(
        lines,
        "\nweighted by how many have which kind: {:.1} % direct",
        found.weighted_direct * 100.0
    );
    lines
}

/// Everything as a page.
pub(crate) fn page(found: &Findings) -> String {
    let places = found.places.iter().map(|place| {
        let mark = if place.met.outcome == place.wanted { "as it should" } else { "not as it should" };
        vec![place.what.clone(), place.met.to_string(), mark.to_owned()]
    });
    let body = format!(
        "<p>Native peers behind every pair of kinds of NAT, with the STUN and TURN of signaling. Weighted by how many viewers have which kind, \
         {:.1} % meet directly.</p>\n<p>{}</p>\n{}<h2>Other places, and browsers</h2>\n{}",
        found.weighted_direct * 100.0,
        escape(LEGEND),
        square(found),
        rows(&["who", "how they met", ""], places)
    );
    html_page("Who meets whom", &body)
}

/// The square: colours for ways, and the time as each cell's title.
fn square(found: &Findings) -> String {
    const CELL: usize = 26;
    const LEFT: usize = 90;
    let side = LEFT + found.kinds.len() * CELL + 10;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {side} {side}\" width=\"{side}\" font-family=\"system-ui, sans-serif\" font-size=\"11\">\n"
    );
    for (y, one) in found.kinds.iter().enumerate() {
        let at = LEFT + y * CELL;
        let middle = at + CELL / 2 + 4;
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{one}</text>", LEFT - 6);
        let _ =
            writeln!(svg, "<text transform=\"translate({middle} {}) rotate(-90)\">{one}</text>", LEFT - 6);
        for (x, other) in found.kinds.iter().enumerate() {
            let met = found.of(*one, *other);
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{at}\" width=\"{}\" height=\"{}\" rx=\"3\" fill=\"{}\"><title>{one} and {other}: {}</title></rect>",
                LEFT + x * CELL,
                CELL - 2,
                CELL - 2,
                colour(met),
                met.map_or_else(|| "not tried".to_owned(), |met| met.to_string())
            );
        }
    }
    svg + "</svg>\n<p><span style=\"color:#059669\">■</span> direct <span style=\"color:#d97706\">■</span> relayed \
           <span style=\"color:#dc2626\">■</span> not at all</p>\n"
}

fn colour(met: Option<Met>) -> &'static str {
    match met.map(|met| met.outcome) {
        Some(Outcome::Direct) => "#059669",
        Some(Outcome::Relayed) => "#d97706",
        Some(Outcome::Failed) => "#dc2626",
        None => "#e5e7eb",
    }
}
