//! A file that may change while its reader runs.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file, and how it was when it was last asked about.
#[derive(Debug)]
pub struct Watched {
    /// Where it is.
    pub path: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

impl Watched {
    /// As it is now.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: stamp(path) }
    }

    /// Whether it has another time of change or another length than when this was last asked. A file that is gone hasn't changed: whoever
    /// writes it may be about to put the new one there.
    pub fn changed(&mut self) -> bool {
        let now = stamp(&self.path);
        let changed = now.is_some() && now != self.seen;
        self.seen = now.or(self.seen);
        changed
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
