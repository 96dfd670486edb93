//! `bench agent`: native players in the browsers' swarm (R19, R24).
//!
//! - [`copy`]: ffmpeg copies the live stream through the agent, and from the origin at the same time
//! - [`mpv`]: mpv plays it
//! - [`findings`]: what is required

mod copy;
mod findings;
mod mpv;
mod options;

use std::time::Duration;

use anyhow::{Result, bail, ensure};

pub use self::findings::Findings;
pub use self::options::Options;
use super::report;
use crate::media::Library;
use crate::netlab::Link;
use crate::scene::{Plan, Scene};
use crate::services::{Agent, Brought};

/// Viewers have played so long before the agent comes.
const SETTLED: u64 = 8;
/// Both copies begin at the same segment if both players come well within one.
const PHASE: Duration = Duration::from_millis(500);
/// Times that two copies may begin at different segments, on a machine that is slow to start them.
const TRIES: u32 = 3;

/// Plays, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn agent(options: &Options) -> Result<()> {
    let found = measure(options, super::library().await?).await?;
    println!("{}", report::agent::text(&found));
    let path = options.reports.write("agent.html", &report::agent::page(&found))?;
    println!("report: {}", path.display());
    println!("{}", serde_json::to_string(&found)?);
    let failing = found.failing();
    ensure!(failing.is_empty(), "doesn't hold: {}", failing.join("; "));
    Ok(())
}

/// The same without a word.
pub async fn measure(options: &Options, library: Library) -> Result<Findings> {
    // What viewers with such links come to play.
    let best = library.renditions().len() - 1;
    let scene = Scene::set(library, Plan::LIVE).await?;
    let mut viewers = Vec::new();
    for number in 0..options.viewers {
        eprintln!("agent: viewer {} of {} comes", number + 1, options.viewers);
        viewers.push(scene.viewer().await?);
    }
    for viewer in &viewers {
        viewer.plays(SETTLED).await?;
    }
    let mut agent = scene.agent().await?;
    let outside = scene.host("outside", Link::UNSHAPED)?;
    let folder = tempfile::tempdir()?;
    let (through, straight) = (folder.path().join("agent.ts"), folder.path().join("origin.ts"));
    let url = scene.origin.url(Plan::LIVE.stream);
    for attempt in 1.. {
        eprintln!("agent: ffmpeg copies {} s", options.seconds);
        tokio::time::sleep(scene.origin.until_next_segment() + PHASE).await;
        let before = agent.brought().await?;
        let agents_url = agent.url();
        let both = async {
            tokio::try_join!(
                copy::copy(agent.place(), &agents_url, best, options.seconds, &through),
                copy::copy(&outside, &url, best, options.seconds, &straight),
            )
        };
        let over_time = watched(&agent, before, both).await?;
        let brought = agent.brought().await? - before;
        agent.check()?;
        let (one, other) = (std::fs::read(&through)?, std::fs::read(&straight)?);
        for file in [&through, &straight] {
            std::fs::remove_file(file)?;
        }
        // Copies of one length that differ are of one stretch of the stream, or of stretches that are alike: no excuse.
        if one.len() != other.len() && attempt < TRIES {
            eprintln!(
                "agent: the copies, of {} and {} bytes, began apart; once more",
                one.len(),
                other.len()
            );
            continue;
        }
        let before = agent.brought().await?;
        let mpv = if options.no_mpv {
            None
        } else {
            eprintln!("agent: mpv plays {} s", options.seconds);
            Some(mpv::play(agent.place(), &agent.url(), options.seconds).await?)
        };
        let mpv_peer_share = (agent.brought().await? - before).peer_share();
        let mut browser_stalls = 0;
        for viewer in &viewers {
            browser_stalls += viewer.report().await?.stalls;
        }
        let (peer_share, source_share) = Findings::shares(brought);
        return Ok(Findings {
            viewers: options.viewers,
            seconds: options.seconds,
            copied: one.len() as u64,
            identical: one == other,
            peer_share,
            source_share,
            over_time,
            mpv,
            mpv_peer_share,
            browser_stalls,
        });
    }
    bail!("ffmpeg copied nothing")
}

/// The peers' part up to each second that the work lasts.
async fn watched<T>(
    agent: &Agent,
    before: Brought,
    work: impl Future<Output = Result<T>>,
) -> Result<Vec<f64>> {
    let mut over_time = Vec::new();
    let mut work = std::pin::pin!(work);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            done = &mut work => return done.map(|_| over_time),
            _ = second.tick() => over_time.push((agent.brought().await? - before).peer_share()),
        }
    }
}
