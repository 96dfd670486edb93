//! The test runner.

use anyhow::{Context, Result};

use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Makes sure that `cargo nextest` runs.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    if proc::succeeds(workspace.cargo().args(["nextest", "--version"])) {
        return Ok(());
    }
    steps.note(
        "installing cargo-nextest: runs the tests, each in a process of its own (built from source: minutes)",
    );
    steps.step("cargo install cargo-nextest", || {
        proc::run(workspace.cargo().args(["install", "cargo-nextest", "--locked"]))
            .context("cargo-nextest is missing; https://nexte.st has it ready-made: put it into PATH")
    })
}
