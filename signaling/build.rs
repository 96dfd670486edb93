//! Puts the browser bundle into the binary: every file under `RILLCAST_DIST`, with the packed ones that lie beside it
//! (`cargo xtask build` makes them). Without such a directory the bundle is empty, and the server says so to whoever asks
//! for it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_FILES: usize = 256;
/// Endings of packed files, as `src/bundle.rs` knows them.
const PACKED: [&str; 2] = ["br", "gz"];

fn main() {
    println!("cargo::rerun-if-env-changed=RILLCAST_DIST");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut files = BTreeMap::new();
    if let Some(dist) = env::var_os("RILLCAST_DIST").map(PathBuf::from).filter(|d| !d.as_os_str().is_empty())
    {
        // A directory that isn't there yet is watched all the same; cargo runs this again when it comes.
        println!("cargo::rerun-if-changed={}", dist.display());
        collect(&dist, "", &mut files);
    }
    let mut code = String::from("&[\n");
    for path in files.values() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let packed =
        |name: &str| PACKED.map(|ending| files.get(&format!("{name}.{ending}")).map(|path| (ending, path)));
    let beside: Vec<&PathBuf> =
        files.keys().flat_map(|name| packed(name)).flatten().map(|(_, path)| path).collect();
    let mut count = 0;
    // A copy, for the directory may change before the compiler reads it.
    let mut include = |contents: &[u8]| {
        count += 1;
        let copy = out.join(format!("{count}.bin"));
        fs::write(&copy, contents).expect("OUT_DIR is writable");
        format!("include_bytes!({copy:?})")
    };
    for (name, path) in files.iter().filter(|(_, path)| !beside.contains(path)) {
        let raw = read(path);
        let etag = blake3::hash(&raw).to_hex()[..32].to_owned();
        code +=
            &format!("    Embedded {{ name: {name:?}, etag: {etag:?}, raw: {}, packed: &[", include(&raw));
        for (ending, path) in packed(name).into_iter().flatten() {
            code += &format!("({ending:?}, {}), ", include(&read(path)));
        }
        code += "] },\n";
    }
    code += "]\n";
    fs::write(out.join("bundle.rs"), code).expect("OUT_DIR is writable");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, &format!("{prefix}{name}/"), files);
        } else if files.len() < MAX_FILES {
            files.insert(format!("{prefix}{name}"), path);
        }
    }
}
