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

/// The same, with sound, as an MPD (`index.mpd`) and what it names.
pub(crate) async fn dash_film(directory: &Path, seconds: u32, more: &[&str]) {
    let made = Command::new("ffmpeg")
        .current_dir(directory)
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"])
        .args(["-f", "lavfi", "-i", "sine=r=48000", "-t", &seconds.to_string()])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-b:v",
            "1M",
            "-minrate",
            "1M",
            "-maxrate",
            "1M",
            "-bufsize",
            "1M",
        ])
        .args(["-x264-params", "nal-hrd=cbr", "-g", "50", "-sc_threshold", "0", "-c:a", "aac", "-b:a", "96k"])
        .args(["-f", "dash", "-seg_duration", "2"])
        .args(more)
        .arg("index.mpd")
        .status();
    assert!(made.await.expect("ffmpeg is installed").success());
}

/// What ffmpeg makes of an HLS stream from its beginning on, without decoding it.
pub(crate) async fn copied(url: &str) -> Vec<u8> {
    copied_with(&["-live_start_index", "0"], url).await
}

/// What ffmpeg makes of any stream, without decoding it.
pub(crate) async fn copied_with(options: &[&str], url: &str) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin"])
        .args(options)
        .args(["-i", url, "-c", "copy", "-f", "mpegts", "-"])
        .stderr(Stdio::inherit())
        .output()
        .await
        .expect("ffmpeg is installed");
    assert!(output.status.success());
    output.stdout
}
