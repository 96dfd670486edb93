//! The audit log: who changed what and when, one line of JSON each (R36).
//!
//! It is only ever added to. A line has reached the disk when the change is answered. The latest ones can be read through
//! the admin interface, also those of earlier runs where there is a file. SIGHUP opens the file anew, for those who rotate it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Records in memory.
pub const RECENT: usize = 1000;
/// Bytes at the end of an existing file in which they are looked for.
const TAIL: u64 = 512 * 1024;

/// A line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Record {
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who.
    pub by: By,
    /// From where: of an admin request, the address of whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<IpAddr>,
    /// What was done, such as `rules.add`.
    pub action: String,
    /// To which site.
    pub site: String,
    /// What exactly.
    pub detail: Value,
}

/// Who makes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Whoever has the admin token.
    Admin,
    /// Whoever may write the settings file.
    SettingsFile,
}

/// Why there is no record.
#[derive(Debug, Error)]
#[error("audit log {path}: {source}; make room, or look at the permissions")]
pub struct AuditError {
    path: PathBuf,
    source: std::io::Error,
}

/// The log.
#[derive(Debug, Default)]
pub struct Audit(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    recent: VecDeque<Record>,
    file: Option<(PathBuf, File)>,
}

impl Audit {
    /// A log that is kept in a file.
    pub fn open(path: &Path) -> Result<Self, AuditError> {
        let failed = |source| AuditError { path: path.to_owned(), source };
        let mut file = append(path).map_err(failed)?;
        let recent = tail(&mut file).map_err(failed)?;
        Ok(Self(Mutex::new(Inner { recent, file: Some((path.to_owned(), file)) })))
    }

    /// Opens the file anew: it may have been renamed.
    pub fn reopen(&self) -> Result<(), AuditError> {
        let mut inner = self.lock();
        if let Some((path, file)) = &mut inner.file {
            *file = append(path).map_err(|source| AuditError { path: path.clone(), source })?;
        }
        Ok(())
    }

    /// Adds a record. What happened has happened: an error says that there is no trace of it on the disk.
    pub fn write(&self, record: Record) -> Result<(), AuditError> {
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        let mut inner = self.lock();
        if inner.recent.len() >= RECENT {
            inner.recent.pop_front();
        }
        inner.recent.push_back(record);
        match &mut inner.file {
            // In one call, so that lines stay whole.
            Some((path, file)) => file
                .write_all(&line)
                .and_then(|()| file.sync_data())
                .map_err(|source| AuditError { path: path.clone(), source }),
            None => Ok(()),
        }
    }

    /// The latest records, the newest last.
    pub fn latest(&self, count: usize) -> Vec<Record> {
        let inner = self.lock();
        let skip = inner.recent.len().saturating_sub(count);
        inner.recent.iter().skip(skip).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn append(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// The last records of a file. Lines that aren't records are passed over: the first may be half of one.
fn tail(file: &mut File) -> std::io::Result<VecDeque<Record>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let records = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let records: VecDeque<Record> = records.collect();
    let skip = records.len().saturating_sub(RECENT);
    Ok(records.into_iter().skip(skip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64) -> Record {
        let from = Some([127, 0, 0, 1].into());
        let (action, site) = ("rules.add".to_owned(), "demo".to_owned());
        Record { at, by: By::Admin, from, action, site, detail: serde_json::json!({"id": "a"}) }
    }

    #[test]
    fn lines_are_added_and_found_again() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("audit.jsonl");
        let log = Audit::open(&path).expect("opens");
        (1..=3).for_each(|n| log.write(record(n)).expect("written"));
        let again = Audit::open(&path).expect("opens");
        again.write(record(4)).expect("written");
        assert_eq!(again.latest(3), [record(2), record(3), record(4)]);
        let text = std::fs::read_to_string(&path).expect("read");
        assert_eq!(text.lines().count(), 4);
        let first: Value = serde_json::from_str(text.lines().next().expect("a line")).expect("json");
        assert_eq!((&first["by"], &first["from"]), (&Value::from("admin"), &Value::from("127.0.0.1")));
    }

    #[test]
    fn a_line_that_was_cut_off_costs_only_itself() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("audit.jsonl");
        Audit::open(&path).expect("opens").write(record(1)).expect("written");
        std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("opens")
            .write_all(b"{\"at\":\n")
            .expect("written");
        assert_eq!(Audit::open(&path).expect("opens").latest(9), [record(1)]);
    }

    #[test]
    fn a_rotated_file_is_followed_by_a_new_one() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("audit.jsonl");
        let log = Audit::open(&path).expect("opens");
        log.write(record(1)).expect("written");
        std::fs::rename(&path, dir.path().join("audit.1")).expect("renamed");
        log.reopen().expect("opens");
        log.write(record(2)).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read").lines().count(), 1);
    }

    #[test]
    fn memory_holds_so_many() {
        let log = Audit::default();
        (0..=RECENT as u64).for_each(|n| log.write(record(n)).expect("written"));
        let all = log.latest(usize::MAX);
        assert_eq!((all.len(), all[0].at), (RECENT, 1));
    }
}
