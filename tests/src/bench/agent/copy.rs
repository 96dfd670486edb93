//! ffmpeg, which writes what it is handed to a file without changing it.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::services::Place;

/// Copies so many seconds of the stream at `url`, as seen from `place`, into `file`.
pub(super) async fn copy(place: &Place, url: &str, seconds: u64, file: &Path) -> Result<()> {
    let mut command = place.command("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error", "-i", url, "-t", &seconds.to_string()]);
    command.args(["-c", "copy", "-f", "mpegts"]).arg(file);
    let output = command.output().await.context("can't start ffmpeg")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ffmpeg can't copy {url}: {}", said.trim());
    Ok(())
}
