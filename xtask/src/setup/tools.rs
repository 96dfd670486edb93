//! Programs of the system that the demo, the benches and the tests drive.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Purpose;
use super::apt::{Apt, Outcome, Package};
use crate::proc;
use crate::step::Steps;

/// A program that comes with the system.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Debian's package.
    package: &'static str,
    /// Names it goes by, the preferred one first.
    names: &'static [&'static str],
    /// The argument that makes it do nothing but answer.
    probe: &'static str,
    /// The variable with which a user chooses another one.
    variable: Option<&'static str>,
    /// What it is for.
    why: &'static str,
    /// For which purposes, beside everything.
    purposes: &'static [Purpose],
}

/// The browser of the demo's check, the benches and most tests.
pub(crate) const CHROMIUM: Tool = Tool {
    package: "chromium",
    names: &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    probe: "--version",
    variable: Some("RILLCAST_CHROMIUM"),
    why: "headless viewers for checks, benches and tests",
    purposes: &[Purpose::Measure],
};

/// The other browser of the tests.
pub(crate) const FIREFOX: Tool = Tool {
    package: "firefox-esr",
    names: &["firefox-esr", "firefox"],
    probe: "--version",
    variable: Some("RILLCAST_FIREFOX"),
    why: "viewers of another browser, for the tests",
    purposes: &[],
};

const TOOLS: [Tool; 8] = [
    CHROMIUM,
    FIREFOX,
    Tool {
        package: "ffmpeg",
        names: &["ffmpeg"],
        probe: "-version",
        variable: None,
        why: "encodes the stream that is shown and measured",
        purposes: &[Purpose::Demo, Purpose::Measure],
    },
    Tool {
        package: "iproute2",
        names: &["ip"],
        probe: "-V",
        variable: None,
        why: "network namespaces and shaped links, one for each viewer",
        purposes: &[Purpose::Measure],
    },
    Tool {
        package: "nftables",
        names: &["nft"],
        probe: "--version",
        variable: None,
        why: "counters and filters of those networks",
        purposes: &[Purpose::Measure],
    },
    Tool {
        package: "mpv",
        names: &["mpv"],
        probe: "--version",
        variable: None,
        why: "a native player that plays through an agent",
        purposes: &[Purpose::MeasurePlayers],
    },
    Tool {
        package: "coturn",
        names: &["turnserver"],
        probe: "--version",
        variable: None,
        why: "the relay of the tests of viewers whose addresses nobody may learn",
        purposes: &[],
    },
    Tool {
        package: "python3",
        names: &["python3"],
        probe: "--version",
        variable: None,
        why: "runs the example of a backend in Python, for its test",
        purposes: &[],
    },
];

impl Tool {
    /// The program's path: the user's choice if it's there, else the first name found.
    pub(crate) fn locate(&self) -> Option<PathBuf> {
        let chosen = self.variable.and_then(env::var_os).map(PathBuf::from);
        if let Some(chosen) = chosen.filter(|path| path.is_file()) {
            return Some(chosen);
        }
        let folders = env::var_os("PATH").unwrap_or_default();
        // Where only root's PATH leads, and programs lie that others may use.
        let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        let folders: Vec<PathBuf> = env::split_paths(&folders).chain(system).collect();
        find(self.names, &folders, Path::is_file)
    }

    /// Whether it's there and runs.
    fn works(&self) -> bool {
        self.locate().is_some_and(|path| proc::succeeds(Command::new(path).arg(self.probe)))
    }

    fn is_for(&self, purpose: Purpose) -> bool {
        match purpose {
            // Tests do without a screen's players, which bring hundreds of packages.
            Purpose::Everything => !self.purposes.contains(&Purpose::MeasurePlayers),
            Purpose::MeasurePlayers => self.purposes.contains(&purpose) || self.is_for(Purpose::Measure),
            _ => self.purposes.contains(&purpose),
        }
    }
}

/// Makes sure that the purpose's programs are there.
pub(crate) fn ensure(purpose: Purpose, apt: &mut Apt, steps: &mut Steps) -> Result<Outcome> {
    apt.install(&missing(purpose, Tool::works), steps)
}

/// The packages of the purpose's programs that don't work.
fn missing(purpose: Purpose, works: impl Fn(&Tool) -> bool) -> Vec<Package> {
    TOOLS
        .iter()
        .filter(|tool| tool.is_for(purpose) && !works(tool))
        .map(|tool| Package::new(tool.package, tool.why))
        .collect()
}

/// The first of the names in the first folder that has it.
fn find(names: &[&str], folders: &[PathBuf], exists: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| exists(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(purpose: Purpose, works: impl Fn(&Tool) -> bool) -> Vec<String> {
        missing(purpose, works).into_iter().map(|package| package.name).collect()
    }

    #[test]
    fn what_works_is_not_installed() {
        assert!(names(Purpose::Everything, |_| true).is_empty());
        let without_firefox = |tool: &Tool| tool.package != "firefox-esr";
        assert_eq!(names(Purpose::Everything, without_firefox), ["firefox-esr"]);
        assert!(names(Purpose::Measure, without_firefox).is_empty());
    }

    #[test]
    fn each_purpose_has_its_packages() {
        assert!(names(Purpose::Build, |_| false).is_empty());
        assert!(names(Purpose::Lint, |_| false).is_empty());
        assert_eq!(names(Purpose::Demo, |_| false), ["ffmpeg"]);
        assert_eq!(names(Purpose::Measure, |_| false), ["chromium", "ffmpeg", "iproute2", "nftables"]);
        assert_eq!(names(Purpose::Everything, |_| false).len(), TOOLS.len() - 1);
        let players = names(Purpose::MeasurePlayers, |_| false);
        assert_eq!(players, ["chromium", "ffmpeg", "iproute2", "nftables", "mpv"]);
    }

    #[test]
    fn the_preferred_name_wins_over_an_earlier_folder() {
        let folders = ["/a", "/b"].map(PathBuf::from);
        let there = |path: &Path| path == Path::new("/a/google-chrome") || path == Path::new("/b/chromium");
        assert_eq!(find(CHROMIUM.names, &folders, there), Some(PathBuf::from("/b/chromium")));
        assert_eq!(find(CHROMIUM.names, &folders, |_| false), None);
    }
}
