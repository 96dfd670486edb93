//! What makes Debian packages.

use anyhow::{Context, Result};

use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Makes sure that `cargo deb` runs.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    if proc::succeeds(workspace.cargo().args(["deb", "--version"])) {
        return Ok(());
    }
    steps.note("installing cargo-deb: makes Debian packages (built from source: minutes)");
    steps.step("cargo install cargo-deb", || {
        proc::run(workspace.cargo().args(["install", "cargo-deb", "--locked"]))
            .context("cargo-deb is missing; it is at https://crates.io/crates/cargo-deb")
    })
}
