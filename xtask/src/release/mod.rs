//! `release`: what operators and sites are handed, in one folder.
//!
//! - two Debian packages with their systemd units, `rillcast-seed` and `rillcast-signaling` (which has the browser bundle inside)
//! - the same programs, stripped, with the bundle and the documents, as an archive for other systems
//! - the npm package
//! - [`sums`]: their SHA-256
//! - [`trial`]: what was packed is unpacked again and started, for a package that lacks something is found out too late elsewhere
//!
//! What the packages bring lies beside the programs: `seed-node/packaging`, `signaling/packaging`.

mod archive;
mod sums;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::proc;
use crate::setup;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Packages that become Debian packages.
const DEBIAN: [&str; 2] = ["rillcast-seed", "rillcast-signaling"];
/// Programs of a release.
pub(crate) const PROGRAMS: [&str; 4] =
    ["rillcast-seed", "rillcast-signaling", "rillcast-token", "rillcast-receipts"];

/// Packs what has been built, tries it, and prints what came of it; the last line is JSON.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    setup::cargo_deb(workspace, steps)?;
    let folder = folder(workspace);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
    let mut debs = Vec::new();
    for package in DEBIAN {
        debs.push(steps.step(&format!("Debian package {package}"), || deb(workspace, package, &folder))?);
    }
    steps.step("archive of programs", || archive::pack(workspace, &folder))?;
    steps.step("npm package", || {
        let mut npm = workspace.command("npm");
        proc::run(npm.arg("pack").arg(workspace.web()).arg("--pack-destination").arg(&folder))
    })?;
    let tried = steps.step("trial of the packages", || trial::run(&debs))?;
    let artefacts = sums::write(&folder)?;
    println!("{}", sums::table(&artefacts));
    tried.iter().for_each(|line| println!("{line}"));
    println!("{}", sums::json(&folder, &artefacts));
    Ok(())
}

/// Where a release goes.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("release-artefacts")
}

/// Makes one package and says where it is.
fn deb(workspace: &Workspace, package: &str, folder: &Path) -> Result<PathBuf> {
    let mut cargo = workspace.cargo();
    cargo.args(["deb", "--package", package, "--no-build", "--strip", "--output"]).arg(folder);
    let said = proc::output(&mut cargo)?;
    let path = PathBuf::from(said.trim());
    ensure!(path.is_file(), "cargo deb names {:?}, but there is no such file", said.trim());
    Ok(path)
}
