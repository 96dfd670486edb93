//! What a media playlist says (RFC 8216, and its second edition for low latency), as far as it concerns us: which segments and parts there are
//! and where.
//!
//! Lines we don't know are passed over, as the RFC wants; a playlist that breaks a rule we depend on is refused whole.

use std::ops::Range;

use reqwest::Url;
use rillcast_protocol::id::{SegmentKey, TrackId};
use thiserror::Error;

use crate::attributes::Attributes;

/// Longest playlist that is read.
pub const MAX_PLAYLIST: usize = 1024 * 1024;
/// Most renditions of one multivariant playlist.
pub const MAX_RENDITIONS: usize = 64;
/// Most segments of one playlist, and most parts.
pub const MAX_SEGMENTS: usize = 20_000;
/// Most parts of one segment: ten seconds in tenths, and some.
pub const MAX_PARTS: u16 = 128;

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
    /// More parts of a segment than we follow.
    #[error("more than {MAX_PARTS} parts in a segment; make parts longer, or segments shorter")]
    TooManyParts,
    /// A delta update where the whole was expected.
    #[error("a delta update (EXT-X-SKIP) that nobody asked for; have the origin give whole playlists")]
    Delta,
}

/// A segment, or a part of one, and where its bytes are.
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
    /// Where it begins in its presentation, if the manifest tells: in DASH.
    pub start_ms: Option<i64>,
}

/// A media playlist at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Playlist {
    /// Longest segment, by the packager's word; at least 1.
    pub target_ms: u32,
    /// Oldest first.
    pub segments: Vec<Segment>,
    /// Parts of the newest segments, and of the one that is being made, oldest first. Their keys count from 1, gaps included, as players count.
    pub parts: Vec<Segment>,
    /// The part that will come next, if its place is known already. Its duration is the longest that it may have.
    pub hint: Option<Segment>,
    /// Longest part, by the packager's word; 0 where there are none.
    pub part_target_ms: u32,
    /// A request for a playlist that doesn't exist yet is answered when it does.
    pub can_block: bool,
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
        Ok(parser.end())
    }

    /// The segment, or the part of one, with this key.
    pub fn find(&self, key: SegmentKey) -> Option<&Segment> {
        let named = if key.part == 0 { &self.segments } else { &self.parts };
        named.iter().find(|s| s.key == key)
    }

    /// The same, or the part that is yet to come.
    pub fn find_or_hint(&self, key: SegmentKey) -> Option<&Segment> {
        self.find(key).or_else(|| self.hint.as_ref().filter(|hint| hint.key == key))
    }

    /// The newest segment or part.
    pub fn newest(&self) -> Option<&Segment> {
        self.parts.last().into_iter().chain(self.segments.last()).max_by_key(|s| s.key)
    }

    /// The parts of a segment, as far as they are listed.
    pub fn parts_of(&self, segment: SegmentKey) -> impl Iterator<Item = &Segment> {
        let is_its = move |part: &&Segment| SegmentKey { part: 0, ..part.key } == segment;
        self.parts.iter().filter(is_its)
    }

    /// What comes next: the number of its segment, and how many parts of that are there already.
    pub fn next(&self) -> Option<(u64, u16)> {
        let newest = self.newest()?.key;
        let is_complete = self.segments.last().is_some_and(|segment| segment.key.number == newest.number);
        if is_complete {
            Some((newest.number.checked_add(1)?, 0))
        } else {
            Some((newest.number, newest.part))
        }
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
    /// A segment or a part has been named.
    begun: bool,
    duration_ms: Option<u32>,
    range: Option<(u64, Option<u64>)>,
    /// Where the previous byte range ended, and of which resource.
    previous: Option<(Url, u64)>,
    gap: bool,
    /// Parts of the current segment that were named, and where those that can be had begin in the list.
    part: u16,
    its_parts: usize,
    /// Where the current segment's previous part ended.
    previous_part: Option<(Url, u64)>,
    hint: Option<(Url, Option<Range<u64>>)>,
    done: Playlist,
}

impl<'a> Parser<'a> {
    fn new(track: TrackId, base: &'a Url) -> Self {
        Self {
            base,
            track,
            number: 0,
            discontinuity: 0,
            begun: false,
            duration_ms: None,
            range: None,
            previous: None,
            gap: false,
            part: 0,
            its_parts: 0,
            previous_part: None,
            hint: None,
            done: Playlist { target_ms: 1, ..Playlist::default() },
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
            // Behind a segment they would give its number, or a smaller one, to another (RFC 8216, 4.3.3.2 and 4.3.3.3).
            "-X-MEDIA-SEQUENCE" | "-X-DISCONTINUITY-SEQUENCE" if self.begun => return Err(Bad::Line),
            "-X-MEDIA-SEQUENCE" => self.number = number(value)?,
            "-X-DISCONTINUITY-SEQUENCE" => {
                self.discontinuity = number(value)?.try_into().map_err(|_| Bad::Line)?;
            }
            "-X-DISCONTINUITY" => self.discontinuity = self.discontinuity.saturating_add(1),
            "-X-BYTERANGE" => self.range = Some(byte_range(value)?),
            "-X-GAP" => self.gap = true,
            "-X-PART" => self.part(Attributes(value))?,
            "-X-PRELOAD-HINT" => self.hint(Attributes(value))?,
            "-X-PART-INF" => {
                let target = Attributes(value).find("PART-TARGET").ok_or(Bad::Line)?;
                self.done.part_target_ms = milliseconds(target)?;
            }
            "-X-SERVER-CONTROL" => self.done.can_block = Attributes(value).says_yes("CAN-BLOCK-RELOAD"),
            "-X-SKIP" => return Err(Bad::Whole(PlaylistError::Delta)),
            "-X-ENDLIST" => self.done.ended = true,
            "-X-STREAM-INF" => return Err(Bad::Whole(PlaylistError::Multivariant)),
            _ => {}
        }
        Ok(())
    }

