//! What to measure, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::transfers::Pair;
use crate::bench::reports::Reports;
use crate::native::Stream;

/// A part of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub enum Part {
    /// Native viewers at one seed, against bare links.
    Crowd,
    /// Twenty megabytes between a seed and browsers, over links of some length.
    Transfers,
    /// Browsers that play from one seed over lines that lose packets.
    Lossy,
}

/// Options of `bench seed`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Native viewers at one seed.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub viewers: u32,
    /// Bitrate of their stream, in kbit/s.
    #[arg(long, default_value_t = 700, value_parser = clap::value_parser!(u32).range(64..=20_000))]
    pub kbps: u32,
    /// How long each run of them is measured.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub seconds: u64,
    /// Runs of each, in turns.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub runs: u32,
    /// Bare links give as much as they take, instead of what the stream's viewers are to get.
    #[arg(long)]
    pub flat_out: bool,
    /// Round trips of the links that transfers are made over, in ms.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20, 80], value_parser = clap::value_parser!(u64).range(0..=1000))]
    pub rtt_ms: Vec<u64>,
    /// Transfers of each kind over each of them.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub transfers: u32,
    /// From whom to whom, if not all; without transfers between Chromiums the others are judged by nothing.
    #[arg(long, value_enum, value_delimiter = ',')]
    pairs: Vec<Pair>,
    /// Browsers over lines that lose packets.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub browsers: u32,
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

    /// Whether transfers between these two are wanted.
    pub(super) fn has_pair(&self, pair: Pair) -> bool {
        self.pairs.is_empty() || self.pairs.contains(&pair)
    }

    /// The conditions in words: those of the parts that are done.
    pub fn conditions(&self) -> String {
        let raw = if self.flat_out { "as much as they take" } else { "the same rate" };
        let crowd = format!(
            "{} native viewers in a process of their own at one seed, {} kbit/s each, {} runs of {} s in turns with bare links ({raw})",
            self.viewers, self.kbps, self.runs, self.seconds
        );
        let transfers = format!(
            "{} transfers of 20 MB of each kind over {:?} ms of round trip",
            self.transfers, self.rtt_ms
        );
        let lossy = format!(
            "{} browsers at one seed, 20 ms of round trip, 0.5 % of packets lost each way, 1400 kbit/s",
            self.browsers
        );
        let parts = [(Part::Crowd, crowd), (Part::Transfers, transfers), (Part::Lossy, lossy)];
        let done = parts.into_iter().filter(|(part, _)| self.has(*part)).map(|(_, words)| words);
        done.collect::<Vec<_>>().join("; ")
    }

    /// Bytes a second that a bare link is to carry; 0 is as much as it takes.
    pub(super) fn rate(&self) -> u64 {
        if self.flat_out { 0 } else { self.segment_bytes() as u64 }
    }

    /// Bytes of a second of the stream.
    pub(super) fn segment_bytes(&self) -> usize {
        self.kbps as usize * 125
    }
}

/// What runs in a process of its own; for `bench seed` itself.
#[derive(Debug, Clone, Subcommand)]
pub enum Alone {
    /// The viewers of a crowd.
    Viewers {
        /// Signaling's WebSocket.
        #[arg(long)]
        signal: String,
        /// The content's name.
        #[arg(long)]
        content: String,
        /// Where the stream is served.
        #[arg(long)]
        stream: SocketAddr,
        /// How long ago it began.
        #[arg(long)]
        age_ms: u64,
        /// Bytes of each of its segments.
        #[arg(long)]
        segment: usize,
        /// How many.
        #[arg(long)]
        count: u32,
    },
    /// What gives over bare links.
    RawSeed {
        /// Bytes a second to each; 0 is as much as they take.
        #[arg(long)]
        rate: u64,
    },
    /// What takes over them.
    RawViewers {
        /// Where to be linked.
        #[arg(long)]
        from: SocketAddr,
        /// How many.
        #[arg(long)]
        count: u32,
    },
}

impl Alone {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        use super::crowd::{raw, viewers};
        match self {
            Self::Viewers { signal, content, stream, age_ms, segment, count } => {
                let stream = Stream::elsewhere(stream, Duration::from_millis(age_ms), segment);
                viewers::watch(signal, content, stream, count).await
            }
            Self::RawSeed { rate } => raw::give(rate).await,
            Self::RawViewers { from, count } => raw::take(from, count).await,
        }
    }
}
