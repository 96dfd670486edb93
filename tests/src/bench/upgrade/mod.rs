//! `bench upgrade`: signaling and a seed are replaced by this build's while viewers watch, with the former version's script in their
//! pages; then viewers of this version join them, and the seed is killed and comes back (R19, R43, R52).

mod findings;
mod options;

use std::time::Duration;

use anyhow::{Result, ensure};

use self::findings::Stretch;
pub(crate) use self::findings::{Findings, Watched};
pub use self::options::Options;
use super::report;
use crate::bench::offload::ViewerReport;
use crate::scene::{Plan, Scene, Viewer};

/// Upgrades, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn upgrade(options: &Options) -> Result<()> {
    let found = measure(options).await?;
    println!("{}", report::upgrade::text(&found));
    let path = options.reports.write("upgrade.html", &report::upgrade::page(&found))?;
    println!("report: {}", path.display());
    println!("{}", serde_json::to_string(&found)?);
    let failing = found.failing();
    ensure!(failing.is_empty(), "doesn't hold: {}", failing.join("; "));
    Ok(())
}

async fn measure(options: &Options) -> Result<Findings> {
    let plan = Plan { seed: true, programs: Some(options.programs.clone()), ..Plan::LIVE };
    let mut scene = Scene::set(super::library().await?, plan).await?;
    let former = come(&scene, options, "former").await?;
    let mut before = Sums::of(&former).await?;
    let mut stretches = Vec::new();
    let mut newer = Vec::new();
    for what in [
        "before",
        "the seed is replaced",
        "signaling is replaced",
        "viewers of this version come",
        "the seed is killed and comes back",
    ] {
        eprintln!("upgrade: {what}");
        match stretches.len() {
            1 => scene.servers.upgrade_seed().await?,
            2 => scene.servers.upgrade_signaling().await?,
            4 => scene.servers.crash_seed().await?,
            3 => newer = come(&scene, options, "new").await?,
            _ => {}
        }
        tokio::time::sleep(Duration::from_secs(options.seconds)).await;
        scene.servers.check()?;
        let now = Sums::of(&former).await?;
        let brought = now.from_peers - before.from_peers;
        let offload = brought as f64 / (now.came - before.came).max(1) as f64;
        stretches.push(Stretch { what, stalls: now.stalls - before.stalls, offload });
        before = now;
    }
    let mut viewers = Vec::new();
    for (viewer, former) in former.iter().map(|v| (v, true)).chain(newer.iter().map(|v| (v, false))) {
        // Every byte that its player was handed is the origin's.
        let report = scene.intact(viewer).await?;
        viewers.push(watched(&report, former));
    }
    Ok(Findings { stretches, viewers })
}

/// Viewers come, one after the other, and play.
async fn come(scene: &Scene, options: &Options, which: &str) -> Result<Vec<Viewer>> {
    let mut viewers = Vec::new();
    for number in 0..options.viewers {
        eprintln!("upgrade: {which} viewer {} of {} comes", number + 1, options.viewers);
        viewers.push(scene.viewer().await?);
    }
    for viewer in &viewers {
        viewer.plays(5).await?;
    }
    Ok(viewers)
}

fn watched(report: &ViewerReport, former: bool) -> Watched {
    Watched {
        former,
        stalls: report.stalls,
        stall_ms: report.stall_ms,
        played_s: report.played_ms / 1000.0,
        from_peers: report.sources.peers + report.sources.seeds,
        consumed: report.consumed_bytes,
        uploaded: report.uploaded,
    }
}

/// Of several viewers together.
#[derive(Default)]
struct Sums {
    stalls: u64,
    from_peers: u64,
    /// From wherever: what is fetched ahead is played in another stretch.
    came: u64,
}

impl Sums {
    async fn of(viewers: &[Viewer]) -> Result<Self> {
        let mut sums = Self::default();
        for viewer in viewers {
            let report = viewer.report().await?;
            sums.stalls += report.stalls;
            sums.from_peers += report.sources.peers + report.sources.seeds;
            let sources = report.sources;
            sums.came += sources.http + sources.publisher + sources.peers + sources.seeds;
        }
        Ok(sums)
    }
}