    fn uri(&mut self, uri: &str) -> Result<(), Bad> {
        let Some(duration_ms) = self.duration_ms.take() else { return Err(Bad::Line) };
        self.begun = true;
        if self.done.segments.len() == MAX_SEGMENTS {
            return Err(Bad::Whole(PlaylistError::TooLong));
        }
        let url = self.base.join(uri).map_err(|_| Bad::Line)?;
        let range = match self.range.take() {
            None => None,
            Some(range) => Some(resolve(range, &url, self.previous.as_ref(), None)?),
        };
        self.previous = range.as_ref().map(|r| (url.clone(), r.end));
        self.end_parts();
        let key =
            SegmentKey { track: self.track, number: self.number, discontinuity: self.discontinuity, part: 0 };
        self.number = self.number.checked_add(1).ok_or(Bad::Line)?;
        if !std::mem::take(&mut self.gap) {
            self.done.segments.push(Segment { key, url, range, duration_ms, start_ms: None });
        }
        Ok(())
    }

    fn part(&mut self, list: Attributes<'_>) -> Result<(), Bad> {
        self.begun = true;
        if self.part == MAX_PARTS {
            return Err(Bad::Whole(PlaylistError::TooManyParts));
        }
        if self.done.parts.len() == MAX_SEGMENTS {
            return Err(Bad::Whole(PlaylistError::TooLong));
        }
        self.part += 1;
        let url = self.base.join(list.find("URI").ok_or(Bad::Line)?).map_err(|_| Bad::Line)?;
        let duration_ms = milliseconds(list.find("DURATION").ok_or(Bad::Line)?)?;
        let range = match list.find("BYTERANGE") {
            None => None,
            // The first one may leave out that it begins at the beginning.
            Some(text) => {
                let first = self.previous_part.is_none().then_some(0);
                Some(resolve(byte_range(text)?, &url, self.previous_part.as_ref(), first)?)
            }
        };
        self.previous_part = range.as_ref().map(|r| (url.clone(), r.end));
        if !list.says_yes("GAP") {
            let key = self.part_key(self.part);
            self.done.parts.push(Segment { key, url, range, duration_ms, start_ms: None });
        }
        Ok(())
    }

    fn hint(&mut self, list: Attributes<'_>) -> Result<(), Bad> {
        if list.find("TYPE") != Some("PART") {
            return Ok(());
        }
        let url = self.base.join(list.find("URI").ok_or(Bad::Line)?).map_err(|_| Bad::Line)?;
        let start = list.find("BYTERANGE-START").map(number).transpose()?;
        let length = list.find("BYTERANGE-LENGTH").map(number).transpose()?;
        self.hint = match (start, length) {
            (None, None) => Some((url, None)),
            (start, Some(length)) => {
                let range = resolve((length, Some(start.unwrap_or(0))), &url, None, None)?;
                Some((url, Some(range)))
            }
            // It is only known where it begins: nothing that can be told from another by its name.
            (Some(_), None) => None,
        };
        Ok(())
    }

    fn part_key(&self, part: u16) -> SegmentKey {
        SegmentKey { track: self.track, number: self.number, discontinuity: self.discontinuity, part }
    }

    /// A segment's parts are of its discontinuity, wherever between them that is announced.
    fn end_parts(&mut self) {
        for part in &mut self.done.parts[self.its_parts..] {
            part.key.discontinuity = self.discontinuity;
        }
        (self.part, self.its_parts, self.previous_part) = (0, self.done.parts.len(), None);
    }

    fn end(mut self) -> Playlist {
        let next = self.part.checked_add(1).filter(|next| *next <= MAX_PARTS);
        if let (Some((url, range)), Some(part)) = (self.hint.take(), next) {
            let (key, duration_ms) = (self.part_key(part), self.done.part_target_ms);
            self.done.hint = Some(Segment { key, url, range, duration_ms, start_ms: None });
        }
        self.end_parts();
        self.done
    }
}

/// `length[@offset]`.
fn byte_range(text: &str) -> Result<(u64, Option<u64>), Bad> {
    match text.split_once('@') {
        Some((length, offset)) => Ok((number(length)?, Some(number(offset)?))),
        None => Ok((number(text)?, None)),
    }
}

/// Bytes of a resource. One without an offset begins where the previous one of that resource ended, or at `first`.
fn resolve(
    (length, offset): (u64, Option<u64>),
    url: &Url,
    previous: Option<&(Url, u64)>,
    first: Option<u64>,
) -> Result<Range<u64>, Bad> {
    let follows = || previous.filter(|(before, _)| before == url).map(|(_, end)| *end);
    let start = offset.or_else(follows).or(first).ok_or(Bad::Line)?;
    let end = start.checked_add(length).filter(|_| length > 0).ok_or(Bad::Line)?;
    Ok(start..end)
}

fn number(text: &str) -> Result<u64, Bad> {
    text.trim().parse().map_err(|_| Bad::Line)
}

/// Decimal seconds as milliseconds; at most a day.
fn milliseconds(text: &str) -> Result<u32, Bad> {
    let seconds: f64 = text.trim().parse().map_err(|_| Bad::Line)?;
    if (0.0..=86_400.0).contains(&seconds) { Ok((seconds * 1000.0).round() as u32) } else { Err(Bad::Line) }
}
