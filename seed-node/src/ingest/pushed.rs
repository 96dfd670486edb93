//! What a pushed media playlist says (RFC 8216). Lines that we don't know stay with the segment that they stand before, as they are: a playlist that
//! is read and written anew loses what its reader doesn't know.

use std::time::{Duration, SystemTime};

use rillcast_publisher::date::date;
use rillcast_publisher::playlist::MAX_SEGMENTS;
use thiserror::Error;

/// Why a playlist isn't taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PushedError {
    /// Not UTF-8, or without `#EXTM3U`.
    #[error("not an HLS playlist: it doesn't begin with #EXTM3U")]
    NotHls,
    /// A line.
    #[error("line {0} can't be read")]
    Line(usize),
    /// A delta.
    #[error("line {0}: a playlist must be pushed whole, without #EXT-X-SKIP")]
    Delta(usize),
    /// Too long.
    #[error(
        "more than {MAX_SEGMENTS} segments; shorten the encoder's list (ffmpeg: -hls_list_size 6), this node keeps the rest"
    )]
    TooLong,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number, as the encoder counts.
    pub sequence: u64,
    /// As written.
    pub uri: String,
    /// Its tags but those that follow here, `#EXTINF` among them.
    pub lines: Vec<String>,
    /// Milliseconds.
    pub duration_ms: u32,
    /// Its `#EXT-X-PROGRAM-DATE-TIME`, milliseconds since 1970.
    pub date_ms: Option<u64>,
    /// `#EXT-X-DISCONTINUITY` stands before it.
    pub discontinuity: bool,
    /// The `#EXT-X-KEY` lines that count for it.
    pub keys: Vec<String>,
    /// The `#EXT-X-MAP` line that counts for it.
    pub map: Option<String>,
}

/// A media playlist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// `#EXT-X-VERSION`.
    pub version: u32,
    /// Seconds.
    pub target: u64,
    /// Other lines that are for all of it.
    pub head: Vec<String>,
    /// Oldest first.
    pub items: Vec<Item>,
    /// As many as the encoder lists.
    pub listed: usize,
    /// Nothing will be added.
    pub ended: bool,
    /// It said from the beginning that it would end (`#EXT-X-PLAYLIST-TYPE`).
    pub finite: bool,
}

/// A multivariant playlist rather than a media playlist.
pub fn is_multivariant(text: &str) -> bool {
    text.lines().any(|line| line.starts_with("#EXT-X-STREAM-INF:") || line.starts_with("#EXT-X-MEDIA:"))
}

/// The text of a playlist.
pub fn text(bytes: &[u8]) -> Result<&str, PushedError> {
    let text = str::from_utf8(bytes).map_err(|_| PushedError::NotHls)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.starts_with("#EXTM3U") { Ok(text) } else { Err(PushedError::NotHls) }
}

impl Pushed {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, PushedError> {
        let mut reader = Reader::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            let read = match line.strip_prefix('#') {
                _ if line.is_empty() => Some(()),
                Some(tag) if tag.starts_with("EXT") => reader.tag(line, tag),
                Some(_) => Some(()),
                None => reader.uri(line),
            };
            if line.starts_with("#EXT-X-SKIP") {
                return Err(PushedError::Delta(at + 1));
            }
            read.ok_or(PushedError::Line(at + 1))?;
            if reader.done.items.len() > MAX_SEGMENTS {
                return Err(PushedError::TooLong);
            }
        }
        reader.done.listed = reader.done.items.len();
        Ok(reader.done)
    }

    /// With what an earlier list named and this one doesn't any more, where they join: on a slow line segments come later than
    /// they are listed.
    #[must_use]
    pub fn after(mut self, mut earlier: Self) -> Self {
        let Some(first) = self.items.first().map(|item| item.sequence) else { return self };
        if earlier.items.last().is_some_and(|last| last.sequence + 1 >= first) {
            earlier.items.retain(|item| item.sequence < first);
            let over = earlier.items.len().saturating_sub(MAX_EARLIER);
            earlier.items.drain(..over);
            earlier.items.append(&mut self.items);
            self.items = earlier.items;
        }
        self
    }
}

/// Most segments that are waited for besides those that are listed.
const MAX_EARLIER: usize = 256;

/// An encoder that begins there has more to come than will ever come.
const MAX_SEQUENCE: u64 = 1 << 62;

#[derive(Default)]
struct Reader {
    done: Pushed,
    next: u64,
    lines: Vec<String>,
    duration_ms: Option<u32>,
    date_ms: Option<u64>,
    discontinuity: bool,
    keys: Vec<String>,
    map: Option<String>,
}

/// Told by low-latency packagers of what isn't here: parts aren't served.
const DROPPED: [&str; 6] = [
    "EXT-X-PART",
    "EXT-X-PART-INF",
    "EXT-X-PRELOAD-HINT",
    "EXT-X-RENDITION-REPORT",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-ALLOW-CACHE",
];
const HEAD: [&str; 4] = ["EXT-X-INDEPENDENT-SEGMENTS", "EXT-X-START", "EXT-X-DEFINE", "EXT-X-I-FRAMES-ONLY"];

