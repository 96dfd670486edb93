//! `bench fuzz`: every target of `fuzz/` under libFuzzer, one after another.
//!
//! - [`options`]: what it can be told
//! - [`run`]: one target; [`said`]: what libFuzzer says of it
//! - [`report`]: what came of all

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Error, Result};
use clap::Parser;

use crate::proc;
use crate::setup;
use crate::step::Steps;
use crate::workspace::Workspace;
use options::Options;
use run::Place;

mod options;
mod report;
mod run;
mod said;

/// Does what the arguments behind `bench fuzz` say. Fails if anything is found, after all targets have run.
pub(crate) fn main(workspace: &Workspace, args: &[OsString], steps: &mut Steps) -> Result<ExitCode> {
    let options = Options::parse_from([OsString::from("fuzz")].iter().chain(args));
    let home = workspace.root.join("fuzz").join("libfuzzer");
    let chosen = options.choose(&targets(&home.join("targets"))?).map_err(Error::msg)?;
    setup::fuzzing(workspace, steps)?;
    let folder = build(workspace, &home, &chosen, steps)?;
    let mut outcomes = Vec::new();
    let mut advice = Vec::new();
    for name in &chosen {
        let place = place(workspace, &folder, name);
        let outcome = steps
            .step(&format!("fuzz {name} for {} s", options.seconds), || run::run(&place, options.seconds))?;
        if !outcome.passed {
            outcome.said.last().for_each(|line| eprintln!("    {line}"));
            advice.push(run::advice(&outcome, &place.program));
        }
        outcomes.push(outcome);
    }
    steps.end();
    println!("{}", report::table(&outcomes));
    advice.iter().for_each(|advice| eprintln!("{advice}\n"));
    println!("{}", report::json(&outcomes));
    Ok(if advice.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The names of all targets, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Builds the targets, and says in which folder their programs are.
fn build(
    workspace: &Workspace,
    home: &Path,
    chosen: &[String],
    steps: &mut Steps,
) -> Result<std::path::PathBuf> {
    // What is fuzzed is what is shipped: the same version of every dependency.
    let lock = home.join("Cargo.lock");
    fs::copy(workspace.root.join("Cargo.lock"), &lock)
        .with_context(|| format!("could not write {}", lock.display()))?;
    let host = host(&proc::output(Command::new("rustc").arg("-vV"))?)?;
    let target = workspace.target.join("fuzz");
    steps.step("fuzz targets (cargo fuzz build)", || {
        let build = |name: Option<&String>| {
            let mut command = workspace.cargo();
            // Sanitizers need a nightly toolchain, and find what safe Rust hasn't got. Coverage alone is stable.
            command.args(["fuzz", "build", "--sanitizer", "none", "--codegen-units", "16", "--fuzz-dir"]);
            command.arg(home).args(["--target", &host, "--target-dir"]).arg(&target).args(name);
            proc::run(&mut command)
        };
        match chosen {
            [one] => build(Some(one)),
            _ => build(None),
        }
    })?;
    Ok(target.join(host).join("release"))
}

/// The machine's own name among rustc's targets.
fn host(about: &str) -> Result<String> {
    let line = about.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("`rustc -vV` names no host; is it a rustc?")
}

fn place(workspace: &Workspace, folder: &Path, name: &str) -> Place {
    let (fuzz, target) = (workspace.root.join("fuzz"), workspace.target.join("fuzz"));
    Place {
        name: name.to_owned(),
        program: folder.join(name).with_extension(std::env::consts::EXE_EXTENSION),
        kept: fuzz.join("corpus").join(name),
        dictionary: fuzz.join("dictionaries").join(name).with_extension("dict"),
        working: target.join("corpus").join(name),
        found: target.join("found").join(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_their_files() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/libfuzzer/targets");
        let names = targets(&folder).unwrap();
        assert!(names.contains(&"engine".to_owned()) && names.is_sorted(), "{names:?}");
        assert!(targets(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn the_host_is_what_rustc_says() {
        assert_eq!(
            host("rustc 1.95.0\nhost: x86_64-unknown-linux-gnu\nrelease: 1\n").unwrap(),
            "x86_64-unknown-linux-gnu"
        );
        assert!(host("rustc 1.95.0\n").is_err());
    }

    #[test]
    fn what_is_found_stays_out_of_the_tree() {
        let workspace = Workspace::at(Path::new("/w"), None);
        let place = place(&workspace, Path::new("/w/target/fuzz/host/release"), "hub");
        assert_eq!(place.kept, Path::new("/w/fuzz/corpus/hub"));
        assert_eq!(place.dictionary, Path::new("/w/fuzz/dictionaries/hub.dict"));
        assert!(place.working.starts_with("/w/target") && place.found.starts_with("/w/target"));
    }
}
