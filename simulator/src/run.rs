//! Plays a seed, its pairs after it, and says on standard error how far it is.

use std::time::Instant;

use crate::facts::Facts;
use crate::machine::{Machine, Meter};
use crate::pairs::{Arrangement, Pairs};
use crate::scenario::Scenario;
use crate::world::World;

/// One run.
#[derive(Debug)]
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
pub(crate) fn play(scenario: &Scenario, seed: u64, pairs: Pairs) -> Runs {
    let others = pairs.arrangements();
    let count = 1 + others.len();
    let engine = one(scenario, seed, Arrangement::Hybrid, &format!("run 1 of {count}"));
    let mut runs = Runs { engine, alone: None, simple: None };
    for (n, arrangement) in others.iter().enumerate() {
        let played = one(scenario, seed, *arrangement, &format!("run {} of {count}", n + 2));
        match arrangement {
            Arrangement::Simple => runs.simple = Some(played),
            _ => runs.alone = Some(played),
        }
    }
    runs
}

fn one(scenario: &Scenario, seed: u64, arrangement: Arrangement, label: &str) -> Played {
    let meter = Meter::start();
    let mut world = World::new(scenario, seed).arranged(arrangement);
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