impl Reader {
    fn tag(&mut self, line: &str, tag: &str) -> Option<()> {
        let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
        match name {
            "EXTM3U" => {}
            "EXTINF" => {
                let seconds: f64 = value.split(',').next()?.trim().parse().ok()?;
                if !(0.0..=86_400.0).contains(&seconds) {
                    return None;
                }
                self.duration_ms = Some((seconds * 1000.0).round() as u32);
                self.lines.push(line.to_owned());
            }
            "EXT-X-VERSION" => self.done.version = value.trim().parse().ok()?,
            "EXT-X-TARGETDURATION" => {
                self.done.target = value.trim().parse().ok().filter(|s| *s <= 86_400)?
            }
            "EXT-X-MEDIA-SEQUENCE" => self.next = value.trim().parse().ok().filter(|n| *n < MAX_SEQUENCE)?,
            // Ours is counted from the beginning.
            "EXT-X-DISCONTINUITY-SEQUENCE" => {}
            "EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "EXT-X-PROGRAM-DATE-TIME" => self.date_ms = Some(date(value.trim())?),
            "EXT-X-KEY" => self.key(line, value),
            "EXT-X-MAP" => self.map = Some(line.to_owned()),
            "EXT-X-ENDLIST" => self.done.ended = true,
            "EXT-X-PLAYLIST-TYPE" => self.done.finite = true,
            _ if DROPPED.contains(&name) => {}
            _ if HEAD.contains(&name) => {
                if !self.done.head.iter().any(|known| known == line) {
                    self.done.head.push(line.to_owned());
                }
            }
            _ => self.lines.push(line.to_owned()),
        }
        Some(())
    }

    /// A key holds until another of its format comes.
    fn key(&mut self, line: &str, attributes: &str) {
        let format = |attributes: &str| {
            let named = attributes.split_once("KEYFORMAT=\"").and_then(|(_, rest)| rest.split('"').next());
            named.unwrap_or("identity").to_owned()
        };
        if attributes.contains("METHOD=NONE") {
            self.keys.clear();
            return;
        }
        let new = format(attributes);
        self.keys.retain(|known| format(known) != new);
        self.keys.push(line.to_owned());
    }

    fn uri(&mut self, uri: &str) -> Option<()> {
        let duration_ms = self.duration_ms.take()?;
        self.done.items.push(Item {
            sequence: self.next,
            uri: uri.to_owned(),
            lines: std::mem::take(&mut self.lines),
            duration_ms,
            date_ms: self.date_ms.take(),
            discontinuity: std::mem::take(&mut self.discontinuity),
            keys: self.keys.clone(),
            map: self.map.clone(),
        });
        self.next += 1;
        Some(())
    }
}

/// As a playlist has it.
pub fn written(date_ms: u64) -> String {
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + Duration::from_millis(date_ms)).to_string()
}

/// A playlist as encoders push it, with segments of two seconds.
#[cfg(test)]
pub(super) fn list(numbers: std::ops::RangeInclusive<u64>) -> String {
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n", numbers.start());
    for number in numbers {
        text += &format!("#EXTINF:2.0,\n{number}.ts\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_segment_stays_with_it() {
        let text = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\
            #EXT-X-MAP:URI=\"init.mp4\"\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"a\",KEYFORMAT=\"one\"\n\
            #EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"b\",KEYFORMAT=\"two\"\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T01:00:01.500+0100\n\
            #EXTINF:3.96,\n7.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-CUE-OUT:30\n#EXT-X-PART:URI=\"x\"\n# a remark\n#EXTINF:4,\n8.m4s\n#EXT-X-ENDLIST\n";
        let pushed = Pushed::parse(text).expect("a playlist");
        assert_eq!((pushed.version, pushed.target, pushed.ended, pushed.finite), (6, 4, true, false));
        assert_eq!(pushed.head, ["#EXT-X-INDEPENDENT-SEGMENTS"]);
        let [one, two] = &pushed.items[..] else { panic!("{pushed:?}") };
        assert_eq!(
            (one.sequence, one.duration_ms, one.date_ms, one.discontinuity),
            (7, 3960, Some(1500), false)
        );
        assert_eq!((one.keys.len(), two.keys.len()), (2, 2));
        assert_eq!(two.map.as_deref(), Some("#EXT-X-MAP:URI=\"init.mp4\""));
        assert_eq!(two.lines, ["#EXT-X-CUE-OUT:30", "#EXTINF:4,"]);
        assert!(two.discontinuity && two.date_ms.is_none() && two.sequence == 8);
    }

    #[test]
    fn what_can_not_be_read_is_named_by_its_line() {
        for (text, error) in [
            ("#EXTM3U\n1.ts\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXTINF:x,\n1.ts\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXTINF:-1,\n1.ts\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXTINF:86401,\n1.ts\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:4611686018427387904\n#EXTINF:1,\na.ts\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:yesterday\n", PushedError::Line(2)),
            ("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n", PushedError::Delta(2)),
        ] {
            assert_eq!(Pushed::parse(text), Err(error), "{text}");
        }
        assert_eq!(text(b"<html>"), Err(PushedError::NotHls));
        assert_eq!(text(b"#EXTM3U\xff"), Err(PushedError::NotHls));
        for (count, good) in [(MAX_SEGMENTS - 1, true), (MAX_SEGMENTS, true), (MAX_SEGMENTS + 1, false)] {
            let long = format!("#EXTM3U\n{}", "#EXTINF:1,\na.ts\n".repeat(count));
            assert_eq!(Pushed::parse(&long).is_ok(), good, "{count}");
        }
    }

    #[test]
    fn dates_are_read_with_their_offset() {
        for (text, ms) in [
            ("1970-01-01T00:00:01Z", 1000),
            ("1970-01-01T00:00:01.250Z", 1250),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1970-01-01T00:00:00-0330", 12_600_000),
            ("1970-01-01T00:00:01", 1000),
        ] {
            assert_eq!(date(text), Some(ms), "{text}");
        }
        for wrong in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00+2",
            "1970-01-01T00:00:00+2500",
            "x",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
        assert_eq!(written(1500), "1970-01-01T00:00:01.500Z");
    }
}
