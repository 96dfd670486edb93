//! The archive for systems without Debian packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::PROGRAMS;
use crate::proc;
use crate::workspace::Workspace;

/// Files beside the programs, by where they go; folders are meant with all that is in them.
const BESIDE: [(&str, &str); 9] = [
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("SECURITY.md", "SECURITY.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("seed-node/README.md", "doc/seed-node.md"),
    ("signaling/README.md", "doc/signaling.md"),
    ("seed-node/packaging", "packaging/seed-node"),
    ("signaling/packaging", "packaging/signaling"),
];

/// Packs it into `folder`. Built from the same files it is the same, byte for byte.
pub(crate) fn pack(workspace: &Workspace, folder: &Path) -> Result<()> {
    let name = format!("rillcast-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let tree = folder.join(&name);
    for program in PROGRAMS {
        let to = tree.join("bin").join(program);
        copy(&workspace.target.join("release").join(program), &to)?;
        proc::run(Command::new("strip").arg(&to))?;
    }
    for (from, to) in BESIDE {
        copy(&workspace.root.join(from), &tree.join(to))?;
    }
    copy(&workspace.dist(), &tree.join("web"))?;
    let packed = folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=2000-01-01 00:00Z"]);
    // gzip would write the time.
    tar.env("GZIP", "-n").arg("-C").arg(folder).arg("-czf").arg(&packed).arg(&name);
    proc::run(&mut tar)?;
    fs::remove_dir_all(&tree).with_context(|| format!("could not remove {}", tree.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a place in the archive has a folder")?;
    fs::create_dir_all(parent).with_context(|| format!("could not create {}", parent.display()))?;
    if from.is_dir() {
        let inside = fs::read_dir(from).with_context(|| format!("could not read {}", from.display()))?;
        for entry in inside {
            let entry = entry?;
            // Stamps of the build.
            if !entry.file_name().to_string_lossy().starts_with('.') {
                copy(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
        return Ok(());
    }
    fs::copy(from, to).with_context(|| format!("could not copy {}", from.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_goes_in_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        for (from, _) in BESIDE {
            assert!(root.join(from).exists(), "{from}");
        }
    }
}
