//! `demo`: one command, and there is a live stream to watch.

use std::process::ExitCode;

use clap::Parser;
use rillcast_tests::demo::{Options, demo};

#[tokio::main]
async fn main() -> ExitCode {
    match demo(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
