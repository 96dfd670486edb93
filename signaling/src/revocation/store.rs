//! The lists in memory, and in a file where they are to outlast the server.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use thiserror::Error;

use super::list::{Entry, Lists, Request, RevocationError, SiteList};
use crate::keep;

/// Why revocations can't be kept or read again.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A wrong request.
    #[error(transparent)]
    Wrong(#[from] RevocationError),
    /// The file can't be written.
    #[error(
        "it counts, but only until the server stops: {path}: {source}; make room, or look at the permissions of --state-dir"
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
    /// The file isn't what it was. Without it, all who were sent away would come back.
    #[error("{path}: {source}; restore the file, or remove it to let everybody in again who was revoked")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// All lists.
#[derive(Debug, Default)]
pub struct Store {
    lists: Mutex<Lists>,
    path: Option<PathBuf>,
    /// Held from a change to its end in the file, so that an older state is never written over a newer one. Joins
    /// don't wait for it.
    writing: Mutex<()>,
}

impl Store {
    /// The lists of a file, which needn't be there yet.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lists = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| StoreError::Form { path: path.to_owned(), source })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Lists::default(),
            Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
        };
        Ok(Self { lists: Mutex::new(lists), path: Some(path.to_owned()), writing: Mutex::default() })
    }

    /// What is revoked of a site.
    pub fn of(&self, site: &str) -> Arc<SiteList> {
        lock(&self.lists).of(site)
    }

    /// Entries in all.
    pub fn len(&self) -> usize {
        lock(&self.lists).len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Revokes something. It counts at once; whether it could be kept too, `saved` tells.
    pub fn add(&self, site: &str, request: Request, room: usize, now: u64) -> Result<Kept, RevocationError> {
        self.change(|lists| lists.add(site, request, room, now))
    }

    /// Takes a revocation back.
    pub fn take_back(&self, site: &str, number: u64, now: u64) -> Result<Kept, RevocationError> {
        self.change(|lists| lists.take_back(site, number, now))
    }

    fn change(
        &self,
        edit: impl FnOnce(&mut Lists) -> Result<Entry, RevocationError>,
    ) -> Result<Kept, RevocationError> {
        let _alone = lock(&self.writing);
        let (entry, lists) = {
            let mut lists = lock(&self.lists);
            (edit(&mut lists)?, lists.clone())
        };
        let saved = self.path.as_ref().map_or(Ok(()), |path| {
            let write = || keep::replace(path, &serde_json::to_vec(&lists)?);
            write().map_err(|source| StoreError::Write { path: path.clone(), source })
        });
        Ok(Kept { entry, saved })
    }
}

/// A change that counts.
#[derive(Debug)]
pub struct Kept {
    /// What was added or taken back.
    pub entry: Entry,
    /// Whether it will outlast the server, where that is wanted.
    pub saved: Result<(), StoreError>,
}

/// A panic elsewhere leaves the lists whole: they are changed by single steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::super::list::Kind;
    use super::*;

    fn user(name: &str) -> Request {
        Request { kind: Kind::User, name: name.to_owned(), until: None, why: None }
    }

    #[test]
    fn what_was_revoked_is_known_again_after_a_restart() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("revocations.json");
        let store = Store::open(&path).expect("none yet");
        store.add("a", user("u"), 9, 100).expect("room").saved.expect("saved");
        let second = store.add("a", user("v"), 9, 100).expect("room").entry;
        store.take_back("a", second.number, 101).expect("there").saved.expect("saved");
        let again = Store::open(&path).expect("there");
        assert_eq!(again.of("a"), store.of("a"));
        assert_eq!(again.len(), 1);
        #[cfg(unix)]
        {
            let mode = std::fs::metadata(&path).expect("meta").permissions();
            assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_not_an_empty_list() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("revocations.json");
        std::fs::write(&path, "{\"a\":").expect("write");
        assert!(Store::open(&path).expect_err("damaged").to_string().contains("restore the file"));
    }

    #[test]
    fn what_cannot_be_written_counts_all_the_same_and_is_told() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::open(&dir.path().join("gone").join("revocations.json")).expect("none yet");
        let kept = store.add("a", user("u"), 9, 100).expect("room");
        assert!(kept.saved.expect_err("no such directory").to_string().contains("--state-dir"));
        assert_eq!(store.len(), 1);
    }
}
