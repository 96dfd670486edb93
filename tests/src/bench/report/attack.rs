//! The report of `bench attack`, as text and as a page.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::{Area, Bar, Drawing, escape};
use crate::bench::attack::{Findings, Judged};

/// Everything as text.
pub(crate) fn text(found: &Findings, judged: &[Judged]) -> String {
    let mut lines = String::new();
    for trial in &found.trials {
        let mark = if trial.refused { "refused" } else { "NOT REFUSED" };
        let _ = writeln!(lines, "{:<46} {mark}: {}", trial.attack, trial.fate);
    }
    if !found.trials.is_empty() {
        lines.push('\n');
    }
    for one in judged {
        let mark = if one.holds { "holds" } else { "FAILS" };
        let _ = writeln!(lines, "{mark}  {:<68} {}", one.what, one.measured);
    }
    lines.trim_end().to_owned()
}

/// Everything as a page.
pub(crate) fn page(conditions: &str, found: &Findings, judged: &[Judged]) -> String {
    let verdicts = judged.iter().map(|one| {
        let mark = if one.holds { "holds" } else { "fails" };
        vec![one.what.to_owned(), one.measured.clone(), mark.to_owned()]
    });
    let mut body = format!("<p>{}</p>\n{}", escape(conditions), chart(found));
    body += "<h2>What is required</h2>\n";
    body += &rows(&["requirement", "measured", ""], verdicts);
    if !found.trials.is_empty() {
        let trials = found.trials.iter().map(|trial| {
            let mark = if trial.refused { "refused" } else { "not refused" };
            vec![trial.attack.to_owned(), trial.fate.clone(), mark.to_owned(), trial.test.to_owned()]
        });
        body += "<h2>Attacks over the wire</h2>\n";
        body += &rows(&["the attacker's doing", "what became of it", "", "test"], trials);
    }
    html_page("Hostile peers", &body)
}

/// Savings without and with hostile peers, how long each victim bore with its liar, and savings over time.
fn chart(found: &Findings) -> String {
    let (browsers, swarm) = (found.browsers.as_ref(), found.swarm.as_ref());
    if browsers.is_none() && swarm.is_none() {
        return String::new();
    }
    let height = if browsers.is_some() { 560.0 } else { 300.0 };
    let mut drawing = Drawing::new(960.0, height);
    drawing.legend(50.0, 30.0, &["clean", "with hostile peers"]);
    let area = |index: f64| Area { left: 50.0 + index * 305.0, top: 95.0, width: 260.0, height: 150.0 };
    let pair = |clean: f64, attacked: f64, label: &dyn Fn(f64) -> String| {
        [clean, attacked].map(|value| Bar { value: value.max(0.0), label: label(value), mark: None })
    };
    let share = |value: f64| format!("{:.1}%", value * 100.0);
    if let Some(b) = browsers {
        let bars = pair(b.clean.savings, b.attacked.savings, &share);
        drawing.bars(area(0.0), "Savings, viewers in browsers", 1.0, &bars);
        let times: Vec<Bar> = b
            .victims
            .iter()
            .map(|victim| {
                let value = victim.seconds.unwrap_or(0.0);
                let label = victim.seconds.map_or_else(|| "never".to_owned(), |s| format!("{s:.2}"));
                Bar { value, label, mark: None }
            })
            .collect();
        let top = times.iter().map(|bar| bar.value).fold(0.1, f64::max) * 1.1;
        let at = if swarm.is_some() { 2.0 } else { 1.0 };
        drawing.bars_in(area(at), "Seconds from the first lie to its end, by victim", top, &times, 3);
        let curves = [b.clean.savings_over_time.clone(), b.attacked.savings_over_time.clone()];
        let below = Area { left: 50.0, top: 320.0, width: 860.0, height: 190.0 };
        drawing.curves(below, "Savings up to each moment, viewers in browsers", &curves);
    }
    if let Some(s) = swarm {
        // Polluters are cut off by everybody and play from the source, which says nothing of those they attack.
        let bars = pair(s.clean.savings, s.polluted.honest(), &share);
        let title = format!("Savings of honest ones, {} simulated", s.peers);
        drawing.bars(area(1.0), &title, 1.0, &bars);
    }
    drawing.finish()
}
