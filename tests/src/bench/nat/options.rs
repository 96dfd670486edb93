//! Whom to have meet.

use std::time::Duration;

use clap::Args;

use crate::bench::reports::Reports;
use crate::netlab::internet::kind::Kind;
use crate::netlab::internet::population::Share;

/// Options of `bench nat`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only the kinds that the population has, instead of all 27.
    #[arg(long)]
    few: bool,
    /// No browsers: native peers alone.
    #[arg(long)]
    pub no_browsers: bool,
    /// Pairs side by side.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub at_once: u16,
    /// Seconds that a pair has.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u64).range(3..=60))]
    patience: u64,
    /// The same seed gives the same NATs.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {
    /// The kinds that are tried.
    pub fn kinds(&self, population: &[Share]) -> Vec<Kind> {
        if self.few { population.iter().map(|share| share.kind).collect() } else { Kind::all() }
    }

    /// How long a pair may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}
