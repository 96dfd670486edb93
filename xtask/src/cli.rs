//! The command line: which chores there are, and of which steps each consists.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::check::{self, Findings};
use crate::setup::{self, Purpose};
use crate::size::Download;
use crate::step::Steps;
use crate::workspace::Workspace;
use crate::{former, fuzz, launch, native, release, wasm, web};

/// Chores of the Rillcast workspace. Each does its own set-up.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is missing: system packages, npm packages, cargo-nextest, cargo-fuzz, the wasm toolchain.
    Setup,
    /// Build the browser bundle (and print what a viewer downloads), the servers and the test programs.
    Build,
    /// Show a live stream delivered by its viewers; every argument goes to the demo program (`--help` lists them).
    #[command(disable_help_flag = true)]
    Demo {
        /// Arguments of the demo program, such as `--media FILE` or `--check`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Measure, for example `bench offload --clients plain,rillcast --viewers 8`; every argument goes to the bench
    /// program. `bench fuzz` feeds decoders with what might break them, and needs no browsers.
    #[command(disable_help_flag = true)]
    Bench {
        /// Name and arguments of the bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Formatting, lints, types and all tests; further arguments go to `cargo nextest run`.
    Test {
        /// Arguments for nextest, such as a part of a test's name.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Formatting, lints and types only.
    Lint,
    /// Debian packages, an archive of programs and the npm package, tried and with checksums, in target/release-artefacts.
    Release,
}

/// Reads the command line and does the chore.
pub(crate) fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let workspace = Workspace::locate()?;
    let mut steps = Steps::begin();
    match cli.command {
        Chore::Setup => {
            setup::run(&workspace, Purpose::Everything, &mut steps)?;
            setup::fuzzing(&workspace, &mut steps)?;
        }
        Chore::Build => {
            let download = build(&workspace, Purpose::Build, &mut steps)?;
            native::build(&workspace, &mut steps)?;
            download.judge()?;
        }
        Chore::Demo { args } => {
            return show(&workspace, demo_purpose(&args), "demo", &args, &mut steps);
        }
        Chore::Bench { args } if args.first().is_some_and(|name| name == "fuzz") => {
            return fuzz::main(&workspace, &args[1..], &mut steps);
        }
        Chore::Bench { mut args } => {
            if args.first().is_some_and(|name| name == "upgrade") && !asks_for_help(&args) {
                let revision = former::revision(&workspace, &mut args)?;
                let programs = former::build(&workspace, &revision, &mut steps)?;
                args.extend(["--programs".into(), programs.into_os_string()]);
            }
            return show(&workspace, bench_purpose(&args), "bench", &args, &mut steps);
        }
        Chore::Test { args } => {
            let download = build(&workspace, Purpose::Everything, &mut steps)?;
            let mut findings = Findings::default();
            findings.check("size of the download", &mut steps, || download.judge());
            check::lint(&workspace, &mut steps, &mut findings);
            check::web_tests(&workspace, &mut steps, &mut findings);
            native::build(&workspace, &mut steps)?;
            return check::tests(&workspace, &args, &mut steps, &findings);
        }
        Chore::Release => {
            let download = build(&workspace, Purpose::Build, &mut steps)?;
            native::build(&workspace, &mut steps)?;
            download.judge()?;
            release::run(&workspace, &mut steps)?;
        }
        Chore::Lint => {
            let download = build(&workspace, Purpose::Lint, &mut steps)?;
            let mut findings = Findings::default();
            findings.check("size of the download", &mut steps, || download.judge());
            check::lint(&workspace, &mut steps, &mut findings);
            findings.verdict()?;
        }
    }
    steps.end();
    Ok(ExitCode::SUCCESS)
}

/// Set-up for the purpose, then the browser's part, which the servers carry inside them and therefore comes first.
fn build(workspace: &Workspace, purpose: Purpose, steps: &mut Steps) -> Result<Download> {
    let toolchain = setup::run(workspace, purpose, steps)?;
    wasm::build(workspace, &toolchain, steps)?;
    web::build(workspace, steps)
}

/// Builds everything and hands over to a program. A download over its limit is said and shown all the same: who works
/// on its size has to see that it still runs.
fn show(
    workspace: &Workspace,
    purpose: Purpose,
    program: &str,
    args: &[OsString],
    steps: &mut Steps,
) -> Result<ExitCode> {
    let download = build(workspace, purpose, steps)?;
    native::build(workspace, steps)?;
    if let Err(error) = download.judge() {
        steps.note(&format!("warning: {error:#}"));
    }
    launch::exec(workspace, program, args)
}

/// A person's own browser shows the demo; `--check` brings headless ones.
fn demo_purpose(args: &[OsString]) -> Purpose {
    if args.iter().any(|argument| argument == "--check") { Purpose::Measure } else { Purpose::Demo }
}

fn asks_for_help(args: &[OsString]) -> bool {
    args.iter().any(|argument| argument == "--help" || argument == "-h")
}

/// One bench needs more than the others.
fn bench_purpose(args: &[OsString]) -> Purpose {
    let agent = args.first().is_some_and(|name| name == "agent");
    if agent { Purpose::MeasurePlayers } else { Purpose::Measure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn demo_and_bench_pass_every_argument_on() {
        for (line, expected) in [
            ("xtask demo --media my.mp4 --check --help", "--media my.mp4 --check --help"),
            ("xtask bench offload --clients plain,rillcast --vod", "offload --clients plain,rillcast --vod"),
            ("xtask test -p rillcast-core -- --nocapture", "-p rillcast-core -- --nocapture"),
        ] {
            let cli = Cli::try_parse_from(words(line)).unwrap();
            let (Chore::Demo { args } | Chore::Bench { args } | Chore::Test { args }) = cli.command else {
                panic!("{line} should be a chore with arguments");
            };
            assert_eq!(args, words(expected), "{line}");
        }
    }

    #[test]
    fn only_a_checking_demo_needs_headless_browsers() {
        assert_eq!(demo_purpose(&words("--media check.mp4")), Purpose::Demo);
        assert_eq!(demo_purpose(&words("--viewers 4 --check")), Purpose::Measure);
        assert_eq!(bench_purpose(&words("offload --viewers 4")), Purpose::Measure);
        assert_eq!(bench_purpose(&words("agent --viewers 4")), Purpose::MeasurePlayers);
    }
}
