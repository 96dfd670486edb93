//! All streams with their files, within a budget of disk. Its methods that write may block.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::disk::Disk;
use super::name::{FilePath, StreamName};
use super::pushed::Pushed;
use super::refusal::Refusal;
use super::stream::{Line, MAX_FILES, Put, Stream};
use super::{Changes, Config, IngestError, now_ms};

/// Most streams of a node.
pub const MAX_STREAMS: usize = 64;
/// Most uploads at a time.
pub const MAX_UPLOADS: usize = 64;
/// What a file takes up at least, and a multiple of which.
pub const BLOCK: u64 = 4096;
/// Lines of a journal beyond what it needs, before it is written anew.
const SPARE_LINES: usize = 4096;

/// What is counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections open.
    pub connections: AtomicU64,
    /// Files uploaded, playlists too.
    pub uploads: AtomicU64,
    /// Their bytes.
    pub uploaded_bytes: AtomicU64,
    /// Pushes refused.
    pub refused: AtomicU64,
    /// Files removed to make room.
    pub evicted: AtomicU64,
    /// Requests answered to readers.
    pub served: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    stream: Stream,
    /// Lines of its journal, and when that is written anew.
    lines: usize,
    rewrite_at: usize,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<StreamName, Kept>,
    /// Bytes of disk, those of uploads under way included.
    used: u64,
    uploads: usize,
    serial: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Library {
    disk: Disk,
    budget: u64,
    retain: Duration,
    prefix: String,
    state: Mutex<State>,
    changes: broadcast::Sender<Arc<str>>,
    /// What is counted.
    pub tally: Tally,
}

/// What metrics show of a stream.
#[derive(Clone, Debug)]
pub struct StreamStats {
    /// Its name.
    pub name: String,
    /// Files.
    pub files: u64,
    /// Segments of the playlist that has most.
    pub segments: u64,
    /// How long they play.
    pub seconds: u64,
    /// An encoder is there.
    pub live: bool,
}

/// What is served under a path.
#[derive(Debug)]
pub enum Found {
    /// A file.
    File {
        /// Where it lies.
        path: PathBuf,
        /// What it is.
        content_type: &'static str,
        /// It will never be another one under this name.
        immutable: bool,
    },
    /// A playlist or manifest.
    Text {
        /// Its content.
        text: String,
        /// What it is.
        content_type: &'static str,
    },
}

/// A file that was uploaded whole.
#[derive(Debug)]
pub struct Whole {
    /// Where it lies for now.
    pub part: PathBuf,
    /// Of its bytes.
    pub hash: blake3::Hash,
    /// How many.
    pub bytes: u64,
    /// Playback begins with it.
    pub is_init: bool,
}

impl Library {
    /// Opens the directory with what lies there.
    pub fn open(config: &Config) -> Result<Self, IngestError> {
        let cant = |error| IngestError::Directory(config.dir.clone(), error);
        let disk =
            Disk::open(&config.dir).map_err(cant)?.ok_or_else(|| IngestError::Taken(config.dir.clone()))?;
        let mut state = State::default();
        for name in disk.streams().map_err(cant)? {
            let lying = disk.read(&name).map_err(cant)?;
            let mut stream = Stream::restore(lying.lines, |file| lying.files.get(file).copied());
            for (path, text) in lying.manifests {
                stream.manifest(&path, text, 0, 0);
            }
            for file in lying.files.keys().filter(|file| !stream.has(file)) {
                disk.remove(&name, file);
            }
            state.used += stream.files().map(|(_, bytes)| rounded(bytes)).sum::<u64>();
            let lines = stream.lines();
            state.serial += 1;
            disk.rewrite(&name, &lines, state.serial).map_err(cant)?;
            let kept = Kept { stream, lines: lines.len(), rewrite_at: 2 * lines.len() + SPARE_LINES };
            state.streams.insert(name, kept);
        }
        let (changes, _) = broadcast::channel(Changes::ROOM);
        let (budget, retain, prefix) = (config.budget, config.retain, config.prefix.clone());
        let library =
            Self { disk, budget, retain, prefix, state: Mutex::new(state), changes, tally: Tally::default() };
        {
            // The budget may have been lowered.
            let mut state = library.state();
            while state.used > budget && library.evict_one(&mut state, now_ms()) {}
        }
        Ok(library)
    }

