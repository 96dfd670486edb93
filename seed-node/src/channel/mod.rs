//! A linear channel: a live playlist, made of finished films by a schedule and the clock.
//!
//! - [`schedule`]: what an operator writes; pure
//! - [`playout`]: which segment is on the air; pure
//! - [`film`]: finished HLS on disk; [`package`]: makes that of other files, with ffmpeg

pub mod film;
pub mod package;
pub mod playout;
pub mod schedule;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rillcast_publisher::playlist::MAX_SEGMENTS;
use thiserror::Error;

use crate::ingest::library::Found;
use crate::ingest::name::{FilePath, StreamName};
use crate::ingest::timeline::{Entry, Head, Timeline};
use film::{Film, FilmError};
use package::PackageError;
use playout::{Playout, PlayoutError};
use schedule::{Schedule, ScheduleError};

/// Segments of the live window.
const WINDOW: usize = 6;
/// Most channels of a node.
pub const MAX_CHANNELS: usize = 16;
/// Where packaged films lie, in the directory of pushed streams: no stream can have this name.
const FILMS: &str = ".films";
const PLAYLIST: &str = "index.m3u8";

/// Why a channel can't be played.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// No schedule.
    #[error("can't read the schedule {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// A wrong one.
    #[error("{0}: {1}")]
    Schedule(PathBuf, ScheduleError),
    /// A film.
    #[error("{0}: {1}")]
    Film(PathBuf, FilmError),
    /// A file that can't be made a film.
    #[error("{0}: {1}")]
    Package(PathBuf, PackageError),
    /// The plan.
    #[error("{0}: {1}")]
    Playout(PathBuf, PlayoutError),
    /// The same twice.
    #[error("two channels are called {0}")]
    Twice(StreamName),
    /// Too many.
    #[error("{0} channels, but one node plays at most {MAX_CHANNELS}; start another node")]
    TooMany(usize),
}

/// See the module.
#[derive(Debug)]
pub struct Channel {
    /// Its name among streams: it is found at `/NAME/index.m3u8`.
    pub name: StreamName,
    films: Vec<Film>,
    playout: Playout,
    target_s: u64,
    version: u32,
}

/// Reads a schedule.
pub fn read(path: &Path) -> Result<Schedule, ChannelError> {
    let text = std::fs::read_to_string(path).map_err(|e| ChannelError::Read(path.to_owned(), e))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Schedule::parse(&text, folder).map_err(|e| ChannelError::Schedule(path.to_owned(), e))
}

/// Opens channels by their schedules. Files that have to be packaged are, into `dir`; so this may take long, and blocks.
pub fn open(schedules: &[PathBuf], dir: &Path) -> Result<Vec<Channel>, ChannelError> {
    if schedules.len() > MAX_CHANNELS {
        return Err(ChannelError::TooMany(schedules.len()));
    }
    let mut channels: Vec<Channel> = Vec::new();
    for path in schedules {
        let channel = Channel::open(path, &dir.join(FILMS))?;
        if channels.iter().any(|known| known.name == channel.name) {
            return Err(ChannelError::Twice(channel.name));
        }
        channels.push(channel);
    }
    Ok(channels)
}

impl Channel {
    fn open(path: &Path, packaged: &Path) -> Result<Self, ChannelError> {
        let schedule = read(path)?;
        let mut films = Vec::new();
        for file in &schedule.films {
            let playlist = if package::is_needed(file) {
                package::package(file, packaged).map_err(|e| ChannelError::Package(path.to_owned(), e))?
            } else {
                file.clone()
            };
            films.push(Film::open(&playlist).map_err(|e| ChannelError::Film(path.to_owned(), e))?);
        }
        let durations: Vec<Vec<u32>> = films.iter().map(Film::durations).collect();
        let playout = Playout::new(&schedule.plan, &durations)
            .map_err(|e| ChannelError::Playout(path.to_owned(), e))?;
        let longest = durations.iter().flatten().max().copied().unwrap_or(0);
        let version = films.iter().map(|film| film.version).max().unwrap_or(3);
        Ok(Self { name: schedule.name, films, playout, target_s: u64::from(longest + 500) / 1000, version })
    }

    /// What is under a path of the channel. `window`: as much of the past. `root` is the channel's place among URLs.
    pub fn find(&self, path: &str, window: Option<Duration>, root: &str, now_ms: u64) -> Option<Found> {
        if path == PLAYLIST {
            let text = self.playlist(window, root, now_ms)?;
            return Some(Found::Text { text, content_type: "application/vnd.apple.mpegurl" });
        }
        let (id, file) = path.split_once('/')?;
        let film = self.films.iter().find(|film| film.id == id)?;
        let file = FilePath::new(file).ok()?;
        Some(Found::File { path: film.file(&file)?, content_type: file.content_type(), immutable: true })
    }

    /// Its playlist at a moment; the same of every node. `None` before the first segment.
    fn playlist(&self, window: Option<Duration>, root: &str, now_ms: u64) -> Option<String> {
        let next = self.playout.played(now_ms);
        let past_ms = window.map_or(0, |window| u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
        let mut entries = VecDeque::new();
        let mut played_ms = 0;
        for number in (next.saturating_sub(MAX_SEGMENTS as u64)..next).rev() {
            if entries.len() >= WINDOW && played_ms >= past_ms {
                break;
            }
            let entry = self.entry(number);
            played_ms += u64::from(entry.duration_ms);
            entries.push_front(entry);
        }
        if entries.is_empty() {
            return None;
        }
        let head = Head { version: self.version, target: self.target_s, window: WINDOW, ..Head::default() };
        Some(Timeline::restore(head, entries).render(window, "", root, now_ms))
    }

    fn entry(&self, number: u64) -> Entry {
        let on = self.playout.segment(number);
        let film = &self.films[on.film];
        let item = &film.items[on.piece];
        let map = item.map.as_ref().and_then(|line| {
            let uri = line.split_once("URI=\"")?.1.split('"').next()?;
            Some((line.clone(), format!("{}/{uri}", film.id)))
        });
        Entry {
            number,
            discontinuity: on.discontinuity,
            life: 0,
            sequence: number,
            file: Some(format!("{}/{}", film.id, item.uri)),
            lines: item.lines.clone(),
            duration_ms: item.duration_ms,
            date_ms: on.date_ms,
            added_ms: on.date_ms,
            keys: item.keys.clone(),
            map,
        }
    }
}
