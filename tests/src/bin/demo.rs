//! `demo`: one command, and there is a live stream to watch.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use rillcast_tests::media::{Library, MediaSpec};
use rillcast_tests::origin::{Origin, OriginConfig};
use rillcast_tests::{progress, site};

/// Serves an endless live stream, with everything that browsers need to share it.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// A video of your own instead of the test picture, with or without sound.
    #[arg(long, value_name = "FILE")]
    media: Option<PathBuf>,
    /// How much of it to use, in seconds.
    #[arg(long, default_value_t = 300, requires = "media")]
    media_seconds: u32,
    /// Port of the page and the stream.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    address: IpAddr,
    /// Only the origin: no signaling, no seed.
    #[arg(long)]
    origin_only: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse();
    let cache = Library::cache_dir();
    let (media, seconds) = (options.media.clone(), options.media_seconds);
    let library = tokio::task::spawn_blocking(move || {
        let progress = progress::Line::default();
        let report = |what: &str, done: f64| progress.show(what, done);
        match media {
            Some(file) => Library::prepare_file(&file, seconds, &cache, &report),
            None => Library::prepare(&MediaSpec::default(), &cache, &report),
        }
    })
    .await??;
    let config = OriginConfig { mounts: site::mounts(), ..OriginConfig::default() };
    let origin = Origin::start(library, config, SocketAddr::new(options.address, options.port)).await?;
    println!("live stream:  {}", origin.url("/live/master.m3u8"));
    println!("plain player: {}", origin.url("/pages/plain.html"));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
