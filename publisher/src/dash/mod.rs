//! What an MPD says (ISO/IEC 23009-1), as far as it concerns us: one [`Playlist`] for each Representation, as a media playlist of HLS is one, so that
//! whatever follows playlists needn't know which it is.
//!
//! - `xml`: the document, bounded
//! - `template`: names of segments; `timeline`: when they begin
//! - `read`: from elements to [`Mpd`]: what is inherited, and by which base
//! - `listing`: from a Representation and the time to its playlist
//! - [`urls`]: where URLs stand in the text
//!
//! Elements and attributes that we don't know are passed over; what breaks a rule that we depend on is refused whole. Remote elements
//! (`xlink:href`) aren't fetched, of several BaseURLs the first one counts, and `@availabilityTimeOffset` does not: a segment is there when
//! all of it is.

mod listing;
mod read;
mod template;
mod timeline;
pub mod urls;
mod xml;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use rillcast_protocol::id::TrackId;
use thiserror::Error;

use crate::playlist::{MAX_RENDITIONS, MAX_SEGMENTS, Playlist, RenditionKind};
use template::Template;
use timeline::Said;

pub use template::{MAX_LENGTH, MAX_PIECES, MAX_WIDTH};
pub use xml::{MAX_ATTRIBUTES, MAX_NAMESPACES, MAX_NODES};

/// Most Periods.
pub const MAX_PERIODS: usize = 256;
/// Longest `@id` of a Representation, in bytes; one that is longer isn't followed.
pub const MAX_ID: usize = 512;
/// Most segments of a live presentation, the newest: what is further back comes from the source.
pub const MAX_LIVE: usize = 2048;
/// However long an MPD says that it holds, it is looked at again after this.
pub const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// Why an MPD is of no use, or one of its Representations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MpdError {
    /// Not UTF-8, or something else than an MPD.
    #[error("not an MPD; check the URL")]
    NotMpd,
    /// Not XML, or with a document type.
    #[error("line {0}, column {1} isn't XML without a document type; check the packager's output")]
    Xml(u32, u32),
    /// More elements, attributes or namespaces than we read.
    #[error(
        "more than {MAX_NODES} nodes, {MAX_ATTRIBUTES} attributes of one element or {MAX_NAMESPACES} namespaces; shorten the MPD's window"
    )]
    TooMuch,
    /// More Periods than we follow.
    #[error("more than {MAX_PERIODS} Periods; shorten the MPD's window")]
    TooManyPeriods,
    /// More segments than we follow.
    #[error("more than {MAX_SEGMENTS} segments in a Representation; make them longer")]
    TooLong,
    /// An attribute that is missing or can't be read.
    #[error("@{0} is missing or can't be read; check the packager's output")]
    Attribute(&'static str),
    /// A URL.
    #[error("a BaseURL, Location or segment's URL can't be read; check the packager's output")]
    Url,
    /// A template.
    #[error("a segment's template names something unknown, or is too long; check the packager's output")]
    Template,
    /// How long something lasts is nowhere said.
    #[error(
        "it isn't said when a Period ends; have the packager give @mediaPresentationDuration or Period@duration"
    )]
    NoEnd,
    /// No Representation of that name.
    #[error("the MPD has no such Representation (any more)")]
    Unknown,
    /// Its segments stand in an index inside of the media.
    #[error(
        "a Representation that is one file with an index of its own (SegmentBase) comes from the source, not from peers; package with SegmentTemplate \
         or SegmentList to share it"
    )]
    SingleFile,
}

/// An MPD, found at some place and read.
#[derive(Clone, Debug)]
pub struct Mpd {
    is_live: bool,
    /// Milliseconds since 1970.
    available_from_ms: u64,
    window_us: Option<u64>,
    update_us: Option<u64>,
    longest_us: Option<u64>,
    periods: Vec<Period>,
    moved: Option<Url>,
}

#[derive(Clone, Debug)]
struct Period {
    start_us: u64,
    /// None where it is still going on, or nothing is said.
    end_us: Option<u64>,
    representations: Vec<Representation>,
}

#[derive(Clone, Debug)]
struct Representation {
    id: Arc<str>,
    kind: RenditionKind,
    base: Url,
    timescale: u64,
    /// Of the presentation; in the timescale's units.
    offset: u64,
    segments: Segments,
}

#[derive(Clone, Debug)]
enum Segments {
    /// Of one length each, counted from the Period's start.
    Counted { template: Template, first: u64, last: Option<u64>, length: u64 },
    /// By a timeline.
    Timed { template: Template, first: u64, last: Option<u64>, said: Arc<[Said]> },
    /// One by one: where they are, and their length or timeline.
    Listed { urls: Vec<(Option<String>, Option<Range<u64>>)>, length: Option<u64>, said: Option<Arc<[Said]>> },
    /// In an index inside of the file.
    Indexed,
}

/// A Representation's place in an MPD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// `@id`.
    pub id: Arc<str>,
    /// What it is for.
    pub kind: RenditionKind,
    /// Whether its segments are known without its file's own index.
    pub is_shared: bool,
}

impl Mpd {
    /// Reads the MPD that was found at `base`.
    pub fn parse(base: &Url, bytes: &[u8]) -> Result<Self, MpdError> {
        let text = str::from_utf8(bytes).map_err(|_| MpdError::NotMpd)?;
        read::mpd(base, text.trim_start_matches('\u{feff}'))
    }

    /// Its Representations, each once, at most [`MAX_RENDITIONS`].
    pub fn representations(&self) -> Vec<Named> {
        let mut named: Vec<Named> = Vec::new();
        for representation in self.periods.iter().flat_map(|period| &period.representations) {
            let is_shared = !matches!(representation.segments, Segments::Indexed);
            match named.iter().position(|n| n.id == representation.id) {
                Some(known) => named[known].is_shared &= is_shared,
                None if named.len() < MAX_RENDITIONS => {
                    named.push(Named { id: representation.id.clone(), kind: representation.kind, is_shared });
                }
                None => {}
            }
        }
        named
    }

    /// The segments of a Representation that are there at this time.
    pub fn playlist(&self, track: TrackId, id: &str, now: SystemTime) -> Result<Playlist, MpdError> {
        listing::playlist(self, track, id, now)
    }

    /// How long what is to come can be told from the MPD as it is, by the clock alone. Nothing where it has to be read again for each segment.
    pub fn holds(&self) -> Duration {
        let is_counted = |representation: &Representation| {
            // A run of unknown length goes on by itself too.
            let endless = |said: &Arc<[Said]>| said.last().is_some_and(Said::goes_on);
            match &representation.segments {
                Segments::Counted { .. } => true,
                Segments::Timed { said, .. } => endless(said),
                Segments::Listed { .. } | Segments::Indexed => false,
            }
        };
        let newest = self.periods.last().filter(|_| self.is_live);
        if newest.is_none_or(|period| !period.representations.iter().all(is_counted)) {
            return Duration::ZERO;
        }
        self.update_us.map_or(LONGEST_HOLD, Duration::from_micros).min(LONGEST_HOLD)
    }

    /// How long it is until a Representation has one segment more than now, where its segments are of one length and so the clock says that exactly.
    pub fn until_next(&self, id: &str, now: SystemTime) -> Option<Duration> {
        listing::until_next(self, id, now)
    }

    /// Where it wants to be looked for from now on.
    pub fn moved(&self) -> Option<&Url> {
        self.moved.as_ref()
    }
}

#[cfg(test)]
mod tests;
