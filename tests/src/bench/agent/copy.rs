//! ffmpeg, which writes what it is handed to a file without changing it.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::services::Place;

/// Copies so many seconds of the stream at `url`, as seen from `place`, into `file`: of its renditions the one that is named by its number. ffmpeg by
/// itself takes the first of those with the largest pictures, and here all are of one size.
pub(super) async fn copy(
    place: &Place,
    url: &str,
    rendition: usize,
    seconds: u64,
    file: &Path,
) -> Result<()> {
    let mut command = place.command("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i", url, "-t", &seconds.to_string()]);
    command.args(["-map", &format!("0:p:{rendition}"), "-c", "copy", "-f", "mpegts"]).arg(file);
    let output = command.output().await.context("can't start ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg can't copy {url}: {}", said.trim());
    Ok(())
}
