//! Makes a film of a media file: ffmpeg packages it once, as transport stream in segments of four seconds.
//!
//! All are encoded alike, so that a player goes from one to the next without a change of decoders. What was made is kept beside the
//! pushed streams until the file changes. Nodes that are to be interchangeable get the packaged folders, not the file: two versions of ffmpeg make
//! different bytes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::UNIX_EPOCH;

use thiserror::Error;

/// Why a file can't be packaged.
#[derive(Debug, Error)]
pub enum PackageError {
    /// No such file.
    #[error("can't read {0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// No ffmpeg.
    #[error(
        "{0} has to be packaged, and ffmpeg can't be run: {1}; install it (apt install ffmpeg), or schedule a finished HLS playlist instead"
    )]
    NoFfmpeg(PathBuf, std::io::Error),
    /// It failed.
    #[error("ffmpeg can't package {0}: {1}")]
    Ffmpeg(PathBuf, String),
}

/// Whether a scheduled file has to be packaged first.
pub fn is_needed(path: &Path) -> bool {
    path.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("m3u8"))
}

/// Whether ffmpeg is there.
pub fn ffmpeg() -> std::io::Result<()> {
    Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().map(drop)
}

/// Packages a file into a folder below `dir`, unless that has been done. Told back: the playlist. Takes as long as ffmpeg does.
pub fn package(path: &Path, dir: &Path) -> Result<PathBuf, PackageError> {
    let cant = |error| PackageError::Read(path.to_owned(), error);
    let about = std::fs::metadata(path).map_err(cant)?;
    let modified =
        about.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let known_by = format!("{}\0{}\0{}", path.display(), about.len(), modified.as_nanos());
    let name = blake3::hash(known_by.as_bytes()).to_hex()[..16].to_owned();
    let folder = dir.join(&name);
    let playlist = folder.join("index.m3u8");
    if playlist.exists() {
        return Ok(playlist);
    }
    // Whole or not at all.
    let making = dir.join(format!("{name}.making"));
    let _ = std::fs::remove_dir_all(&making);
    std::fs::create_dir_all(&making).map_err(cant)?;
    tracing::info!(file = %path.display(), "packaging");
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-i"])
        .arg(path)
        .args([
            "-map", "0:v:0?", "-map", "0:a:0?", "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt",
            "yuv420p",
        ])
        .args(["-force_key_frames", "expr:gte(t,n_forced*4)", "-c:a", "aac", "-ac", "2", "-ar", "48000"])
        .args(["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"])
        .arg(making.join("index.m3u8"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| PackageError::NoFfmpeg(path.to_owned(), error))?;
    if !output.status.success() {
        let said =
            String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("it gave no reason").to_owned();
        return Err(PackageError::Ffmpeg(path.to_owned(), said));
    }
    std::fs::rename(&making, &folder).map_err(cant)?;
    Ok(playlist)
}
