//! What to attack, and for how long.

use clap::{Args, ValueEnum};

use crate::bench::reports::Reports;

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum Part {
    /// Every attack over the wire, on native victims.
    Trials,
    /// Viewers in browsers without and with hostile peers, a revocation among them, and what verifying costs them.
    Browsers,
    /// Signaling dies among viewers in browsers.
    Outage,
    /// The simulator's swarms.
    Swarm,
}

/// Options of `bench attack`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Length of a run in browsers, in seconds.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(20..=3600))]
    pub seconds: u64,
    /// Viewers in browsers.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=50))]
    pub viewers: u32,
    /// Peers of the simulator's swarms.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(20..=20_000))]
    pub peers: u32,
    /// What to do, if not everything.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    #[command(flatten)]
    pub(crate) reports: Reports,
}

impl Options {
    /// Whether a part is to be done.
    pub fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// The conditions in words: those of the parts that are done.
    pub fn conditions(&self) -> String {
        let browsers = format!(
            "{} viewers of a live stream at 380/700/1400 kbit/s, each in a Chromium and namespace of its own (2.1 Mbit/s up, 20 down), \
             {} s without and {} s with 2 hostile native peers",
            self.viewers, self.seconds, self.seconds
        );
        let swarm = format!("{} peers in the simulator, a fifth of them polluters", self.peers);
        let parts = [
            (Part::Trials, "every attack over the wire, on native victims".to_owned()),
            (Part::Browsers, browsers),
            (Part::Outage, "viewers in browsers whose signaling dies".to_owned()),
            (Part::Swarm, swarm),
        ];
        let done = parts.into_iter().filter(|(part, _)| self.has(*part)).map(|(_, words)| words);
        done.collect::<Vec<_>>().join("; ")
    }
}
