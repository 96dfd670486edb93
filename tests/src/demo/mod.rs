//! The demo: one command, and there is a live stream to watch that its viewers deliver to each other.

mod check;
mod show;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::media::{Library, MediaSpec};
use crate::progress;

/// Shows a live stream delivered by its viewers: an origin, signaling, a seed, and a page to open.
#[derive(Debug, Clone, Parser)]
#[command(name = "demo")]
pub struct Options {
    /// A video of your own instead of the test picture, with or without sound.
    #[arg(long, value_name = "FILE")]
    pub media: Option<PathBuf>,
    /// How much of it to use, in seconds.
    #[arg(long, default_value_t = 300, requires = "media", value_parser = clap::value_parser!(u32).range(8..=7200))]
    pub media_seconds: u32,
    /// Port of the page and the stream.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Port of signaling, which serves the script that a page needs.
    #[arg(long, default_value_t = 9100)]
    pub signaling_port: u16,
    /// Address to listen on. Browsers take only loopback and https for secure enough for WebRTC's neighbours.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub address: IpAddr,
    /// Only the origin: no signaling, no seed.
    #[arg(long)]
    pub origin_only: bool,
    /// Let headless viewers watch instead, and print what they saw as a table and JSON; fails if it isn't well.
    #[arg(long, conflicts_with = "origin_only")]
    pub check: bool,
    /// Viewers with --check.
    #[arg(long, default_value_t = 4, requires = "check", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub viewers: u32,
    /// Length of --check in seconds.
    #[arg(long, default_value_t = 40, requires = "check", value_parser = clap::value_parser!(u64).range(20..=3600))]
    pub seconds: u64,
}

/// Does what the command line says.
pub async fn demo(options: Options) -> Result<()> {
    let asked = options.clone();
    let library = tokio::task::spawn_blocking(move || prepare(&asked)).await??;
    if options.check { check::check(&library, &options).await } else { show::show(library, &options).await }
}

fn prepare(options: &Options) -> Result<Library> {
    let line = progress::Line::default();
    let report = |what: &str, done: f64| line.show(what, done);
    let cache = Library::cache_dir();
    match &options.media {
        Some(file) => Library::prepare_file(file, options.media_seconds, &cache, &report),
        None => Library::prepare(&MediaSpec::default(), &cache, &report),
    }
}
