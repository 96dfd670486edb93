//! Writes a seed's files. All of them but machine.json are the same, byte for byte, whenever the seed is played again.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Report, csv, page, plots};
use crate::run::Runs;

/// Writes all files into a folder, which is made if it isn't there.
pub(crate) fn write(folder: &Path, report: &Report, about: &str, runs: &Runs) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("can't make {}", folder.display()))?;
    for (name, text) in files(report, about, runs)? {
        let path = folder.join(&name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

fn files(report: &Report, about: &str, runs: &Runs) -> Result<Vec<(String, String)>> {
    let plots = plots::plots(report, runs);
    let json = |text: serde_json::Result<String>| text.map(|text| text + "\n");
    let mut files = vec![
        ("report.json".to_owned(), json(serde_json::to_string_pretty(&report.without_machine()))?),
        ("machine.json".to_owned(), json(serde_json::to_string_pretty(&report.machines()))?),
        ("index.html".to_owned(), page::page(report, about, &plots)),
    ];
    let mut tables = |facts, suffix: &str| {
        files.push((format!("seconds{suffix}.csv"), csv::seconds(facts)));
        files.push((format!("viewers{suffix}.csv"), csv::viewers(facts)));
    };
    tables(&runs.engine.facts, "");
    runs.alone.iter().for_each(|run| tables(&run.facts, "-cdn"));
    runs.simple.iter().for_each(|run| tables(&run.facts, "-simple"));
    files.extend(plots.iter().map(|(name, chart)| (format!("{name}.svg"), chart.svg())));
    Ok(files)
}

#[cfg(test)]
mod tests;
