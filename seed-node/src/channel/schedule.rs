//! A channel's schedule, as an operator writes it. Pure.
//!
//! ```toml
//! name = "retro"
//! start = "2026-01-01T00:00:00Z"
//! filler = "card/index.m3u8"
//!
//! [[item]]
//! file = "monday.mp4"
//! [[item]]
//! file = "news/index.m3u8"
//! at = "18:00"
//! ```

use std::path::{Path, PathBuf};

use rillcast_publisher::date::{date, offset_minutes};
use serde::Deserialize;
use thiserror::Error;

use crate::ingest::name::{NameError, StreamName};

/// Most items of a schedule.
pub const MAX_ITEMS: usize = 1000;

/// Why a schedule isn't usable.
#[derive(Debug, Error)]
pub enum ScheduleError {
    /// Not TOML, or other keys.
    #[error("{0}")]
    Toml(String),
    /// The name.
    #[error("name: {0}")]
    Name(#[from] NameError),
    /// Nothing to play.
    #[error("there is no [[item]]; give each file to play one")]
    Empty,
    /// Too much.
    #[error("{0} items, but at most {MAX_ITEMS} can be scheduled; make several channels")]
    TooMany(usize),
    /// The start.
    #[error("start {0:?} isn't a date and time; write 2026-01-01T00:00:00Z")]
    Start(String),
    /// A time of day.
    #[error("at {0:?} isn't a time of day; write 18:00 or 18:00:30")]
    At(String),
    /// The same twice.
    #[error("two items begin at {0}")]
    Twice(String),
    /// Where the day begins.
    #[error("items have a time of day, so say of which clock: utc-offset = \"+01:00\"")]
    NoOffset,
    /// Not an offset.
    #[error("utc-offset {0:?} isn't one; write +01:00")]
    Offset(String),
    /// The first item of a day.
    #[error("the first item needs a time of day (at), if others have one")]
    First,
    /// Mixed.
    #[error("loop and start are for schedules without times of day (at)")]
    Mixed,
    /// It would end.
    #[error("with loop = false something has to come after the last item; name a filler")]
    NoFiller,
}

/// What is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    name: String,
    start: Option<String>,
    #[serde(rename = "loop")]
    repeat: Option<bool>,
    utc_offset: Option<String>,
    filler: Option<PathBuf>,
    #[serde(default)]
    item: Vec<WrittenItem>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenItem {
    file: PathBuf,
    at: Option<String>,
}

/// When what is played. Films are numbers of [`Schedule::films`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All items in order, again and again from a moment on (milliseconds since 1970).
    Loop {
        /// From when on.
        start_ms: u64,
        /// Films.
        items: Vec<usize>,
    },
    /// All items once, and then the filler for good.
    Once {
        /// From when on.
        start_ms: u64,
        /// Films.
        items: Vec<usize>,
        /// Comes after them.
        filler: usize,
    },
    /// Each day the same: at times of day, what follows each until the next time, and the filler in between (the same again without one).
    Daily {
        /// What the local clock is ahead of UTC by, in minutes.
        offset_minutes: i64,
        /// Milliseconds of the day and films, in the order of their times.
        blocks: Vec<(u64, Vec<usize>)>,
        /// Fills gaps.
        filler: Option<usize>,
    },
}

/// A schedule that makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The channel's name among streams.
    pub name: StreamName,
    /// Its files, each once; relative ones are meant from the schedule's folder.
    pub films: Vec<PathBuf>,
    /// When they are played.
    pub plan: Plan,
}

impl Schedule {
    /// Reads one. `folder` is where its relative paths begin.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ScheduleError> {
        let written: Written = toml::from_str(text).map_err(|e| ScheduleError::Toml(e.to_string()))?;
        if written.item.is_empty() {
            return Err(ScheduleError::Empty);
        }
        if written.item.len() > MAX_ITEMS {
            return Err(ScheduleError::TooMany(written.item.len()));
        }
        let mut films = Vec::new();
        let mut film = |path: &Path| {
            let path = folder.join(path);
            films.iter().position(|known| *known == path).unwrap_or_else(|| {
                films.push(path);
                films.len() - 1
            })
        };
        let filler = written.filler.as_deref().map(&mut film);
        let plan = if written.item.iter().any(|item| item.at.is_some()) {
            if written.repeat.is_some() || written.start.is_some() {
                return Err(ScheduleError::Mixed);
            }
            let offset = written.utc_offset.ok_or(ScheduleError::NoOffset)?;
            let offset_minutes = offset_minutes(&offset).ok_or(ScheduleError::Offset(offset))?;
            let mut blocks: Vec<(u64, Vec<usize>)> = Vec::new();
            for item in &written.item {
                let film = film(&item.file);
                match (&item.at, blocks.last_mut()) {
                    (Some(at), _) => {
                        let time = of_day(at).ok_or_else(|| ScheduleError::At(at.clone()))?;
                        if blocks.iter().any(|(known, _)| *known == time) {
                            return Err(ScheduleError::Twice(at.clone()));
                        }
                        blocks.push((time, vec![film]));
                    }
                    (None, Some((_, films))) => films.push(film),
                    (None, None) => return Err(ScheduleError::First),
                }
            }
            blocks.sort_by_key(|(time, _)| *time);
            Plan::Daily { offset_minutes, blocks, filler }
        } else {
            let start_ms = match written.start {
                None => 0,
                Some(text) => date(&text).ok_or(ScheduleError::Start(text))?,
            };
            let items = written.item.iter().map(|item| film(&item.file)).collect();
            match (written.repeat.unwrap_or(true), filler) {
                (true, _) => Plan::Loop { start_ms, items },
                (false, Some(filler)) => Plan::Once { start_ms, items, filler },
                (false, None) => return Err(ScheduleError::NoFiller),
            }
        };
        Ok(Self { name: StreamName::new(&written.name)?, films, plan })
    }
}

