//! What a media playlist says (RFC 8216), as far as it concerns us: which segments there are and where.
//!
//! Lines we don't know are passed over, as the RFC wants; a playlist that breaks a rule we depend on is refused whole.

use std::ops::Range;

use reqwest::Url;
use rillcast_protocol::id::{SegmentKey, TrackId};
use thiserror::Error;

/// Longest playlist that is read.
pub const MAX_PLAYLIST: usize = 1024 * 1024;
/// Most renditions of one multivariant playlist.
pub const MAX_RENDITIONS: usize = 64;
/// Most segments of one playlist.
pub const MAX_SEGMENTS: usize = 20_000;

/// Why a playlist is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlaylistError {
    /// Not UTF-8, or without `#EXTM3U`.
    #[error("not an HLS playlist; check the URL")]
    NotHls,
    /// A multivariant playlist where a media playlist was expected.
    #[error("a multivariant playlist, not a media playlist; give the rendition's own URL")]
    Multivariant,
    /// A number, URL or range that can't be read.
    #[error("line {0} can't be read; check the packager's output")]
    Line(usize),
    /// More segments than we follow.
    #[error("more than {MAX_SEGMENTS} segments; shorten the playlist's window")]
    TooLong,
}

/// A segment and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub key: SegmentKey,
    /// Absolute URL.
    pub url: Url,
    /// Bytes of the resource; `None` is all of them.
    pub range: Option<Range<u64>>,
    /// Playing time.
    pub duration_ms: u32,
}

/// A media playlist at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Playlist {
    /// Longest segment, by the packager's word; at least 1.
    pub target_ms: u32,
    /// Oldest first.
    pub segments: Vec<Segment>,
    /// Nothing will be added.
    pub ended: bool,
}

impl Playlist {
    /// Reads the playlist that was found at `base`.
    pub fn parse(track: TrackId, base: &Url, bytes: &[u8]) -> Result<Self, PlaylistError> {
        let text = str::from_utf8(bytes).map_err(|_| PlaylistError::NotHls)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if !text.starts_with("#EXTM3U") {
            return Err(PlaylistError::NotHls);
        }
        let mut parser = Parser::new(track, base);
        for (at, line) in text.lines().enumerate() {
            parser.line(line.trim_end()).map_err(|bad| match bad {
                Bad::Line => PlaylistError::Line(at + 1),
                Bad::Whole(error) => error,
            })?;
        }
        Ok(parser.done)
    }

    /// The segment with this key.
    pub fn find(&self, key: SegmentKey) -> Option<&Segment> {
        self.segments.iter().find(|s| s.key == key)
    }
}

/// What a rendition is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenditionKind {
    /// Video, or all media in one.
    Main,
    /// Separate audio.
    Audio,
    /// Subtitles.
    Text,
}

/// A media playlist that a multivariant playlist names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendition {
    /// Absolute URL.
    pub url: Url,
    /// What it is for.
    pub kind: RenditionKind,
}

/// The media playlists that a multivariant playlist names: renditions and separate audio, in its order, each once.
pub fn renditions(base: &Url, bytes: &[u8]) -> Result<Vec<Rendition>, PlaylistError> {
    let text = str::from_utf8(bytes).map_err(|_| PlaylistError::NotHls)?;
    if !text.trim_start_matches('\u{feff}').starts_with("#EXTM3U") {
        return Err(PlaylistError::NotHls);
    }
    let mut found: Vec<Rendition> = Vec::new();
    let mut variant = false;
    for (at, line) in text.lines().map(str::trim_end).enumerate() {
        let uri = if let Some(attributes) = line.strip_prefix("#EXT-X-MEDIA:") {
            let uri = attributes.split_once("URI=\"").and_then(|(_, rest)| rest.split('"').next());
            uri.map(|uri| (uri, kind(attributes)))
        } else if line.starts_with('#') || line.is_empty() {
            variant |= line.starts_with("#EXT-X-STREAM-INF:");
            None
        } else {
            std::mem::take(&mut variant).then_some((line, RenditionKind::Main))
        };
        if let Some((uri, kind)) = uri {
            let url = base.join(uri).map_err(|_| PlaylistError::Line(at + 1))?;
            if !found.iter().any(|r| r.url == url) && found.len() < MAX_RENDITIONS {
                found.push(Rendition { url, kind });
            }
        }
    }
    Ok(found)
}

