//! The browser bundle: `web/dist`, which the servers carry inside them.
//!
//! - `rillcast.js`: the snippet, for a script tag; from `web/src/snippet.ts`
//! - `rillcast.mjs` and `types/`: the npm package; from `web/src/index.ts`
//! - `rillcast_bg.wasm`: the engine
//! - `demo/`: the demo page; from `web/demo`
//! - `pages/`: the pages of benches and browser tests; from `tests/pages`
//!
//! Of a folder of pages, the scripts at its top are bundled, each into a module of its own, and everything else is
//! copied; scripts further down are there to be imported.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::proc;
use crate::setup::WEB_LOCK;
use crate::size::Download;
use crate::stamp::{Inputs, Stamp, files_below, mirror};
use crate::step::Steps;
use crate::wasm;
use crate::workspace::Workspace;

const SNIPPET: &str = "rillcast.js";
const MODULE: &str = "rillcast.mjs";
const STAMP_FILE: &str = ".stamp";
/// What the oldest browsers with the APIs that we need understand.
const LANGUAGE: &str = "--target=es2020";
/// p2p-media-loader, which the benches compare with, has its stand-ins for Node's modules under this condition.
const PAGE_CONDITIONS: &str = "--conditions=module,p2pml:core-as-bundle";

/// Brings `web/dist` up to date and prints what a viewer downloads; fails if that is too much.
pub(crate) fn build(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let dist = workspace.dist();
    let stamp = inputs(workspace)?;
    let left = dist.join(STAMP_FILE);
    if stamp.is_fresh(&left, &[dist.join(SNIPPET), dist.join(MODULE), dist.join(wasm::module_name())]) {
        steps.unchanged("browser bundle");
    } else {
        steps.step("browser bundle (esbuild, tsc)", || bundle(workspace))?;
        stamp.leave(&left)?;
    }
    let download = Download::weigh(&dist, &[SNIPPET, &wasm::module_name()])?;
    eprintln!("{}", download.table());
    download.judge()
}

/// The folders of pages, and what they are called in the bundle.
fn pages(workspace: &Workspace) -> [(PathBuf, &'static str); 2] {
    [(workspace.web().join("demo"), "demo"), (workspace.root.join("tests/pages"), "pages")]
}

fn inputs(workspace: &Workspace) -> Result<Stamp> {
    let web = workspace.web();
    let mut inputs = Inputs::of("browser bundle 1").text(LANGUAGE).text(PAGE_CONDITIONS);
    for file in ["package.json", WEB_LOCK, "tsconfig.json", "tsconfig.types.json"] {
        inputs = inputs.file(&web.join(file))?;
    }
    inputs = inputs.tree(&web.join("src"))?.tree(&workspace.glue())?;
    for (folder, _) in pages(workspace) {
        inputs = inputs.tree(&folder)?;
    }
    Ok(inputs.stamp())
}

fn bundle(workspace: &Workspace) -> Result<()> {
    let web = workspace.web();
    let draft = web.join(".dist-draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).with_context(|| format!("could not empty {}", draft.display()))?;
    }
    fs::create_dir_all(&draft).with_context(|| format!("could not create {}", draft.display()))?;

    let source = web.join("src");
    proc::run(
        esbuild(workspace)
            .arg("--format=iife")
            .arg(source.join("snippet.ts"))
            .arg(outfile(&draft.join(SNIPPET))),
    )?;
    proc::run(
        esbuild(workspace).arg("--format=esm").arg(source.join("index.ts")).arg(outfile(&draft.join(MODULE))),
    )?;
    proc::run(
        workspace
            .npm_program("tsc")
            .args(["--project", "tsconfig.types.json", "--outDir"])
            .arg(draft.join("types")),
    )?;
    copy(&workspace.glue().join(wasm::module_name()), &draft.join(wasm::module_name()))?;
    for (folder, name) in pages(workspace) {
        bundle_pages(workspace, &folder, &draft.join(name))?;
    }

    mirror(&draft, &workspace.dist(), &[STAMP_FILE])?;
    fs::remove_dir_all(&draft).with_context(|| format!("could not remove {}", draft.display()))
}

/// `esbuild` for browsers. Pages may lie outside `web`, so packages are looked up by `NODE_PATH` as well.
fn esbuild(workspace: &Workspace) -> Command {
    let mut command = workspace.npm_program("esbuild");
    command
        .env("NODE_PATH", workspace.node_modules())
        .args(["--bundle", "--minify", "--platform=browser", "--charset=utf8", "--legal-comments=none"])
        .args([LANGUAGE, "--log-level=warning"]);
    command
}

fn outfile(path: &Path) -> String {
    format!("--outfile={}", path.display())
}

fn bundle_pages(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    for file in files_below(from)? {
        match role(&file) {
            Role::Entry => {
                let script = to.join(&file).with_extension("js");
                let mut esbuild = esbuild(workspace);
                esbuild.args(["--format=esm", PAGE_CONDITIONS]).arg(from.join(&file)).arg(outfile(&script));
                proc::run(&mut esbuild)?;
            }
            Role::Imported => {}
            Role::Copied => copy(&from.join(&file), &to.join(&file))?,
        }
    }
    Ok(())
}

/// What becomes of a file in a folder of pages.
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
    fn pages_scripts_at_the_top_are_bundled_and_the_rest_is_imported_or_copied() {
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
