//! What verifying costs a viewer's processor, from a profile of its page.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::offload::Stage;
use crate::browser::Page;

/// How long a viewer's page is profiled.
const PROFILED: u64 = 30;
/// Tickets whose checks are timed.
const TICKETS: u32 = 200;

/// What it costs.
#[derive(Debug, Serialize)]
pub(crate) struct Costs {
    /// Share of the time that the viewer's browser computes, all its processes together, in which its page hashes blocks.
    pub(crate) hashing: f64,
    /// The same of signatures' checks, from asking to the answer: more than they compute.
    pub(crate) signatures: f64,
    /// Share of a processor that the browser takes.
    pub(crate) browser: f64,
    /// Milliseconds until a ticket is checked: the median.
    pub(crate) ticket_ms: f64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Checks {
    ms: f64,
}

/// Of the first viewer, which goes on watching meanwhile.
pub(super) async fn measure(stage: &Stage, pages: &[Page]) -> Result<Costs> {
    let page = pages.first().context("there are viewers")?;
    let browser = stage.browsers.first().context("there are viewers")?;
    eprintln!("costs: {PROFILED} s of a viewer's profile");
    let hashers: Vec<u32> = page.eval("rcCosts.hashers()").await?;
    ensure!(
        !hashers.is_empty(),
        "no function of the engine's module hashes; does tests/pages/costs.js know how?"
    );
    let (cpu, before): (u64, Checks) = (browser.cpu_ms(), page.eval("rcCosts.checks").await?);
    let profile = page.profile(PROFILED).await?;
    let (cpu, after) = (browser.cpu_ms() - cpu, page.eval::<Checks>("rcCosts.checks").await?);
    let of = |hasher: &u32| {
        let name = format!("wasm-function[{hasher}]");
        profile.iter().filter(|(function, _)| **function == name).map(|(_, time)| time).sum::<f64>()
    };
    let hashing = hashers.iter().map(of).sum::<f64>() / 1000.0;
    let all = (cpu as f64).max(1.0);
    if std::env::var_os("RILLCAST_VERBOSE").is_some() {
        let mut most: Vec<_> = profile.iter().collect();
        most.sort_by(|a, b| b.1.total_cmp(a.1));
        most.iter().take(20).for_each(|(function, time)| eprintln!("{:>9.1} ms {function}", *time / 1000.0));
    }
    let limit = Duration::from_secs(60);
    let ticket_ms = page.eval_within(&format!("rcCosts.ticketCheck({TICKETS})"), limit).await?;
    Ok(Costs {
        hashing: hashing / all,
        signatures: (after.ms - before.ms) / all,
        browser: all / (PROFILED as f64 * 1000.0),
        ticket_ms,
    })
}
