//! A compiler for wasm32-unknown-unknown that builds the standard library along with our code: half of what viewers
//! would download is otherwise its panic messages and formatting. Three ways, in this order: the toolchain in use has
//! its library's source; rustup adds it; Debian's packages have all of it (a rustc, its library's source and LLVM's
//! wasm linker).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::apt::{Apt, Outcome, Package};
use crate::proc;
use crate::step::Steps;
use crate::workspace::Workspace;

/// The target's name.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The standard library's source, below the folder of rustc's.
const STD_SOURCE: &str = "library/std/src/lib.rs";

/// With what the browser's part is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    /// The toolchain that compiles everything else; its own linker.
    InUse,
    /// Debian's, by its paths: rustup's proxies may stay first in PATH.
    Debian {
        /// `cargo`, of the same version as `rustc`.
        cargo: PathBuf,
        /// `rustc`, which has its library's source in its sysroot.
        rustc: PathBuf,
        /// LLVM's linker for wasm, of the LLVM that `rustc` uses.
        linker: PathBuf,
    },
}

impl WasmToolchain {
    /// The start of a `cargo build` for the target: compiler, target and standard library are settled, the rest is
    /// the caller's.
    pub(crate) fn build(&self, workspace: &Workspace) -> Command {
        let mut command = match self {
            Self::InUse => workspace.cargo(),
            Self::Debian { cargo, .. } => workspace.command(cargo),
        };
        // Flags meant for the native build (-C target-cpu=native, say) would break this one.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        if let Self::Debian { rustc, linker, .. } = self {
            // What rustup and the cargo that runs us left for its own children misleads another toolchain.
            for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTDOC", "LD_LIBRARY_PATH"] {
                command.env_remove(variable);
            }
            command.env("RUSTC", rustc).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
            // Building the standard library is unstable in cargo, and these are stable releases of it.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(["build", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"]);
        command
    }

    /// For the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::InUse => "the toolchain in use",
            Self::Debian { .. } => "Debian's Rust packages",
        }
    }
}

/// Finds or installs a compiler for the target; nothing, if that takes packages that we may not install.
pub(crate) fn ensure(
    workspace: &Workspace,
    apt: &mut Apt,
    steps: &mut Steps,
) -> Result<Option<WasmToolchain>> {
    if builds_std() {
        return Ok(Some(WasmToolchain::InUse));
    }
    if rustup_may_download() {
        steps.note("installing rustup's rust-src: the standard library, to be built for wasm");
        let added = steps.step("rustup component add rust-src", || {
            proc::run(workspace.command("rustup").args(["component", "add", "rust-src"]))
        });
        if added.is_ok() && builds_std() {
            return Ok(Some(WasmToolchain::InUse));
        }
        steps.note("rustup could not add it: trying Debian's packages");
    }
    if !apt.is_debian() {
        bail!(
            "the standard library's source is missing from the Rust toolchain; run `rustup component add rust-src`"
        );
    }
    debian(apt, steps)
        .context("no compiler for wasm; where rustup can download, `rustup component add rust-src` is enough")
}

/// Whether rustup is there and may be asked to download something.
pub(crate) fn rustup_may_download() -> bool {
    may_download(env::var("RUSTUP_AUTO_INSTALL").ok().as_deref())
        && proc::succeeds(Command::new("rustup").arg("--version"))
}

/// `RUSTUP_AUTO_INSTALL=0` says that toolchains stay as they are.
fn may_download(rustup_auto_install: Option<&str>) -> bool {
    rustup_auto_install != Some("0")
}

/// Whether the toolchain in use can build the standard library for wasm.
fn builds_std() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    proc::output(Command::new(&rustc).args(["--print", "sysroot"]))
        .is_ok_and(|sysroot| is_complete(Path::new(sysroot.trim())))
}

/// Whether a sysroot has the library's source and the linker that rustup delivers with the compiler.
fn is_complete(sysroot: &Path) -> bool {
    let rustlib = sysroot.join("lib/rustlib");
    let linker = || {
        let host = fs::read_dir(&rustlib).ok()?;
        host.flatten().map(|host| host.path().join("bin/rust-lld")).find(|linker| linker.exists())
    };
    rustlib.join("src/rust").join(STD_SOURCE).exists() && linker().is_some()
}

