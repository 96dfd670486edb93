//! Two runs of one seed, visit by visit: the same viewers at the same times on the same links.

use serde::Serialize;

use super::statistics::{mean, ratio};
use crate::facts::{Facts, Visit};

/// Waiting that much longer, in ms, is nothing that anybody notices.
pub(crate) const PATIENCE_MS: f64 = 100.0;
/// A mean bitrate that is lower by this share is the same.
pub(crate) const SAME_BITRATE: f64 = 0.01;

/// What differs from the CDN alone. Shares are of all visits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// Start-up and stalls together were longer, by more than 100 ms.
    pub(crate) worse_buffering: f64,
    /// The mean bitrate was lower, by more than 1 %.
    pub(crate) lower_bitrate: f64,
    /// The source's p95 rate over that of the CDN alone.
    pub(crate) p95_source_over_cdn: f64,
    /// Mean live latency above that of the CDN alone, in s; none where there is no live edge.
    pub(crate) latency_above_s: Option<f64>,
}

/// Compares a run to the CDN alone; the rates are the two p95 source rates.
pub(crate) fn compare(run: &Facts, alone: &Facts, p95: f64, p95_alone: f64) -> Comparison {
    let visits = || run.visits.iter().zip(&alone.visits);
    let count = run.visits.len().min(alone.visits.len()) as f64;
    let share =
        |is: &dyn Fn(&Visit, &Visit) -> bool| ratio(visits().filter(|(a, b)| is(a, b)).count() as f64, count);
    let above = visits().filter_map(|(a, b)| Some(a.latency_s? - b.latency_s?));
    Comparison {
        worse_buffering: share(&|a, b| a.buffering_ms() > b.buffering_ms() + PATIENCE_MS),
        lower_bitrate: share(&|a, b| is_lower(a, b, &run.ladder_bps)),
        p95_source_over_cdn: ratio(p95, p95_alone),
        latency_above_s: (!run.on_demand).then(|| mean(above)).flatten(),
    }
}

/// Over as many segments as both got: players climb from the lowest rendition, so a longer list has a higher mean.
fn is_lower(a: &Visit, b: &Visit, ladder_bps: &[f64]) -> bool {
    let both = a.levels.len().min(b.levels.len());
    let (Some(a), Some(b)) = (a.bitrate(ladder_bps, both), b.bitrate(ladder_bps, both)) else {
        return false;
    };
    a < b * (1.0 - SAME_BITRATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(start_ms: f64, stall_ms: f64, levels: &[u8], latency_s: f64) -> Visit {
        Visit {
            left_s: 60.0,
            start_ms: Some(start_ms),
            stall_ms,
            levels: levels.to_vec(),
            latency_s: Some(latency_s),
            ..Visit::default()
        }
    }

    fn facts(visits: Vec<Visit>) -> Facts {
        Facts { ladder_bps: vec![400.0, 800.0], visits, ..Facts::default() }
    }

    #[test]
    fn each_visit_is_compared_to_itself() {
        let alone = facts(vec![visit(500.0, 0.0, &[0, 1, 1], 10.0); 4]);
        let run = facts(vec![
            // A slower start within what nobody notices, and one segment less.
            visit(599.0, 0.0, &[0, 1], 10.0),
            // A faster start, then a stall: longer in all.
            visit(200.0, 401.0, &[0, 1, 1], 10.4),
            // A rendition lower.
            visit(500.0, 0.0, &[0, 0, 1], 10.0),
            visit(100.0, 0.0, &[1, 1, 1, 1], 10.0),
        ]);
        let found = compare(&run, &alone, 3.0, 60.0);
        assert_eq!((found.worse_buffering, found.lower_bitrate), (0.25, 0.25));
        assert_eq!(found.p95_source_over_cdn, 0.05);
        assert!((found.latency_above_s.expect("live") - 0.1).abs() < 1e-12);
    }

    #[test]
    fn who_never_saw_a_picture_waited_all_the_time() {
        let mut never = visit(0.0, 0.0, &[], 0.0);
        (never.start_ms, never.latency_s) = (None, None);
        let alone = facts(vec![visit(500.0, 0.0, &[0], 10.0)]);
        let found = compare(&facts(vec![never]), &alone, 0.0, 0.0);
        assert_eq!((found.worse_buffering, found.lower_bitrate, found.latency_above_s), (1.0, 0.0, None));
    }
}
