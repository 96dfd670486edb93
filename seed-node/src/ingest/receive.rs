//! Uploads: a body is written to disk as it comes, and is nobody's until it is whole.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use rillcast_protocol::digest::MAX_SEGMENT;
use rillcast_publisher::playlist::MAX_PLAYLIST;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout_at};

use super::library::{BLOCK, Library, Whole};
use super::name::{FilePath, Kind, StreamName};
use super::pushed::{self, Pushed};
use super::refusal::Refusal;

/// An upload that brings nothing for so long is given up. An encoder sends a segment while it makes it, in pieces.
const SILENCE: Duration = Duration::from_secs(30);
/// So is one that takes so long in all.
const LONGEST: Duration = Duration::from_secs(600);

/// Takes a pushed file. `serial` orders requests: of two manifests the later one counts.
pub(super) async fn receive(
    library: &Arc<Library>,
    stream: StreamName,
    path: FilePath,
    serial: u64,
    body: Body,
) -> Result<(), Refusal> {
    if path.kind() == Kind::Media {
        return media(library, stream, path, body).await;
    }
    let mut pieces = Pieces::new(body);
    let mut text = Vec::new();
    while let Some(piece) = pieces.next().await? {
        if text.len() + piece.len() > MAX_PLAYLIST {
            return Err(Refusal::LargePlaylist);
        }
        text.extend_from_slice(&piece);
    }
    let library = Arc::clone(library);
    blocking(move || match path.kind() {
        Kind::Mpd => {
            let text = String::from_utf8(text).map_err(|_| Refusal::Mpd)?;
            let text = with_base(&text, &library.run_folder(&stream).unwrap_or_default())?;
            library.manifest(&stream, &path, text, serial)
        }
        Kind::Playlist | Kind::Media => {
            let text = pushed::text(&text)?;
            if pushed::is_multivariant(text) {
                library.manifest(&stream, &path, text.to_owned(), serial)
            } else {
                library.playlist(&stream, &path, Pushed::parse(text)?, serial)
            }
        }
    })
    .await
}

async fn media(
    library: &Arc<Library>,
    stream: StreamName,
    path: FilePath,
    body: Body,
) -> Result<(), Refusal> {
    let mut upload = Upload::begin(library, stream, path).await?;
    let mut file = File::create(&upload.part).await?;
    let (mut hasher, mut bytes, mut head) = (blake3::Hasher::new(), 0u64, Vec::new());
    let mut pieces = Pieces::new(body);
    while let Some(piece) = pieces.next().await? {
        bytes += piece.len() as u64;
        if bytes > u64::from(MAX_SEGMENT) {
            return Err(Refusal::LargeFile);
        }
        upload.reserve(piece.len() as u64)?;
        head.extend(piece.iter().take(HEAD - head.len().min(HEAD)));
        hasher.update(&piece);
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    drop(file);
    upload.complete(hasher.finalize(), bytes, begins_playback(&head)).await
}

/// First bytes of a file that tell what it is.
const HEAD: usize = 8;

/// An initialisation segment: MP4 that begins with its file type (media segments begin with `styp`, `moof`, `sidx`), or WebM's header.
fn begins_playback(head: &[u8]) -> bool {
    head.get(4..8) == Some(b"ftyp") || head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3])
}

/// Has the manifest's media looked for in a folder, where a name stands for one file: DASH makes names by counting, so they can't be rewritten one by
/// one.
fn with_base(mpd: &str, folder: &str) -> Result<String, Refusal> {
    let begins = mpd.find("<MPD").ok_or(Refusal::Mpd)?;
    let period = mpd.find("<Period").filter(|at| *at > begins).ok_or(Refusal::Mpd)?;
    let head = &mpd[..period];
    if folder.is_empty() || head.contains("<BaseURL") {
        return Ok(mpd.to_owned());
    }
    // Its place by the schema.
    let information = head.rfind("</ProgramInformation>").map(|at| at + "</ProgramInformation>".len());
    let opened = || head[begins..].find('>').map(|at| begins + at + 1);
    let at = information.or_else(opened).ok_or(Refusal::Mpd)?;
    Ok(format!("{}\n<BaseURL>{folder}</BaseURL>{}", &mpd[..at], &mpd[at..]))
}

struct Pieces {
    body: axum::body::BodyDataStream,
    until: Instant,
}

impl Pieces {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), until: Instant::now() + LONGEST }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let until = self.until.min(Instant::now() + SILENCE);
        match timeout_at(until, self.body.next()).await {
            Err(_) => Err(Refusal::Slow),
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => Err(Refusal::Broken(error.to_string())),
        }
    }
}

/// An upload under way. Dropped before it is complete, it leaves nothing behind.
struct Upload {
    library: Arc<Library>,
    stream: StreamName,
    path: FilePath,
    part: PathBuf,
    reserved: u64,
    done: bool,
}

impl Upload {
    async fn begin(library: &Arc<Library>, stream: StreamName, path: FilePath) -> Result<Self, Refusal> {
        let library = Arc::clone(library);
        blocking(move || {
            let part = library.begin(&stream, &path)?;
            let mut upload = Self { library, stream, path, part, reserved: 0, done: false };
            // What is lost by rounding.
            upload.reserve(BLOCK)?;
            Ok(upload)
        })
        .await
    }

    fn reserve(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.library.reserve(bytes)?;
        self.reserved += bytes;
        Ok(())
    }

    async fn complete(mut self, hash: blake3::Hash, bytes: u64, is_init: bool) -> Result<(), Refusal> {
        blocking(move || {
            self.done = true;
            let whole = Whole { part: self.part.clone(), hash, bytes, is_init };
            self.library.complete(&self.stream, &self.path, &whole, self.reserved)
        })
        .await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.done {
            self.library.abandon(&self.stream, &self.path, &self.part, self.reserved);
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let panicked = |_| Refusal::Disk(std::io::Error::other("its task ended"));
    tokio::task::spawn_blocking(work).await.map_err(panicked)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_finds_its_media_in_the_run_s_folder() {
        let of_ffmpeg = "<?xml?>\n<MPD type=\"dynamic\">\n<ProgramInformation>\n</ProgramInformation>\n<ServiceDescription/>\n<Period/></MPD>";
        let based = with_base(of_ffmpeg, "~7/").expect("a manifest");
        assert!(
            based.contains("</ProgramInformation>\n<BaseURL>~7/</BaseURL>\n<ServiceDescription"),
            "{based}"
        );
        let based = with_base("<MPD a=\"b\"><Period/></MPD>", "~7/").expect("a manifest");
        assert_eq!(based, "<MPD a=\"b\">\n<BaseURL>~7/</BaseURL><Period/></MPD>");
        let own = "<MPD><BaseURL>x/</BaseURL><Period/></MPD>";
        assert_eq!(with_base(own, "~7/").expect("a manifest"), own);
        for wrong in ["", "<html>", "<MPD>", "<Period/><MPD>", "<MPD<Period"] {
            assert!(matches!(with_base(wrong, "~7/"), Err(Refusal::Mpd)), "{wrong}");
        }
    }

    #[test]
    fn initialisation_is_told_by_its_first_bytes() {
        assert!(begins_playback(b"\0\0\0\x1cftypiso5") && begins_playback(&[0x1a, 0x45, 0xdf, 0xa3, 1]));
        for other in [&b"\0\0\0\x18stypmsdh"[..], b"G@\0", b"", b"\0\0\0\x1cfty"] {
            assert!(!begins_playback(other));
        }
    }
}
