//! Asks ffprobe what a user's file holds, so that what can't be played is refused in words.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// What matters of a media file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Probe {
    /// Length in seconds.
    pub(crate) duration: f64,
    /// Whether there is sound.
    pub(crate) audio: bool,
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    streams: Vec<Stream>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Stream {
    codec_type: Option<String>,
    codec_name: Option<String>,
    #[serde(default)]
    disposition: Disposition,
}

#[derive(Deserialize, Default)]
struct Disposition {
    #[serde(default)]
    attached_pic: u8,
}

#[derive(Deserialize)]
struct Format {
    duration: Option<String>,
}

/// Examines `path`; fails with advice when it holds no video that can be decoded.
pub(crate) fn probe(path: &Path) -> Result<Probe> {
    ensure!(path.is_file(), "{} is not a file: give --media the path of a video file", path.display());
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-show_format", "-of", "json"])
        .arg(path)
        .output()
        .context("can't run ffprobe: install ffmpeg (Debian: apt-get install ffmpeg)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or("no reason given");
    if !output.status.success() {
        bail!("{} can't be read as media ({said}): give a video file that ffmpeg plays", path.display());
    }
    let report: Report = serde_json::from_slice(&output.stdout).context("ffprobe's answer was not JSON")?;
    let is = |stream: &Stream, kind: &str| {
        stream.codec_type.as_deref() == Some(kind)
            && stream.codec_name.as_deref().is_some_and(|name| name != "none" && name != "unknown")
            && stream.disposition.attached_pic == 0
    };
    ensure!(
        report.streams.iter().any(|stream| is(stream, "video")),
        "{} holds no video that ffmpeg can decode: give a file with pictures",
        path.display()
    );
    // Pipes and some raw streams state no length; the encoder then repeats what is there.
    let duration = report.format.and_then(|format| format.duration?.parse().ok()).unwrap_or(60.0);
    Ok(Probe { duration, audio: report.streams.iter().any(|stream| is(stream, "audio")) })
}
