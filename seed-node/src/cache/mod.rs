//! Copies of segments on disk: what a node has fetched and signed once is there after a restart, however it ended, and when memory has
//! room for it again.
//!
//! One file for each copy, made beside its place and then renamed, so that a node killed in the middle leaves whole files or none. What a
//! power cut leaves may be anything: a copy counts only if its bytes match its digest and that is signed with this node's key, which is
//! looked at whenever it is read. Files that aren't that are removed.
//!
//! - [`index`]: what is there, within the budget; pure
//! - [`record`]: what a file holds
//! - [`files`]: where files lie
//! - `writer`: the thread that writes and removes
//!
//! Queue: copies wait to be written within [`WAITING`] bytes; beyond that they are dropped, which costs a fetch after a restart.

pub mod files;
pub mod index;
pub mod record;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{PublisherKey, SegmentKey, SwarmId};
use rillcast_publisher::Copies;
use rillcast_publisher::copies::{Ours, Wanted};
use rillcast_publisher::ledger::Place;
use thiserror::Error;

use files::Files;
use index::{Index, Limits, Name};
use writer::Writer;

/// Bytes of copies that wait to be written, over all streams; one may always wait.
pub const WAITING: u64 = 32 * 1024 * 1024;
/// Most copies: what is known of each is kept in memory, some 200 bytes.
pub const MAX_COPIES: usize = 200_000;

/// What an operator allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Where copies lie; made if it isn't there.
    pub dir: PathBuf,
    /// Bytes on disk.
    pub budget: u64,
    /// How long a copy is kept.
    pub keep: Duration,
}

/// Why there is no cache.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The directory.
    #[error(
        "can't use the cache directory {0}: {1}; check that it exists and is writable by this user, or choose another with --cache-dir"
    )]
    Directory(PathBuf, std::io::Error),
    /// Two nodes would remove each other's copies.
    #[error("the cache directory {0} is in use by another node; give each its own --cache-dir")]
    InUse(PathBuf),
}

/// Counters, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Copies there now.
    pub copies: u64,
    /// Bytes that they take up on disk, each rounded up to whole blocks of the file system.
    pub bytes: u64,
    /// Media bytes written.
    pub written: u64,
    /// Media bytes read and found true.
    pub read: u64,
    /// Copies removed because they weren't true.
    pub damaged: u64,
    /// Copies not kept: the disk was too slow, or full.
    pub lost: u64,
}

/// What the cache and its writer share.
#[derive(Debug)]
struct Shared {
    files: Files,
    index: Mutex<Index>,
    waiting: AtomicU64,
    written: AtomicU64,
    read: AtomicU64,
    damaged: AtomicU64,
    lost: AtomicU64,
}

/// A node's copies, of all its streams. Dropping the last handle waits until what is to be written is.
#[derive(Debug)]
pub struct Cache {
    shared: Arc<Shared>,
    writer: Writer,
    publisher: PublisherKey,
    /// Held for as long as we use the directory.
    _lock: File,
}

impl Cache {
    /// Finds the copies that are there. Those signed with another key than `publisher` count for nothing once they are looked at.
    pub fn open(config: &CacheConfig, publisher: PublisherKey) -> Result<Self, CacheError> {
        let wrong = |error| CacheError::Directory(config.dir.clone(), error);
        let files = Files::open(&config.dir).map_err(wrong)?;
        let lock = files.lock().map_err(wrong)?.ok_or_else(|| CacheError::InUse(config.dir.clone()))?;
        let limits = Limits { bytes: config.budget, copies: MAX_COPIES, keep: config.keep };
        let mut index = Index::new(limits);
        files.tidy().map_err(wrong)?;
        let mut found = files.scan().map_err(wrong)?;
        // As if each had been used last when it was made.
        found.sort_by_key(|(_, _, made)| *made);
        let mut surplus = Vec::new();
        for (name, bytes, made) in found {
            surplus.extend(index.insert(name, bytes, made).unwrap_or_else(|| vec![name]));
        }
        surplus.extend(index.expired(SystemTime::now()));
        surplus.iter().for_each(|name| files.remove(name));
        tracing::info!(
            directory = %config.dir.display(), copies = index.len(), bytes = index.bytes(),
            "copies found on disk"
        );
        let shared = Arc::new(Shared {
            files,
            index: Mutex::new(index),
            waiting: AtomicU64::default(),
            written: AtomicU64::default(),
            read: AtomicU64::default(),
            damaged: AtomicU64::default(),
            lost: AtomicU64::default(),
        });
        let writer = Writer::start(Arc::clone(&shared), config.keep).map_err(wrong)?;
        Ok(Self { shared, writer, publisher, _lock: lock })
    }

    /// What became of it so far.
    pub fn stats(&self) -> CacheStats {
        let (copies, bytes) = {
            let index = self.shared.index();
            (index.len() as u64, index.bytes())
        };
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let shared = &self.shared;
        CacheStats {
            copies,
            bytes,
            written: of(&shared.written),
            read: of(&shared.read),
            damaged: of(&shared.damaged),
            lost: of(&shared.lost),
        }
    }

    /// Waits until everything handed over so far is on disk.
    pub fn flush(&self) {
        self.writer.flush();
    }

    fn fetch(&self, wanted: &Wanted) -> Option<(SegmentDigest, Bytes)> {
        let name = Name { swarm: wanted.swarm, key: wanted.key };
        let made = self.shared.index().touch(&name)?;
        // A clock that was set back makes nothing older.
        let age = SystemTime::now().duration_since(made).unwrap_or_default();
        if wanted.oldest.is_some_and(|oldest| age > oldest) {
            return None;
        }
        let file = self.shared.files.read(&name);
        let record = file.ok().and_then(|file| record::Record::read(&file, self.publisher));
        let Some(record) = record.filter(|record| record.is_of(&name)) else {
            self.shared.damaged.fetch_add(1, Relaxed);
            tracing::warn!(file = %self.shared.files.path(&name).display(), "a copy isn't what it was; removed");
            self.writer.remove(name);
            return None;
        };
        let fits = record.place == wanted.place && record.digest.duration_ms == wanted.duration_ms;
        if fits {
            self.shared.read.fetch_add(record.body.len() as u64, Relaxed);
        }
        fits.then_some((record.digest, record.body))
    }
}

impl Copies for Cache {
    fn length(&self, swarm: SwarmId, key: SegmentKey) -> Option<u64> {
        self.shared.index().length(&Name { swarm, key })
    }

    fn read(&self, wanted: &Wanted) -> Option<(SegmentDigest, Bytes)> {
        self.fetch(wanted)
    }

    fn keep(&self, place: Place, digest: &SegmentDigest, body: &Bytes) {
        self.writer.write(place, digest, body);
    }

    fn forget(&self, swarm: SwarmId, key: SegmentKey) {
        self.writer.remove(Name { swarm, key });
    }

    fn place(&self, swarm: SwarmId, ours: Ours) {
        self.shared.index().place(swarm, ours);
    }
}

impl Shared {
    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that a user may still write where the directory lies, or is to be made.
pub fn free(dir: &Path) -> std::io::Result<u64> {
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(dir);
    let stat = rustix::fs::statvfs(there)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests;
