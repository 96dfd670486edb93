//! The origin's stream is one that players can rely on: endless, gapless, addressed by wall clock.

use crate::common;

use std::process::Command;

use common::{get, library, origin, small_library};
use rillcast_tests::media::Container;
use rillcast_tests::origin::OriginConfig;
use sha2::{Digest, Sha256};

/// Decode timestamps of every packet of a stream (0 video, 1 audio), in seconds, as ffprobe reads them.
fn times(file: &std::path::Path, stream: &str) -> Vec<f64> {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-select_streams",
            stream,
            "-show_entries",
            "packet=dts_time",
            "-of",
            "csv=p=0",
        ])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "ffprobe: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.trim_end_matches(',').parse().ok()).collect()
}

fn assert_gapless(file: &std::path::Path, seconds: f64) {
    for (stream, step) in [("v:0", 1.0 / 25.0), ("a:0", 1024.0 / 48_000.0)] {
        let times = times(file, stream);
        let expected = (seconds / step).round() as i64;
        assert!(
            (times.len() as i64 - expected).abs() <= 3,
            "{stream}: {} packets of {expected}",
            times.len()
        );
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!((gap - step).abs() < 0.002, "{stream}: {} s after {} s", gap, pair[0]);
        }
    }
}

#[test]
fn timestamps_go_on_evenly_over_two_loop_boundaries() {
    let library = small_library();
    let dir = std::env::temp_dir().join(format!("rillcast-loop-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    for rendition in library.renditions() {
        for container in [Container::Ts, Container::Fmp4] {
            let mut all =
                if container == Container::Fmp4 { library.init(rendition).unwrap() } else { Vec::new() };
            for number in 2..11 {
                all.extend(library.segment(rendition, container, number).unwrap());
            }
            let file = dir.join(if container == Container::Ts { "all.ts" } else { "all.mp4" });
            std::fs::write(&file, all).unwrap();
            assert_gapless(&file, 9.0 * 4.0);
            // The decoder sees no break either: continuity counters are right and frames complete.
            let decoded = Command::new("ffmpeg")
                .args(["-nostdin", "-v", "warning", "-i"])
                .arg(&file)
                .args(["-f", "null", "-"])
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&decoded.stderr);
            assert!(said.is_empty(), "{container:?} {}: {said}", rendition.name);
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn every_rendition_weighs_what_its_name_says() {
    let library = library();
    for rendition in library.renditions() {
        let nominal: f64 = rendition.name.parse::<f64>().unwrap() * 1000.0;
        let ratio = rendition.mean_bps as f64 / nominal;
        assert!((0.95..1.05).contains(&ratio), "{}: {}", rendition.name, rendition.mean_bps);
        assert!(rendition.peak_bps as f64 / nominal < 1.2, "{}: {}", rendition.name, rendition.peak_bps);
    }
}

#[tokio::test]
async fn the_live_playlist_lists_the_newest_complete_segments() {
    let origin = origin(small_library(), OriginConfig::default()).await;
    let master = get(origin.addr(), "/live/master.m3u8").await.text();
    for name in ["300/index.m3u8", "600/index.m3u8", "RESOLUTION=320x180", "CODECS=\"avc1", "BANDWIDTH="] {
        assert!(master.contains(name), "{name} is not in\n{master}");
    }
    let playlist = get(origin.addr(), "/live/600/index.m3u8").await.text();
    let segments: Vec<&str> = playlist.lines().filter(|line| line.starts_with("seg-")).collect();
    assert_eq!(segments.len(), 6, "{playlist}");
    assert_eq!(playlist.matches("#EXT-X-PROGRAM-DATE-TIME:").count(), 6);
    assert!(!playlist.contains("DISCONTINUITY") && !playlist.contains("ENDLIST"));
    let newest = origin.newest_live_segment();
    assert_eq!(segments[5], format!("seg-{newest}.ts"));
    assert_eq!(get(origin.addr(), &format!("/live/600/seg-{}.ts", newest + 2)).await.status, 404);
}

#[tokio::test]
async fn every_packaging_serves_what_its_playlists_name() {
    let origin = origin(small_library(), OriginConfig { vod_rounds: 2, ..OriginConfig::default() }).await;
    for stream in ["live", "live-fmp4", "live-aes", "vod", "vod-fmp4", "vod-aes"] {
        let base = format!("/{stream}/300");
        let playlist = get(origin.addr(), &format!("{base}/index.m3u8")).await.text();
        assert_eq!(playlist.contains("ENDLIST"), stream.starts_with("vod"));
        let last = playlist.lines().rfind(|line| line.starts_with("seg-")).unwrap();
        let path = format!("{base}/{last}");
        let answer = get(origin.addr(), &path).await;
        assert_eq!(answer.status, 200, "{path}");
        let digest: String = Sha256::digest(&answer.body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, origin.sha256(&path).unwrap());
        if stream.ends_with("fmp4") {
            assert!(playlist.contains("EXT-X-MAP"));
            assert_eq!(get(origin.addr(), &format!("{base}/init.mp4")).await.status, 200);
        }
        if stream.ends_with("aes") {
            assert!(playlist.contains("METHOD=AES-128"));
            assert_eq!(get(origin.addr(), &format!("/{stream}/key.bin")).await.body.len(), 16);
            let plain = origin.segment(&path.replace("-aes", "")).unwrap();
            assert_eq!(answer.body.len(), plain.len() / 16 * 16 + 16);
            assert_ne!(answer.body[..16], plain[..16]);
        }
    }
    let playlist = get(origin.addr(), "/vod/300/index.m3u8").await.text();
    assert_eq!(playlist.lines().filter(|line| line.starts_with("seg-")).count(), 8);
    assert_eq!(get(origin.addr(), "/vod/300/seg-7.ts").await.status, 200);
    assert_eq!(get(origin.addr(), "/vod/300/seg-8.ts").await.status, 404);
}

#[tokio::test]
async fn ffmpeg_plays_the_encrypted_stream() {
    let origin = origin(small_library(), OriginConfig::default()).await;
    let played = tokio::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"])
        .arg(origin.url("/vod-aes/300/index.m3u8"))
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(played.stdout).unwrap();
    assert!(text.contains("h264") && text.contains("aac"), "{text}");
}
