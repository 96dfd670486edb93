//! Who may push what: a file of stream keys, and what a request shows.
//!
//! A line of the file is a stream's name and its key; `*` stands for every stream. It is read again when it has changed. Keys are
//! compared by their hashes, which takes as long whatever they have in common.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use axum::http::header::{AUTHORIZATION, HeaderMap};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::name::StreamName;

/// Shortest and longest key.
pub const KEY_LENGTH: std::ops::RangeInclusive<usize> = 16..=256;
/// Longest file, in bytes.
pub const MAX_FILE: u64 = 1024 * 1024;
const ANY: &str = "*";

/// Why a file of keys isn't usable.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Not there.
    #[error("can't read the stream keys in {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// For everybody to read.
    #[error("{0} holds keys and can be read by others; run: chmod 600 {0}")]
    Readable(PathBuf),
    /// Too long.
    #[error("{0} is longer than {MAX_FILE} bytes; split the streams over several nodes")]
    Long(PathBuf),
    /// A line.
    #[error(
        "{0}, line {1}: write a stream's name (or *), a space, and a key of {min} to {max} characters without spaces",
        min = KEY_LENGTH.start(), max = KEY_LENGTH.end()
    )]
    Line(PathBuf, usize),
}

/// A key's hash, with the stream that it is for; `None` is every one.
type Key = (Option<StreamName>, blake3::Hash);

#[derive(Debug)]
struct Read {
    keys: Vec<Key>,
    state: (Option<SystemTime>, u64),
}

/// The keys of a file.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    read: Mutex<Read>,
}

impl Keys {
    /// Reads the file.
    pub fn open(path: &Path) -> Result<Self, KeysError> {
        let read = read(path)?;
        Ok(Self { path: path.to_owned(), read: Mutex::new(read) })
    }

    /// Whether these headers show the key of that stream: as `Authorization: Bearer KEY`, or as the password of `Basic` (its user's name
    /// where there is no password).
    pub fn admits(&self, stream: &StreamName, headers: &HeaderMap) -> bool {
        let shown = headers.get(AUTHORIZATION).and_then(|value| shown(value.to_str().ok()?));
        let Some(shown) = shown else { return false };
        let shown = blake3::hash(shown.as_bytes());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut read);
        // All of them, whichever it is.
        read.keys.iter().fold(false, |found, (of, key)| {
            found | (of.as_ref().is_none_or(|of| of == stream) & (*key == shown))
        })
    }

    fn refresh(&self, known: &mut Read) {
        if state(&self.path).is_ok_and(|state| state == known.state) {
            return;
        }
        match read(&self.path) {
            Ok(newer) => *known = newer,
            Err(error) => tracing::warn!(%error, "the stream keys stay as they were"),
        }
    }
}

fn state(path: &Path) -> std::io::Result<(Option<SystemTime>, u64)> {
    let about = std::fs::metadata(path)?;
    Ok((about.modified().ok(), about.len()))
}

fn read(path: &Path) -> Result<Read, KeysError> {
    let cant = |error| KeysError::Read(path.to_owned(), error);
    let about = std::fs::metadata(path).map_err(cant)?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(KeysError::Readable(path.to_owned()));
    }
    if about.len() > MAX_FILE {
        return Err(KeysError::Long(path.to_owned()));
    }
    let state = state(path).map_err(cant)?;
    let text = std::fs::read_to_string(path).map_err(cant)?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(at, line)| key(line).ok_or_else(|| KeysError::Line(path.to_owned(), at)));
    Ok(Read { keys: keys.collect::<Result<_, _>>()?, state })
}

fn key(line: &str) -> Option<Key> {
    let mut words = line.split_whitespace();
    let (stream, key) = (words.next()?, words.next()?);
    let stream = if stream == ANY { None } else { Some(StreamName::new(stream).ok()?) };
    (words.next().is_none() && KEY_LENGTH.contains(&key.len()))
        .then(|| (stream, blake3::hash(key.as_bytes())))
}

fn shown(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = text.split_once(':').unwrap_or((&text, ""));
    Some(if password.is_empty() { user } else { password }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sixteen-letters.";

    fn keys(text: &str) -> (tempfile::TempDir, Result<Keys, KeysError>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("keys");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        let keys = Keys::open(&path);
        (dir, keys)
    }

    fn admits(keys: &Keys, stream: &str, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().expect("a header"));
        keys.admits(&StreamName::new(stream).expect("a name"), &headers)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    // R48 R35
    #[test]
    fn a_stream_is_pushed_with_its_own_key_alone() {
        let (_dir, keys) = keys(&format!("# of the house\nradio {KEY}\n\ntv another-{KEY}\n"));
        let keys = keys.expect("keys");
        for shown in
            [format!("Bearer {KEY}"), basic(&format!("x:{KEY}")), basic(&format!("{KEY}:")), basic(KEY)]
        {
            assert!(admits(&keys, "radio", &shown), "{shown}");
            assert!(!admits(&keys, "tv", &shown) && !admits(&keys, "film", &shown), "{shown}");
        }
        for wrong in [
            "Bearer",
            "Bearer x",
            "Basic ###",
            "Digest x",
            &format!("Bearer {KEY}x"),
            &format!("bearer x{KEY}"),
        ] {
            assert!(!admits(&keys, "radio", wrong), "{wrong}");
        }
        assert!(!keys.admits(&StreamName::new("radio").expect("a name"), &HeaderMap::new()));
    }

    #[test]
    fn a_star_is_every_stream_and_a_changed_file_counts_at_once() {
        let (dir, keys) = keys(&format!("* {KEY}\n"));
        let keys = keys.expect("keys");
        assert!(admits(&keys, "anything", &format!("Bearer {KEY}")));
        std::fs::write(dir.path().join("keys"), format!("only new-{KEY}\n")).expect("written");
        assert!(!admits(&keys, "anything", &format!("Bearer {KEY}")));
        assert!(admits(&keys, "only", &format!("Bearer new-{KEY}")));
        std::fs::write(dir.path().join("keys"), "nonsense\n").expect("written");
        assert!(admits(&keys, "only", &format!("Bearer new-{KEY}")), "what can't be read changes nothing");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_named() {
        for (text, word) in [
            ("radio\n", "line 1"),
            (&format!("a {KEY}\nradio {}\n", "x".repeat(15)), "line 2"),
            (&format!("radio {}\n", "x".repeat(257)), "line 1"),
            (&format!("ra/dio {KEY}\n"), "line 1"),
            (&format!("radio {KEY} more\n"), "line 1"),
        ] {
            let said = keys(text).1.expect_err(text).to_string();
            assert!(said.contains(word), "{said}");
        }
        for length in [16, 256] {
            keys(&format!("radio {}\n", "x".repeat(length))).1.expect("at the limit");
        }
        let (dir, _) = keys("");
        let path = dir.path().join("keys");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(matches!(Keys::open(&path), Err(KeysError::Readable(_))));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        for (bytes, good) in [(MAX_FILE - 1, true), (MAX_FILE, true), (MAX_FILE + 1, false)] {
            std::fs::write(&path, "#".repeat(bytes as usize)).expect("written");
            assert_eq!(Keys::open(&path).is_ok(), good, "{bytes}");
        }
    }
}
