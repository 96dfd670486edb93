//! `bench`: measures clients side by side.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rillcast_tests::bench::{agent, attack, ingest, nat, offload, seed, upgrade, uplink};

/// Measures clients side by side, in real browsers.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// How much of a stream the viewers deliver to each other, and what it costs them.
    Offload(offload::Options),
    /// What hostile peers come to: among viewers in browsers, one by one over the wire, and a fifth of a large swarm.
    Attack(attack::Options),
    /// Native players (ffmpeg, mpv) through an agent, beside viewers in browsers.
    Agent(agent::Options),
    /// What is left to a TCP flow beside uploads that yield, on one uplink.
    Uplink(uplink::Options),
    /// What viewers notice of an upgrade of the servers.
    Upgrade(upgrade::Options),
    /// What peers cost in latency where an encoder pushes to a node.
    Ingest(ingest::Options),
    /// Who meets whom behind which kinds of NAT, directly or through a relay.
    Nat(nat::Options),
    /// What a seed carries, and what that costs it.
    Seed(seed::Options),
    /// A part of `seed` that runs in a process of its own.
    #[command(subcommand, hide = true)]
    SeedPart(seed::Alone),
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
    match Cli::parse().bench {
        Bench::Offload(options) => offload::offload(&options).await,
        Bench::Attack(options) => attack::attack(&options).await,
        Bench::Agent(options) => agent::agent(&options).await,
        Bench::Uplink(options) => uplink::uplink(&options).await,
        Bench::Upgrade(options) => upgrade::upgrade(&options).await,
        Bench::Ingest(options) => ingest::ingest(&options).await,
        Bench::Nat(options) => nat::nat(&options).await,
        Bench::Seed(options) => seed::seed(&options).await,
        Bench::SeedPart(part) => seed::alone(part).await,
    }
}
