//! The engine for browsers: compile, write the JS glue, shorten its names, shrink. Leaves `rillcast.js`, its types and
//! `rillcast_bg.wasm` in `web/pkg`, where `web/src` imports them from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::glue;
use crate::names;
use crate::order;
use crate::proc;
use crate::setup::{WEB_LOCK, WasmToolchain};
use crate::stamp::{Inputs, Stamp, mirror};
use crate::step::Steps;
use crate::workspace::Workspace;

const PACKAGE: &str = "rillcast-wasm";
/// See `[profile.wasm]` in the workspace's manifest.
const PROFILE: &str = "wasm";
/// Of the glue and of the module, which is called `<name>_bg.wasm`.
const NAME: &str = "rillcast";
const MODULE: &str = "rillcast_bg.wasm";

const STAMP_FILE: &str = ".stamp";

/// What rustc lets its code use on this target by default (since 1.87), and wasm-opt therefore has to accept; every
/// browser with the APIs that we need has them.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];
const SHRINK: [&str; 13] = [
    // Taken apart and put together anew, code is 400 bytes smaller (gzip) than shrunk as it came. And what `-Oz` makes of
    // it is smaller, but compresses worse.
    "--flatten",
    "--rereloop",
    "-Os",
    "-Os",
    // The first kilobyte is the far end of the stack: no pointer that is passed around is so small.
    "--low-memory-unused",
    // Functions copied into their only caller save bytes, but alike ones that stay apart compress better: only small
    // ones are.
    "--one-caller-inline-max-function-size",
    "20",
    "--always-inline-max-function-size",
    "4",
    // Alignment is a hint that no processor of today needs, and its absence is the same byte everywhere.
    "--dealign",
    "--strip-debug",
    "--strip-producers",
    "--strip-target-features",
];

/// By the names that `order` gives, which are then taken away.
const ARRANGE: [&str; 2] = ["--reorder-functions-by-name", "--strip-debug"];

/// What a profile can't carry. A panic in a page has nobody to read its message, and its place would be one in a
/// stripped module: it traps, and no text of it is downloaded.
const FLAGS: [&str; 4] =
    ["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none", "-Zfmt-debug=none"];

/// Brings `web/pkg` up to date.
pub(crate) fn build(workspace: &Workspace, toolchain: &WasmToolchain, steps: &mut Steps) -> Result<()> {
    let module = steps
        .step(&format!("wasm (cargo build with {})", toolchain.name()), || compile(workspace, toolchain))?;
    let glue = workspace.glue();
    let stamp = inputs(workspace, &module)?;
    let left = glue.join(STAMP_FILE);
    if stamp.is_fresh(&left, &outputs(&glue)) {
        steps.unchanged("wasm glue");
        return Ok(());
    }
    let draft = workspace.wasm_target.join("glue");
    steps.step("wasm glue (wasm-bindgen)", || write_glue(&module, &draft))?;
    shorten(&draft)?;
    steps.step("wasm size (wasm-opt)", || shrink(workspace, &draft.join(MODULE)))?;
    mirror(&draft, &glue, &[STAMP_FILE])?;
    stamp.leave(&left)
}

/// The module's file name in `web/pkg` and `web/dist`.
pub(crate) fn module_name() -> &'static str {
    MODULE
}

/// Compiles the package; cargo itself knows whether there is anything to do.
fn compile(workspace: &Workspace, toolchain: &WasmToolchain) -> Result<PathBuf> {
    let mut cargo = toolchain.build(workspace);
    // On the command line, flags are added to those of configuration files; in the environment they'd replace them.
    cargo.arg("--config").arg(format!("target.{}.rustflags={FLAGS:?}", crate::setup::WASM_TARGET));
    cargo.args(["--package", PACKAGE, "--profile", PROFILE, "--target-dir"]).arg(&workspace.wasm_target);
    proc::run(&mut cargo)?;
    let module = workspace
        .wasm_target
        .join(crate::setup::WASM_TARGET)
        .join(PROFILE)
        .join(format!("{}.wasm", PACKAGE.replace('-', "_")));
    if !module.is_file() {
        bail!(
            "{PACKAGE} compiled, but left no {}: its manifest needs `crate-type = [\"cdylib\"]` under [lib]",
            module.display()
        );
    }
    Ok(module)
}

fn inputs(workspace: &Workspace, module: &Path) -> Result<Stamp> {
    // The lock files have the versions of wasm-bindgen and of wasm-opt.
    let locks = [workspace.root.join("Cargo.lock"), workspace.web().join(WEB_LOCK)];
    let mut inputs = Inputs::of("wasm glue").file(module)?.file(&locks[0])?.file(&locks[1])?;
    inputs =
        inputs.text(include_str!("names.rs")).text(include_str!("glue.rs")).text(include_str!("order.rs"));
    for argument in SHRINK.iter().chain(&ARRANGE).chain(&FEATURES) {
        inputs = inputs.text(argument);
    }
    Ok(inputs.stamp())
}

fn outputs(glue: &Path) -> [PathBuf; 3] {
    [glue.join(format!("{NAME}.js")), glue.join(format!("{NAME}.d.ts")), glue.join(module_name())]
}

/// An ES module with types. It fetches nothing by itself: the bundle says where the module lies.
fn write_glue(module: &Path, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("could not empty {}", folder.display()))?;
    }
    Bindgen::new()
        .input_path(module)
        .out_name(NAME)
        .web(true)?
        .typescript(true)
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate(folder)
        .context(
            "wasm-bindgen could not write the glue; if it speaks of versions, make `wasm-bindgen` and \
             `wasm-bindgen-cli-support` in Cargo.toml one version",
        )
}

/// Short names between the two, and no more code than numbers need. The types of the glue's own interface stay true; those of the module, which nobody
/// uses, wouldn't.
fn shorten(folder: &Path) -> Result<()> {
    let (module, script) = (folder.join(MODULE), folder.join(format!("{NAME}.js")));
    let read = |path: &Path| fs::read(path).with_context(|| format!("could not read {}", path.display()));
    let text = String::from_utf8(read(&script)?).context("wasm-bindgen's glue is no text")?;
    let (short_module, short_glue) = names::shorten(&read(&module)?, &glue::shorten(&text))?;
    for (path, contents) in [(&module, short_module), (&script, short_glue.into_bytes())] {
        fs::write(path, contents).with_context(|| format!("could not write {}", path.display()))?;
    }
    let types = folder.join(format!("{MODULE}.d.ts"));
    fs::remove_file(&types).with_context(|| format!("could not remove {}", types.display()))
}

fn shrink(workspace: &Workspace, module: &Path) -> Result<()> {
    let wasm_opt = |arguments: &[&str], from: &Path, to: &Path| {
        let mut wasm_opt = workspace.npm_program("wasm-opt");
        proc::run(wasm_opt.args(arguments).args(FEATURES).arg(from).arg("--output").arg(to))
    };
    let small = workspace.wasm_target.join("small.wasm");
    wasm_opt(&SHRINK, module, &small)?;
    let contents = fs::read(&small).with_context(|| format!("could not read {}", small.display()))?;
    fs::write(&small, order::with_names(&contents)?)
        .with_context(|| format!("could not write {}", small.display()))?;
    wasm_opt(&ARRANGE, &small, module)
}
