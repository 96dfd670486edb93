//! `bench nat`: who meets whom, and by which way, behind NATs of every kind (R13).
//!
//! - [`pairs`]: native peers behind all pairs of kinds
//! - [`places`]: native peers and Chromiums in places of other sorts: two NATs in a row, one carrier for both, no UDP, HTTPS alone, IPv6
//! - [`findings`]: all that, and what it is judged by

mod findings;
mod options;
mod pairs;
mod places;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};

pub use options::Options;

pub(crate) use self::findings::{Findings, Pair, PlaceResult};
use super::report;
use crate::netlab::internet::population;

/// Has them meet, prints a table and, as the last line, JSON; writes the report. Fails where something doesn't hold.
pub async fn nat(options: &Options) -> Result<()> {
    let began = Instant::now();
    let population = population::built_in()?;
    let kinds = options.kinds(&population);
    let pairs = pairs::all(&kinds, options).await?;
    let places = places::all(options).await?;
    let found = Findings::new(kinds, pairs, places, &population, began.elapsed());
    println!("{}", report::nat::text(&found));
    let path = write(options, &found)?;
    println!("report: {}", path.display());
    println!("{}", serde_json::to_string(&found.figures())?);
    let failing = found.failing();
    ensure!(failing.is_empty(), "doesn't hold: {}", failing.join("; "));
    Ok(())
}

fn write(options: &Options, found: &Findings) -> Result<PathBuf> {
    options.reports.write("nat.json", &serde_json::to_string_pretty(&found.all())?)?;
    options.reports.write("nat.html", &report::nat::page(found))
}
