//! The operator's changes at run time, in a file: without it a restart would throw a kill switch back and let in whom a rule keeps out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use super::SiteFile;
use crate::keep;

/// Why changes can't be kept or read again.
#[derive(Debug, Error)]
pub enum ChangesError {
    /// The file can't be written.
    #[error(
        "the change counts, but only until the server stops: {path}: {source}; make room, or look at the permissions of --state-dir"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file can't be read.
    #[error("{path}: {source}; look at its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file isn't what it was.
    #[error("{path}: {source}; restore the file, or remove it: then the settings file's word holds again")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Changes by site.
pub type All = BTreeMap<String, SiteFile>;

/// Where they are kept, if they are.
#[derive(Debug, Default)]
pub struct Changes {
    path: Option<PathBuf>,
    /// Held from a change to its end in the file, so that an older state is never written over a newer one. Joins don't wait for it.
    writing: Mutex<()>,
}

impl Changes {
    /// In a file, which needn't be there yet; and what it holds.
    pub fn open(path: &Path) -> Result<(Self, All), ChangesError> {
        let all = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| ChangesError::Form { path: path.to_owned(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => All::default(),
            Err(source) => return Err(ChangesError::Read { path: path.to_owned(), source }),
        };
        Ok((Self { path: Some(path.to_owned()), writing: Mutex::default() }, all))
    }

    /// Makes a change and keeps what all changes come to then. `edit` tells that, and what else it has to say.
    pub fn make<T, E>(&self, edit: impl FnOnce() -> Result<(T, All), E>) -> Result<Made<T>, E> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (told, all) = edit()?;
        let saved = self.path.as_ref().map_or(Ok(()), |path| {
            let write = || keep::replace(path, &serde_json::to_vec(&with_credentials(&all)?)?);
            write().map_err(|source| ChangesError::Write { path: path.clone(), source })
        });
        Ok(Made { told, saved })
    }
}

/// A change that counts.
#[derive(Debug)]
pub struct Made<T> {
    /// What came of it.
    pub told: T,
    /// Whether it will outlast the server, where that is wanted.
    pub saved: Result<(), ChangesError>,
}

/// TURN credentials are shown to nobody, so they aren't written as other fields are; in this file they have to be.
fn with_credentials(all: &All) -> serde_json::Result<serde_json::Value> {
    let mut written = serde_json::to_value(all)?;
    for (site, changes) in all {
        for (at, server) in changes.ice.iter().flatten().enumerate() {
            written[site]["ice"][at]["credential"] = server.credential.as_str().into();
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::super::Ice;
    use super::*;

    #[test]
    fn what_was_changed_is_known_again_after_a_restart_credentials_and_all() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("changes.json");
        let (changes, none) = Changes::open(&path).expect("none yet");
        assert!(none.is_empty());
        let ice = Ice { url: "turn:t".to_owned(), username: "u".to_owned(), credential: "secret".to_owned() };
        let site = SiteFile { enabled: Some(false), ice: Some(vec![ice]), ..SiteFile::default() };
        let all = All::from([("demo".to_owned(), site)]);
        let made = changes.make(|| Ok::<_, ()>(((), all.clone()))).expect("made");
        made.saved.expect("saved");
        assert_eq!(Changes::open(&path).expect("there").1, all);
        std::fs::write(&path, "{\"demo\":").expect("write");
        assert!(Changes::open(&path).expect_err("damaged").to_string().contains("restore the file"));
    }

    #[test]
    fn what_cannot_be_written_counts_all_the_same_and_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let (changes, _) = Changes::open(&dir.path().join("gone").join("changes.json")).expect("none yet");
        let made = changes.make(|| Ok::<_, ()>((7, All::default()))).expect("made");
        assert_eq!(made.told, 7);
        assert!(made.saved.expect_err("no such directory").to_string().contains("--state-dir"));
    }
}
