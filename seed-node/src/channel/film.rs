//! A film on disk: a finished HLS media playlist with its segments.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rillcast_publisher::playlist::MAX_PLAYLIST;
use thiserror::Error;

use crate::ingest::name::{FilePath, NameError};
use crate::ingest::pushed::{self, Item, Pushed, PushedError};

/// Why a film can't be played.
#[derive(Debug, Error)]
pub enum FilmError {
    /// Not there.
    #[error("can't read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// Too long.
    #[error("{0} is longer than {MAX_PLAYLIST} bytes; make longer segments")]
    Long(PathBuf),
    /// Not a playlist.
    #[error("{0}: {1}")]
    Playlist(PathBuf, PushedError),
    /// Several renditions.
    #[error(
        "{0} is a multivariant playlist; name the media playlist of the rendition that the channel is to have"
    )]
    Multivariant(PathBuf),
    /// It would go on.
    #[error("{0} doesn't end (#EXT-X-ENDLIST): a channel is made of finished films")]
    Live(PathBuf),
    /// Nothing in it.
    #[error("{0} has no segments, or some that play for no time")]
    Empty(PathBuf),
    /// Parts that don't belong together.
    #[error("{0} has a discontinuity inside: schedule its parts as items of their own")]
    Joined(PathBuf),
    /// A name.
    #[error("{0} names {1:?}, which isn't a file beside it: {2}")]
    Name(PathBuf, String, String),
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Film {
    /// What it is called in URLs: a hash of its playlist and of its files' lengths, so that another film under the same name has other URLs.
    pub id: String,
    /// Where its files lie.
    pub folder: PathBuf,
    /// Its segments; URIs are paths from the folder.
    pub items: Vec<Item>,
    /// Its playlist's version.
    pub version: u32,
    files: HashSet<FilePath>,
}

impl Film {
    /// Reads one.
    pub fn open(path: &Path) -> Result<Self, FilmError> {
        let cant = |path: &Path| {
            let path = path.to_owned();
            move |error| FilmError::Read(path, error)
        };
        let about = std::fs::metadata(path).map_err(cant(path))?;
        if about.len() > MAX_PLAYLIST as u64 {
            return Err(FilmError::Long(path.to_owned()));
        }
        let bytes = std::fs::read(path).map_err(cant(path))?;
        let wrong = |error| FilmError::Playlist(path.to_owned(), error);
        let text = pushed::text(&bytes).map_err(wrong)?;
        if pushed::is_multivariant(text) {
            return Err(FilmError::Multivariant(path.to_owned()));
        }
        let pushed = Pushed::parse(text).map_err(wrong)?;
        if !pushed.ended {
            return Err(FilmError::Live(path.to_owned()));
        }
        if pushed.items.is_empty() || pushed.items.iter().any(|item| item.duration_ms == 0) {
            return Err(FilmError::Empty(path.to_owned()));
        }
        if pushed.items.iter().skip(1).any(|item| item.discontinuity) {
            return Err(FilmError::Joined(path.to_owned()));
        }
        let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        let mut files = HashSet::new();
        let maps = pushed.items.iter().filter_map(|item| item.map.as_deref());
        let maps = maps.filter_map(|line| line.split_once("URI=\"")?.1.split('"').next());
        for uri in maps.chain(pushed.items.iter().map(|item| item.uri.as_str())) {
            let named = FilePath::new(uri)
                .map_err(|e: NameError| FilmError::Name(path.to_owned(), uri.to_owned(), e.to_string()))?;
            if files.contains(&named) {
                continue;
            }
            let file = folder.join(named.as_str());
            let length = std::fs::metadata(&file).map_err(cant(&file))?.len();
            hasher.update(&length.to_be_bytes());
            files.insert(named);
        }
        let id = hasher.finalize().to_hex()[..16].to_owned();
        Ok(Self { id, folder, items: pushed.items, version: pushed.version, files })
    }

    /// Milliseconds of each segment.
    pub fn durations(&self) -> Vec<u32> {
        self.items.iter().map(|item| item.duration_ms).collect()
    }

    /// Where one of its files lies.
    pub fn file(&self, path: &FilePath) -> Option<PathBuf> {
        self.files.contains(path).then(|| self.folder.join(path.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_film_is_known_by_what_is_in_it_and_what_it_lacks_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("index.m3u8");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        let good =
            "#EXTM3U\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n0.m4s\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n";
        write(good);
        assert!(Film::open(&path).expect_err("no files").to_string().contains("init.mp4"));
        for name in ["init.mp4", "0.m4s", "1.m4s"] {
            std::fs::write(dir.path().join(name), name).expect("written");
        }
        let film = Film::open(&path).expect("a film");
        assert_eq!((film.durations(), film.id.len()), (vec![2000, 2000], 16));
        assert_eq!(Film::open(&path).expect("a film").id, film.id);
        assert!(film.file(&FilePath::new("1.m4s").expect("a name")).is_some());
        assert!(film.file(&FilePath::new("other.m4s").expect("a name")).is_none());
        std::fs::write(dir.path().join("1.m4s"), "longer").expect("written");
        assert_ne!(Film::open(&path).expect("a film").id, film.id);
        for (text, word) in [
            ("<html>", "#EXTM3U"),
            ("#EXTM3U\n#EXTINF:2,\n0.m4s\n", "ENDLIST"),
            ("#EXTM3U\n#EXT-X-ENDLIST\n", "no segments"),
            ("#EXTM3U\n#EXTINF:0,\n0.m4s\n#EXT-X-ENDLIST\n", "no time"),
            (
                "#EXTM3U\n#EXTINF:2,\n0.m4s\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n",
                "discontinuity",
            ),
            ("#EXTM3U\n#EXTINF:2,\n../0.m4s\n#EXT-X-ENDLIST\n", "../0.m4s"),
            ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n", "media playlist"),
        ] {
            write(text);
            let said = Film::open(&path).expect_err(text).to_string();
            assert!(said.contains(word), "{said}");
        }
    }
}
