//! Where things lie, and what children are told of it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::tools;

/// The paths that chores use, all absolute.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Cargo's target folder for native code.
    pub(crate) target: PathBuf,
    /// Its own target folder for the wasm build, so that the two compilers don't evict each other's work.
    pub(crate) wasm_target: PathBuf,
}

impl Workspace {
    /// Finds the workspace that `cargo xtask` was called in.
    pub(crate) fn locate() -> Result<Self> {
        // `cargo run` names the package's folder; the one compiled in would be another checkout's where several share
        // a target folder.
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .context("xtask's folder has no parent: call it as `cargo xtask` from inside the workspace")?;
        Ok(Self::at(root, env::var_os("CARGO_TARGET_DIR").map(PathBuf::from)))
    }

    /// The workspace at `root`, with the target folder the user asked for, if any.
    pub(crate) fn at(root: &Path, target_dir: Option<PathBuf>) -> Self {
        let (target, wasm_target) = match target_dir {
            Some(dir) => {
                let dir = root.join(dir);
                let wasm = dir.join("wasm");
                (dir, wasm)
            }
            None => (root.join("target"), root.join("target-wasm")),
        };
        Self { root: root.to_path_buf(), target, wasm_target }
    }

    /// The TypeScript's home.
    pub(crate) fn web(&self) -> PathBuf {
        self.root.join("web")
    }

    /// What npm installed.
    pub(crate) fn node_modules(&self) -> PathBuf {
        self.web().join("node_modules")
    }

    /// The wasm module with its JS glue, which `web/src` imports.
    pub(crate) fn glue(&self) -> PathBuf {
        self.web().join("pkg")
    }

    /// The finished bundle, which the servers serve.
    pub(crate) fn dist(&self) -> PathBuf {
        self.web().join("dist")
    }

    /// A command run in the workspace's root that is told where everything is.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.root)
            .env("RILLCAST_DIST", self.dist())
            .env("RILLCAST_NODE_MODULES", self.node_modules());
        for (variable, tool) in
            [("RILLCAST_CHROMIUM", &tools::CHROMIUM), ("RILLCAST_FIREFOX", &tools::FIREFOX)]
        {
            if let Some(binary) = tool.locate() {
                command.env(variable, binary);
            }
        }
        command
    }

    /// The cargo that runs us, without what it told us about ourselves: build scripts that look at such variables would run again, and all that
    /// stands on them be built again, whenever somebody calls cargo without us in between.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_about_us) {
                command.env_remove(name);
            }
        }
        command
    }

    /// A program that came with an npm package.
    pub(crate) fn npm_program(&self, name: &str) -> Command {
        let mut command = self.command(self.node_modules().join(".bin").join(name));
        command.current_dir(self.web());
        command
    }
}

/// Whether cargo sets this variable for the program that it runs.
fn is_about_us(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_")
        || variable.starts_with("CARGO_MANIFEST_")
        || ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE"].contains(&variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_called_as_if_by_hand() {
        let about_us = env::vars().filter(|(name, _)| is_about_us(name)).count();
        assert!(about_us > 0, "cargo tells its tests about themselves");
        let command = Workspace::at(Path::new("/w"), None).cargo();
        let removed = command.get_envs().filter(|(_, value)| value.is_none()).count();
        assert_eq!(removed, about_us);
        assert!(
            ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_TERM_COLOR", "CARGO"]
                .iter()
                .all(|name| !is_about_us(name))
        );
    }

    #[test]
    fn the_wasm_build_has_a_target_folder_of_its_own() {
        let workspace = Workspace::at(Path::new("/w"), None);
        assert_eq!(workspace.target, Path::new("/w/target"));
        assert_eq!(workspace.wasm_target, Path::new("/w/target-wasm"));
    }

    #[test]
    fn a_chosen_target_folder_is_honoured_and_holds_the_wasm_build() {
        let workspace = Workspace::at(Path::new("/w"), Some("/elsewhere".into()));
        assert_eq!(workspace.target, Path::new("/elsewhere"));
        assert_eq!(workspace.wasm_target, Path::new("/elsewhere/wasm"));
        let relative = Workspace::at(Path::new("/w"), Some("out".into()));
        assert_eq!(relative.wasm_target, Path::new("/w/out/wasm"));
    }
}
