//! What a run came to, for people and programs.
//!
//! - `figures`, `compare`, `statistics`: from facts to figures
//! - `table`: figures for people
//! - `csv`, `chart`, `plots`, `page`: the files of a run

use serde::Serialize;
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::pairs::Arrangement;
use crate::run::{Played, Runs};

mod chart;
mod compare;
mod csv;
mod figures;
mod files;
mod page;
mod plots;
pub(crate) mod statistics;
mod table;

pub(crate) use figures::Figures;
pub(crate) use files::write;
pub(crate) use table::{beneath, seeds, table};

/// One run: its figures, and what it cost this machine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Left out where a report must be the same on each machine.
    #[serde(flatten)]
    pub(crate) machine: Option<Machine>,
}

/// A seed's runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Name of the scenario.
    pub(crate) scenario: String,
    /// The runs' seed.
    pub(crate) seed: u64,
    /// As browsers do.
    #[serde(flatten)]
    pub(crate) engine: Outcome,
    /// From the CDN alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) baseline: Option<Outcome>,
    /// By the simple scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) simple_scheduler: Option<Outcome>,
}

impl Report {
    /// Takes stock of a seed's runs.
    pub(crate) fn new(scenario: &str, seed: u64, runs: &Runs) -> Self {
        let baseline = runs.alone.as_ref().map(|alone| outcome(alone, None));
        let against = |run: &Played| outcome(run, runs.alone.as_ref().zip(baseline.as_ref()));
        Self {
            scenario: scenario.to_owned(),
            seed,
            engine: against(&runs.engine),
            simple_scheduler: runs.simple.as_ref().map(against),
            baseline,
        }
    }

    /// Every run with what its viewers did.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (Arrangement, &Outcome)> {
        let others = [(Arrangement::Alone, &self.baseline), (Arrangement::Simple, &self.simple_scheduler)];
        let others = others.into_iter().filter_map(|(arrangement, o)| Some((arrangement, o.as_ref()?)));
        std::iter::once((Arrangement::Hybrid, &self.engine)).chain(others)
    }

    /// The part that follows from the scenario and the seed alone.
    pub(crate) fn without_machine(&self) -> Self {
        let mut report = self.clone();
        report.engine.machine = None;
        report.baseline.iter_mut().for_each(|o| o.machine = None);
        report.simple_scheduler.iter_mut().for_each(|o| o.machine = None);
        report
    }

    /// The rest.
    pub(crate) fn machines(&self) -> Value {
        let of = |o: &Option<Outcome>| o.as_ref().and_then(|o| o.machine);
        let (baseline, simple) = (of(&self.baseline), of(&self.simple_scheduler));
        json!({ "engine": self.engine.machine, "baseline": baseline, "simple_scheduler": simple })
    }
}

fn outcome(run: &Played, alone: Option<(&Played, &Outcome)>) -> Outcome {
    let mut figures = figures::figures(&run.facts);
    figures.comparison = alone.map(|(played, outcome)| {
        let (p95, p95_alone) = (figures.p95_source_bps, outcome.figures.p95_source_bps);
        compare::compare(&run.facts, &played.facts, p95, p95_alone)
    });
    Outcome { figures, machine: Some(run.machine) }
}

/// Several seeds' reports as one: medians, and each by itself.
pub(crate) fn of_seeds(reports: &[Report]) -> serde_json::Result<Value> {
    let all: Vec<Value> = reports.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let mut middle = statistics::medians(&all.iter().collect::<Vec<_>>());
    if let Value::Object(fields) = &mut middle {
        fields.remove("seed");
        fields.insert("seeds".to_owned(), reports.iter().map(|r| r.seed).collect());
        fields.insert("runs".to_owned(), Value::Array(all));
    }
    Ok(middle)
}
