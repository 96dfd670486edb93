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
    let dist = std::env::var_os("RILLCAST_DIST").map_or_else(|| here.join("../web/dist"), PathBuf::from);
    if dist.is_dir() {
        mounts.push(("/".to_owned(), dist.join("demo")));
        mounts.push(("/dist/".to_owned(), dist));
    }
    mounts
}
