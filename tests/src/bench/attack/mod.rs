//! `bench attack`: what hostile peers come to, and what they cost those they attack.
//!
//! - [`trials`]: every attack over the wire, one by one, on native victims
//! - [`browsers`]: viewers in browsers, without and with two hostile native peers among them
//! - [`revocation`]: how long somebody who is let in no more keeps its links to them
//! - [`outage`]: what becomes of links and tickets while signaling is dead
//! - [`costs`]: what verifying costs a viewer's processor
//! - [`swarm`]: the simulator's polluters, and the same swarm without them; ten minutes without signaling
//! - [`stalls`]: honest viewers' in both of these
//! - [`findings`]: all that, and what it is judged by

mod browsers;
mod costs;
mod findings;
mod options;
mod outage;
mod revocation;
mod stalls;
mod swarm;
mod trials;

use std::path::PathBuf;

use anyhow::{Result, ensure};

pub use options::{Options, Part};

pub(crate) use self::findings::{Findings, Judged};
use super::report;

/// Attacks as told, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn attack(options: &Options) -> Result<()> {
    let mut found = Findings::default();
    if options.has(Part::Trials) {
        found.trials = trials::all().await;
    }
    if options.has(Part::Browsers) || options.has(Part::Outage) {
        let library = super::library().await?;
        if options.has(Part::Browsers) {
            browsers::run(&library, options, &mut found).await?;
        }
        if options.has(Part::Outage) {
            found.outage = Some(outage::run(&library, options).await?);
        }
    }
    if options.has(Part::Swarm) {
        found.swarm = Some(swarm::run(options).await?);
    }
    let path = write_report(options, &found)?;
    let judged = found.judged();
    println!("{}", report::attack::text(&found, &judged));
    println!("{}", options.conditions());
    println!("report: {}", path.display());
    println!("{}", serde_json::json!({ "findings": found, "judged": judged }));
    let failed: Vec<_> = judged.iter().filter(|one| !one.holds).map(|one| one.what).collect();
    ensure!(failed.is_empty(), "doesn't hold: {}", failed.join("; "));
    Ok(())
}

fn write_report(options: &Options, found: &Findings) -> Result<PathBuf> {
    let judged = found.judged();
    let html = report::attack::page(&options.conditions(), found, &judged);
    let json = serde_json::json!({ "conditions": options.conditions(), "findings": found, "judged": judged });
    options.reports.write("attack.json", &serde_json::to_string_pretty(&json)?)?;
    options.reports.write("attack.html", &html)
}
