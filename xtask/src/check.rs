//! Formatting, lints, types and tests.

use std::ffi::OsString;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::native::PACKAGES;
use crate::proc;
use crate::stamp::files_below;
use crate::step::Steps;
use crate::workspace::Workspace;

/// Which checks failed. They don't end a run: whoever broke the formatting still learns of the tests.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    failed: Vec<String>,
}

impl Findings {
    /// Does a check and keeps its failure.
    pub(crate) fn check(&mut self, name: &str, steps: &mut Steps, work: impl FnOnce() -> Result<()>) {
        if let Err(error) = steps.step(name, work) {
            eprintln!("{name}: {error:#}");
            self.failed.push(name.to_owned());
        }
    }

    /// Fails if a check did.
    pub(crate) fn verdict(&self) -> Result<()> {
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("failed: {}", self.failed.join(", "))
    }
}

/// Checks the form of the code, by the tools that know its language.
pub(crate) fn lint(workspace: &Workspace, steps: &mut Steps, findings: &mut Findings) {
    findings.check("cargo fmt --check (mend: cargo fmt)", steps, || {
        proc::run(workspace.cargo().args(["fmt", "--all", "--check"]))
    });
    // The browser shell as well: its bindings compile natively, they just can't run.
    findings.check("cargo clippy", steps, || {
        proc::run(workspace.cargo().args([
            "clippy",
            "--release",
            "--quiet",
            "--keep-going",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))
    });
    findings.check("biome check (mend: in web, npx biome check --write . ../tests)", steps, || {
        // The scripts of the browser tests as well, by the same rules.
        proc::run(workspace.npm_program("biome").args(["check", "--error-on-warnings", ".", "../tests"]))
    });
    findings.check("tsc --noEmit", steps, || proc::run(workspace.npm_program("tsc").arg("--noEmit")));
}

/// Runs the TypeScript's own tests: every `*.test.ts` below `web/src`, `web/test` and `web/demo`, in Node.
pub(crate) fn web_tests(workspace: &Workspace, steps: &mut Steps, findings: &mut Findings) {
    let web = workspace.web();
    let mut tests = Vec::new();
    for folder in ["src", "test", "demo"] {
        match files_below(&web.join(folder)) {
            Ok(files) => tests.extend(
                files
                    .into_iter()
                    .map(|file| web.join(folder).join(file))
                    .filter(|file| file.to_string_lossy().ends_with(".test.ts")),
            ),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    if tests.is_empty() {
        return;
    }
    findings.check("web tests (node --test)", steps, || {
        // The oldest Node that we support runs no TypeScript.
        let bundled = web.join(".tests");
        if bundled.exists() {
            fs::remove_dir_all(&bundled).with_context(|| format!("could not empty {}", bundled.display()))?;
        }
        let out = format!("--outdir={}", bundled.display());
        let base = format!("--outbase={}", web.display());
        let mut esbuild = workspace.npm_program("esbuild");
        esbuild.args(["--bundle", "--platform=node", "--format=esm", "--packages=external"]);
        esbuild.args(["--out-extension:.js=.mjs", "--log-level=warning", &out, &base]).args(&tests);
        proc::run(&mut esbuild)?;
        let scripts = files_below(&bundled)?.into_iter().map(|script| bundled.join(script));
        proc::run(workspace.command("node").current_dir(&web).arg("--test").args(scripts))
    });
}

/// Runs all Rust tests. Nothing is printed after nextest's own last lines; the exit status also tells of earlier
/// findings, which are repeated before it starts.
pub(crate) fn tests(
    workspace: &Workspace,
    args: &[OsString],
    steps: &mut Steps,
    findings: &Findings,
) -> Result<ExitCode> {
    if let Err(failed) = findings.verdict() {
        steps.note(&format!("this run fails whatever the tests say; {failed}"));
    }
    steps.note("tests (cargo nextest run)");
    let mut nextest = workspace.cargo();
    nextest.args(["nextest", "run", "--release"]).args(PACKAGES).args(args);
    let passed = stream(&mut nextest)?;
    Ok(if passed && findings.verdict().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the command with its output untouched.
fn stream(command: &mut Command) -> Result<bool> {
    let status = command
        .stdin(std::process::Stdio::null())
        .status()
        .with_context(|| format!("could not start `{}`", proc::shown(command)))?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_lets_the_next_ones_run_and_fails_the_whole() {
        let (mut findings, mut steps) = (Findings::default(), Steps::begin());
        let mut ran = 0;
        findings.check("first", &mut steps, || bail!("wrong"));
        findings.check("second", &mut steps, || {
            ran += 1;
            Ok(())
        });
        assert_eq!(ran, 1);
        let error = findings.verdict().unwrap_err().to_string();
        assert!(error.contains("first") && !error.contains("second"), "{error}");
    }

    #[test]
    fn without_findings_the_verdict_is_good() {
        assert!(Findings::default().verdict().is_ok());
    }
}
