//! One target, run by libFuzzer within bounds of time and memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::said::Said;
use crate::proc;

/// Most memory of a target, its corpus included: enough for a segment that is collected while another is held.
const RSS_MIB: u32 = 1024;
/// Most seconds for one input.
const TIMEOUT: u32 = 10;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Where things of one target are.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) name: String,
    /// Its program.
    pub(crate) program: PathBuf,
    /// Inputs that are kept for good.
    pub(crate) kept: PathBuf,
    /// Words of its language, if it has any.
    pub(crate) dictionary: PathBuf,
    /// Inputs that earlier runs found to be of use.
    pub(crate) working: PathBuf,
    /// Inputs that broke something.
    pub(crate) found: PathBuf,
}

/// What came of a target.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Its name.
    pub(crate) name: String,
    /// What libFuzzer said.
    pub(crate) said: Said,
    /// How long it ran.
    pub(crate) time: Duration,
    /// Whether it ended as it should.
    pub(crate) passed: bool,
}

impl Outcome {
    /// Inputs per second.
    pub(crate) fn rate(&self) -> u64 {
        (self.said.executions as f64 / self.time.as_secs_f64().max(0.001)) as u64
    }
}

/// Runs the target for so many seconds.
pub(crate) fn run(place: &Place, seconds: u32) -> Result<Outcome> {
    for folder in [&place.working, &place.found] {
        fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    let begun = Instant::now();
    let mut command = command(place, seconds);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", proc::shown(&command)))?;
    let Some(stderr) = child.stderr.take() else { bail!("{} has no standard error", place.name) };
    let mut said = Said::default();
    let mut next = PROGRESS;
    for line in BufReader::new(stderr).split(b'\n') {
        said.line(&String::from_utf8_lossy(&line?));
        let time = begun.elapsed();
        if time >= next {
            next = time + PROGRESS;
            let left = Duration::from_secs(seconds.into()).saturating_sub(time).as_secs();
            eprintln!(
                "  {}: {} executions, {}/s, {} edges, {left} s left",
                place.name,
                said.executions,
                (said.executions as f64 / time.as_secs_f64()) as u64,
                said.coverage
            );
        }
    }
    let passed = child.wait()?.success();
    Ok(Outcome { name: place.name.clone(), said, time: begun.elapsed(), passed })
}

fn command(place: &Place, seconds: u32) -> Command {
    let mut command = Command::new(&place.program);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-rss_limit_mb={RSS_MIB}"),
        format!("-timeout={TIMEOUT}"),
        format!("-artifact_prefix={}/", place.found.display()),
        "-print_final_stats=1".to_owned(),
    ]);
    if place.dictionary.is_file() {
        command.arg(format!("-dict={}", place.dictionary.display()));
    }
    // New inputs go to the first folder; the others are only read.
    command.args([&place.working, &place.kept]);
    command
}

/// What to do about an input that broke something.
pub(crate) fn advice(outcome: &Outcome, program: &Path) -> String {
    let name = &outcome.name;
    let Some(found) = &outcome.said.found else {
        return format!(
            "{name} ended early without an input to show; run it by hand to see why:\n    {}",
            program.display()
        );
    };
    format!(
        "{name} breaks on {found}\n  see it again:  {program} {found}\n  make it small: {program} -minimize_crash=1 \
         -max_total_time=60 {found}\n  then mend it, with a test in its crate, and keep the input under a name that \
         says what it is in fuzz/corpus/{name}/",
        found = found.display(),
        program = program.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(dictionary: &str) -> Place {
        Place {
            name: "engine".to_owned(),
            program: "/t/engine".into(),
            kept: "/w/fuzz/corpus/engine".into(),
            dictionary: dictionary.into(),
            working: "/t/corpus/engine".into(),
            found: "/t/found/engine".into(),
        }
    }

    #[test]
    fn time_and_memory_are_bounded_and_new_inputs_stay_out_of_the_tree() {
        let line = proc::shown(&command(&place("/no/such.dict"), 5));
        assert!(line.starts_with("/t/engine -max_total_time=5 -rss_limit_mb=1024 -timeout=10 "), "{line}");
        assert!(line.ends_with(" /t/corpus/engine /w/fuzz/corpus/engine"), "{line}");
        assert!(line.contains("-artifact_prefix=/t/found/engine/ ") && !line.contains("-dict"), "{line}");
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(proc::shown(&command(&place(here), 5)).contains("-dict="));
    }

    #[test]
    fn a_finding_is_told_with_what_to_do() {
        let mut outcome =
            Outcome { name: "engine".to_owned(), said: Said::default(), time: Duration::ZERO, passed: false };
        let program = Path::new("/t/engine");
        assert!(advice(&outcome, program).contains("ended early"));
        outcome.said.found = Some("/t/found/engine/crash-1".into());
        let advice = advice(&outcome, program);
        assert!(
            advice.contains("/t/engine /t/found/engine/crash-1") && advice.contains("fuzz/corpus/engine/")
        );
    }

    #[test]
    fn a_target_that_fails_is_no_success() {
        let dir = std::env::temp_dir().join(format!("rillcast-fuzz-run-{}", std::process::id()));
        for (script, passed) in [("echo '#7 DONE cov: 3' >&2", true), ("echo broke >&2; exit 77", false)] {
            fs::create_dir_all(&dir).unwrap();
            let program = dir.join("target");
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            let place = Place { program, working: dir.join("w"), found: dir.join("f"), ..place("") };
            let outcome = run(&place, 1).unwrap();
            assert_eq!((outcome.passed, outcome.said.executions), (passed, if passed { 7 } else { 0 }));
            fs::remove_dir_all(&dir).unwrap();
        }
    }
}
