//! The browser bundle: `web/dist`, which the servers carry inside them.
//!
//! - `rillcast.js`: the snippet, for a script tag; from `web/src/snippet.ts`
//! - `rillcast.mjs`: the npm package, with its types in `web/types`; from `web/src/index.ts`
//! - `rillcast_bg.wasm`: the engine, with its code taken apart (see `streams`)
//! - `rillcast_ed25519.mjs`: what the snippet loads where the browser can't verify signatures; no part of what viewers
//!   usually download, nor of the limit on that; from `web/src/ed25519-here.ts`
//! - `demo/`: the demo page; from `web/demo`
//!
//! and of each, where that is smaller, `.gz` and `.br`: see `packed`.
//!
//! Of the demo, the scripts at the top of its folder are bundled, each into a module of its own, and everything else is
//! copied; scripts further down are there to be imported. The pages of benches and browser tests are no part of this:
//! their origin serves them from where they lie, and no server carries them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packed;
use crate::proc;
use crate::setup::WEB_LOCK;
use crate::size::Download;
use crate::stamp::{Inputs, Stamp, files_below, mirror};
use crate::step::Steps;
use crate::streams;
use crate::wasm;
use crate::workspace::Workspace;

const SNIPPET: &str = "rillcast.js";
const MODULE: &str = "rillcast.mjs";
const ED25519: &str = "rillcast_ed25519.mjs";
/// The folder of the types, in `web`; not in `dist`, for the servers have no use for them.
const TYPES: &str = "types";
const STAMP_FILE: &str = ".stamp";
/// What the oldest browsers with the APIs that we need understand.
const LANGUAGE: &str = "--target=es2022";
const SHORTEN_FOR: [&str; 2] = ["--ecma", "2022"];

/// Brings `web/dist` up to date and prints what a viewer downloads; the caller judges it.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<Download> {
    let dist = workspace.dist();
    let stamp = inputs(workspace)?;
    let left = dist.join(STAMP_FILE);
    if stamp.is_fresh(
        &left,
        &[dist.join(SNIPPET), dist.join(MODULE), dist.join(ED25519), dist.join(wasm::module_name())],
    ) {
        steps.unchanged("browser bundle");
    } else {
        steps.step("browser bundle (esbuild, terser, tsc, zopfli, Brotli)", || bundle(workspace))?;
        stamp.leave(&left)?;
    }
    let download = Download::weigh(&dist, &[SNIPPET, wasm::module_name()])?;
    eprintln!("{}", download.table());
    Ok(download)
}

fn inputs(workspace: &Workspace) -> Result<Stamp> {
    let web = workspace.web();
    let mut inputs = Inputs::of("browser bundle 5").text(LANGUAGE).text(include_str!("streams.rs"));
    for file in ["package.json", WEB_LOCK, "tsconfig.json", "tsconfig.types.json"] {
        inputs = inputs.file(&web.join(file))?;
    }
    Ok(inputs.tree(&web.join("src"))?.tree(&web.join("demo"))?.tree(&workspace.glue())?.stamp())
}

fn bundle(workspace: &Workspace) -> Result<()> {
    let web = workspace.web();
    let draft = web.join(".dist-draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).with_context(|| format!("could not empty {}", draft.display()))?;
    }
    fs::create_dir_all(&draft).with_context(|| format!("could not create {}", draft.display()))?;

    let source = web.join("src");
    for (entry, script, format) in
        [("snippet.ts", SNIPPET, "iife"), ("index.ts", MODULE, "esm"), ("ed25519-here.ts", ED25519, "esm")]
    {
        let script = draft.join(script);
        proc::run(
            esbuild(workspace)
                .arg(format!("--format={format}"))
                .arg(source.join(entry))
                .arg(outfile(&script)),
        )?;
        shorten(workspace, &script, format == "esm")?;
    }
    proc::run(workspace.npm_program("tsc").args(["--project", "tsconfig.types.json", "--outDir", TYPES]))?;
    let module = workspace.glue().join(wasm::module_name());
    let contents = fs::read(&module).with_context(|| format!("could not read {}", module.display()))?;
    let apart = draft.join(wasm::module_name());
    fs::write(&apart, streams::apart(&contents)?)
        .with_context(|| format!("could not write {}", apart.display()))?;
    bundle_demo(workspace, &web.join("demo"), &draft.join("demo"))?;
    packed::pack(&draft)?;

    mirror(&draft, &workspace.dist(), &[STAMP_FILE])?;
    fs::remove_dir_all(&draft).with_context(|| format!("could not remove {}", draft.display()))
}

/// `esbuild` for browsers.
fn esbuild(workspace: &Workspace) -> Command {
    let mut command = workspace.npm_program("esbuild");
    command
        .args(["--bundle", "--minify", "--platform=browser", "--charset=utf8", "--legal-comments=none"])
        .args([LANGUAGE, "--log-level=warning"]);
    command
}

/// Puts terser's second thoughts on esbuild's output in its place: each finds what the other leaves.
fn shorten(workspace: &Workspace, script: &Path, module: bool) -> Result<()> {
    let mut terser = workspace.npm_program("terser");
    terser.arg(script).args(["--compress", "passes=3", "--mangle"]).args(SHORTEN_FOR);
    if module {
        terser.arg("--module");
    }
    proc::run(terser.arg("--output").arg(script))
}

fn outfile(path: &Path) -> String {
    format!("--outfile={}", path.display())
}

fn bundle_demo(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        match role(&file) {
            Role::Entry => {
                let script = to.join(&file).with_extension("js");
                proc::run(
                    esbuild(workspace).arg("--format=esm").arg(from.join(&file)).arg(outfile(&script)),
                )?;
            }
            Role::Imported => {}
            Role::Copied => copy(&from.join(&file), &to.join(&file))?,
        }
    }
    Ok(())
}

/// What becomes of a file in the demo's folder.
#[derive(Debug, PartialEq, Eq)]
enum Role {
    /// Bundled with what it imports.
    Entry,
    /// Reaches the bundle by being imported.
    Imported,
    /// Taken as it is.
    Copied,
}

fn role(file: &Path) -> Role {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let script = [".ts", ".js", ".mjs"].iter().any(|ending| name.ends_with(ending));
    let top = file.components().count() == 1;
    if !script {
        Role::Copied
    } else if top && !name.ends_with(".d.ts") && !name.contains(".test.") {
        Role::Entry
    } else {
        Role::Imported
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("could not copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_scripts_at_the_top_are_bundled_and_the_rest_is_imported_or_copied() {
        for (file, expected) in [
            ("demo.ts", Role::Entry),
            ("worker.mjs", Role::Entry),
            ("chart/line.ts", Role::Imported),
            ("globals.d.ts", Role::Imported),
            ("chart.test.ts", Role::Imported),
            ("index.html", Role::Copied),
            ("style/demo.css", Role::Copied),
        ] {
            assert_eq!(role(Path::new(file)), expected, "{file}");
        }
    }
}
