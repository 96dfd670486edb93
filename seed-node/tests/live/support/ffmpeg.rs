//! ffmpeg, which makes films and plays them.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// A film of that length in a directory, at a steady megabit per second, its manifest `index.m3u8`.
pub(crate) async fn film(directory: &Path, seconds: u32, more: &[&str]) {
    let made = Command::new("ffmpeg")
        .current_dir(directory)
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"])
        .args(["-t", &seconds.to_string(), "-c:v", "libx264", "-preset", "ultrafast"])
        .args(["-b:v", "1M", "-minrate", "1M", "-maxrate", "1M", "-bufsize", "1M"])
        .args(["-x264-params", "nal-hrd=cbr", "-g", "50", "-sc_threshold", "0"])
        .args(["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"])
        .args(more)
        .arg("index.m3u8")
        .status();
    assert!(made.await.expect("ffmpeg is installed").success());
}

/// What ffmpeg makes of a stream from its beginning on, without decoding it.
pub(crate) async fn copied(url: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args([
            "-v",
            "error",
            "-nostdin",
            "-live_start_index",
            "0",
            "-i",
            url,
            "-c",
            "copy",
            "-f",
            "mpegts",
            "-",
        ])
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("ffmpeg is installed");
    assert!(output.status.success());
    output.stdout
}