fn kind(attributes: &str) -> RenditionKind {
    match attributes.split(',').find_map(|attribute| attribute.trim().strip_prefix("TYPE=")) {
        Some("AUDIO") => RenditionKind::Audio,
        Some("SUBTITLES" | "CLOSED-CAPTIONS") => RenditionKind::Text,
        _ => RenditionKind::Main,
    }
}

enum Bad {
    Line,
    Whole(PlaylistError),
}

struct Parser<'a> {
    base: &'a Url,
    track: TrackId,
    number: u64,
    discontinuity: u32,
    duration_ms: Option<u32>,
    range: Option<(u64, Option<u64>)>,
    /// Where the previous byte range ended, and of which resource.
    previous: Option<(Url, u64)>,
    gap: bool,
    done: Playlist,
}

impl<'a> Parser<'a> {
    fn new(track: TrackId, base: &'a Url) -> Self {
        Self {
            base,
            track,
            number: 0,
            discontinuity: 0,
            duration_ms: None,
            range: None,
            previous: None,
            gap: false,
            done: Playlist { target_ms: 1, segments: Vec::new(), ended: false },
        }
    }

    fn line(&mut self, line: &str) -> Result<(), Bad> {
        if line.is_empty() {
            return Ok(());
        }
        let Some(tag) = line.strip_prefix("#EXT") else {
            return if line.starts_with('#') { Ok(()) } else { self.uri(line) };
        };
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "INF" => self.duration_ms = Some(milliseconds(value.split(',').next().unwrap_or(""))?),
            "-X-TARGETDURATION" => self.done.target_ms = milliseconds(value)?.max(1),
            "-X-MEDIA-SEQUENCE" => self.number = number(value)?,
            "-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity = number(value)?.try_into().map_err(|_| Bad::Line)?;
            }
            "-X-DISCONTINUITY" => self.discontinuity = self.discontinuity.saturating_add(1),
            "-X-BYTERANGE" => {
                let (length, offset) = match value.split_once('@') {
                    Some((length, offset)) => (number(length)?, Some(number(offset)?)),
                    None => (number(value)?, None),
                };
                self.range = Some((length, offset));
            }
            "-X-GAP" => self.gap = true,
            "-X-ENDLIST" => self.done.ended = true,
            "-X-STREAM-INF" => return Err(Bad::Whole(PlaylistError::Multivariant)),
            _ => {}
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str) -> Result<(), Bad> {
        let Some(duration_ms) = self.duration_ms.take() else { return Err(Bad::Line) };
        if self.done.segments.len() == MAX_SEGMENTS {
            return Err(Bad::Whole(PlaylistError::TooLong));
        }
        let url = self.base.join(uri).map_err(|_| Bad::Line)?;
        let range = match self.range.take() {
            None => None,
            Some((length, offset)) => {
                let start = match (offset, &self.previous) {
                    (Some(offset), _) => offset,
                    (None, Some((previous, end))) if *previous == url => *end,
                    (None, _) => return Err(Bad::Line),
                };
                let end = start.checked_add(length).filter(|_| length > 0).ok_or(Bad::Line)?;
                Some(start..end)
            }
        };
        self.previous = range.as_ref().map(|r| (url.clone(), r.end));
        let key =
            SegmentKey { track: self.track, number: self.number, discontinuity: self.discontinuity, part: 0 };
        self.number = self.number.checked_add(1).ok_or(Bad::Line)?;
        if !std::mem::take(&mut self.gap) {
            self.done.segments.push(Segment { key, url, range, duration_ms });
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<u64, Bad> {
    text.trim().parse().map_err(|_| Bad::Line)
}

/// Decimal seconds as milliseconds; at most a day.
fn milliseconds(text: &str) -> Result<u32, Bad> {
    let seconds: f64 = text.trim().parse().map_err(|_| Bad::Line)?;
    if (0.0..=86_400.0).contains(&seconds) { Ok((seconds * 1000.0).round() as u32) } else { Err(Bad::Line) }
}
