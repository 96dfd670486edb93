//! Node, and what `web/package-lock.json` names.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::proc;
use crate::stamp::Inputs;
use crate::step::Steps;
use crate::workspace::Workspace;

/// The lock file of the web toolchain, below `web`.
pub(crate) const WEB_LOCK: &str = "package-lock.json";
/// The oldest Node that the packages in it run on.
const OLDEST_NODE: u32 = 20;

/// Makes sure that `web/node_modules` holds what the lock file names.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let version = proc::output(Command::new("node").arg("--version"))
        .map_err(|_| anyhow::anyhow!("Node.js is missing: {}", how_to_get_node()))?;
    check_node(&version)?;
    let npm = proc::output(Command::new("npm").arg("--version"))
        .map_err(|_| anyhow::anyhow!("npm is missing beside Node.js: {}", how_to_get_node()))?;
    let web = workspace.web();
    let stamp = Inputs::of("npm ci")
        .text(std::env::consts::ARCH)
        .text(npm.split('.').next().unwrap_or_default())
        .file(&web.join("package.json"))?
        .file(&web.join(WEB_LOCK))?
        .file(&web.join(".npmrc"))?
        .stamp();
    let modules = workspace.node_modules();
    let left = modules.join(".rillcast-stamp");
    if stamp.is_fresh(&left, &[modules.join(".bin")]) {
        return Ok(());
    }
    steps.note("installing npm packages: bundler, type checker, linter, and players to measure against");
    steps.step("npm ci", || {
        // `npm ci` removes the folder first, and with it the stamp.
        let ci =
            proc::run(workspace.command("npm").current_dir(&web).args(["ci", "--no-audit", "--no-fund"]));
        ci.context("check that npm reaches its registry (`npm ping`)")
    })?;
    stamp.leave(&left)
}

/// Whether this Node (as `node --version` has it) is new enough.
fn check_node(version: &str) -> Result<()> {
    let version = version.trim();
    let major: u32 =
        version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).with_context(
            || format!("`node --version` says {version:?}, which is no version: {}", how_to_get_node()),
        )?;
    if major < OLDEST_NODE {
        bail!("Node.js {version} is too old: {}", how_to_get_node());
    }
    Ok(())
}

fn how_to_get_node() -> String {
    format!(
        "install version {OLDEST_NODE} or newer from https://nodejs.org/en/download and put it first in PATH"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_below_at_and_above_the_oldest_that_works() {
        assert!(check_node("v19.9.0\n").unwrap_err().to_string().contains("too old"));
        assert!(check_node("v20.0.0\n").is_ok());
        assert!(check_node("v26.1.0\n").is_ok());
        assert!(check_node("nonsense").is_err());
    }
}
