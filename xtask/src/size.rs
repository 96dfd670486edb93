//! What a viewer downloads, and the budget for it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::packed::{self, GZIP};

/// The most that everything a viewer downloads (but the player) may weigh, in bytes of the gzip that servers deliver.
const LIMIT: u64 = 90_000;
/// Where it is to get to.
const AIM: u64 = 45_000;

/// One file of the download.
#[derive(Debug)]
pub(crate) struct Part {
    name: String,
    raw: u64,
    gzip: u64,
}

/// The whole download.
#[derive(Debug)]
pub(crate) struct Download {
    parts: Vec<Part>,
}

impl Download {
    /// Weighs these files of a folder.
    pub(crate) fn weigh(folder: &Path, names: &[&str]) -> Result<Self> {
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            let path = folder.join(name);
            let (raw, gzip) = (bytes(&path)?, bytes(&packed::beside(&path, GZIP))?);
            parts.push(Part { name: (*name).to_owned(), raw, gzip });
        }
        Ok(Self { parts })
    }

    /// A line for each file and the sum.
    pub(crate) fn table(&self) -> String {
        let mut table = format!("{:<20} {:>9} {:>9}\n", "a viewer downloads", "raw", "gzip");
        for part in &self.parts {
            let _ = writeln!(table, "{:<20} {:>9} {:>9}", part.name, part.raw, part.gzip);
        }
        let raw: u64 = self.parts.iter().map(|part| part.raw).sum();
        let _ = writeln!(table, "{:<20} {:>9} {:>9}", "sum", raw, self.gzip());
        let _ = write!(table, "{:<20} {:>9} {:>9}   (aim {AIM})", "limit", "", LIMIT);
        table
    }

    /// Fails if the download is too heavy.
    pub(crate) fn judge(&self) -> Result<()> {
        let gzip = self.gzip();
        if gzip > LIMIT {
            bail!(
                "viewers would download {gzip} bytes (gzip), {} over the limit of {LIMIT}: take out what brought \
                 the most since the last build that passed (`twiggy top` on the wasm, `esbuild --analyze` on the script)",
                gzip - LIMIT
            );
        }
        Ok(())
    }

    /// The sum after compression, each file by itself as it is served.
    fn gzip(&self) -> u64 {
        self.parts.iter().map(|part| part.gzip).sum()
    }
}

fn bytes(path: &Path) -> Result<u64> {
    let about = fs::metadata(path).with_context(|| format!("could not find {}", path.display()))?;
    Ok(about.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn download(gzip: &[u64]) -> Download {
        let part = |gzip: &u64| Part { name: "part".to_owned(), raw: 2 * gzip, gzip: *gzip };
        Download { parts: gzip.iter().map(part).collect() }
    }

    #[test]
    fn a_download_under_and_at_the_limit_passes_and_one_over_it_does_not() {
        assert!(download(&[LIMIT - 1]).judge().is_ok());
        assert!(download(&[LIMIT]).judge().is_ok());
        let error = download(&[LIMIT + 1]).judge().unwrap_err().to_string();
        assert!(error.contains("90001 bytes") && error.contains("1 over"), "{error}");
    }

    #[test]
    fn the_limit_is_on_the_sum() {
        assert!(download(&[LIMIT / 2, LIMIT / 2]).judge().is_ok());
        assert!(download(&[LIMIT / 2, LIMIT / 2, 1]).judge().is_err());
    }

    #[test]
    fn the_table_has_each_file_the_sum_the_limit_and_the_aim() {
        let table = download(&[1_000, 234]).table();
        for expected in ["2468", "1234", "90000", "aim 45000"] {
            assert!(table.contains(expected), "{expected} in {table}");
        }
    }
}
