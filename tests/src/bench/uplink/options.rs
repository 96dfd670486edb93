//! What to measure.

use std::time::Duration;

use clap::Args;

use super::stage::Uploader;
use crate::bench::reports::Reports;
use crate::netlab::{Link, Mbits};

/// Options of `bench uplink`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// The shared uplink, in Mbit/s.
    #[arg(long, default_value_t = 10.0)]
    uplink: f64,
    /// What the queue before it holds, in ms.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(10..=1000))]
    queue: u32,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=300))]
    seconds: u64,
    /// Rounds; the figures are their medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub rounds: u32,
    /// Players that take what the uplink gives.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub takers: u32,
    /// How many segments of 4 s they play behind the newest. At the edge they have what peers don't bring at once from the source,
    /// and want nothing of anybody until the next segment.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(3..=10))]
    pub behind: u32,
    /// The congestion control of the TCP flow, by the kernel's name for it.
    #[arg(long, default_value = "cubic", value_name = "NAME")]
    pub congestion: String,
    /// Who uploads, if not first the one and then the other.
    #[arg(long, value_enum)]
    only: Option<Uploader>,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {
    /// The link of whoever uploads: nothing but the uplink is scarce.
    pub fn link(&self) -> Link {
        Link { up: Some(Mbits(self.uplink)), down: None, queue_ms: self.queue }
    }

    /// Who uploads, one after the other.
    pub fn uploaders(&self) -> Vec<Uploader> {
        self.only.map_or_else(|| vec![Uploader::Browser, Uploader::Seed], |one| vec![one])
    }

    /// What the uplink carries, in bytes per second.
    pub fn capacity(&self) -> f64 {
        Mbits(self.uplink).bits() / 8.0
    }

    /// The length of a measurement.
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The conditions in words.
    pub fn conditions(&self) -> String {
        format!(
            "an uplink of {} Mbit/s with a queue of {} ms, {} players that take 4 Mbit/s each from it, {} segments behind the newest, TCP by {}, {} rounds of {} s",
            self.uplink, self.queue, self.takers, self.behind, self.congestion, self.rounds, self.seconds
        )
    }
}
