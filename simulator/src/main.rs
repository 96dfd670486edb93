//! Swarms of the real engine in virtual time: `simulator SCENARIO`. See README.md.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

// Much of a run is small allocations, and memory that has to be fetched: this one packs them closer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bound;
mod draw;
mod facts;
mod machine;
mod media;
mod overrides;
mod pairs;
mod player;
mod report;
mod run;
mod scenario;
mod world;

use pairs::Pairs;
use report::Report;

/// Plays a scenario and prints what it came to: a table, then a line of JSON.
#[derive(Debug, Parser)]
#[command(name = "simulator", version)]
struct Options {
    /// One that ships (peer2view, flash-crowd and so on, see README.md) or a .toml file.
    scenario: String,
    /// For every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Several, one after the other, with their medians: 1-5.
    #[arg(long, value_parser = range, conflicts_with = "seed")]
    seeds: Option<RangeInclusive<u64>>,
    /// What else to play on the same seed, to compare visit by visit.
    #[arg(long, value_enum, default_value_t)]
    pairs: Pairs,
    /// Instead of the scenario's number of viewers at a time.
    #[arg(long)]
    peers: Option<usize>,
    /// Instead of the scenario's length.
    #[arg(long)]
    minutes: Option<f64>,
    /// Another value for any field of the scenario: links.correlation=0.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Switches a mechanism of the engine off.
    #[arg(long, value_name = "MECHANISM")]
    without: Vec<String>,
    /// Plays it whole, by the simple scheduler, and without each mechanism, and compares these runs.
    #[arg(long, conflicts_with_all = ["without", "seeds", "pairs", "out"])]
    each: bool,
    /// Where the files go; each of several seeds gets a folder in it. Default: reports/sim/SCENARIO-SEED.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Writes no files.
    #[arg(long, conflicts_with = "out")]
    no_files: bool,
}

fn main() -> Result<()> {
    let mut options = Options::parse();
    let switches = pairs::switches(&options.without)?;
    options.set.extend(options.minutes.map(|minutes| format!("minutes={minutes}")));
    let scenario = overrides::load(&options.scenario, &options.set, options.peers)?;
    let name = Path::new(&options.scenario).file_stem().unwrap_or_default().to_string_lossy();
    if options.each {
        let reports = run::each(&scenario, &name, options.seed);
        println!("{}", report::beneath("", reports.iter().map(|(label, report)| (label.clone(), report))));
        for (label, report) in &reports {
            println!("{}", serde_json::json!({ "run": label, "report": report }));
        }
        return Ok(());
    }
    let mut reports = Vec::new();
    for seed in options.seeds.clone().unwrap_or(options.seed..=options.seed) {
        let runs = run::play(&scenario, seed, options.pairs, switches);
        let report = Report::new(&name, seed, &runs);
        println!("{}", report::table(&report));
        if !options.no_files {
            let folder = match (&options.out, &options.seeds) {
                (None, _) => Path::new("reports/sim").join(format!("{name}-{seed}")),
                (Some(out), None) => out.clone(),
                (Some(out), Some(_)) => out.join(seed.to_string()),
            };
            report::write(&folder, &report, &scenario.about, &runs)?;
            println!("Plots and tables: {}\n", folder.join("index.html").display());
        }
        reports.push(report);
    }
    match reports.as_slice() {
        [one] => println!("{}", serde_json::to_string(one)?),
        all => {
            println!("{}", report::seeds(all));
            println!("{}", serde_json::to_string(&report::of_seeds(all)?)?);
        }
    }
    Ok(())
}

