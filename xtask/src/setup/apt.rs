//! Debian's packages: installing them where we may, and else the command for whoever may.

use std::process::Command;

use anyhow::{Error, Result};

use crate::proc;
use crate::step::Steps;

/// Who may install system packages here, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    /// Debian or a relative, and we are root.
    AptAsRoot,
    /// Debian or a relative, and we are not root.
    AptAsUser,
    /// Something else; the names of packages are Debian's.
    Other,
}

/// A package and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package {
    /// Debian's name for it.
    pub(crate) name: String,
    /// What it is for.
    pub(crate) why: String,
}

impl Package {
    pub(crate) fn new(name: &str, why: &str) -> Self {
        Self { name: name.to_owned(), why: why.to_owned() }
    }
}

/// The machine's package manager.
#[derive(Debug)]
pub(crate) struct Apt {
    manager: Manager,
    /// Package lists are fetched once, and only if something is installed at all.
    updated: bool,
    /// What was asked for and we may not install: told at the end, in one command.
    refused: Vec<Package>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// The packages are there now.
    Installed,
    /// We may not install them.
    Refused,
}

impl Apt {
    /// Looks at the machine we run on.
    pub(crate) fn on_this_machine() -> Self {
        let apt = proc::succeeds(Command::new("apt-get").arg("--version"));
        let root = apt && proc::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
        let manager = match (apt, root) {
            (true, true) => Manager::AptAsRoot,
            (true, false) => Manager::AptAsUser,
            (false, _) => Manager::Other,
        };
        Self::with(manager)
    }

    fn with(manager: Manager) -> Self {
        Self { manager, updated: false, refused: Vec::new() }
    }

    /// Whether this is Debian or a relative of it.
    pub(crate) fn is_debian(&self) -> bool {
        self.manager != Manager::Other
    }

    /// Installs the packages, or keeps them for the instructions.
    pub(crate) fn install(&mut self, packages: &[Package], steps: &mut Steps) -> Result<Outcome> {
        if packages.is_empty() {
            return Ok(Outcome::Installed);
        }
        if self.manager != Manager::AptAsRoot {
            self.refused.extend_from_slice(packages);
            return Ok(Outcome::Refused);
        }
        for package in packages {
            steps.note(&format!("installing {}: {}", package.name, package.why));
        }
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        if !self.updated {
            steps.step("apt-get update", || proc::run(apt_get().args(["-qq", "update"])))?;
            self.updated = true;
        }
        steps.step(&format!("apt-get install {}", names.join(" ")), || {
            proc::run(apt_get().args(["-qq", "install", "-y", "--no-install-recommends"]).args(&names))
        })?;
        Ok(Outcome::Installed)
    }

    /// What to run for everything that we were not allowed to install, if there is anything.
    pub(crate) fn instructions(&self) -> Option<Error> {
        (!self.refused.is_empty()).then(|| Error::msg(instructions(self.manager, &self.refused)))
    }
}

/// `apt-get` that never asks.
fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What to run where we may not.
fn instructions(manager: Manager, packages: &[Package]) -> String {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut text = match manager {
        Manager::AptAsRoot | Manager::AptAsUser => format!(
            "system packages are missing, and only root may install them; run this, then the same chore again:\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            names.join(" ")
        ),
        Manager::Other => "system packages are missing, and this is no Debian, where the set-up could install them; \
             install these (by Debian's names) with your system's package manager, then run the same chore again:"
            .to_owned(),
    };
    for package in packages {
        text.push_str(&format!("\n    {:<14} {}", package.name, package.why));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages() -> [Package; 2] {
        [Package::new("ffmpeg", "prepares the stream"), Package::new("iproute2", "shapes links")]
    }

    #[test]
    fn a_user_without_root_is_given_one_command_for_all_packages() {
        let text = instructions(Manager::AptAsUser, &packages());
        assert!(
            text.contains(
                "sudo apt-get update && sudo apt-get install -y --no-install-recommends ffmpeg iproute2"
            ),
            "{text}"
        );
    }

    #[test]
    fn elsewhere_than_on_debian_each_package_is_named_with_its_reason() {
        let text = instructions(Manager::Other, &packages());
        assert!(!text.contains("sudo"), "{text}");
        for package in packages() {
            assert!(text.contains(&package.name) && text.contains(&package.why), "{text}");
        }
    }

    #[test]
    fn nothing_missing_means_nothing_is_asked_of_the_system() {
        for manager in [Manager::AptAsRoot, Manager::AptAsUser, Manager::Other] {
            let mut apt = Apt::with(manager);
            assert_eq!(apt.install(&[], &mut Steps::begin()).unwrap(), Outcome::Installed);
            assert!(!apt.updated && apt.instructions().is_none());
        }
    }

    #[test]
    fn without_the_right_to_install_everything_asked_for_ends_up_in_one_command() {
        let mut apt = Apt::with(Manager::AptAsUser);
        for package in packages() {
            assert_eq!(apt.install(&[package], &mut Steps::begin()).unwrap(), Outcome::Refused);
        }
        let text = apt.instructions().unwrap().to_string();
        assert!(text.contains("ffmpeg iproute2\n"), "{text}");
    }
}
