//! `bench uplink`: uploads that yield, and a real TCP flow beside them on a real queue (R12).
//!
//! - [`stage`]: who uploads, and who takes it
//! - [`flow`]: the TCP flow
//! - [`findings`]: what is required

mod findings;
mod flow;
mod options;
mod stage;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub(crate) use self::findings::{Case, Findings};
use self::flow::Flow;
pub use self::options::Options;
use self::stage::Stage;
pub use self::stage::Uploader;
use super::median::median;
use super::report;
use crate::netlab::{Host, Lab, Link};

/// Until links are there, and a window has found its size; and until a flow that begins has got to its share.
const SETTLED: Duration = Duration::from_secs(15);

/// Measures as told, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn uplink(options: &Options) -> Result<()> {
    let tcp_alone = tcp_alone(options).await?;
    let mut cases = Vec::new();
    for uploader in options.uploaders() {
        // As any other first: it shows what there is to yield to.
        for yields in [false, true] {
            cases.push(case(options, uploader, yields, tcp_alone).await?);
        }
    }
    let found = Findings { tcp_alone: tcp_alone / options.capacity(), cases };
    println!("{}", report::uplink::text(&found));
    println!("{}", options.conditions());
    let path = options.reports.write("uplink.html", &report::uplink::page(&options.conditions(), &found))?;
    println!("report: {}", path.display());
    println!("{}", serde_json::to_string(&found)?);
    let failing = found.failing();
    ensure!(failing.is_empty(), "doesn't hold: {}", failing.join("; "));
    Ok(())
}

/// What the flow gets with nobody beside it, in bytes per second.
async fn tcp_alone(options: &Options) -> Result<f64> {
    let lab = Lab::new()?;
    let (home, away) = (lab.add_home("home", options.link())?, lab.add("away", Link::UNSHAPED)?);
    let mut rates = Vec::new();
    for round in 0..options.rounds {
        eprintln!("uplink: TCP alone, round {} of {}", round + 1, options.rounds);
        rates.push(flow_rate(&home, &away, options).await?);
    }
    median(rates).context("there's a round at least")
}

async fn case(options: &Options, uploader: Uploader, yields: bool, tcp_alone: f64) -> Result<Case> {
    let mut stage = Stage::set(options, uploader, yields).await?;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        let how = if yields { "yielding" } else { "as any other" };
        eprintln!("uplink: {uploader:?}, {how}, round {} of {}", round + 1, options.rounds);
        tokio::time::sleep(SETTLED).await;
        let before = stage.home.traffic()?.sent;
        tokio::time::sleep(options.time()).await;
        let alone = (stage.home.traffic()?.sent - before) as f64 / options.time().as_secs_f64();
        let tcp = flow_rate(&stage.home, &stage.away, options).await?;
        stage.check()?;
        rounds.push([alone / options.capacity(), tcp / tcp_alone]);
        eprintln!(
            "uplink: alone {:.3} of the uplink, TCP keeps {:.3}",
            rounds[rounds.len() - 1][0],
            rounds[rounds.len() - 1][1]
        );
    }
    Ok(Case::new(uploader, yields, rounds))
}

/// What a flow gets, in bytes per second, once it has got to its share.
async fn flow_rate(from: &Host, to: &Host, options: &Options) -> Result<f64> {
    let time = options.time();
    let flow = Flow::start(from, to, &options.congestion)?;
    tokio::time::sleep(SETTLED / 3).await;
    let before = flow.received();
    tokio::time::sleep(time).await;
    let bytes = flow.received() - before;
    flow.end()?;
    Ok(bytes as f64 / time.as_secs_f64())
}
