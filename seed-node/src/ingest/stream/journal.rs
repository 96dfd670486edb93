//! What is written down of a stream, and how it becomes a stream again.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::{Feed, File, Run, Stream, named};
use crate::ingest::name::FilePath;
use crate::ingest::timeline::{Entry, Head, Timeline};

/// A line of the journal: what has to be known again after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// A file was uploaded.
    File {
        /// In which run.
        run: u64,
        /// What the encoder called it.
        name: String,
        /// Its public name.
        file: String,
        /// It begins playback.
        init: bool,
    },
    /// What is known of a playlist.
    Head(String, Head),
    /// A segment of a playlist.
    Entry(String, Entry),
}

impl Stream {
    /// As it was written down. `find` tells bytes and age of a file that is there.
    pub fn restore(lines: Vec<Line>, find: impl Fn(&FilePath) -> Option<(u64, u64)>) -> Self {
        let mut stream = Self::default();
        let mut feeds: BTreeMap<FilePath, (Head, VecDeque<Entry>)> = BTreeMap::new();
        for line in lines {
            match line {
                Line::File { run, name, file, init } => {
                    let (Ok(name), Ok(public)) = (FilePath::new(&name), FilePath::new(&file)) else {
                        continue;
                    };
                    let Some((bytes, arrived_ms)) = find(&public) else { continue };
                    if stream.runs.back().is_none_or(|last| last.id < run) {
                        stream.runs.push_back(Run { id: run, names: HashMap::new() });
                    }
                    stream.put(run, &name, &public, File { bytes, arrived_ms, named: 0, is_init: init });
                    stream.pushed_ms = stream.pushed_ms.max(arrived_ms);
                }
                Line::Head(path, head) => {
                    if let Ok(path) = FilePath::new(&path) {
                        feeds.entry(path).or_default().0 = head;
                    }
                }
                Line::Entry(path, entry) => {
                    if let Ok(path) = FilePath::new(&path) {
                        feeds.entry(path).or_default().1.push_back(entry);
                    }
                }
            }
        }
        stream.join_oldest_runs();
        for (path, (head, mut entries)) in feeds {
            // What was removed was the oldest. A hole elsewhere isn't ours; all before it goes too.
            let is_there = |entry: &Entry| named(entry).all(|file| stream.files.contains_key(&file));
            let from = entries.iter().rposition(|entry| !is_there(entry)).map_or(0, |lost| lost + 1);
            entries.drain(..from);
            for file in entries.iter().flat_map(named) {
                if let Some(file) = stream.files.get_mut(&file) {
                    file.named += 1;
                }
            }
            let timeline = Timeline::restore(head, entries);
            stream.feeds.insert(path, Feed { timeline, waiting: None, serial: 0 });
        }
        stream
    }

    /// All that has to be known again.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for run in &self.runs {
            let mut files: Vec<_> =
                run.names.iter().filter_map(|(n, f)| Some((n, f, self.files.get(f)?))).collect();
            files.sort_by_key(|(name, _, about)| (about.arrived_ms, *name));
            lines.extend(files.into_iter().map(|(name, file, about)| Line::File {
                run: run.id,
                name: name.as_str().to_owned(),
                file: file.as_str().to_owned(),
                init: about.is_init,
            }));
        }
        // Files of lives that are too long ago to be asked for by name.
        let known: std::collections::HashSet<&FilePath> =
            self.runs.iter().flat_map(|run| run.names.values()).collect();
        let old = self.by_age.iter().map(|(_, file)| file).filter(|file| !known.contains(file));
        let old: Vec<Line> = old
            .filter_map(|file| {
                let (name, file_name) = (file.plain()?.as_str().to_owned(), file.as_str().to_owned());
                Some(Line::File { run: 0, name, file: file_name, init: self.files.get(file)?.is_init })
            })
            .collect();
        lines.splice(0..0, old);
        for (path, feed) in &self.feeds {
            lines.push(Line::Head(path.as_str().to_owned(), feed.timeline.head().clone()));
            let entry = |entry: &Entry| Line::Entry(path.as_str().to_owned(), entry.clone());
            lines.extend(feed.timeline.entries().iter().map(entry));
        }
        lines
    }
}
