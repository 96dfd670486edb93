//! `--media`: whatever video a user has becomes a ladder, and what is no video is refused in words.

use std::path::{Path, PathBuf};
use std::process::Command;

use rillcast_tests::media::{Container, Library};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rillcast-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn make(&self, name: &str, args: &[&str]) -> PathBuf {
        let file = self.0.join(name);
        let status =
            Command::new("ffmpeg").args(["-nostdin", "-v", "error", "-y"]).args(args).arg(&file).status();
        assert!(status.unwrap().success());
        file
    }

    fn prepare(&self, file: &Path) -> anyhow::Result<Library> {
        Library::prepare_file(file, 16, &self.0.join("cache"), &|_, _| ())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn an_odd_file_without_sound_becomes_a_ladder() {
    let folder = Folder::new("odd");
    // Upright, odd sizes, an odd frame rate, 9 s long.
    let file = folder
        .make("odd.mkv", &["-f", "lavfi", "-i", "testsrc=s=201x355:r=29.97", "-t", "9", "-c:v", "mpeg4"]);
    let library = folder.prepare(&file).unwrap();
    assert_eq!((library.segments(), library.segment_seconds()), (2, 4));
    for rendition in library.renditions() {
        assert_eq!(rendition.codecs, "avc1.4d401f");
        for container in [Container::Ts, Container::Fmp4] {
            let mut bytes =
                if container == Container::Fmp4 { library.init(rendition).unwrap() } else { Vec::new() };
            for number in 1..6 {
                bytes.extend(library.segment(rendition, container, number).unwrap());
            }
            let all = folder.0.join("all");
            std::fs::write(&all, bytes).unwrap();
            let counted = Command::new("ffprobe")
                .args(["-v", "error", "-count_packets", "-show_entries", "stream=codec_type,nb_read_packets"])
                .args(["-of", "csv=p=0"])
                .arg(&all)
                .output()
                .unwrap();
            let text = String::from_utf8(counted.stdout).unwrap();
            assert_eq!(text.lines().next().unwrap().trim_end_matches(','), "video,500", "{container:?}");
            assert!(!text.contains("audio"));
        }
    }
}

#[test]
fn a_file_with_sound_keeps_it_and_is_prepared_once() {
    let folder = Folder::new("sound");
    let args =
        ["-f", "lavfi", "-i", "testsrc=s=320x240:r=15", "-f", "lavfi", "-i", "sine=r=44100", "-t", "3"];
    let file = folder.make("short.mp4", &args);
    let library = folder.prepare(&file).unwrap();
    assert!(library.renditions().iter().all(|rendition| rendition.codecs.contains("mp4a")));
    let again = std::cell::Cell::new(false);
    Library::prepare_file(&file, 16, &folder.0.join("cache"), &|_, _| again.set(true)).unwrap();
    assert!(!again.get(), "it was prepared twice");
}

#[test]
fn what_is_no_video_is_refused_with_advice() {
    let folder = Folder::new("bad");
    let text = folder.0.join("text.mp4");
    std::fs::write(&text, "this is no video").unwrap();
    let sound = folder.make("sound.wav", &["-f", "lavfi", "-i", "sine", "-t", "1"]);
    for (file, advice) in [
        (folder.0.join("missing.mp4"), "is not a file"),
        (text, "can't be read as media"),
        (sound, "holds no video"),
    ] {
        let said = format!("{:#}", folder.prepare(&file).unwrap_err());
        assert!(said.contains(advice) && said.contains("give"), "{said}");
    }
}
