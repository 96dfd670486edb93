//! Static files: pages, players, the web bundle.

use std::path::{Component, Path, PathBuf};

use hyper::StatusCode;

use super::body::Entry;
use super::respond::Reply;

/// The file at `path` in the mount with the longest matching prefix.
pub(super) fn file(mounts: &[(String, PathBuf)], path: &str) -> Reply {
    let mount = mounts
        .iter()
        .filter(|(prefix, _)| path.starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len());
    let found = mount.and_then(|(prefix, folder)| read(folder, &path[prefix.len()..]));
    found.unwrap_or_else(|| Reply::error(StatusCode::NOT_FOUND, "not found"))
}

fn read(folder: &Path, name: &str) -> Option<Reply> {
    let mut inside = PathBuf::from(name);
    if !inside.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    if name.is_empty() || name.ends_with('/') {
        inside.push("index.html");
    }
    let bytes = std::fs::read(folder.join(&inside)).ok()?;
    Some(Reply::new(mime(&inside), bytes, Entry::Site))
}

fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let here = vec![("/src/".to_owned(), PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src"))];
        assert_eq!(file(&here, "/src/lib.rs").status, StatusCode::OK);
        for path in ["/src/../Cargo.toml", "/src//etc/hostname", "/src/nothing", "/other", "/src/"] {
            assert_eq!(file(&here, path).status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
