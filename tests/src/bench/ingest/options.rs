//! What to measure.

use clap::Args;

use crate::bench::reports::Reports;

/// Options of `bench ingest`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Viewers, each in a Chromium and network namespace of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=32))]
    pub viewers: u32,
    /// Seconds of a run.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(15..=3600))]
    pub seconds: u64,
    /// Runs without peers, and as many with them.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub runs: u32,
    /// Bitrate of what is pushed, in kbit/s.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=8000))]
    pub kbps: u32,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {
    /// The conditions in words.
    pub fn conditions(&self) -> String {
        format!(
            "{} viewers, coming {:.1} s apart, so at each quarter of a segment, each round a little later in it, {} s; ffmpeg pushes {} kbit/s in segments of {} s; each viewer in a Chromium and namespace of its own, 2.1 Mbit/s up, \
             20 down; the node that is pushed to has 40 Mbit/s up; medians of {} runs each",
            self.viewers,
            super::stage::GAP.as_secs_f64(),
            self.seconds,
            self.kbps,
            crate::services::SEGMENT_S,
            self.runs
        )
    }
}
