//! One media playlist over all of an encoder's lives: what its playlists have named, in order, numbered through. Pure.
//!
//! An encoder's own numbers begin anew when it does; ours never go back, since peers and players know a segment by its number. What came from a new
//! life of the encoder stands behind a discontinuity. All that is retained is one long list, of which each playlist that is served is the end: live
//! and time-shifted viewers see the same numbers, so they are one swarm.

use std::collections::VecDeque;
use std::fmt::Write;
use std::time::Duration;

use rillcast_publisher::playlist::MAX_SEGMENTS;
use serde::{Deserialize, Serialize};

use super::name::FilePath;
use super::pushed::{Item, Pushed, written};

/// Most segments that are kept of a playlist: four days of four-second ones.
pub const MAX_ENTRIES: usize = 100_000;
/// Most segments that count as its live window: an encoder may list all that it ever made.
pub const MAX_WINDOW: usize = 64;
/// Least segments of a playlist that has had them, after an encoder began anew with a short list.
const MIN_WINDOW: usize = 3;
/// An encoder that says that it has ended may be one that is being restarted: viewers aren't told for so long.
pub const END_AFTER: Duration = Duration::from_secs(30);
/// A playlist that was overtaken by a newer one on its way is behind it by no more than this.
const OVERTAKEN: u64 = 2;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Ours.
    pub number: u64,
    /// Discontinuities before it, from the beginning.
    pub discontinuity: u64,
    /// Which life of the encoder.
    pub life: u64,
    /// The encoder's number.
    pub sequence: u64,
    /// Its file's public name; `None`: it never came, and is a gap.
    pub file: Option<String>,
    /// Its other tags, as they were pushed.
    pub lines: Vec<String>,
    /// Milliseconds.
    pub duration_ms: u32,
    /// When it was recorded, in milliseconds since 1970.
    pub date_ms: u64,
    /// When it was added, in milliseconds since 1970.
    pub added_ms: u64,
    /// Keys that count for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Its initialisation segment: the line as pushed, and the file's public name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<(String, String)>,
}

/// What is known of all of a playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The next segment's number, once there was one.
    pub next: Option<u64>,
    /// Discontinuities so far.
    pub discontinuity: u64,
    /// The encoder's lives so far.
    pub life: u64,
    /// `#EXT-X-VERSION`.
    pub version: u32,
    /// Seconds of the longest segment.
    pub target: u64,
    /// Segments of the live window.
    pub window: usize,
    /// Lines for all of it.
    pub lines: Vec<String>,
}

/// Whether a segment's file is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Under this public name.
    There(FilePath),
    /// Under this one, since before the encoder began to use its names anew: it may be about to push another.
    Former(FilePath),
    /// It is being uploaded.
    Coming,
    /// No.
    Missing,
}

/// What a playlist has brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Segments that are new.
    pub added: usize,
    /// The playlist names some that aren't there yet.
    pub waits: bool,
    /// It was overtaken by a newer one, and says nothing.
    pub stale: bool,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    entries: VecDeque<Entry>,
    head: Head,
    ended: Option<(u64, bool)>,
}

impl Timeline {
    /// As it was written down.
    pub fn restore(head: Head, entries: VecDeque<Entry>) -> Self {
        let mut timeline = Self { entries, head, ended: None };
        if let Some(last) = timeline.entries.back() {
            let head = &mut timeline.head;
            head.next = head.next.max(Some(last.number + 1));
            head.discontinuity = head.discontinuity.max(last.discontinuity);
            head.life = head.life.max(last.life);
        }
        timeline
    }

    /// All segments, oldest first.
    pub fn entries(&self) -> &VecDeque<Entry> {
        &self.entries
    }