    /// What playlists change, from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.changes.clone())
    }

    /// An upload of a media file begins. Told back: where to write it to.
    pub fn begin(&self, stream: &StreamName, name: &FilePath) -> Result<PathBuf, Refusal> {
        let now = now_ms();
        let mut state = self.state();
        if state.uploads >= MAX_UPLOADS {
            return Err(Refusal::Busy);
        }
        self.room_for(&mut state, stream, now)?;
        state.serial += 1;
        let part = self.disk.part(stream, state.serial)?;
        let kept = state.streams.entry(stream.clone()).or_default();
        if kept.stream.file_count() >= MAX_FILES {
            return Err(Refusal::Files);
        }
        kept.stream.arriving(name, now);
        state.uploads += 1;
        Ok(part)
    }

    fn room_for(&self, state: &mut State, stream: &StreamName, now: u64) -> Result<(), Refusal> {
        if state.streams.contains_key(stream) || state.streams.len() < MAX_STREAMS {
            return Ok(());
        }
        let over = |kept: &Kept| kept.stream.is_empty() && kept.stream.is_idle(now);
        let name = state.streams.iter().find(|(_, kept)| over(kept)).map(|(name, _)| name.clone());
        let name = name.ok_or(Refusal::Streams)?;
        state.streams.remove(&name);
        self.disk.forget(&name);
        Ok(())
    }

    /// Takes so many bytes of the budget, and lets go of what is old for them.
    pub fn reserve(&self, bytes: u64) -> Result<(), Refusal> {
        let mut state = self.state();
        while state.used + bytes > self.budget {
            if !self.evict_one(&mut state, now_ms()) {
                return Err(Refusal::Full);
            }
        }
        state.used += bytes;
        Ok(())
    }

    fn evict_one(&self, state: &mut State, now: u64) -> bool {
        let oldest = |(name, kept): (&StreamName, &Kept)| {
            kept.stream.oldest(now).map(|(arrived, file)| (arrived, name.clone(), file))
        };
        let Some((_, name, file)) = state.streams.iter().filter_map(oldest).min() else { return false };
        if let Some(kept) = state.streams.get_mut(&name) {
            kept.stream.evict(&file);
        }
        self.tally.evicted.fetch_add(1, Relaxed);
        self.settle(state, &name);
        true
    }

    /// An upload is complete. `reserved` was taken of the budget for it.
    pub fn complete(
        &self,
        stream: &StreamName,
        name: &FilePath,
        whole: &Whole,
        reserved: u64,
    ) -> Result<(), Refusal> {
        let Whole { part, hash, bytes, is_init } = whole;
        let (public, bytes) = (name.versioned(hash), *bytes);
        let now = now_ms();
        let mut state = self.state();
        state.uploads -= 1;
        let placed = self.disk.place(stream, part, &public);
        state.used = state.used.saturating_sub(reserved);
        let Some(kept) = state.streams.get_mut(stream) else { return Err(Refusal::Nothing) };
        if placed.is_ok() {
            // The same bytes may have been there before.
            let known = kept.stream.has(&public);
            kept.stream.arrived(name, &public, bytes, *is_init, now);
            if !known {
                state.used += rounded(bytes);
            }
        }
        self.ended(&mut state, stream, name, now);
        self.tally.uploads.fetch_add(1, Relaxed);
        self.tally.uploaded_bytes.fetch_add(bytes, Relaxed);
        Ok(placed?)
    }

    /// An upload is given up, with the bytes reserved for it.
    pub fn abandon(&self, stream: &StreamName, name: &FilePath, part: &Path, reserved: u64) {
        let _ = std::fs::remove_file(part);
        let mut state = self.state();
        state.uploads -= 1;
        state.used = state.used.saturating_sub(reserved);
        self.ended(&mut state, stream, name, now_ms());
    }

    fn ended(&self, state: &mut State, stream: &StreamName, name: &FilePath, now: u64) {
        let changed = state.streams.get_mut(stream).map(|kept| kept.stream.left(name, now));
        self.settle(state, stream);
        self.tell(stream, changed.unwrap_or_default());
    }

    /// Takes a media playlist, unless one that was sent later is there.
    pub fn playlist(
        &self,
        stream: &StreamName,
        path: &FilePath,
        pushed: Pushed,
        serial: u64,
    ) -> Result<(), Refusal> {
        for item in &pushed.items {
            match path.join(&item.uri) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Refusal::Elsewhere(item.uri.clone())),
            }
        }
        let now = now_ms();
        let mut state = self.state();
        self.room_for(&mut state, stream, now)?;
        let kept = state.streams.entry(stream.clone()).or_default();
        let changed = kept.stream.playlist(path, pushed, serial, now).ok_or(Refusal::Playlists)?;
        self.settle(&mut state, stream);
        if changed {
            self.tell(stream, vec![path.clone()]);
        }
        self.tally.uploads.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Takes a multivariant playlist or a DASH manifest, unless one that was sent later is there.
    pub fn manifest(
        &self,
        stream: &StreamName,
        path: &FilePath,
        text: String,
        serial: u64,
    ) -> Result<(), Refusal> {
        let now = now_ms();
        let mut state = self.state();
        self.room_for(&mut state, stream, now)?;
        state.serial += 1;
        let part = state.serial;
        let kept = state.streams.entry(stream.clone()).or_default();
        match kept.stream.manifest(path, text.clone(), serial, now) {
            Put::Full => return Err(Refusal::Manifests),
            Put::Overtaken => {}
            Put::Taken => self.disk.manifest(stream, path, &text, part)?,
        }
        self.tally.uploads.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Where files lie whose names are the newest run's, for a DASH manifest that can't name each.
    pub fn run_folder(&self, stream: &StreamName) -> Option<String> {
        let run = self.state().streams.get(stream)?.stream.run()?;
        Some(format!("~{run}/"))
    }

    /// What is under a path of a stream. `window`: as much of the past of a playlist.
    pub fn find(&self, stream: &StreamName, path: &str, window: Option<Duration>) -> Option<Found> {
        let state = self.state();
        let kept = &state.streams.get(stream)?.stream;
        let (run, path) = match path.strip_prefix('~').and_then(|rest| rest.split_once('/')) {
            Some((run, rest)) => (Some(run.parse().ok()?), rest),
            None => (None, path),
        };
        let path = FilePath::new(path).ok()?;
        let content_type = path.content_type();
        let root = format!("{}{stream}/", self.prefix);
        if let Some(text) = kept.render(&path, window, &root, now_ms()) {
            return Some(Found::Text { text, content_type });
        }
        if let Some(text) = kept.manifest_text(&path) {
            return Some(Found::Text { text: text.to_owned(), content_type });
        }
        let public = kept.public(&path, run)?;
        let immutable = run.is_some() || *public == path;
        Some(Found::File { path: self.disk.media(stream, public), content_type, immutable })
    }

    /// Lets go of what is too old, and looks again at playlists that wait.
    pub fn tick(&self) {
        let now = now_ms();
        let mut state = self.state();
        let names: Vec<StreamName> = state.streams.keys().cloned().collect();
        for name in names {
            let Some(kept) = state.streams.get_mut(&name) else { continue };
            kept.stream.expire(self.retain, now);
            let changed = kept.stream.retry(now);
            self.settle(&mut state, &name);
            self.tell(&name, changed);
        }
    }

    /// What metrics show.
    pub fn stats(&self) -> (u64, Vec<StreamStats>) {
        let now = now_ms();
        let state = self.state();
        let of = |(name, kept): (&StreamName, &Kept)| {
            let (segments, played) = kept.stream.retained();
            StreamStats {
                name: name.to_string(),
                files: kept.stream.file_count() as u64,
                segments: segments as u64,
                seconds: played.as_secs(),
                live: !kept.stream.is_idle(now),
            }
        };
        (state.used, state.streams.iter().map(of).collect())
    }

    fn tell(&self, stream: &StreamName, changed: Vec<FilePath>) {
        for path in changed {
            // Nobody may be listening.
            let _ = self.changes.send(format!("{}{stream}/{path}", self.prefix).into());
        }
    }

    /// Does on disk what has been decided.
    fn settle(&self, state: &mut State, name: &StreamName) {
        let Some(kept) = state.streams.get_mut(name) else { return };
        let outbox = std::mem::take(&mut kept.stream.outbox);
        for (file, bytes) in &outbox.gone {
            self.disk.remove(name, file);
            state.used = state.used.saturating_sub(rounded(*bytes));
        }
        if outbox.lines.is_empty() {
            return;
        }
        let written = if kept.lines + outbox.lines.len() > kept.rewrite_at.max(SPARE_LINES) {
            let lines: Vec<Line> = kept.stream.lines();
            (kept.lines, kept.rewrite_at) = (lines.len(), 2 * lines.len() + SPARE_LINES);
            state.serial += 1;
            self.disk.rewrite(name, &lines, state.serial)
        } else {
            kept.lines += outbox.lines.len();
            self.disk.append(name, &outbox.lines)
        };
        if let Err(error) = written {
            tracing::error!(%error, stream = %name, "the journal can't be written: after a restart this stream will lack something");
        }
    }

    /// A poisoned state is whole enough: what it says of a file is looked up on disk.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn rounded(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests;