/// Debian's toolchain, installed if need be.
fn debian(apt: &mut Apt, steps: &mut Steps) -> Result<Option<WasmToolchain>> {
    let packages: Vec<Package> = [
        (
            "rustc-web",
            "/bin/rustc",
            "compiles the browser's part; `rustup component add rust-src` would do instead",
        ),
        ("cargo-web", "/bin/cargo", "drives that compiler"),
        ("rust-web-src", STD_SOURCE, "the standard library, to be built for wasm"),
    ]
    .into_iter()
    .filter(|(package, file, _)| installed(package, file).is_none())
    .map(|(package, _, why)| Package::new(package, why))
    .collect();
    // The linker's package is named after the compiler's LLVM, which shows only once the compiler is there. Where we
    // may not install it, the instructions have the one that goes with it today.
    if apt.install(&packages, steps)? == Outcome::Refused {
        if installed("lld-22", "/bin/wasm-ld-22").is_none() {
            let _ = apt.install(&[linker_wanted("22")], steps)?;
        }
        return Ok(None);
    }
    let rustc = installed("rustc-web", "/bin/rustc").context("rustc-web has no /bin/rustc: reinstall it")?;
    let cargo = installed("cargo-web", "/bin/cargo").context("cargo-web has no /bin/cargo: reinstall it")?;
    let about = proc::output(Command::new(&rustc).arg("-vV").env_remove("LD_LIBRARY_PATH"))?;
    let llvm = llvm_major(&about).context("`rustc -vV` of rustc-web names no LLVM version")?;
    let linker_package = linker_package(llvm);
    let linker_name = format!("/bin/wasm-ld-{llvm}");
    if installed(&linker_package, &linker_name).is_none()
        && apt.install(&[linker_wanted(llvm)], steps)? == Outcome::Refused
    {
        return Ok(None);
    }
    let linker = installed(&linker_package, &linker_name)
        .with_context(|| format!("{linker_package} has no {linker_name}: reinstall it"))?;
    let toolchain = WasmToolchain::Debian { cargo, rustc, linker };
    check(&toolchain)?;
    Ok(Some(toolchain))
}

/// Runs each part of it once.
fn check(toolchain: &WasmToolchain) -> Result<()> {
    if let WasmToolchain::Debian { cargo, rustc, linker } = toolchain {
        for program in [cargo, rustc, linker] {
            proc::output(Command::new(program).arg("--version").env_remove("LD_LIBRARY_PATH"))
                .context("a part of Debian's Rust toolchain doesn't run: reinstall its package")?;
        }
    }
    Ok(())
}

/// A file that an installed package owns, by the end of its path.
fn installed(package: &str, ending: &str) -> Option<PathBuf> {
    let list = proc::output(Command::new("dpkg").args(["-L", package])).ok()?;
    owned(&list, ending).filter(|path| path.exists())
}

/// The shortest path of the list with this ending: wrappers lie deeper than the programs they wrap.
fn owned(list: &str, ending: &str) -> Option<PathBuf> {
    list.lines().filter(|line| line.ends_with(ending)).min_by_key(|line| line.len()).map(PathBuf::from)
}

/// The first part of the LLVM version in `rustc -vV`.
fn llvm_major(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()
}

fn linker_wanted(llvm: &str) -> Package {
    Package::new(&linker_package(llvm), "links wasm, with the LLVM of that compiler")
}

fn linker_package(llvm: &str) -> String {
    format!("lld-{llvm}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "/.\n/usr/bin\n/usr/share/cargo/bin/cargo\n/usr/bin/cargo\n/usr/share/doc/cargo\n";

    #[test]
    fn the_program_is_found_and_not_its_wrapper() {
        assert_eq!(owned(LISTING, "/bin/cargo"), Some(PathBuf::from("/usr/bin/cargo")));
        assert_eq!(owned(LISTING, "/bin/rustc"), None);
    }

    #[test]
    fn the_linker_is_that_of_the_compilers_llvm() {
        let about = "rustc 1.96.0\nbinary: rustc\nLLVM version: 22.1.8\n";
        assert_eq!(llvm_major(about).map(linker_package), Some("lld-22".to_owned()));
        assert_eq!(llvm_major("rustc 1.96.0\n"), None);
    }

    #[test]
    fn rustup_is_left_alone_where_it_may_not_install() {
        assert!(!may_download(Some("0")));
        assert!(may_download(Some("1")));
        assert!(may_download(None));
    }

    #[test]
    fn debians_toolchain_is_not_misled_by_the_one_that_runs_us() {
        let workspace = Workspace::at(Path::new("/w"), None);
        let toolchain = WasmToolchain::Debian {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            linker: "/usr/bin/wasm-ld-22".into(),
        };
        let command = toolchain.build(&workspace);
        assert_eq!(command.get_program(), "/usr/bin/cargo");
        let environment: Vec<_> = command.get_envs().collect();
        for removed in ["RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH", "RUSTFLAGS"] {
            assert!(environment.contains(&(removed.as_ref(), None)), "{removed}");
        }
        assert!(environment.contains(&("RUSTC".as_ref(), Some("/usr/bin/rustc".as_ref()))));
        assert!(command.get_args().any(|argument| argument == "-Zbuild-std=std,panic_abort"));
    }

    #[test]
    fn both_toolchains_build_the_standard_library() {
        let command = WasmToolchain::InUse.build(&Workspace::at(Path::new("/w"), None));
        assert!(command.get_args().any(|argument| argument == "-Zbuild-std=std,panic_abort"));
        assert!(command.get_envs().any(|(name, _)| name == "RUSTC_BOOTSTRAP"));
        assert!(!command.get_envs().any(|(name, value)| name == "RUSTC" && value.is_some()));
    }

    #[test]
    fn a_toolchain_will_do_only_with_source_and_linker() {
        let sysroot = env::temp_dir().join(format!("rillcast-sysroot-{}", std::process::id()));
        let source = sysroot.join("lib/rustlib/src/rust").join(STD_SOURCE);
        let linker = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld");
        for file in [&source, &linker] {
            assert!(!is_complete(&sysroot));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        assert!(is_complete(&sysroot));
        fs::remove_file(&source).unwrap();
        assert!(!is_complete(&sysroot));
        fs::remove_dir_all(sysroot).unwrap();
    }
}
