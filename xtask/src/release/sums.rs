//! What a release consists of, with checksums.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use crate::proc;

/// One file of a release.
#[derive(Debug)]
pub(crate) struct Artefact {
    name: String,
    bytes: u64,
    sha256: String,
}

/// Writes `SHA256SUMS`, in the form that `sha256sum --check` reads, and says what is in the folder.
pub(crate) fn write(folder: &Path) -> Result<Vec<Artefact>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let said = proc::output(Command::new("sha256sum").current_dir(folder).args(&names))?;
    let sums = folder.join("SHA256SUMS");
    fs::write(&sums, &said).with_context(|| format!("could not write {}", sums.display()))?;
    let mut artefacts = Vec::new();
    for (name, line) in names.into_iter().zip(said.lines()) {
        let sha256 = line.split(' ').next().unwrap_or_default().to_owned();
        artefacts.push(Artefact { bytes: fs::metadata(folder.join(&name))?.len(), name, sha256 });
    }
    Ok(artefacts)
}

/// A line for each.
pub(crate) fn table(artefacts: &[Artefact]) -> String {
    let mut table = format!("{:<44} {:>11}  sha256", "file", "bytes");
    for artefact in artefacts {
        let _ = write!(table, "\n{:<44} {:>11}  {}", artefact.name, artefact.bytes, artefact.sha256);
    }
    table
}

/// The same for programs, in one line.
pub(crate) fn json(folder: &Path, artefacts: &[Artefact]) -> String {
    let files: Vec<_> = artefacts
        .iter()
        .map(|file| json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 }))
        .collect();
    json!({ "version": env!("CARGO_PKG_VERSION"), "folder": folder, "files": files }).to_string()
}
