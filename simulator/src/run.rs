//! Plays a seed, its pairs after it, and says on standard error how far it is.

use std::time::Instant;

use crate::facts::Facts;
use crate::machine::{Machine, Meter};
use rillcast_core::switches::{Mechanism, Switches};

use crate::pairs::{Arrangement, Pairs};
use crate::report::Report;
use crate::scenario::Scenario;
use crate::world::World;

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    pub(crate) facts: Facts,
    pub(crate) machine: Machine,
}

/// The runs of one seed.
#[derive(Debug)]
pub(crate) struct Runs {
    /// As browsers do.
    pub(crate) engine: Played,
    /// From the CDN alone.
    pub(crate) alone: Option<Played>,
    /// By the simple scheduler.
    pub(crate) simple: Option<Played>,
}

/// Plays a scenario on a seed, and then its pairs.
pub(crate) fn play(scenario: &Scenario, seed: u64, pairs: Pairs, switches: Switches) -> Runs {
    let others = pairs.arrangements();
    let count = 1 + others.len();
    let engine = one(scenario, seed, Arrangement::Hybrid, switches, &format!("run 1 of {count}"));
    let mut runs = Runs { engine, alone: None, simple: None };
    for (n, arrangement) in others.iter().enumerate() {
        let played = one(scenario, seed, *arrangement, switches, &format!("run {} of {count}", n + 2));
        match arrangement {
            Arrangement::Simple => runs.simple = Some(played),
            _ => runs.alone = Some(played),
        }
    }
    runs
}

/// Plays a scenario on a seed as it is, by the simple scheduler, and without one mechanism after the other; told back: what it was and its
/// report, compared with the CDN alone.
pub(crate) fn each(scenario: &Scenario, name: &str, seed: u64) -> Vec<(String, Report)> {
    let whole = Switches::default();
    let alone = one(scenario, seed, Arrangement::Alone, whole, "baseline");
    let mut runs = vec![("whole".to_owned(), Arrangement::Hybrid, whole)];
    runs.push((Arrangement::Simple.name().to_owned(), Arrangement::Simple, whole));
    for (mechanism, switch) in Mechanism::ALL {
        runs.push((format!("without {mechanism}"), Arrangement::Hybrid, whole.without(switch)));
    }
    let count = runs.len();
    let play = |(n, (label, arrangement, switches)): (usize, (String, Arrangement, Switches))| {
        let progress = format!("run {} of {count}, {label}", n + 1);
        let engine = one(scenario, seed, arrangement, switches, &progress);
        let runs = Runs { engine, alone: Some(alone.clone()), simple: None };
        (label, Report::new(name, seed, &runs))
    };
    runs.into_iter().enumerate().map(play).collect()
}

fn one(scenario: &Scenario, seed: u64, arrangement: Arrangement, switches: Switches, label: &str) -> Played {
    let meter = Meter::start();
    let mut world = World::new(scenario, seed).arranged(arrangement, switches);
    let mut pace = Pace::new();
    world.run(|done, present| {
        if let Some(left) = pace.left(done) {
            eprintln!(
                "{label} ({}, seed {seed}): {:.0} % done, {present} viewers, {}",
                arrangement.name(),
                done * 100.0,
                in_words(left),
            );
        }
    });
    let facts = world.facts();
    Played { machine: meter.stop(facts.peer_seconds), facts }
}

/// How fast a run goes. The last stretch tells more than the whole: runs begin with few viewers, who cost little.
struct Pace {
    told: Instant,
    done: f64,
}

impl Pace {
    fn new() -> Self {
        Self { told: Instant::now(), done: 0.0 }
    }

    /// Seconds to go, every few seconds.
    fn left(&mut self, done: f64) -> Option<f64> {
        let since = self.told.elapsed().as_secs_f64();
        if since < 5.0 || done <= self.done {
            return None;
        }
        let left = since * (1.0 - done) / (done - self.done);
        (self.told, self.done) = (Instant::now(), done);
        Some(left)
    }
}

fn in_words(seconds: f64) -> String {
    match seconds {
        s if s < 100.0 => format!("about {s:.0} s to go"),
        s => format!("about {:.0} min to go", s / 60.0),
    }
}