    /// What is known of all.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes a playlist in. `find` tells of the file behind a URI; once `patient` is false, what isn't there counts as lost.
    pub fn take(
        &mut self,
        pushed: &Pushed,
        find: impl Fn(&str) -> Lookup,
        patient: bool,
        now_ms: u64,
    ) -> Taken {
        let mut taken = Taken::default();
        match self.relation(pushed, &find) {
            Relation::Continues => {}
            Relation::Stale => return Taken { stale: true, ..taken },
            Relation::Waits => return Taken { waits: true, ..taken },
            Relation::BeginsAnew => self.begin_anew(),
        }
        self.describe(pushed);
        let known = self.known();
        let fresh: Vec<&Item> =
            pushed.items.iter().filter(|item| known.is_none_or(|known| item.sequence > known)).collect();
        let mut left_ms: u64 = fresh.iter().map(|item| u64::from(item.duration_ms)).sum();
        for item in fresh {
            // Initialisation is pushed once, and segments' names may come round many times after it.
            let at = |line| match attribute(line, "URI").map_or(Lookup::Missing, &find) {
                Lookup::Former(file) => Lookup::There(file),
                found => found,
            };
            let map = item.map.as_deref().map(|line| (line, at(line)));
            let file = match (self.unless_used(find(&item.uri)), &map) {
                (_, Some((_, Lookup::Coming))) | (Lookup::Coming, _) => None,
                (_, Some((_, Lookup::Missing))) | (Lookup::Missing, _) if patient => None,
                (_, Some((_, Lookup::Missing))) | (Lookup::Missing, _) => Some(None),
                (Lookup::There(file) | Lookup::Former(file), _) => Some(Some(file)),
            };
            let Some(file) = file else {
                taken.waits = true;
                break;
            };
            let map = map.and_then(|(line, at)| match at {
                Lookup::There(file) | Lookup::Former(file) => {
                    Some((line.to_owned(), file.as_str().to_owned()))
                }
                Lookup::Coming | Lookup::Missing => None,
            });
            let played_ms = left_ms;
            left_ms -= u64::from(item.duration_ms);
            if file.is_none() && self.entries.is_empty() {
                continue;
            }
            self.add(item, file, map, now_ms, played_ms);
            taken.added += 1;
        }
        let ended = pushed.ended && !taken.waits;
        self.ended = if ended { self.ended.or(Some((now_ms, pushed.finite))) } else { None };
        taken
    }

    /// What is found for a new segment: a file that has been an earlier one, and hasn't been pushed again, isn't it, though it has the name.
    fn unless_used(&self, found: Lookup) -> Lookup {
        let used = |file: &FilePath| {
            self.entries.iter().rev().any(|entry| entry.file.as_deref() == Some(file.as_str()))
        };
        match found {
            Lookup::Former(file) if used(&file) => Lookup::Missing,
            found => found,
        }
    }

    /// The encoder's newest number in this life.
    fn known(&self) -> Option<u64> {
        self.entries.back().filter(|entry| entry.life == self.head.life).map(|entry| entry.sequence)
    }

    fn relation(&self, pushed: &Pushed, find: &impl Fn(&str) -> Lookup) -> Relation {
        // What a life has that has left nothing yet, is its beginning.
        let (Some(known), Some(newest)) = (self.known(), pushed.items.last()) else {
            return Relation::Continues;
        };
        let mut compared = false;
        for entry in self.entries.iter().rev().take_while(|entry| entry.life == self.head.life) {
            let Some(first) = pushed.items.first().map(|item| item.sequence) else { break };
            if entry.sequence < first {
                break;
            }
            let item = pushed.items.get((entry.sequence - first) as usize);
            let (Some(item), Some(file)) = (item, &entry.file) else { continue };
            match find(&item.uri) {
                Lookup::There(there) | Lookup::Former(there) if there.as_str() == file => compared = true,
                Lookup::There(_) | Lookup::Former(_) => return Relation::BeginsAnew,
                // Named by the old number, and new bytes on their way.
                Lookup::Coming => return Relation::Waits,
                // It has been retained for less long than the encoder lists it.
                Lookup::Missing => {}
            }
        }
        match newest.sequence {
            newest if newest >= known => Relation::Continues,
            newest if compared && newest + OVERTAKEN >= known => Relation::Stale,
            _ => Relation::BeginsAnew,
        }
    }

    fn begin_anew(&mut self) {
        self.head.life += 1;
        self.head.discontinuity += 1;
    }

    fn describe(&mut self, pushed: &Pushed) {
        let head = &mut self.head;
        head.version = head.version.max(pushed.version).max(3);
        head.target = head.target.max(pushed.target);
        head.window = head.window.max(pushed.listed).min(MAX_WINDOW);
        head.lines.clone_from(&pushed.head);
    }

    fn add(
        &mut self,
        item: &Item,
        file: Option<FilePath>,
        map: Option<(String, String)>,
        now_ms: u64,
        left_ms: u64,
    ) {
        let previous = self.entries.back().filter(|entry| entry.life == self.head.life);
        // A hole in the encoder's numbers is one in its time too.
        let follows = previous.is_none_or(|p| p.sequence + 1 == item.sequence);
        if previous.is_some() && (item.discontinuity || !follows) {
            self.head.discontinuity += 1;
        }
        let date_ms = match (item.date_ms, previous) {
            (Some(date), _) => date,
            (None, Some(p)) if follows => p.date_ms + u64::from(p.duration_ms),
            _ => now_ms.saturating_sub(left_ms),
        };
        let number = self.head.next.unwrap_or(item.sequence);
        self.head.next = Some(number + 1);
        self.head.target = self.head.target.max(u64::from(item.duration_ms + 500) / 1000);
        self.entries.push_back(Entry {
            number,
            discontinuity: self.head.discontinuity,
            life: self.head.life,
            sequence: item.sequence,
            file: file.map(|file| file.as_str().to_owned()),
            lines: item.lines.clone(),
            duration_ms: item.duration_ms,
            date_ms,
            added_ms: now_ms,
            keys: item.keys.clone(),
            map,
        });
    }

