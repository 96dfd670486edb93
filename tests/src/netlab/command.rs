//! Running `ip` and `tc`.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a program to its end; fails with what it said.
pub(super) fn run(program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.with_context(|| advice(program))?;
    check(&output, &format!("{program} {}", args.join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs several `ip` commands in a namespace in one process.
pub(super) fn in_batch(namespace: &str, commands: &[&str]) -> Result<()> {
    let mut child = Command::new("ip")
        .args(["-n", namespace, "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| advice("ip"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.join("\n").as_bytes()).context("ip took no commands")?;
    }
    let output = child.wait_with_output().context("ip vanished")?;
    check(&output, &format!("ip -n {namespace}: {}", commands.join("; ")))
}

fn check(output: &Output, what: &str) -> Result<()> {
    if !output.status.success() {
        bail!("`{what}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn advice(program: &str) -> String {
    format!("can't run `{program}`: install iproute2 (Debian: apt-get install iproute2)")
}
