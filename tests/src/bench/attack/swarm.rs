//! The simulator's swarms: the same crowd with a fifth of polluters and with none, and one whose server is away for ten minutes.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::options::Options;
use super::stalls::{Stalls, visits};
use crate::services::program;

/// The most peers of the swarm without signaling: its scenario's own number.
const OUTAGE_PEERS: u32 = 1000;

/// What they came to.
#[derive(Debug, Serialize)]
pub(crate) struct Swarm {
    /// Viewers at a time.
    pub(crate) peers: u32,
    /// Without polluters.
    pub(crate) clean: Simulated,
    /// With them.
    pub(crate) polluted: Simulated,
    /// Stalls of honest viewers in both.
    pub(crate) stalls: Stalls,
    /// With signaling away from minute 5 to 15, seeds and no polluters.
    pub(crate) outage: Simulated,
}

/// Of what the simulator says, what is judged here.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Simulated {
    /// 1 - source bytes / bytes that players got.
    pub(crate) savings: f64,
    /// The same of those who give, where some don't.
    #[serde(default)]
    pub(crate) givers_savings: Option<f64>,
    /// Stalls by hours watched.
    pub(crate) stalls_per_hour: f64,
    /// Share of the viewers that stalled.
    pub(crate) stalled_peers: f64,
    /// What became of false blocks.
    pub(crate) lies: Lies,
}

impl Simulated {
    /// Savings of those who aren't hostile: a polluter that is cut off has its own bytes from the source, as it would without us.
    pub(crate) fn honest(&self) -> f64 {
        self.givers_savings.unwrap_or(self.savings)
    }
}

/// Of false blocks and who sent them.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct Lies {
    /// Found.
    pub(crate) blocks: u64,
    /// Bytes played that aren't the source's.
    pub(crate) played_bytes: u64,
    /// Bytes passed on by honest viewers that aren't the source's.
    pub(crate) relayed_bytes: u64,
    /// Links to polluters that were ended for lies.
    pub(crate) cut: u64,
    /// Links to others that were.
    pub(crate) framed: u64,
}

/// Runs all three. In virtual time it is nothing to the one what else the machine does, so the two large ones run side by side.
pub(super) async fn run(options: &Options) -> Result<Swarm> {
    let peers = options.peers.to_string();
    let small = options.peers.min(OUTAGE_PEERS).to_string();
    let clean = ["polluters", "--peers", &peers, "--set", "conduct.polluters=0.0"];
    let polluted = ["polluters", "--peers", &peers];
    let files = tempfile::tempdir()?;
    let (without, with) = (files.path().join("clean"), files.path().join("polluted"));
    let (clean, polluted) =
        tokio::try_join!(simulate(&clean, Some(&without)), simulate(&polluted, Some(&with)))?;
    Ok(Swarm {
        peers: options.peers,
        clean,
        polluted,
        stalls: Stalls::of(&visits(&without)?, &visits(&with)?)?,
        outage: simulate(&["tracker-outage", "--peers", &small], None).await?,
    })
}

/// Plays a scenario, and leaves its files where they are asked for.
async fn simulate(arguments: &[&str], files: Option<&Path>) -> Result<Simulated> {
    eprintln!("simulator: {}", arguments.join(" "));
    let mut command = Command::new(program("simulator")?);
    command.args(arguments).args(["--pairs", "none"]).stderr(Stdio::inherit());
    match files {
        Some(folder) => command.arg("--out").arg(folder),
        None => command.arg("--no-files"),
    };
    let output = command.kill_on_drop(true).stdout(Stdio::piped()).output().await?;
    ensure!(output.status.success(), "the simulator has failed: {}", output.status);
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().next_back().context("the simulator says nothing")?;
    serde_json::from_str(line).context("the simulator's last line isn't what it was")
}
