//! All of one stream: its files, its playlists' timelines, its manifests. Pure: what has to be done on disk is left in an outbox.

mod journal;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

pub use journal::Line;

use super::name::FilePath;
use super::pushed::Pushed;
use super::timeline::{Entry, Head, Lookup, MAX_ENTRIES, Taken, Timeline};

/// Most media playlists of a stream.
pub const MAX_PLAYLISTS: usize = 64;
/// Most multivariant playlists and DASH manifests of a stream.
pub const MAX_MANIFESTS: usize = 16;
/// Most files of a stream.
pub const MAX_FILES: usize = 200_000;
/// Lives of an encoder whose files can still be had by their plain names.
const MAX_RUNS: usize = 8;
/// What a playlist names and doesn't come within this is lost. Uploads and playlists travel on connections of their own.
const PATIENCE: Duration = Duration::from_secs(3);
/// A file that no playlist has named is kept for so long at least: the playlist comes behind it.
const LOOSE: Duration = Duration::from_secs(60);
/// An encoder that has pushed nothing for so long isn't there.
pub const IDLE: Duration = Duration::from_secs(60);

/// A media file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    bytes: u64,
    arrived_ms: u64,
    /// Entries that name it.
    named: u32,
    /// It begins every rendition's playback (`ftyp`), so it isn't old while the encoder lives.
    is_init: bool,
}

/// A life of the encoder, as far as names go: within one, a name stands for one file.
#[derive(Clone, Debug, Default)]
struct Run {
    id: u64,
    names: HashMap<FilePath, FilePath>,
}

#[derive(Debug, Default)]
struct Feed {
    timeline: Timeline,
    /// A playlist that names what isn't there yet, and since when.
    waiting: Option<(Pushed, u64)>,
    /// The place among all requests of the one that brought the newest.
    serial: u64,
}

/// What has become of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Taken,
    /// One that was sent later has come before it.
    Overtaken,
    /// There are too many.
    Full,
}

/// What is left to be done.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be written down.
    pub lines: Vec<Line>,
    /// To be removed, with their bytes.
    pub gone: Vec<(FilePath, u64)>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Stream {
    files: HashMap<FilePath, File>,
    by_age: BTreeSet<(u64, FilePath)>,
    runs: VecDeque<Run>,
    feeds: BTreeMap<FilePath, Feed>,
    /// With the place of the request that brought it among all.
    manifests: BTreeMap<FilePath, (u64, String)>,
    /// Being uploaded now, by the encoder's names.
    coming: HashMap<FilePath, u32>,
    pushed_ms: u64,
    /// What is left to be done.
    pub outbox: Outbox,
}

impl Stream {
    /// An upload has begun.
    pub fn arriving(&mut self, name: &FilePath, now_ms: u64) {
        self.pushed_ms = now_ms;
        *self.coming.entry(name.clone()).or_default() += 1;
    }

