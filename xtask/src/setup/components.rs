//! rustfmt and clippy, which some toolchains leave out.

use std::process::Command;

use anyhow::{Result, bail};

use super::wasm_toolchain::rustup_may_download;
use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Makes sure that `cargo fmt` and `cargo clippy` run.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let missing: Vec<&str> = [("fmt", "rustfmt"), ("clippy", "clippy")]
        .into_iter()
        .filter(|(subcommand, _)| !proc::succeeds(workspace.cargo().args([subcommand, "--version"])))
        .map(|(_, component)| component)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let components = missing.join(" ");
    if !rustup_may_download() {
        bail!(
            "{components} missing from the Rust toolchain; run `rustup component add {components}`, or install your \
             system's packages of these names"
        );
    }
    steps.note(&format!("installing {components}: checks the form and the common mistakes of Rust code"));
    steps.step("rustup component add", || {
        proc::run(Command::new("rustup").args(["component", "add"]).args(&missing))
    })
}
