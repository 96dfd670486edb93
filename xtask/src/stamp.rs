//! Which steps can be left out: a step's inputs are hashed, and the hash of the last successful run lies beside its
//! outputs. Times of files are not asked, for a checkout changes them at will.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A hash over everything that a step's outcome depends on.
pub(crate) struct Inputs {
    hasher: blake3::Hasher,
}

impl Inputs {
    /// The inputs of the step with this name.
    pub(crate) fn of(step: &str) -> Self {
        let mut inputs = Self { hasher: blake3::Hasher::new() };
        inputs.field(step.as_bytes());
        inputs
    }

    /// Adds a setting, version or argument.
    pub(crate) fn text(mut self, text: &str) -> Self {
        self.field(text.as_bytes());
        self
    }

    /// Adds a file's contents.
    pub(crate) fn file(mut self, path: &Path) -> Result<Self> {
        let contents = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        self.field(&contents);
        Ok(self)
    }

    /// Adds every file below a folder, with its name; a folder that isn't there counts as empty.
    pub(crate) fn tree(mut self, folder: &Path) -> Result<Self> {
        for file in files_below(folder)? {
            self.field(file.as_os_str().as_encoded_bytes());
            self = self.file(&folder.join(file))?;
        }
        Ok(self)
    }

    /// The finished hash.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp(self.hasher.finalize().to_hex().to_string())
    }

    /// Lengths first, so that two fields can't be mistaken for one another's parts.
    fn field(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// A step's inputs, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// Whether the step that left its stamp at `path` had these inputs, and its outputs are still there.
    pub(crate) fn is_fresh(&self, path: &Path, outputs: &[PathBuf]) -> bool {
        fs::read_to_string(path).is_ok_and(|left| left == self.0)
            && outputs.iter().all(|output| output.exists())
    }

    /// Leaves the stamp after the step has succeeded.
    pub(crate) fn leave(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.0).with_context(|| format!("could not write {}", path.display()))
    }
}

/// Makes `to` hold exactly the files of `from`, and leaves alone those that are the same already: whoever embeds them
/// is rebuilt only for a real change. Names in `keep` survive in `to`.
pub(crate) fn mirror(from: &Path, to: &Path, keep: &[&str]) -> Result<()> {
    let wanted = files_below(from)?;
    for name in &wanted {
        let (source, copy) = (from.join(name), to.join(name));
        let contents = fs::read(&source).with_context(|| format!("could not read {}", source.display()))?;
        if fs::read(&copy).is_ok_and(|present| present == contents) {
            continue;
        }
        if let Some(folder) = copy.parent() {
            fs::create_dir_all(folder).with_context(|| format!("could not create {}", folder.display()))?;
        }
        fs::write(&copy, contents).with_context(|| format!("could not write {}", copy.display()))?;
    }
    for name in files_below(to)? {
        if !wanted.contains(&name) && !keep.iter().any(|kept| Path::new(kept) == name) {
            let stale = to.join(name);
            fs::remove_file(&stale).with_context(|| format!("could not remove {}", stale.display()))?;
        }
    }
    Ok(())
}

/// The files below a folder, relative to it and in order.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(relative) = folders.pop() {
        let here = folder.join(&relative);
        if !here.is_dir() {
            continue;
        }
        let entries = fs::read_dir(&here).with_context(|| format!("could not list {}", here.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("could not list {}", here.display()))?;
            let name = relative.join(entry.file_name());
            // Follows links, and passes over those that lead nowhere (editors' lock files).
            let Ok(kind) = fs::metadata(entry.path()) else { continue };
            if kind.is_dir() {
                folders.push(name);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, emptied.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("rillcast-xtask-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn stamp_of(tree: &Path) -> Stamp {
        Inputs::of("step").tree(tree).unwrap().stamp()
    }

    #[test]
    fn a_step_runs_again_exactly_when_an_input_changes_or_an_output_is_gone() {
        let dir = folder("stamp");
        let (source, stamp, output) = (dir.join("src"), dir.join("stamp"), dir.join("out"));
        fs::create_dir_all(source.join("deep")).unwrap();
        fs::write(source.join("deep/a.ts"), "a").unwrap();
        fs::write(&output, "built").unwrap();
        let outputs = [output.clone()];
        assert!(!stamp_of(&source).is_fresh(&stamp, &outputs), "nothing was run yet");

        stamp_of(&source).leave(&stamp).unwrap();
        assert!(stamp_of(&source).is_fresh(&stamp, &outputs));
        fs::write(source.join("deep/a.ts"), "a").unwrap();
        assert!(stamp_of(&source).is_fresh(&stamp, &outputs), "a new time alone is no change");

        fs::write(source.join("deep/a.ts"), "b").unwrap();
        assert!(!stamp_of(&source).is_fresh(&stamp, &outputs), "another content");
        fs::write(source.join("deep/a.ts"), "a").unwrap();
        fs::rename(source.join("deep/a.ts"), source.join("deep/b.ts")).unwrap();
        assert!(!stamp_of(&source).is_fresh(&stamp, &outputs), "another name");
        fs::rename(source.join("deep/b.ts"), source.join("deep/a.ts")).unwrap();
        assert!(stamp_of(&source).is_fresh(&stamp, &outputs));
        fs::remove_file(&output).unwrap();
        assert!(!stamp_of(&source).is_fresh(&stamp, &outputs), "an output is gone");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn neighbouring_inputs_are_not_confused() {
        let one = Inputs::of("step").text("ab").text("c").stamp();
        let other = Inputs::of("step").text("a").text("bc").stamp();
        assert_ne!(one, other);
        assert_ne!(Inputs::of("one").stamp(), Inputs::of("two").stamp());
    }

    #[test]
    fn a_mirror_leaves_equal_files_untouched_and_removes_stale_ones() {
        let dir = folder("mirror");
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(from.join("demo")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("same"), "1").unwrap();
        fs::write(from.join("demo/new"), "2").unwrap();
        fs::write(to.join("same"), "1").unwrap();
        fs::write(to.join("stale"), "3").unwrap();
        fs::write(to.join(".stamp"), "4").unwrap();
        let before = fs::metadata(to.join("same")).unwrap().modified().unwrap();
        mirror(&from, &to, &[".stamp"]).unwrap();
        assert_eq!(files_below(&to).unwrap(), [".stamp", "demo/new", "same"].map(PathBuf::from));
        assert_eq!(fs::metadata(to.join("same")).unwrap().modified().unwrap(), before);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_has_no_files() {
        assert!(files_below(Path::new("/rillcast/no/such/folder")).unwrap().is_empty());
    }
}
