//! The demo for machines: do viewers deliver the stream to each other here, and is it what the origin serves?

use anyhow::{Result, ensure};

use super::Options;
use crate::bench::offload::{self, Client, Summary};
use crate::media::Library;

/// Lets headless viewers watch, prints what they saw, and fails if something was wrong with it.
pub(super) async fn check(library: &Library, options: &Options) -> Result<()> {
    let bench = offload::Options::check(options.viewers, options.seconds);
    let result = offload::run_client(library, Client::Rillcast, &bench, "check", 0).await?;
    let summary: Vec<Summary> =
        Summary::of(Client::Rillcast, std::slice::from_ref(&result)).into_iter().collect();
    println!("{}", offload::table(&summary));
    println!("{}", serde_json::to_string(&summary)?);
    ensure!(result.start_ms.is_some(), "no viewer ever started: look at the messages above");
    ensure!(result.altered.is_empty(), "players were handed altered bytes: {}", result.altered.join("; "));
    ensure!(result.decode_errors.is_empty(), "decoding failed: {}", result.decode_errors.join("; "));
    ensure!(
        result.peer_share + result.seed_share + result.publisher_share > 0.0,
        "nothing came from other viewers or the seed: is UDP on this machine's own addresses blocked?"
    );
    Ok(())
}
