//! From what to what.

use std::path::PathBuf;

use clap::Args;

use crate::bench::reports::Reports;

/// Options of `bench upgrade`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The folder of the version that is there before (`cargo xtask bench upgrade --from REVISION` builds it).
    #[arg(long, value_name = "DIR")]
    pub programs: PathBuf,
    /// Viewers in browsers that came before the upgrade, and as many that come after it.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub viewers: u32,
    /// Seconds before, between and after the steps of the upgrade.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=600))]
    pub seconds: u64,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {}
