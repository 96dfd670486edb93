//! `bench`: measures clients side by side.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rillcast_tests::bench::{attack, ingest, nat, offload};

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
    /// What peers cost in latency where an encoder pushes to a node.
    Ingest(ingest::Options),
    /// Who meets whom behind which kinds of NAT, directly or through a relay.
    Nat(nat::Options),
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
        Bench::Ingest(options) => ingest::ingest(&options).await,
        Bench::Nat(options) => nat::nat(&options).await,
    }
}