/// `18:00` or `18:00:30`, in milliseconds of the day.
fn of_day(text: &str) -> Option<u64> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.len() != 2) {
        return None;
    }
    let number = |at: usize, limit: u64| {
        let part = parts.get(at).copied().unwrap_or("00");
        part.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| part.parse().ok())
            .flatten()
            .filter(|n: &u64| *n < limit)
    };
    Some(1000 * (3600 * number(0, 24)? + 60 * number(1, 60)? + number(2, 60)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        Schedule::parse(&format!("name = \"tv\"\n{text}"), Path::new("/films"))
    }

    #[test]
    fn each_kind_of_schedule_is_read() {
        let items =
            "[[item]]\nfile = \"a.mp4\"\n[[item]]\nfile = \"/b/index.m3u8\"\n[[item]]\nfile = \"a.mp4\"\n";
        let plain = parse(&format!("start = \"1970-01-01T00:01:00Z\"\n{items}")).expect("a loop");
        assert_eq!(plain.films, [Path::new("/films/a.mp4"), Path::new("/b/index.m3u8")]);
        assert_eq!(plain.plan, Plan::Loop { start_ms: 60_000, items: vec![0, 1, 0] });
        let once = parse(&format!("loop = false\nfiller = \"f.mp4\"\n{items}")).expect("once");
        assert_eq!(once.plan, Plan::Once { start_ms: 0, items: vec![1, 2, 1], filler: 0 });
        let daily = "utc-offset = \"-03:30\"\n[[item]]\nfile = \"a\"\nat = \"18:00\"\n[[item]]\nfile = \"b\"\n[[item]]\nfile = \"c\"\nat = \"06:00:01\"\n";
        let daily = parse(daily).expect("a day");
        let blocks = vec![(21_601_000, vec![2]), (64_800_000, vec![0, 1])];
        assert_eq!(daily.plan, Plan::Daily { offset_minutes: -210, blocks, filler: None });
    }

    #[test]
    fn what_is_wrong_is_named() {
        let timed = "[[item]]\nfile = \"a\"\nat = \"18:00\"\n";
        for (text, word) in [
            ("", "[[item]]"),
            ("nonsense = 1\n[[item]]\nfile = \"a\"\n", "nonsense"),
            ("start = \"soon\"\n[[item]]\nfile = \"a\"\n", "2026-01-01"),
            ("loop = false\n[[item]]\nfile = \"a\"\n", "filler"),
            (timed, "utc-offset"),
            (&format!("utc-offset = \"CET\"\n{timed}"), "+01:00"),
            (&format!("utc-offset = \"+01:00\"\n{timed}{timed}"), "18:00"),
            (&format!("utc-offset = \"+01:00\"\n[[item]]\nfile = \"b\"\n{timed}"), "first"),
            (&format!("utc-offset = \"+01:00\"\nloop = true\n{timed}"), "loop"),
            (&format!("utc-offset = \"+01:00\"\n{}", timed.replace("18:00", "24:00")), "time of day"),
        ] {
            let said = parse(text).expect_err(text).to_string();
            assert!(said.contains(word), "{said}");
        }
        assert!(Schedule::parse("name = \"../x\"\n[[item]]\nfile = \"a\"\n", Path::new("/")).is_err());
        for wrong in ["1:00", "18:0", "18", "18:60", "18:00:60", "+8:00", "18:00:00:00", ""] {
            assert_eq!(of_day(wrong), None, "{wrong}");
        }
        for (count, good) in [(MAX_ITEMS - 1, true), (MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
            assert_eq!(parse(&"[[item]]\nfile = \"a\"\n".repeat(count)).is_ok(), good, "{count}");
        }
    }
}
