//! What was found, in figures, and what is required of it.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use crate::netlab::internet::kind::Kind;
use crate::netlab::internet::population::Share;
use crate::traversal::{Met, Outcome};

/// Of all pairs, weighted by how many viewers have which kind, at least so many are to meet directly: R13's 81 % both ways, and most of the one-way pairs.
const WEIGHTED_DIRECT: f64 = 0.85;

/// Two kinds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) one: Kind,
    pub(crate) other: Kind,
    pub(crate) met: Met,
    /// The first one failed.
    pub(crate) second_attempt: bool,
}

/// A pair in places of another sort.
#[derive(Debug, Clone)]
pub(crate) struct PlaceResult {
    pub(crate) what: String,
    /// What a way through it would be.
    pub(crate) wanted: Outcome,
    pub(crate) met: Met,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) places: Vec<PlaceResult>,
    pub(crate) weighted_direct: f64,
    wall: Duration,
}

/// The figures of all pairs of kinds.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    direct: usize,
    relayed: usize,
    failed: usize,
    second_attempts: usize,
    weighted_direct: f64,
    direct_ms_p50: Option<f64>,
    direct_ms_p95: Option<f64>,
    relayed_ms_p50: Option<f64>,
    relayed_ms_p95: Option<f64>,
    places: usize,
    places_as_wanted: usize,
    wall_s: f64,
}

impl Findings {
    pub(crate) fn new(
        kinds: Vec<Kind>,
        pairs: Vec<Pair>,
        places: Vec<PlaceResult>,
        population: &[Share],
        wall: Duration,
    ) -> Self {
        let weighted_direct = weighted(&pairs, population);
        Self { kinds, pairs, places, weighted_direct, wall }
    }

    /// How two kinds met.
    pub(crate) fn of(&self, one: Kind, other: Kind) -> Option<Met> {
        let fits =
            |pair: &&Pair| (pair.one, pair.other) == (one, other) || (pair.one, pair.other) == (other, one);
        self.pairs.iter().find(fits).map(|pair| pair.met)
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.pairs.iter().filter(|pair| pair.met.outcome == outcome).count()
    }

    pub(crate) fn figures(&self) -> Figures {
        let times = |outcome| {
            let of = self.pairs.iter().filter(move |pair| pair.met.outcome == outcome);
            let mut times: Vec<f64> = of.filter_map(|pair| pair.met.open_ms).collect();
            times.sort_by(f64::total_cmp);
            move |share: f64| {
                let at = (times.len().saturating_sub(1)) as f64 * share;
                times.get(at.round() as usize).map(|ms| ms.round())
            }
        };
        let (direct, relayed) = (times(Outcome::Direct), times(Outcome::Relayed));
        Figures {
            direct: self.count(Outcome::Direct),
            relayed: self.count(Outcome::Relayed),
            failed: self.count(Outcome::Failed),
            second_attempts: self.pairs.iter().filter(|pair| pair.second_attempt).count(),
            weighted_direct: (self.weighted_direct * 1000.0).round() / 1000.0,
            direct_ms_p50: direct(0.5),
            direct_ms_p95: direct(0.95),
            relayed_ms_p50: relayed(0.5),
            relayed_ms_p95: relayed(0.95),
            places: self.places.len(),
            places_as_wanted: self.places.iter().filter(|place| place.met.outcome == place.wanted).count(),
            wall_s: (self.wall.as_secs_f64() * 10.0).round() / 10.0,
        }
    }

    /// Everything, for programs.
    pub(crate) fn all(&self) -> Value {
        let pairs: Vec<Value> = self
            .pairs
            .iter()
            .map(|pair| json!({ "kinds": [pair.one.to_string(), pair.other.to_string()], "met": pair.met }))
            .collect();
        let places: Vec<Value> = self
            .places
            .iter()
            .map(|place| json!({ "what": place.what, "wanted": place.wanted, "met": place.met }))
            .collect();
        json!({ "figures": self.figures(), "pairs": pairs, "places": places })
    }

    /// What doesn't hold.
    pub(crate) fn failing(&self) -> Vec<String> {
        let mut failing = Vec::new();
        if self.weighted_direct < WEIGHTED_DIRECT {
            failing.push(format!(
                "{:.3} of pairs meet directly, fewer than {WEIGHTED_DIRECT}",
                self.weighted_direct
            ));
        }
        let failed = self.count(Outcome::Failed);
        if failed > 0 {
            failing.push(format!("{failed} pairs of kinds don't meet at all"));
        }
        let others = self.places.iter().filter(|place| place.met.outcome != place.wanted);
        failing.extend(others.map(|place| format!("{}: {}", place.what, place.met)));
        failing
    }
}

/// The share of all pairs of viewers that meet directly.
fn weighted(pairs: &[Pair], population: &[Share]) -> f64 {
    let direct: HashMap<(Kind, Kind), bool> = pairs
        .iter()
        .flat_map(|pair| {
            let direct = pair.met.outcome == Outcome::Direct;
            [((pair.one, pair.other), direct), ((pair.other, pair.one), direct)]
        })
        .collect();
    let of = |one: &Share| {
        population
            .iter()
            .filter(|other| direct.get(&(one.kind, other.kind)).copied().unwrap_or(false))
            .map(|other| one.weight * other.weight)
            .sum::<f64>()
    };
    population.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairs_weight_is_that_of_both_its_kinds_and_of_both_orders() {
        let kinds = Kind::all();
        let share = |at: usize, weight| Share { kind: kinds[at], weight };
        let pair = |one: usize, other: usize, outcome| Pair {
            one: kinds[one],
            other: kinds[other],
            met: Met { outcome, open_ms: None },
            second_attempt: false,
        };
        let population = [share(0, 0.8), share(1, 0.2)];
        let pairs = [pair(0, 0, Outcome::Direct), pair(0, 1, Outcome::Relayed), pair(1, 1, Outcome::Direct)];
        assert!((weighted(&pairs, &population) - 0.68).abs() < 1e-9);
        let pairs = [pair(0, 0, Outcome::Direct), pair(1, 0, Outcome::Direct), pair(1, 1, Outcome::Failed)];
        assert!((weighted(&pairs, &population) - 0.96).abs() < 1e-9);
    }
}
