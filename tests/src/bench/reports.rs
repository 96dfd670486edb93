//! Where benches leave what they have found.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

/// The folder of the reports.
#[derive(Debug, Clone, Default, Args)]
pub struct Reports {
    /// Folder for the report. Default: reports, in the project's.
    #[arg(long = "reports", value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Reports {
    /// Writes a file of that name; told back: its path.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports");
        let folder = self.folder.clone().unwrap_or_else(usual);
        std::fs::create_dir_all(&folder).with_context(|| format!("can't create {}", folder.display()))?;
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(path)
    }
}
