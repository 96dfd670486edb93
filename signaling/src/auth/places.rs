//! From where tokens were used, in a file, so that a restart doesn't forget it: who waits for one could use a stolen token again.
//!
//! A record for each pair of token and place is appended as it is taken, so that also a killed server has written it. Whatever is over is left out
//! when the file is written anew: at each start, and when more than half of it is over. Nothing in it names anybody: names are keyed hashes.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::replay::Name;
use crate::keep;

/// Token, place, the second at which the token is gone, and a checksum.
const RECORD: usize = 16 + 16 + 8 + 4;
/// A file of fewer records isn't written anew: it isn't worth it.
const FEW: usize = 1024;

/// A token was used from a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The token.
    pub token: Name,
    /// The place.
    pub place: Name,
    /// The second, since 1970, at which it is gone.
    pub gone: u64,
}

/// The file can't be used.
#[derive(Debug, Error)]
#[error("{0}: {1}; make room, or look at the permissions of --state-dir")]
pub struct PlacesError(PathBuf, io::Error);

/// The file.
#[derive(Debug)]
pub struct Places {
    path: PathBuf,
    file: File,
    /// Records in it, those that are over as well.
    records: usize,
    /// The last one couldn't be written; said once.
    failing: bool,
}

impl Places {
    /// Opens the file, which needn't be there yet, and says what is in it that isn't over. Records that have been damaged are left out.
    pub fn open(path: &Path, now: u64) -> Result<(Self, Vec<Place>), PlacesError> {
        let failed = |error| PlacesError(path.to_owned(), error);
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let written = bytes.len().div_ceil(RECORD);
        let whole: Vec<Place> = bytes.chunks_exact(RECORD).filter_map(read).collect();
        if whole.len() < written {
            tracing::warn!(
                path = %path.display(),
                records = written - whole.len(),
                "what was damaged in the file of used tokens is forgotten"
            );
        }
        let there: Vec<Place> = whole.into_iter().filter(|place| place.gone > now).collect();
        let file = write_anew(path, &there).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, records: there.len(), failing: false }, there))
    }

    /// Appends one. A file that can't be written doesn't keep anybody out: what was taken counts until the server stops, and the log says so.
    pub fn add(&mut self, place: &Place) {
        let written = self.file.write_all(&record(place));
        self.records += usize::from(written.is_ok());
        self.said(written);
    }

    /// Whether more than half of it is over, if so many records aren't.
    pub fn is_worn(&self, live: usize) -> bool {
        self.records > FEW.max(2 * live)
    }

    /// Writes it anew, with these alone.
    pub fn renew(&mut self, there: &[Place]) {
        let renewed =
            write_anew(&self.path, there).map(|file| (self.file, self.records) = (file, there.len()));
        // Not again for every record that is added.
        self.records = self.records.min(there.len());
        self.said(renewed);
    }

    fn said(&mut self, written: io::Result<()>) {
        if let Err(error) = &written
            && !self.failing
        {
            tracing::error!(
                path = %self.path.display(),
                %error,
                "from where tokens are used counts, but only until this server stops; make room, or look at the permissions of --state-dir"
            );
        }
        self.failing = written.is_err();
    }
}

fn write_anew(path: &Path, there: &[Place]) -> io::Result<File> {
    keep::replace(path, &there.iter().flat_map(record).collect::<Vec<u8>>())?;
    OpenOptions::new().append(true).open(path)
}

fn record(place: &Place) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..16].copy_from_slice(&place.token.0);
    record[16..32].copy_from_slice(&place.place.0);
    record[32..40].copy_from_slice(&place.gone.to_be_bytes());
    let sum = sum(&record[..40]);
    record[40..].copy_from_slice(&sum);
    record
}

fn read(record: &[u8]) -> Option<Place> {
    let (said, sum_said) = record.split_at_checked(40)?;
    (sum(said) == *sum_said).then_some(())?;
    Some(Place {
        token: Name(said[..16].try_into().ok()?),
        place: Name(said[16..32].try_into().ok()?),
        gone: u64::from_be_bytes(said[32..].try_into().ok()?),
    })
}

/// Against torn and worn bytes; whoever may write to the file needs no checksum.
fn sum(bytes: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(bytes);
    let bytes = hash.as_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(token: u8, gone: u64) -> Place {
        Place { token: Name([token; 16]), place: Name([9; 16]), gone }
    }

    #[test]
    fn what_is_not_over_is_there_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("places");
        let (mut places, there) = Places::open(&path, 0).expect("new");
        assert!(there.is_empty());
        [place(1, 50), place(2, 100)].iter().for_each(|one| places.add(one));
        let (_, there) = Places::open(&path, 49).expect("there");
        assert_eq!(there, [place(1, 50), place(2, 100)]);
        let (_, there) = Places::open(&path, 50).expect("there");
        assert_eq!(there, [place(2, 100)]);
        assert_eq!(std::fs::read(&path).expect("there").len(), RECORD, "what is over is gone from the file");
    }

    // H12
    #[test]
    fn torn_and_damaged_records_are_left_out_and_the_others_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("places");
        let (mut places, _) = Places::open(&path, 0).expect("new");
        (1..=3).for_each(|token| places.add(&place(token, 100)));
        let mut bytes = std::fs::read(&path).expect("there");
        bytes[RECORD + 20] ^= 1;
        bytes.truncate(3 * RECORD - 1);
        std::fs::write(&path, bytes).expect("written");
        let (mut places, there) = Places::open(&path, 0).expect("there");
        assert_eq!(there, [place(1, 100)]);
        // What is added after that is readable.
        places.add(&place(4, 100));
        assert_eq!(Places::open(&path, 0).expect("there").1, [place(1, 100), place(4, 100)]);
    }

    #[test]
    fn a_worn_file_is_written_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("places");
        let (mut places, _) = Places::open(&path, 0).expect("new");
        for _ in 0..FEW {
            places.add(&place(1, 100));
        }
        assert!(!places.is_worn(1), "at the limit");
        places.add(&place(1, 100));
        assert!(places.is_worn(1) && places.is_worn(FEW / 2) && !places.is_worn(FEW / 2 + 1));
        places.renew(&[place(1, 100)]);
        assert!(!places.is_worn(1));
        assert_eq!(std::fs::metadata(&path).expect("there").len(), RECORD as u64);
        places.add(&place(2, 100));
        assert_eq!(Places::open(&path, 0).expect("there").1.len(), 2);
    }

    #[test]
    fn a_directory_that_is_not_there_is_said() {
        let error = Places::open(Path::new("/nowhere/places"), 0).expect_err("nowhere").to_string();
        assert!(error.contains("/nowhere/places") && error.contains("--state-dir"), "{error}");
    }
}
