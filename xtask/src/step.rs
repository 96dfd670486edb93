//! Progress: the name of each step when it begins, its time when it ends.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of one chore.
#[derive(Debug)]
pub(crate) struct Steps {
    begun: Instant,
}

impl Steps {
    /// Starts the chore's clock.
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Does one step, naming it before and timing it after.
    pub(crate) fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("[{:>7}] {name} ...", seconds(self.begun.elapsed()));
        let step = Instant::now();
        let result = work();
        let outcome = if result.is_ok() { "done" } else { "FAILED" };
        eprintln!("[{:>7}] {name}: {outcome} in {}", seconds(self.begun.elapsed()), seconds(step.elapsed()));
        result
    }

    /// Says that a step had nothing to do.
    pub(crate) fn unchanged(&mut self, name: &str) {
        eprintln!("[{:>7}] {name}: up to date", seconds(self.begun.elapsed()));
    }

    /// Says what a step found worth knowing.
    pub(crate) fn note(&mut self, text: &str) {
        eprintln!("[{:>7}] {text}", seconds(self.begun.elapsed()));
    }

    /// Says that the chore is finished.
    pub(crate) fn end(&self) {
        eprintln!("[{:>7}] all done", seconds(self.begun.elapsed()));
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