    /// An upload has ended, well or not. Told back: playlists that have changed by it.
    pub fn left(&mut self, name: &FilePath, now_ms: u64) -> Vec<FilePath> {
        if let Some(count) = self.coming.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                self.coming.remove(name);
            }
        }
        self.retry(now_ms)
    }

    /// Files there, and being uploaded.
    pub fn file_count(&self) -> usize {
        self.files.len() + self.coming.len()
    }

    /// Nothing is there.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.coming.is_empty()
    }

    /// Whether no encoder is there.
    pub fn is_idle(&self, now_ms: u64) -> bool {
        self.coming.is_empty() && now_ms.saturating_sub(self.pushed_ms) > millis(IDLE)
    }

    /// A whole file lies under its public name.
    pub fn arrived(&mut self, name: &FilePath, public: &FilePath, bytes: u64, is_init: bool, now_ms: u64) {
        self.pushed_ms = now_ms;
        let replaces =
            self.runs.back().is_some_and(|run| run.names.get(name).is_some_and(|known| known != public));
        if self.runs.is_empty() || replaces {
            // Two within a millisecond would be one.
            let id = self.runs.back().map_or(now_ms, |run| now_ms.max(run.id + 1));
            self.runs.push_back(Run { id, names: HashMap::new() });
            self.join_oldest_runs();
        }
        let run = self.runs.back().map_or(0, |run| run.id);
        self.put(run, name, public, File { bytes, arrived_ms: now_ms, named: 0, is_init });
        let (name, file) = (name.as_str().to_owned(), public.as_str().to_owned());
        self.outbox.lines.push(Line::File { run, name, file, init: is_init });
    }

    /// Few runs are told apart, for an encoder may use its names in turn. Whatever the oldest had is the next one's.
    fn join_oldest_runs(&mut self) {
        while self.runs.len() > MAX_RUNS
            && let Some(oldest) = self.runs.pop_front()
            && let Some(next) = self.runs.front_mut()
        {
            for (name, file) in oldest.names {
                next.names.entry(name).or_insert(file);
            }
        }
    }

    fn put(&mut self, run: u64, name: &FilePath, public: &FilePath, file: File) {
        if let Some(run) = self.runs.iter_mut().find(|known| known.id == run) {
            run.names.insert(name.clone(), public.clone());
        }
        let named = self.files.get(public).map_or(0, |known| known.named);
        if let Some(old) = self.files.insert(public.clone(), File { named, ..file }) {
            self.by_age.remove(&(old.arrived_ms, public.clone()));
        }
        self.by_age.insert((file.arrived_ms, public.clone()));
    }

    /// Whether this file is there.
    pub fn has(&self, public: &FilePath) -> bool {
        self.files.contains_key(public)
    }

    /// The public name that a name stands for: in a run and the ones before it, or in the newest.
    pub fn public(&self, name: &FilePath, run: Option<u64>) -> Option<&FilePath> {
        let runs = self.runs.iter().rev().filter(|known| run.is_none_or(|run| known.id <= run));
        let named = runs.filter_map(|run| run.names.get(name)).next();
        named.or_else(|| self.files.get_key_value(name).map(|(public, _)| public))
    }

    /// The newest run.
    pub fn run(&self) -> Option<u64> {
        self.runs.back().map(|run| run.id)
    }

    /// Takes a multivariant playlist or a DASH manifest.
    pub fn manifest(&mut self, path: &FilePath, text: String, serial: u64, now_ms: u64) -> Put {
        self.pushed_ms = self.pushed_ms.max(now_ms);
        match self.manifests.get(path) {
            Some((known, _)) if *known > serial => return Put::Overtaken,
            None if self.manifests.len() >= MAX_MANIFESTS => return Put::Full,
            _ => {}
        }
        self.manifests.insert(path.clone(), (serial, text));
        Put::Taken
    }

    /// See [`manifest`](Self::manifest).
    pub fn manifest_text(&self, path: &FilePath) -> Option<&str> {
        self.manifests.get(path).map(|(_, text)| text.as_str())
    }

    /// Takes a media playlist, unless one that was sent later has come. Told back: whether it has changed; `None` if there are too many.
    pub fn playlist(&mut self, path: &FilePath, pushed: Pushed, serial: u64, now_ms: u64) -> Option<bool> {
        self.pushed_ms = now_ms;
        if self.feeds.len() >= MAX_PLAYLISTS && !self.feeds.contains_key(path) {
            return None;
        }
        let feed = self.feeds.entry(path.clone()).or_default();
        if serial < feed.serial {
            return Some(false);
        }
        feed.serial = serial;
        feed.waiting = Some(match feed.waiting.take() {
            None => (pushed, now_ms),
            Some((earlier, since)) => (pushed.after(earlier), since),
        });
        Some(self.take(path, now_ms))
    }

    /// Looks again at playlists that named what wasn't there yet. Told back: those that have changed.
    pub fn retry(&mut self, now_ms: u64) -> Vec<FilePath> {
        let waiting: Vec<FilePath> = self
            .feeds
            .iter()
            .filter(|(_, feed)| feed.waiting.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        waiting.into_iter().filter(|path| self.take(path, now_ms)).collect()
    }

    fn take(&mut self, path: &FilePath, now_ms: u64) -> bool {
        let Some(mut feed) = self.feeds.remove(path) else { return false };
        let Some((pushed, since)) = feed.waiting.take() else { return false };
        let before = (feed.timeline.head().clone(), feed.timeline.has_ended(now_ms));
        let patient = now_ms.saturating_sub(since) < millis(PATIENCE);
        let Taken { added, waits, .. } =
            feed.timeline.take(&pushed, |uri| self.look_up(path, uri), patient, now_ms);
        // The rest follows from the entries.
        let head = feed.timeline.head();
        let moved = Head { next: head.next, discontinuity: head.discontinuity, life: head.life, ..before.0 };
        if *head != moved {
            self.outbox.lines.push(Line::Head(path.as_str().to_owned(), feed.timeline.head().clone()));
        }
        let entries = feed.timeline.entries();
        for entry in entries.range(entries.len() - added..) {
            for file in named(entry) {
                if let Some(file) = self.files.get_mut(&file) {
                    file.named += 1;
                }
            }
            self.outbox.lines.push(Line::Entry(path.as_str().to_owned(), entry.clone()));
        }
        if waits {
            // A new patience for what comes next.
            feed.waiting = Some((pushed, if added > 0 { now_ms } else { since }));
        }
        let changed = added > 0 || feed.timeline.has_ended(now_ms) != before.1;
        while feed.timeline.entries().len() > MAX_ENTRIES {
            self.forget_first(&mut feed.timeline);
        }
        self.feeds.insert(path.clone(), feed);
        changed
    }

    fn look_up(&self, playlist: &FilePath, uri: &str) -> Lookup {
        let Some(Ok(name)) = playlist.join(uri) else { return Lookup::Missing };
        if self.coming.contains_key(&name) {
            return Lookup::Coming;
        }
        let newest = self.runs.back().is_some_and(|run| run.names.contains_key(&name));
        let is_plain = self.runs.iter().any(|run| run.names.contains_key(&name));
        match self.public(&name, None).cloned() {
            None => Lookup::Missing,
            Some(file) if is_plain && !newest => Lookup::Former(file),
            Some(file) => Lookup::There(file),
        }
    }

    /// A media playlist as it is served. `root` is the stream's place among URLs.
    pub fn render(
        &self,
        path: &FilePath,
        window: Option<Duration>,
        root: &str,
        now_ms: u64,
    ) -> Option<String> {
        let feed = self.feeds.get(path)?;
        let timeline = &feed.timeline;
        (!timeline.entries().is_empty()).then(|| timeline.render(window, path.folder(), root, now_ms))
    }

    /// Segments retained, and how long they play, of the playlist that has most.
    pub fn retained(&self) -> (usize, Duration) {
        let of = |feed: &Feed| {
            let entries = feed.timeline.entries();
            let played: u64 = entries.iter().map(|entry| u64::from(entry.duration_ms)).sum();
            (entries.len(), Duration::from_millis(played))
        };
        self.feeds.values().map(of).max().unwrap_or_default()
    }

    /// Lets go of what is older than `retain`.
    pub fn expire(&mut self, retain: Duration, now_ms: u64) {
        let oldest = now_ms.saturating_sub(millis(retain));
        let idle = self.is_idle(now_ms);
        let paths: Vec<FilePath> = self.feeds.keys().cloned().collect();
        for path in paths {
            let Some(mut feed) = self.feeds.remove(&path) else { continue };
            let timeline = &mut feed.timeline;
            while timeline.entries().front().is_some_and(|entry| {
                entry.added_ms.saturating_add(entry.duration_ms.into()) < oldest
                    && (idle || timeline.live_from() > 0)
            }) {
                self.forget_first(timeline);
            }
            self.feeds.insert(path, feed);
        }
        let loose = now_ms.saturating_sub(millis(retain.max(LOOSE)));
        let aged = self.by_age.iter().take_while(|(arrived, _)| *arrived < loose);
        let aged: Vec<FilePath> = aged.map(|(_, file)| file.clone()).collect();
        for file in aged {
            let unnamed = self.files.get(&file).is_some_and(|about| about.named == 0);
            if unnamed && !self.begins(&file, idle) {
                self.remove(&file);
            }
        }
    }

    /// The file that would be missed least, and when it came: none that a live viewer needs.
    pub fn oldest(&self, now_ms: u64) -> Option<(u64, FilePath)> {
        let idle = self.is_idle(now_ms);
        let dispensable = |(arrived, file): &&(u64, FilePath)| !self.is_needed(file, *arrived, idle, now_ms);
        self.by_age.iter().find(dispensable).cloned()
    }

    /// Lets go of a file, and of the segments up to it.
    pub fn evict(&mut self, file: &FilePath) {
        let paths: Vec<FilePath> = self.feeds.keys().cloned().collect();
        for path in paths {
            let Some(mut feed) = self.feeds.remove(&path) else { continue };
            let names = |entry: &Entry| named(entry).any(|of| of == *file);
            if let Some(last) = feed.timeline.entries().iter().rposition(names) {
                for _ in 0..=last {
                    self.forget_first(&mut feed.timeline);
                }
            }
            self.feeds.insert(path, feed);
        }
        self.remove(file);
    }

    fn is_needed(&self, file: &FilePath, arrived_ms: u64, idle: bool, now_ms: u64) -> bool {
        let about = self.files.get(file);
        let is_loose = about.is_some_and(|about| about.named == 0);
        if is_loose && now_ms.saturating_sub(arrived_ms) < millis(LOOSE) || self.begins(file, idle) {
            return true;
        }
        !idle
            && self.feeds.values().any(|feed| {
                let mut live = feed.timeline.entries().range(feed.timeline.live_from()..);
                live.any(|entry| named(entry).any(|of| of == *file))
            })
    }

    /// Whether playback begins with this file, of the encoder that is there now.
    fn begins(&self, file: &FilePath, idle: bool) -> bool {
        let is_init = self.files.get(file).is_some_and(|about| about.is_init);
        is_init && !idle && file.plain().is_some_and(|name| self.public(&name, None) == Some(file))
    }

    fn forget_first(&mut self, timeline: &mut Timeline) {
        let Some(entry) = timeline.pop_front() else { return };
        for file in named(&entry) {
            let Some(about) = self.files.get_mut(&file) else { continue };
            about.named = about.named.saturating_sub(1);
            if about.named == 0 && !about.is_init {
                self.remove(&file);
            }
        }
    }

    fn remove(&mut self, file: &FilePath) {
        let Some(about) = self.files.remove(file) else { return };
        self.by_age.remove(&(about.arrived_ms, file.clone()));
        if let Some(name) = file.plain() {
            for run in &mut self.runs {
                if run.names.get(&name) == Some(file) {
                    run.names.remove(&name);
                }
            }
        }
        self.outbox.gone.push((file.clone(), about.bytes));
    }

    /// Every file with its bytes.
    pub fn files(&self) -> impl Iterator<Item = (&FilePath, u64)> {
        self.files.iter().map(|(file, about)| (file, about.bytes))
    }
}

/// The files that a segment needs.
fn named(entry: &Entry) -> impl Iterator<Item = FilePath> {
    let map = entry.map.as_ref().map(|(_, file)| file);
    entry.file.iter().chain(map).filter_map(|file| FilePath::new(file).ok())
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
