//! The plots of a run.

use super::Report;
use super::chart::{Axis, Chart, Series, Shape};
use super::csv::{WINDOW, savings};
use super::statistics::{median, quantile};
use crate::facts::{Facts, Visit};
use crate::run::Runs;

/// A file's name without its ending, and what is in it.
pub(super) type Plot = (&'static str, Chart);

/// More dots than that are a blot, and a large file.
const DOTS: usize = 1500;
/// Points of a line: more than that can't be told apart.
const POINTS: usize = 400;

/// All of them.
pub(super) fn plots(report: &Report, runs: &Runs) -> Vec<Plot> {
    let engine = &runs.engine.facts;
    let all = named(runs);
    let mut plots = vec![
        ("offload", offload(report, runs)),
        ("source-rate", source_rate(&all)),
        ("buffering", buffering(&all)),
        ("upload-ratio", upload_ratio(runs)),
    ];
    if engine.visits.iter().any(|v| v.hops.is_some()) {
        plots.push(("hop-depth", hop_depth(engine)));
        plots.push(("upload-by-depth", upload_by_depth(engine)));
    }
    plots
}

/// Every run with its name and colour.
fn named(runs: &Runs) -> Vec<(&'static str, u8, &Facts)> {
    let others = [("CDN alone", 1, &runs.alone), ("simple scheduler", 2, &runs.simple)];
    let others =
        others.into_iter().filter_map(|(name, colour, run)| Some((name, colour, &run.as_ref()?.facts)));
    std::iter::once(("engine", 0, &runs.engine.facts)).chain(others).collect()
}

fn series(name: impl Into<String>, colour: u8, shape: Shape) -> Series {
    Series { name: name.into(), colour, shape }
}

fn minutes(facts: &Facts) -> Axis {
    Axis::exact("time in min", 0.0, facts.seconds.len() as f64 / 60.0)
}

fn offload(report: &Report, runs: &Runs) -> Chart {
    let line = |facts: &Facts| {
        let every = facts.seconds.len().div_ceil(POINTS).max(1);
        let at = |n: usize| Some((n as f64 / 60.0, savings(facts, n)?.max(0.0) * 100.0));
        Shape::Line((WINDOW - 1..facts.seconds.len()).step_by(every).map(at).collect())
    };
    let shared = named(runs).into_iter().filter(|(_, colour, _)| *colour != 1);
    let mut all: Vec<_> = shared.map(|(name, colour, facts)| series(name, colour, line(facts))).collect();
    let bound = report.engine.figures.bound * 100.0;
    all.push(series(format!("bound of the run, {bound:.1} %"), 3, Shape::Level(bound)));
    Chart {
        title: "Offload over time",
        x: minutes(&runs.engine.facts),
        y: Axis::exact("savings of the last 10 s in %", 0.0, 100.0),
        series: all,
    }
}

fn source_rate(all: &[(&'static str, u8, &Facts)]) -> Chart {
    let rates = |facts: &Facts| -> Vec<(f64, f64)> {
        let every = facts.seconds.len().div_ceil(POINTS).max(WINDOW);
        let rate = |(n, part): (usize, &[crate::facts::Second])| {
            let bytes: u64 = part.iter().map(|s| s.source).sum();
            let middle = (n * every) as f64 + part.len() as f64 / 2.0;
            (middle / 60.0, bytes as f64 * 8.0 / 1e6 / part.len() as f64)
        };
        facts.seconds.chunks(every).enumerate().map(rate).collect()
    };
    let lines: Vec<_> = all.iter().map(|(name, colour, facts)| (*name, *colour, rates(facts))).collect();
    let seen = || lines.iter().flat_map(|(.., line)| line.iter().map(|(_, rate)| *rate)).filter(|r| *r > 0.0);
    let (low, high) = (seen().fold(f64::INFINITY, f64::min), seen().fold(0.0, f64::max));
    // A pause of the source must not stretch the axis to nothing.
    let low = low.max(high / 1e4).min(high);
    let lines = lines
        .into_iter()
        .map(|(name, colour, line)| series(name, colour, Shape::Line(line.into_iter().map(Some).collect())));
    Chart {
        title: "Source rate over time",
        x: all.first().map_or_else(|| Axis::exact("time in min", 0.0, 1.0), |(.., facts)| minutes(facts)),
        y: Axis::log("source rate in Mbit/s", low, high),
        series: lines.collect(),
    }
}

/// The share of all that are at or below each value, in percent.
fn cdf(mut values: Vec<f64>) -> Shape {
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let step = count.div_ceil(POINTS).max(1);
    let mut places: Vec<usize> = (0..count).step_by(step).collect();
    places.extend(count.checked_sub(1));
    Shape::Line(
        places.into_iter().map(|n| Some((values[n], (n + 1) as f64 / count as f64 * 100.0))).collect(),
    )
}

fn buffering(all: &[(&'static str, u8, &Facts)]) -> Chart {
    let waits =
        |facts: &Facts| -> Vec<f64> { facts.visits.iter().map(|v| v.buffering_ms() / 1000.0).collect() };
    let every: Vec<f64> = all.iter().flat_map(|(.., facts)| waits(facts)).collect();
    let lines = all.iter().map(|(name, colour, facts)| series(*name, *colour, cdf(waits(facts))));
    Chart {
        title: "Buffering of a visit: start-up and stalls",
        x: Axis::log("buffering in s", quantile(every.iter().copied(), 0.0).max(0.01), quantile(every, 1.0)),
        y: Axis::exact("viewers at or below in %", 0.0, 100.0),
        series: lines.collect(),
    }
}

fn upload_ratio(runs: &Runs) -> Chart {
    let ratios = |facts: &Facts| -> Vec<f64> {
        let played = facts.visits.iter().filter(|v| v.consumed > 0);
        played.map(|v| v.given as f64 / v.consumed as f64).collect()
    };
    let shared: Vec<_> = named(runs).into_iter().filter(|(_, colour, _)| *colour != 1).collect();
    let most = shared.iter().map(|(.., facts)| quantile(ratios(facts), 0.99)).fold(0.0, f64::max);
    Chart {
        title: "What viewers give",
        x: Axis::linear("bytes given / bytes played", 0.0, most),
        y: Axis::exact("viewers at or below in %", 0.0, 100.0),
        series: shared
            .iter()
            .map(|(name, colour, facts)| series(*name, *colour, cdf(ratios(facts))))
            .collect(),
    }
}

fn depths(facts: &Facts) -> impl Iterator<Item = (f64, &Visit)> {
    facts.visits.iter().filter_map(|v| Some((v.hops?, v)))
}

/// A few may be very deep; the axis ends where all but one in a thousand are.
fn deepest(facts: &Facts) -> f64 {
    quantile(depths(facts).map(|(depth, _)| depth), 0.999).max(1.0)
}

/// By bytes; the last thousandth of them is in the last bar.
fn hop_depth(facts: &Facts) -> Chart {
    let all: u64 = facts.depths.iter().sum();
    let mut left = all;
    let bars = facts.depths.iter().take_while(|bytes| {
        left -= **bytes;
        left > all / 1000
    });
    let (few, many) = facts.depths.split_at(bars.count());
    let shown = few.iter().copied().chain((!many.is_empty()).then(|| many.iter().sum()));
    let bar =
        |(n, bytes): (usize, u64)| (n as f64 - 0.5, n as f64 + 0.5, bytes as f64 * 100.0 / all.max(1) as f64);
    let bars: Vec<_> = shown.enumerate().map(bar).collect();
    let highest = bars.iter().map(|bar| bar.2).fold(0.0, f64::max);
    Chart {
        title: "Hop depth",
        x: Axis::exact(
            "viewers that a block came through (0: from the source)",
            -0.5,
            bars.len() as f64 - 0.5,
        ),
        y: Axis::linear("bytes taken in %", 0.0, highest),
        series: vec![series("engine", 0, Shape::Bars(bars))],
    }
}

fn upload_by_depth(facts: &Facts) -> Chart {
    let mut points: Vec<(f64, f64)> = depths(facts).map(|(depth, v)| (depth, v.up_bps / 1e6)).collect();
    let (low, high) =
        points.iter().fold((f64::INFINITY, 0.0), |(low, high), (_, up)| (up.min(low), up.max(high)));
    let mut all = points.clone();
    let every = points.len().div_ceil(DOTS).max(1);
    points = points.into_iter().step_by(every).collect();
    // Groups of equal size, from the least deep to the deepest.
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let middles = all.chunks(all.len().div_ceil(12).max(1)).map(|group| {
        let of = |part: fn(&(f64, f64)) -> f64| median(group.iter().map(part).collect());
        Some((of(|p| p.0), of(|p| p.1)))
    });
    let name = match every {
        1 => "a viewer".to_owned(),
        n => format!("a viewer (one in {n})"),
    };
    Chart {
        title: "Upload against hop depth",
        x: Axis::linear("viewers that a viewer's blocks came through, mean", 0.0, deepest(facts)),
        y: Axis::log("uplink in Mbit/s", low, high),
        series: vec![
            series(name, 0, Shape::Dots(points)),
            series("median of a twelfth", 1, Shape::Line(middles.collect())),
        ],
    }
}
