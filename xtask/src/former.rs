//! Another revision of the project, built by its own chores: what `bench upgrade` begins with.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Takes `--from REVISION` out of the arguments. Without it: the newest tag before this revision.
pub(crate) fn revision(workspace: &Workspace, args: &mut Vec<OsString>) -> Result<String> {
    if let Some(at) = args.iter().position(|argument| argument == "--from") {
        let Some(revision) = args.get(at + 1).and_then(|named| named.to_str()).map(str::to_owned) else {
            bail!("--from names no revision; write a tag or a commit, such as --from v0.1.0");
        };
        args.drain(at..at + 2);
        return Ok(revision);
    }
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["describe", "--tags", "--abbrev=0", "HEAD^"]);
    let newest = proc::output(&mut git);
    newest
        .map(|tag| tag.trim().to_owned())
        .context("no earlier version is tagged; name a tag or commit with --from")
}

/// Builds it, and says in which folder its programs are.
pub(crate) fn build(workspace: &Workspace, revision: &str, steps: &mut Steps) -> Result<PathBuf> {
    let mut git = Command::new("git");
    git.current_dir(&workspace.root).args(["rev-parse", "--verify", "--quiet"]);
    let commit = proc::output(git.arg(format!("{revision}^{{commit}}")))
        .with_context(|| format!("there is no revision {revision:?} in this repository"))?;
    let home = workspace.target.join("former");
    let (source, target) = (home.join("source"), home.join("target"));
    let mark = home.join("commit");
    if fs::read_to_string(&mark).is_ok_and(|built| built == commit) {
        steps.unchanged(&format!("programs of {revision}"));
        return Ok(target.join("release"));
    }
    steps.step(&format!("source of {revision}"), || {
        if source.exists() {
            fs::remove_dir_all(&source).with_context(|| format!("could not empty {}", source.display()))?;
        }
        fs::create_dir_all(&source).with_context(|| format!("could not create {}", source.display()))?;
        let archive = home.join("source.tar");
        let mut git = Command::new("git");
        git.current_dir(&workspace.root).arg("archive").arg("--output").arg(&archive).arg(commit.trim());
        proc::run(&mut git)?;
        proc::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&source))
    })?;
    steps.step(&format!("programs of {revision}, by its own `cargo xtask build`"), || {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&source).args(["xtask", "build"]).env("CARGO_TARGET_DIR", &target);
        // What this revision tells its children isn't meant for that one.
        for variable in ["RILLCAST_DIST", "RILLCAST_NODE_MODULES", "CARGO_MANIFEST_DIR"] {
            cargo.env_remove(variable);
        }
        proc::run(&mut cargo)
    })?;
    fs::write(&mark, commit).with_context(|| format!("could not write {}", mark.display()))?;
    Ok(target.join("release"))
}
