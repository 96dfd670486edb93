//! What to measure.

use clap::{Args, ValueEnum};

use crate::bench::reports::Reports;

/// A client as given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
enum Named {
    /// hls.js alone.
    Plain,
    /// p2p-media-loader, both as it comes and tuned.
    P2pMediaLoader,
    /// p2p-media-loader as it comes.
    P2pMediaLoaderDefault,
    /// p2p-media-loader with `highDemandTimeWindow: 4`.
    P2pMediaLoaderTuned,
    /// Rillcast.
    Rillcast,
}

/// A client that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// hls.js alone.
    Plain,
    /// p2p-media-loader as it comes.
    P2pMediaLoader,
    /// p2p-media-loader with `highDemandTimeWindow: 4`.
    P2pMediaLoaderTuned,
    /// Rillcast.
    Rillcast,
}

impl Client {
    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::P2pMediaLoader => "p2p-media-loader",
            Self::P2pMediaLoaderTuned => "p2p-media-loader-tuned",
            Self::Rillcast => "rillcast",
        }
    }

    /// Most that a viewer uploads, as a multiple of what it consumes, with the settings that the bench gives it.
    pub fn ratio_cap(self) -> f64 {
        if self == Self::Rillcast { 2.0 } else { f64::INFINITY }
    }
}

/// Options of `bench offload`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Clients to compare, one after another.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "plain,p2p-media-loader,rillcast")]
    clients: Vec<Named>,
    /// Viewers of each client.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub viewers: u32,
    /// Length of a run, from the first viewer's coming.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(10..=3600))]
    pub seconds: u64,
    /// Watch the same media as VOD, viewers coming 5 s apart, instead of live, 2 s apart.
    #[arg(long)]
    pub vod: bool,
    /// Give Rillcast a seed node.
    #[arg(long)]
    pub seed_node: bool,
    /// All viewers are pages of one Chromium, without shaped links.
    #[arg(long)]
    pub flat: bool,
    /// Compare what every player is handed with the origin's bytes (SHA-256; costs CPU, so not for figures).
    #[arg(long)]
    pub verify: bool,
    /// Runs of each client; the figures are their medians.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: u32,
    #[command(flatten)]
    pub(crate) reports: Reports,
    /// What is added to the query of viewers' pages.
    #[arg(skip)]
    pub(crate) page: &'static str,
}

impl Options {
    /// Viewers of Rillcast as `bench offload` has them, whose every byte is compared with the origin's.
    pub(crate) fn verified(viewers: u32, seconds: u64, page: &'static str) -> Self {
        Self { seed_node: false, flat: false, page, ..Self::check(viewers, seconds) }
    }

    /// Headless viewers of Rillcast with a seed, unshaped, live: what `demo --check` does.
    pub fn check(viewers: u32, seconds: u64) -> Self {
        Self {
            clients: vec![Named::Rillcast],
            viewers,
            seconds,
            vod: false,
            seed_node: true,
            flat: true,
            verify: true,
            runs: 1,
            reports: Reports::default(),
            page: "",
        }
    }

    /// Runs of each client.
    pub fn runs(&self) -> usize {
        self.runs as usize
    }

    /// The clients to measure, in order.
    pub fn expanded(&self) -> Vec<Client> {
        let mut all = Vec::new();
        for named in &self.clients {
            let meant: &[Client] = match named {
                Named::Plain => &[Client::Plain],
                Named::P2pMediaLoader => &[Client::P2pMediaLoader, Client::P2pMediaLoaderTuned],
                Named::P2pMediaLoaderDefault => &[Client::P2pMediaLoader],
                Named::P2pMediaLoaderTuned => &[Client::P2pMediaLoaderTuned],
                Named::Rillcast => &[Client::Rillcast],
            };
            for client in meant {
                if !all.contains(client) {
                    all.push(*client);
                }
            }
        }
        all
    }

    /// Seconds between two viewers' comings.
    pub fn gap(&self) -> u64 {
        if self.vod { 5 } else { 2 }
    }

    /// Path of the master playlist that is watched.
    pub fn stream(&self) -> &'static str {
        if self.vod { "/vod/master.m3u8" } else { "/live/master.m3u8" }
    }

    /// Name of the report's files.
    pub fn report_name(&self) -> String {
        let mut name = format!("offload-{}", if self.vod { "vod" } else { "live" });
        for (given, word) in [(self.seed_node, "-seed"), (self.flat, "-flat")] {
            if given {
                name += word;
            }
        }
        name
    }

    /// The conditions in words.
    pub fn conditions(&self) -> String {
        format!(
            "{} viewers of {} at 380/700/1400 kbit/s, coming {} s apart, {} s; {}; {}{}",
            self.viewers,
            if self.vod { "VOD" } else { "a live stream" },
            self.gap(),
            self.seconds,
            if self.flat {
                "pages of one Chromium, unshaped"
            } else {
                "each in a Chromium and namespace of its own, 2.1 Mbit/s up, 20 down; origin 40 Mbit/s in all"
            },
            if self.seed_node { "Rillcast with a seed node; " } else { "" },
            format_args!("Rillcast's upload ratio capped at 2.0; medians of {}", self.runs),
        )
    }
}