    /// The first segment of the live window.
    pub fn live_from(&self) -> usize {
        self.entries.len().saturating_sub(self.head.window.max(MIN_WINDOW))
    }

    /// Forgets the oldest segment.
    pub fn pop_front(&mut self) -> Option<Entry> {
        self.entries.pop_front()
    }

    /// The playlist as it is served: the live window, or as many of the newest segments as play for `window`. `folder` is where the
    /// playlist lies, `root` the stream's place among URLs.
    pub fn render(&self, window: Option<Duration>, folder: &str, root: &str, now_ms: u64) -> String {
        let from = match window {
            None => self.live_from(),
            Some(window) => self.back_to(window).min(self.live_from()),
        };
        let listed = || self.entries.range(from..);
        let head = &self.head;
        let target = head.target.max(1);
        let mut out = String::with_capacity(512 + 160 * listed().len());
        let first = self.entries.get(from).map_or(head.next.unwrap_or(0), |entry| entry.number);
        // Writing to a String can't fail.
        let _ = writeln!(
            out,
            "#EXTM3U\n#EXT-X-VERSION:{}\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:{first}",
            head.version.max(3)
        );
        let mut discontinuity =
            self.entries.get(from).map_or(head.discontinuity, |entry| entry.discontinuity);
        if discontinuity > 0 {
            let _ = writeln!(out, "#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity}");
        }
        for line in &head.lines {
            out.extend([line, "\n"]);
        }
        let (mut keys, mut map): (&[String], Option<&(String, String)>) = (&[], None);
        // When the next segment begins, if nothing is said of it.
        let mut expected = None;
        for entry in listed() {
            if entry.discontinuity != discontinuity {
                discontinuity = entry.discontinuity;
                out += "#EXT-X-DISCONTINUITY\n";
                expected = None;
            }
            if entry.keys != keys {
                keys = &entry.keys;
                if keys.is_empty() {
                    out += "#EXT-X-KEY:METHOD=NONE\n";
                }
                for line in keys {
                    out.extend([line, "\n"]);
                }
            }
            if entry.map.as_ref() != map
                && let Some((line, file)) = &entry.map
            {
                map = entry.map.as_ref();
                let _ = writeln!(out, "{}", with_uri(line, &place(file, folder, root)));
            }
            let ends = entry.date_ms + u64::from(entry.duration_ms);
            if expected.replace(ends) != Some(entry.date_ms) {
                let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", written(entry.date_ms));
            }
            for line in &entry.lines {
                out.extend([line, "\n"]);
            }
            match &entry.file {
                Some(file) => {
                    let _ = writeln!(out, "{}", place(file, folder, root));
                }
                None => {
                    let _ = writeln!(out, "#EXT-X-GAP\nlost-{}.ts", entry.number);
                }
            }
        }
        if self.has_ended(now_ms) {
            out += "#EXT-X-ENDLIST\n";
        }
        out
    }

    /// Whether viewers are told that nothing more comes.
    pub fn has_ended(&self, now_ms: u64) -> bool {
        self.ended.is_some_and(|(since, finite)| {
            finite || now_ms.saturating_sub(since) >= END_AFTER.as_millis() as u64
        })
    }

    fn back_to(&self, window: Duration) -> usize {
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let mut played = 0;
        let listed = self.entries.iter().rev().take(MAX_SEGMENTS).take_while(|entry| {
            let within = played < window;
            played += u64::from(entry.duration_ms);
            within
        });
        self.entries.len() - listed.count()
    }
}

/// How a playlist stands to what is known.
enum Relation {
    Continues,
    BeginsAnew,
    Stale,
    Waits,
}

/// A file's URL in a playlist of that folder.
fn place(file: &str, folder: &str, root: &str) -> String {
    match file.rsplit_once('/').unwrap_or(("", file)) {
        (of, name) if of == folder => name.to_owned(),
        _ => format!("{root}{file}"),
    }
}

/// The value of a quoted attribute.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

fn with_uri(line: &str, uri: &str) -> String {
    match attribute(line, "URI") {
        Some(old) => line.replacen(&format!("URI=\"{old}\""), &format!("URI=\"{uri}\""), 1),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
