//! Which folders the origin serves beside the streams.

use std::path::{Path, PathBuf};

use crate::browser::node_modules;

/// Mounts for [`crate::origin::OriginConfig`]: `/pages/` (this package's test pages), `/nm/` (npm packages, if
/// installed), `/dist/` and `/` (the built web files and the demo page in them, if `RILLCAST_DIST` is set or
/// `web/dist` exists).
pub fn mounts() -> Vec<(String, PathBuf)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut mounts = vec![("/pages/".to_owned(), here.join("pages"))];
    if let Ok(modules) = node_modules() {
        mounts.push(("/nm/".to_owned(), modules));
    }
    if let Some(dist) = dist() {
        mounts.push(("/".to_owned(), dist.join("demo")));
        mounts.push(("/dist/".to_owned(), dist));
    }
    mounts
}

/// The built web files: `RILLCAST_DIST`, or `web/dist` if there is one.
pub fn dist() -> Option<PathBuf> {
    let usual = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../web/dist");
    let dist = std::env::var_os("RILLCAST_DIST").map_or_else(usual, PathBuf::from);
    dist.is_dir().then(|| dist.canonicalize().unwrap_or(dist))
}
