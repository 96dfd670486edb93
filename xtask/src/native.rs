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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::process::Command;

    use super::PACKAGES;

    /// The features that each dependency is built with, once for each way that they differ.
    fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(root).args(["tree", "--quiet", "--locked", "--no-dedupe", "--prefix", "none"]);
        let output = cargo.args(["--format", "{p}\t{f}", "--edges", edges]).args(PACKAGES).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (package, features) in
            String::from_utf8(output.stdout).unwrap().lines().filter_map(|l| l.split_once('\t'))
        {
            all.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
        all
    }

    #[test]
    fn tests_build_nothing_anew_that_programs_have_built() {
        let (programs, tests) = (features("normal,build"), features("normal,build,dev"));
        assert!(programs.len() > 100, "{programs:?}");
        for (package, built) in programs {
            assert!(
                built.is_subset(&tests[&package]),
                "{package} has {built:?} in `cargo build` and {:?} in `cargo test`: name it in tests/Cargo.toml with the features of both",
                tests[&package]
            );
        }
    }
}
