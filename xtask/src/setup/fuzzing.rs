//! What fuzzing needs: cargo-fuzz, and a C++ compiler for libFuzzer itself.

use std::env;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{Apt, Package};
use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Makes sure that both run.
pub(crate) fn ensure(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    // As libFuzzer's build looks for it.
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    if !proc::succeeds(Command::new(compiler).arg("--version")) {
        let mut apt = Apt::on_this_machine();
        let package = Package::new("g++", "compiles libFuzzer, which is C++");
        let _ = apt.install(&[package], steps)?;
        if let Some(instructions) = apt.instructions() {
            bail!(instructions);
        }
    }
    if proc::succeeds(workspace.cargo().args(["fuzz", "--version"])) {
        return Ok(());
    }
    steps.note(
        "installing cargo-fuzz: builds targets with libFuzzer's instrumentation (built from source: minutes)",
    );
    steps.step("cargo install cargo-fuzz", || {
        proc::run(workspace.cargo().args(["install", "cargo-fuzz", "--locked"]))
            .context("cargo-fuzz is missing; its releases are at https://github.com/rust-fuzz/cargo-fuzz")
    })
}
