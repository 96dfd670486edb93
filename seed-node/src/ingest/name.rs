//! What streams and their files may be called, and what a file is called in public.
//!
//! Players, caches and digests know a segment by its URL, and an encoder that starts again counts from the beginning: it uses the same names
//! for other bytes. So the public name of a file carries a hash of what is in it (`seg7.ts` becomes `seg7.9c1f0a64b2d83e57.ts`): other bytes
//! are another URL, the same bytes the same one, also after a restart and on another node that the same encoder pushes to.

use std::fmt;

use thiserror::Error;

/// Longest name of a stream, or of one component of a path.
pub const MAX_COMPONENT: usize = 96;
/// Most components of a path within a stream.
pub const MAX_DEPTH: usize = 4;
/// Hexadecimal digits of the hash in a public name.
const HASH_DIGITS: usize = 16;

/// Why a name isn't taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// No stream, or nothing in it.
    #[error("push to /NAME/FILE, such as /radio/index.m3u8")]
    Incomplete,
    /// `..`, empty, or other characters.
    #[error(
        "{0:?} can't be part of a path here: use letters, digits, dots, hyphens and underscores, with no dot at the beginning, at most {MAX_COMPONENT}"
    )]
    Component(String),
    /// Too deep.
    #[error("at most {MAX_DEPTH} components may follow the stream's name")]
    Deep,
    /// Not media.
    #[error(
        "{0:?} has an ending that isn't served: push m3u8 and mpd, and media (ts, m4s, mp4, m4a, m4v, cmfv, cmfa, aac, mp3, ac3, ec3, webm, vtt, ttml, key)"
    )]
    Ending(String),
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An HLS playlist.
    Playlist,
    /// A DASH manifest.
    Mpd,
    /// Anything else.
    Media,
}

const TYPES: [(&str, Kind, &str); 19] = [
    ("m3u8", Kind::Playlist, "application/vnd.apple.mpegurl"),
    ("mpd", Kind::Mpd, "application/dash+xml"),
    ("ts", Kind::Media, "video/mp2t"),
    ("m4s", Kind::Media, "video/mp4"),
    ("mp4", Kind::Media, "video/mp4"),
    ("m4v", Kind::Media, "video/mp4"),
    ("cmfv", Kind::Media, "video/mp4"),
    ("m4a", Kind::Media, "audio/mp4"),
    ("cmfa", Kind::Media, "audio/mp4"),
    ("cmft", Kind::Media, "application/mp4"),
    ("aac", Kind::Media, "audio/aac"),
    ("mp3", Kind::Media, "audio/mpeg"),
    ("ac3", Kind::Media, "audio/ac3"),
    ("ec3", Kind::Media, "audio/eac3"),
    ("webm", Kind::Media, "video/webm"),
    ("vtt", Kind::Media, "text/vtt"),
    ("webvtt", Kind::Media, "text/vtt"),
    ("ttml", Kind::Media, "application/ttml+xml"),
    ("key", Kind::Media, "application/octet-stream"),
];

/// A stream's name: the first component of its URLs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(String);

