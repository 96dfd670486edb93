//! The native programs: servers, demo, benches.

use anyhow::Result;

use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// What is built natively, always chosen with the same words: another choice of packages would give cargo other
/// features of shared dependencies, and build those twice.
pub(crate) const PACKAGES: [&str; 3] = ["--workspace", "--exclude", "rillcast-wasm"];

/// Builds every program in release, the one profile that people and CI run.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("native programs (cargo build --release)", || {
        proc::run(workspace.cargo().args(["build", "--release", "--bins"]).args(PACKAGES))
    })
}