/// `1-5`, or one number.
fn range(text: &str) -> Result<RangeInclusive<u64>> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let read = |n: &str| n.trim().parse::<u64>().with_context(|| format!("{n} is no seed; write 1-5"));
    let (from, to) = (read(from)?, read(to)?);
    ensure!(from <= to, "the first seed comes first");
    if to - from >= 1000 {
        bail!("more than a thousand seeds");
    }
    Ok(from..=to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use rillcast_core::switches::{Mechanism, Switches};

    #[test]
    fn a_small_swarm_saves_most_and_does_not_stall() {
        let mut scenario = Scenario::load("single-bitrate").expect("ships");
        scenario.viewers.peers = 60;
        scenario.viewers.come_within_seconds = 20.0;
        scenario.minutes = 3.0;
        let runs = run::play(&scenario, 1, Pairs::None, Switches::default());
        let report = Report::new("small", 1, &runs);
        let (figures, table) = (&report.engine.figures, report::table(&report));
        println!("{table}");
        // Measured 0.70: uplinks carry little more than is watched, and sixty viewers have few neighbours to choose from.
        assert!(figures.eta > 0.6, "{table}");
        assert!(figures.stalled_peers < 0.02, "{table}");
        assert!(figures.savings <= figures.bound + 1e-9, "no run beats its bound: {table}");
        assert!(report.baseline.is_none() && figures.comparison.is_none());
    }

    #[test]
    fn no_run_beats_its_bound() {
        let sets = ["minutes=1".to_owned(), "viewers.come_within_seconds=5".to_owned()];
        for name in ["scarce", "seeds", "vod", "isps", "free-riders", "low-latency"] {
            let scenario = overrides::load(name, &sets, Some(30)).expect(name);
            let report = Report::new(name, 2, &run::play(&scenario, 2, Pairs::None, Switches::default()));
            let figures = &report.engine.figures;
            assert!(figures.savings <= figures.bound + 1e-9, "{}", report::table(&report));
            assert!(figures.bounds.by_rendition <= figures.bounds.structure + 1e-9, "{name}: {figures:?}");
        }
    }

    #[test]
    fn several_seeds_are_told_with_their_medians() {
        let sets = ["minutes=0.5".to_owned(), "viewers.come_within_seconds=5".to_owned()];
        let scenario = overrides::load("single-bitrate", &sets, Some(12)).expect("right values");
        let of =
            |seed| Report::new("few", seed, &run::play(&scenario, seed, Pairs::Cdn, Switches::default()));
        let reports: Vec<_> = (1..=3).map(of).collect();
        let table = report::seeds(&reports);
        assert_eq!(table.lines().count(), 5, "{table}");
        let widths: Vec<_> = table.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
        let json = report::of_seeds(&reports).expect("is JSON");
        let mut savings: Vec<f64> = reports.iter().map(|r| r.engine.figures.savings).collect();
        savings.sort_by(f64::total_cmp);
        assert_eq!(json["savings"], savings[1]);
        assert_eq!(json["seeds"], serde_json::json!([1, 2, 3]));
        assert!(json["baseline"]["savings"].is_number() && json["runs"][2]["baseline"].is_object());
    }

    #[test]
    fn all_pairs_play_the_same_visits() {
        let mut scenario = overrides::load("single-bitrate", &[], Some(30)).expect("ships");
        scenario.minutes = 1.5;
        let runs = run::play(&scenario, 1, Pairs::All, Switches::default());
        let report = Report::new("small", 1, &runs);
        let simple = &report.simple_scheduler.as_ref().expect("played").figures;
        let alone = &report.baseline.as_ref().expect("played").figures;
        assert_eq!(simple.visitors, alone.visitors);
        assert!(simple.savings > alone.savings, "pulling is better than nothing");
        assert!(report.engine.figures.savings > simple.savings, "and offers are better than pulling");
    }

    #[test]
    fn mechanisms_are_switched_off_by_name() {
        let off = pairs::switches(&["offers".to_owned(), "gossip".to_owned()]).expect("both exist");
        let on = |name| off.has(Mechanism::ALL.iter().find(|m| m.0 == name).expect("it exists").1);
        assert!(!on("offers") && !on("gossip") && on("exchange"));
        assert_eq!(pairs::switches(&[]).expect("nothing"), Switches::default());
        let wrong = pairs::switches(&["offer".to_owned()]).expect_err("there is none").to_string();
        assert!(wrong.contains("no mechanism offer;") && wrong.contains("offers, choice"), "{wrong}");
    }

    #[test]
    fn every_mechanism_can_be_switched_off_and_offers_bring_most() {
        let sets = ["minutes=1.5".to_owned(), "viewers.come_within_seconds=10".to_owned()];
        let scenario = overrides::load("single-bitrate", &sets, Some(30)).expect("right values");
        let reports = run::each(&scenario, "small", 1);
        assert_eq!(reports.len(), 2 + Mechanism::ALL.len());
        let table = report::beneath("", reports.iter().map(|(label, report)| (label.clone(), report)));
        let savings = |name: &str| {
            let (_, report) = reports.iter().find(|(label, _)| label == name).expect("played");
            report.engine.figures.savings
        };
        assert!(savings("whole") > savings("without offers"), "{table}");
        assert!(savings("whole") > savings("simple scheduler"), "{table}");
        assert_eq!(table.lines().count(), 1 + reports.len(), "{table}");
    }

    #[test]
    fn seeds_are_a_range_or_one() {
        assert_eq!(range("1-5").expect("a range"), 1..=5);
        assert_eq!(range("7").expect("one"), 7..=7);
        for wrong in ["5-1", "a-b", "", "0-99999"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
