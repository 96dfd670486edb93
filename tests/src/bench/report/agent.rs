//! The report of `bench agent`, as text and as a page.

use std::fmt::Write;

use super::page::{page as html_page, rows};
use super::svg::{Area, Drawing};
use crate::bench::agent::Findings;

fn lines(found: &Findings) -> Vec<[String; 2]> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let mut lines = vec![
        ["viewers in browsers".to_owned(), found.viewers.to_string()],
        [format!("bytes that ffmpeg copied in {} s", found.seconds), found.copied.to_string()],
        ["the same as from the origin".to_owned(), if found.identical { "yes" } else { "NO" }.to_owned()],
        ["from peers (80 % at least)".to_owned(), percent(found.peer_share)],
        ["from the source".to_owned(), percent(found.source_share)],
        ["the browsers' stalls".to_owned(), found.browser_stalls.to_string()],
    ];
    if let Some(mpv) = found.mpv {
        lines.push(["mpv: seconds played".to_owned(), format!("{:.1}", mpv.played_s)]);
        lines.push(["mpv: start-up".to_owned(), format!("{:.2} s", mpv.start_s)]);
        lines.push(["mpv: from peers".to_owned(), percent(found.mpv_peer_share)]);
        lines.push(["mpv: stalls, dropped frames".to_owned(), format!("{}, {}", mpv.stalls, mpv.dropped)]);
    }
    lines
}

/// Everything as text.
pub(crate) fn text(found: &Findings) -> String {
    let mut text = String::new();
    for [what, value] in lines(found) {
        let _ = writeln!(text, "{what:<36} {value:>12}");
    }
    text.trim_end().to_owned()
}

/// Everything as a page.
pub(crate) fn page(found: &Findings) -> String {
    let mut drawing = Drawing::new(960.0, 290.0);
    let area = Area { left: 50.0, top: 50.0, width: 860.0, height: 190.0 };
    drawing.curves(
        area,
        "From peers, of all that ffmpeg has been handed",
        std::slice::from_ref(&found.over_time),
    );
    let body = drawing.finish() + &rows(&["", "measured"], lines(found).into_iter().map(Vec::from));
    html_page("Native players beside browsers", &body)
}
