//! Set-up: one file for each thing that has to be there. A thing is looked for by running it, installed only when
//! missing, and where we may not install it the error has the command that does.

mod apt;
mod cargo_deb;
mod components;
mod fuzzing;
mod nextest;
mod node;
pub(crate) mod tools;
mod wasm_toolchain;

pub(crate) use cargo_deb::ensure as cargo_deb;
pub(crate) use fuzzing::ensure as fuzzing;
pub(crate) use node::WEB_LOCK;
pub(crate) use wasm_toolchain::{TARGET as WASM_TARGET, WasmToolchain};

use anyhow::{Error, Result, bail};

use crate::step::Steps;
use crate::workspace::Workspace;
use apt::Apt;

/// What the machine is being set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The browser bundle and the servers.
    Build,
    /// Formatting and lints.
    Lint,
    /// The demo, watched in a person's own browser.
    Demo,
    /// Headless viewers behind shaped links.
    Measure,
    /// The same, beside native players.
    MeasurePlayers,
    /// All that tests need.
    Everything,
}

impl Purpose {
    /// Whether Rust and TypeScript are checked.
    fn checks(self) -> bool {
        matches!(self, Self::Lint | Self::Everything)
    }

    /// Whether tests are run.
    fn tests(self) -> bool {
        self == Self::Everything
    }
}

/// Makes sure that everything the purpose needs is there, and says with what to build wasm.
pub(crate) fn run(workspace: &Workspace, purpose: Purpose, steps: &mut Steps) -> Result<WasmToolchain> {
    let mut apt = Apt::on_this_machine();
    // Every complaint at once: nobody wants to be sent off for one thing after another.
    let mut complaints = Vec::new();
    complaints.extend(tools::ensure(purpose, &mut apt, steps).err());
    complaints.extend(node::ensure(workspace, steps).err());
    if purpose.checks() {
        complaints.extend(components::ensure(workspace, steps).err());
    }
    if purpose.tests() {
        complaints.extend(nextest::ensure(workspace, steps).err());
    }
    let toolchain = wasm_toolchain::ensure(workspace, &mut apt, steps).unwrap_or_else(|complaint| {
        complaints.push(complaint);
        None
    });
    complaints.extend(apt.instructions());
    match toolchain {
        Some(toolchain) if complaints.is_empty() => Ok(toolchain),
        _ => bail!(joined(&complaints)),
    }
}

fn joined(complaints: &[Error]) -> String {
    let mut text = String::from("the set-up cannot finish by itself:");
    for complaint in complaints {
        text.push_str(&format!("\n- {complaint:#}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_complaints_are_told_together() {
        let text = joined(&[anyhow::anyhow!("no ffmpeg"), anyhow::anyhow!("no npm")]);
        assert!(text.contains("- no ffmpeg") && text.contains("- no npm"), "{text}");
    }

    #[test]
    fn only_what_a_purpose_needs_is_set_up() {
        assert!(!Purpose::Demo.checks() && !Purpose::Demo.tests());
        assert!(Purpose::Lint.checks() && !Purpose::Lint.tests());
        assert!(Purpose::Everything.checks() && Purpose::Everything.tests());
    }
}
