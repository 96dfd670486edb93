//! Films become a live channel, the same at each node, and a player goes from one film to the next.

use crate::support;

use std::path::Path;
use std::process::Stdio;

use support::station::{Station, package, tape, uris};
use tokio::process::Command;

/// A white picture as one file: what a node has to package first.
async fn white(path: &Path) {
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-f", "lavfi", "-i", "color=c=white:s=320x180:r=25"])
        .args([
            "-f",
            "lavfi",
            "-i",
            "sine=f=880:r=48000",
            "-t",
            "8",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
        ])
        .args(["-c:a", "aac"])
        .arg(path)
        .status();
    assert!(made.await.expect("ffmpeg is installed").success());
}

/// The brightness of each frame that ffmpeg decodes in so many seconds, from the oldest segment on.
async fn frames(url: &str, seconds: u32) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-v", "fatal", "-nostdin", "-live_start_index", "0", "-i", url, "-t", &seconds.to_string()])
        .args(["-map", "0:v", "-vf", "scale=1:1", "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), output).await.expect("it ends");
    output.expect("ffmpeg is installed").stdout
}

// R33 R49 R52
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_play_the_same_and_ffmpeg_goes_from_film_to_film() {
    let dir = tempfile::tempdir().expect("a directory");
    let (films, at) = (dir.path().join("films"), dir.path().join("tape.mkv"));
    std::fs::create_dir(&films).expect("made");
    tape(&at, 8, true).await;
    let vod = ["-f", "hls", "-hls_time", "2", "-hls_playlist_type", "vod"];
    package(&at, &vod, films.join("index.m3u8").to_str().expect("text")).await;
    white(&dir.path().join("white.mp4")).await;
    let schedule = dir.path().join("retro.toml");
    let text = "name = \"retro\"\n[[item]]\nfile = \"films/index.m3u8\"\n[[item]]\nfile = \"white.mp4\"\n";
    std::fs::write(&schedule, text).expect("written");
    let schedule = schedule.to_str().expect("text");
    let one = Station::start(&["--channel", schedule]).await;
    let other = Station::start(&["--channel", schedule]).await;

    let playlist = "retro/index.m3u8?window=1m";
    let mut tries = 0;
    let shown = loop {
        let (a, b) = tokio::join!(one.text(playlist), other.text(playlist));
        if a == b {
            break a;
        }
        tries += 1;
        assert!(tries < 5, "a segment may come between two looks, but not each time:\n{a}\n{b}");
    };
    assert!(shown.contains("#EXT-X-DISCONTINUITY\n") && !shown.contains("ENDLIST"), "{shown}");
    let segments = uris(&shown);
    assert!(segments.len() > 15, "{shown}");
    for uri in segments.iter().take(8) {
        let path = uri.trim_start_matches('/');
        let (a, b) = tokio::join!(one.get(path), other.get(path));
        assert!(a.status().is_success());
        assert_eq!(a.bytes().await.expect("bytes"), b.bytes().await.expect("bytes"), "{uri}");
    }
    let frames = frames(&one.url(playlist), 20).await;
    assert!(frames.len() > 19 * 25, "{} frames", frames.len());
    let white = |frame: &u8| *frame > 230;
    let changes = frames.windows(2).filter(|two| white(&two[0]) != white(&two[1])).count();
    assert!(changes >= 2, "in twenty seconds there are two films of eight: {changes}");

    assert_eq!(one.put("retro/index.m3u8", "#EXTM3U\n").await.status(), 409);
    assert_eq!(one.get("retro/0123456789abcdef/index0.ts").await.status(), 404);
    one.node.stop().await;
    other.node.stop().await;
}
