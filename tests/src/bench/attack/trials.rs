//! Every attack over the wire, one after the other.

use std::time::Instant;

use serde::Serialize;

use crate::trials;

/// How one came out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tried {
    /// The test of that name asserts it.
    pub(crate) test: &'static str,
    /// What the attacker did.
    pub(crate) attack: &'static str,
    /// What became of it; where the attack wasn't refused, what went wrong.
    pub(crate) fate: String,
    /// Whether it was refused.
    pub(crate) refused: bool,
    /// What the trial took.
    pub(crate) seconds: f64,
}

/// All of them, in order.
pub(super) async fn all() -> Vec<Tried> {
    let mut tried = Vec::new();
    for trial in trials::ALL {
        eprintln!("attack {} of {}: {}", tried.len() + 1, trials::ALL.len(), trial.attack);
        let begun = Instant::now();
        let came_out = (trial.run)().await;
        let refused = came_out.is_ok();
        let fate = came_out.unwrap_or_else(|error| format!("{error:#}"));
        eprintln!("    {fate}");
        let seconds = begun.elapsed().as_secs_f64();
        tried.push(Tried { test: trial.name, attack: trial.attack, fate, refused, seconds });
    }
    tried
}