impl StreamName {
    /// Reads one.
    pub fn new(text: &str) -> Result<Self, NameError> {
        component(text)?;
        Ok(Self(text.to_owned()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A file's path within its stream: components that are harmless in a file system and need no escapes in a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FilePath(String);

impl FilePath {
    /// Reads one.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Incomplete);
        }
        let mut depth = 0;
        for part in text.split('/') {
            component(part)?;
            depth += 1;
        }
        if depth > MAX_DEPTH {
            return Err(NameError::Deep);
        }
        let path = Self(text.to_owned());
        if path.known().is_none() {
            return Err(NameError::Ending(path.file_name().to_owned()));
        }
        Ok(path)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// All before the last component, without a slash at its end.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// What it is, by its ending.
    pub fn kind(&self) -> Kind {
        self.known().map_or(Kind::Media, |(_, kind, _)| *kind)
    }

    /// Its `Content-Type`.
    pub fn content_type(&self) -> &'static str {
        self.known().map_or("application/octet-stream", |(_, _, mime)| mime)
    }

    /// What it is called in public with these contents.
    pub fn versioned(&self, hash: &blake3::Hash) -> Self {
        let (stem, ending) = self.split();
        Self(format!("{stem}.{}.{ending}", &hash.to_hex()[..HASH_DIGITS]))
    }

    /// What the encoder called it, of a public name.
    pub fn plain(&self) -> Option<Self> {
        let (stem, ending) = self.split();
        let (stem, hash) = stem.rsplit_once('.')?;
        let is_hash =
            hash.len() == HASH_DIGITS && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (is_hash && !stem.is_empty() && !stem.ends_with('/')).then(|| Self(format!("{stem}.{ending}")))
    }

    /// The file that a reference in this one leads to. `None` if that lies elsewhere.
    pub fn join(&self, reference: &str) -> Option<Result<Self, NameError>> {
        const HOST: &str = "http://stream.invalid/stream/";
        let base = reqwest::Url::parse(HOST).and_then(|root| root.join(&self.0)).ok()?;
        let url = base.join(reference).ok()?;
        let path = url.as_str().strip_prefix(HOST)?;
        Some(Self::new(path.split(['?', '#']).next().unwrap_or_default()))
    }

    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('.').unwrap_or((&self.0, ""))
    }

    fn known(&self) -> Option<&'static (&'static str, Kind, &'static str)> {
        let (stem, ending) = self.split();
        if stem.is_empty() || stem.ends_with('/') {
            return None;
        }
        TYPES.iter().find(|(known, ..)| ending.eq_ignore_ascii_case(known))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn component(text: &str) -> Result<(), NameError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let good =
        (1..=MAX_COMPONENT).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed);
    if good { Ok(()) } else { Err(NameError::Component(text.chars().take(MAX_COMPONENT + 1).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> FilePath {
        FilePath::new(text).expect(text)
    }

    #[test]
    fn what_could_lead_astray_is_no_name() {
        for good in ["index.m3u8", "v0/seg-1.ts", "a/b/c/d.m4s", "UPPER_case.TS"] {
            FilePath::new(good).expect(good);
        }
        for wrong in [
            "",
            "/",
            "..",
            "../a.ts",
            "a/../b.ts",
            "a//b.ts",
            ".hidden.ts",
            "a/.ts",
            "a b.ts",
            "a%2fb.ts",
            "a\\b.ts",
            "a\0.ts",
            "ä.ts",
            "a?.ts",
            "a.ts/",
            "a.html",
            "a",
            "ts",
        ] {
            FilePath::new(wrong).expect_err(wrong);
        }
        StreamName::new("radio-1").expect("a name");
        for wrong in ["", ".", "..", "~1", "a/b", "a b"] {
            StreamName::new(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn lengths_hold_at_under_and_over() {
        for (length, good) in [(MAX_COMPONENT - 1, true), (MAX_COMPONENT, true), (MAX_COMPONENT + 1, false)] {
            assert_eq!(StreamName::new(&"a".repeat(length)).is_ok(), good, "{length}");
        }
        for (depth, good) in [(MAX_DEPTH - 1, true), (MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
            let deep = "a/".repeat(depth - 1) + "a.ts";
            assert_eq!(FilePath::new(&deep).is_ok(), good, "{depth}");
        }
    }

    #[test]
    fn other_bytes_have_another_name_and_the_same_the_same() {
        let (one, two) = (blake3::hash(b"1"), blake3::hash(b"2"));
        let plain = path("v0/seg.7.ts");
        assert_ne!(plain.versioned(&one), plain.versioned(&two));
        assert_eq!(plain.versioned(&one), plain.versioned(&one));
        assert_eq!(plain.versioned(&one).plain(), Some(plain.clone()));
        assert_eq!(plain.plain(), None);
        FilePath::new(plain.versioned(&one).as_str()).expect("a public name is a name");
    }

    #[test]
    fn references_lead_to_files_of_the_same_stream_alone() {
        let from = path("v0/index.m3u8");
        for (reference, to) in [
            ("1.ts", "v0/1.ts"),
            ("../v1/1.ts?x=1", "v1/1.ts"),
            ("./1.ts", "v0/1.ts"),
            ("/stream/1.ts", "1.ts"),
        ] {
            assert_eq!(from.join(reference), Some(Ok(path(to))), "{reference}");
        }
        for elsewhere in ["http://cdn.example/1.ts", "/other/1.ts", "../../1.ts"] {
            assert_eq!(from.join(elsewhere), None, "{elsewhere}");
        }
        assert!(matches!(from.join("a b.ts"), Some(Err(NameError::Component(_)))));
    }
}
