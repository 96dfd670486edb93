//! Every input that is kept, through the target that it is kept for: what once broke something stays mended, and targets
//! can't rot between two runs of `cargo xtask bench fuzz`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rillcast_fuzz::{TARGETS, seeds};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_holds_for_all_that_is_kept() {
    for (target, run) in TARGETS {
        let folder = corpus().join(target);
        for name in names(&folder) {
            // Shown only where the target panics.
            println!("fuzz/corpus/{target}/{name}");
            run(&fs::read(folder.join(&name)).expect("readable"));
        }
    }
}

#[test]
fn every_target_holds_for_what_this_version_sends() {
    for seed in seeds::all() {
        let (_, run) = TARGETS.iter().find(|(target, _)| *target == seed.target).expect("a target");
        println!("{} {}: {:?}", seed.target, seed.name, seed.bytes);
        run(&seed.bytes);
    }
}

#[test]
fn every_target_has_a_program_a_corpus_and_nothing_is_left_over() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&corpus()), targets);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = names(&root.join("libfuzzer").join("targets"));
    assert_eq!(programs, targets.iter().map(|name| format!("{name}.rs")).collect());
    let manifest = fs::read_to_string(root.join("libfuzzer").join("Cargo.toml")).expect("the manifest");
    for name in &targets {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is no [[bin]]");
        assert!(!names(&corpus().join(name)).is_empty(), "{name} has nothing to begin with");
    }
    for dictionary in names(&root.join("dictionaries")) {
        assert!(targets.contains(dictionary.trim_end_matches(".dict")), "{dictionary} is for no target");
    }
}
