//! A crowd at one seed: the real `rillcast-seed` and the real signaling, and native viewers in a process of their own that get everything from it.
//! Measured against the same links without a seed behind them ([`raw`]), in turns.

pub(super) mod raw;
pub(super) mod viewers;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::process::Command;

use self::raw::{Giving, Taking};
use self::viewers::Watching;
use super::Options;
use super::process::{Process, cpu_seconds, resident_bytes};
use crate::native::Stream;
use crate::services::{Place, SITE, Server, program};

/// One comes so much after the other: at once their handshakes would only wait for each other.
const APART: Duration = Duration::from_millis(15);
/// Between the last link and the measurement.
const SETTLING: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(120);
/// Memory for media, so that it doesn't grow during a run.
const MEMORY: &str = "32M";

/// What one run has shown.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Load {
    /// Peers linked at the end.
    pub(crate) peers: u64,
    /// Bytes of media that reached them, per second.
    pub(crate) bytes_per_s: f64,
    /// Processor time of the giving process alone, in ms per MB that reached them.
    pub(crate) cpu_ms_per_mb: f64,
    /// Share of one processor that it took.
    pub(crate) cpu: f64,
    /// Memory that it holds more than before the first link, over the peers.
    pub(crate) rss_mib_per_peer: f64,
}

/// What a run with the seed has shown besides.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Care {
    /// Segments of the stream that appeared while it was measured.
    pub(crate) segments: u64,
    /// Most fetches of one of them from the origin.
    pub(crate) most_fetches: u64,
    /// Fewest.
    pub(crate) fewest_fetches: u64,
    /// Segments that players got, of those that all should have.
    pub(crate) played: f64,
    /// Segments that all should have played.
    pub(crate) due: f64,
    /// Of those played, too late.
    pub(crate) late: u64,
    /// Bytes that weren't the stream's.
    pub(crate) altered: u64,
}

impl Care {
    /// Of the segments that all should have played, those that came in time.
    pub(crate) fn in_time(&self) -> f64 {
        (self.played - self.late as f64 / self.due.max(1.0)).clamp(0.0, 1.0)
    }
}

/// Everything measured with a crowd.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Crowd {
    /// What was given by the seed, run by run.
    pub(crate) seed: Vec<Load>,
    /// The same by bare links.
    pub(crate) raw: Vec<Load>,
    pub(crate) care: Vec<Care>,
}

/// Both, in turns.
pub(super) async fn measure(options: &Options) -> Result<Crowd> {
    let mut crowd = Crowd::default();
    for run in 1..=options.runs {
        eprintln!("crowd, run {run} of {}: {} viewers at a seed", options.runs, options.viewers);
        let (load, care) = at_seed(options).await?;
        crowd.seed.push(load);
        crowd.care.push(care);
        eprintln!("crowd, run {run} of {}: {} bare links", options.runs, options.viewers);
        crowd.raw.push(at_raw(options).await?);
    }
    Ok(crowd)
}

/// A part of this very program.
fn part(arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(program("bench")?);
    command.arg("seed-part").args(arguments);
    Ok(command)
}

