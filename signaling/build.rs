//! Puts the browser bundle into the binary: every file under `RILLCAST_DIST`, as it is and gzipped. Without such a
//! directory the bundle is empty, and the server says so to whoever asks for it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const MAX_FILES: usize = 256;

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
    for (index, (name, path)) in files.iter().enumerate() {
        println!("cargo::rerun-if-changed={}", path.display());
        let raw = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = gzip.write_all(&raw).and_then(|()| gzip.finish()).expect("writing to memory succeeds");
        let at = |kind: &str| out.join(format!("{index}.{kind}"));
        fs::write(at("raw"), &raw).expect("OUT_DIR is writable");
        fs::write(at("gz"), &packed).expect("OUT_DIR is writable");
        let etag = blake3::hash(&raw).to_hex()[..32].to_owned();
        code += &format!(
            "    Embedded {{ name: {name:?}, etag: {etag:?}, raw: include_bytes!({:?}), gzip: include_bytes!({:?}) }},\n",
            at("raw"),
            at("gz"),
        );
    }
    code += "]\n";
    fs::write(out.join("bundle.rs"), code).expect("OUT_DIR is writable");
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
