//! What to play.

use clap::Args;

use crate::bench::reports::Reports;

/// Options of `bench agent`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Viewers in browsers, in whose swarm the agent takes part.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub viewers: u32,
    /// Seconds of the stream that ffmpeg copies, and then that mpv plays.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(8..=1800))]
    pub seconds: u64,
    /// Without mpv.
    #[arg(long)]
    pub no_mpv: bool,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {
    /// A short one, for tests.
    pub fn short(viewers: u32, seconds: u64) -> Self {
        Self { viewers, seconds, no_mpv: true, reports: Reports::default() }
    }
}