async fn at_seed(options: &Options) -> Result<(Load, Care)> {
    let stream = Stream::begin_with(options.segment_bytes()).await?;
    let folder = tempfile::tempdir().context("there's no room for files")?;
    let (mut signaling, at) = signaling(folder.path()).await?;
    let playlist = stream.playlist();
    let signal = format!("ws://{at}/ws");
    let mut seed = Command::new(program("rillcast-seed")?);
    seed.kill_on_drop(true).args(["--manifest", &playlist, "--signal", &signal, "--site", SITE]);
    seed.args(["--udp", "127.0.0.1:0", "--max-links", "1024", "--memory", MEMORY]);
    let mut seed = Server::spawn("seed", seed)?;
    seed.wait_for_line("\"joined\"").await?;
    let pid = seed.pid().context("the seed has ended")?;
    let before = resident_bytes(pid)?;
    let (address, count) = (stream.address().to_string(), options.viewers.to_string());
    let (age, segment) = (stream.age().as_millis().to_string(), options.segment_bytes().to_string());
    let viewers = ["viewers", "--signal", &signal, "--content", &playlist, "--stream", &address];
    let viewers = [&viewers[..], &["--age-ms", &age, "--segment", &segment, "--count", &count]].concat();
    let mut viewers = Process::start("viewers", part(&viewers)?)?;
    let wanted = u64::from(options.viewers);
    viewers.until::<Watching>("all are linked with the seed", PATIENCE, |now| now.linked >= wanted).await?;
    tokio::time::sleep(SETTLING).await;
    let (first, from) = (stream.newest(), viewers.says::<Watching>().unwrap_or_default());
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (to, cpu, time) =
        (viewers.says::<Watching>().unwrap_or_default(), cpu_seconds(pid)? - cpu, began.elapsed());
    let (newest, after) = (stream.newest(), resident_bytes(pid)?);
    seed.check()?;
    signaling.check()?;
    viewers.end().await?;
    let load = load(to.linked, to.bytes - from.bytes, cpu, time, after.saturating_sub(before), wanted);
    let fetched = stream.fetched();
    // The newest may be on its way yet.
    let fetches = |number| fetched.get(&number).copied().unwrap_or(0);
    let counts: Vec<u64> = (first..newest).map(fetches).collect();
    let due = wanted as f64 * time.as_secs_f64() / crate::native::stream::SEGMENT.as_secs_f64();
    let care = Care {
        segments: newest - first,
        most_fetches: counts.iter().copied().max().unwrap_or(0),
        fewest_fetches: counts.iter().copied().min().unwrap_or(0),
        played: (to.played - from.played) as f64 / due,
        due,
        late: to.late - from.late,
        altered: to.altered,
    };
    ensure!(care.altered == 0, "players were handed {} bytes that aren't the stream's", care.altered);
    Ok((load, care))
}

async fn at_raw(options: &Options) -> Result<Load> {
    let rate = options.rate().to_string();
    let mut giver = Process::start("the bare sender", part(&["raw-seed", "--rate", &rate])?)?;
    let at = giver.until::<Giving>("it listens", PATIENCE, |_| true).await?.at.to_string();
    let (pid, count) = (giver.pid()?, options.viewers.to_string());
    let before = resident_bytes(pid)?;
    let mut takers = Process::start("receivers", part(&["raw-viewers", "--from", &at, "--count", &count])?)?;
    let wanted = options.viewers as usize;
    takers.until::<Taking>("all are linked", PATIENCE, |now| now.linked >= wanted).await?;
    tokio::time::sleep(SETTLING).await;
    let from = takers.says::<Taking>().unwrap_or_default();
    let (cpu, began) = (cpu_seconds(pid)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let (to, cpu, time) =
        (takers.says::<Taking>().unwrap_or_default(), cpu_seconds(pid)? - cpu, began.elapsed());
    let after = resident_bytes(pid)?;
    takers.end().await?;
    giver.end().await?;
    let (linked, wanted) = (to.linked as u64, wanted as u64);
    Ok(load(linked, to.bytes - from.bytes, cpu, time, after.saturating_sub(before), wanted))
}

fn load(peers: u64, bytes: u64, cpu: f64, time: Duration, grown: u64, wanted: u64) -> Load {
    Load {
        peers,
        bytes_per_s: bytes as f64 / time.as_secs_f64(),
        cpu_ms_per_mb: cpu * 1e9 / (bytes as f64).max(1.0),
        cpu: cpu / time.as_secs_f64(),
        rss_mib_per_peer: grown as f64 / f64::from(1 << 20) / wanted as f64,
    }
}

/// Signaling whose viewers give nothing to each other, so that the seed has to bring everything, and which fetches nothing itself.
async fn signaling(folder: &Path) -> Result<(Server, SocketAddr)> {
    let place = Place::LOOPBACK;
    let port = place.free_port()?;
    let at = SocketAddr::new(place.address(), port);
    let config = folder.join("settings.toml");
    let limits = "[limits]\nconnections_per_address = 2048\n\
                  per_address = { joins_per_min = 6000, connections = 2048, messages_per_sec = 100000, bytes_per_sec = 100000000 }\n";
    std::fs::write(&config, format!("[default]\nratio = 0.0\nmax_links = 1\n{limits}"))?;
    let mut command = place.command(program("rillcast-signaling")?);
    command.args(["--listen", &at.to_string(), "--config"]).arg(config);
    Ok((Server::start("signaling", command, &place, port).await?, at))
}
