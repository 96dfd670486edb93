//! A node that encoders push to, and ffmpeg that pushes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use clap::Parser;
use reqwest::Response;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use tokio::process::{Child, Command};

/// The key of every stream, where there are keys.
pub(crate) const KEY: &str = "a-key-of-some-length";

pub(crate) struct Station {
    pub(crate) node: Node,
    pub(crate) http: reqwest::Client,
    pub(crate) dir: tempfile::TempDir,
}

impl Station {
    pub(crate) async fn start(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = dir.path().join("ingest");
        let base = ["rillcast-seed", "--ingest", "127.0.0.1:0", "--ingest-dir", at.to_str().expect("text")];
        let options = Options::try_parse_from(base.iter().chain(more)).expect("flags that exist");
        let node = Node::start(options.settle().expect("settings that make sense")).await.expect("a node");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { node, http, dir }
    }

    /// One whose streams have a key.
    pub(crate) async fn locked(more: &[&str]) -> Self {
        let keys = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(keys.path(), format!("* {KEY}\n")).expect("written");
        let (_, path) = keys.keep().expect("kept");
        let path_text = path.to_str().expect("text").to_owned();
        let station = Self::start(&[&["--ingest-keys", &path_text], more].concat()).await;
        std::fs::rename(&path, station.dir.path().join("keys")).expect("moved");
        station
    }

    pub(crate) fn authority(&self) -> String {
        self.node.ingest.as_ref().expect("it was asked for").address.to_string()
    }

    /// Where it is found over TLS.
    pub(crate) fn secure(&self, path: &str) -> String {
        let at = self.node.ingest.as_ref().and_then(|ingest| ingest.tls).expect("it was asked for");
        format!("https://localhost:{}/{path}", at.port())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.authority())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.expect("answers")
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.expect("text")
    }

    pub(crate) async fn put(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.http.put(self.url(path)).body(body).send().await.expect("answers")
    }
}

/// Segments that a playlist names.
pub(crate) fn uris(playlist: &str) -> Vec<&str> {
    playlist.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

/// A film to push: a picture and a tone, two seconds from one key frame to the next.
pub(crate) async fn tape(path: &Path, seconds: u32, picture: bool) {
    let seconds = seconds.to_string();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    if picture {
        command.args(["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25"]);
    }
    command.args(["-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", &seconds]);
    if picture {
        command.args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "50",
            "-sc_threshold",
            "0",
            "-b:v",
            "500k",
        ]);
    }
    command.args(["-c:a", "aac", "-b:a", "64k"]).arg(path);
    assert!(command.status().await.expect("ffmpeg is installed").success());
}

/// ffmpeg that packages a tape in the same way each time, wherever to.
pub(crate) fn packager(tape: &Path, more: &[&str], to: &str) -> Child {
    packager_at(None, tape, more, to)
}

/// The same so many times as fast as it plays, instead of at once.
fn packager_at(speed: Option<&str>, tape: &Path, more: &[&str], to: &str) -> Child {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y", "-fflags", "+bitexact"]);
    if let Some(speed) = speed {
        command.args(["-readrate", speed]);
    }
    command
        .arg("-i")
        .arg(tape)
        .args(["-map", "0", "-c", "copy", "-flags", "+bitexact", "-fflags", "+bitexact"])
        .args(more)
        .arg(to)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

pub(crate) async fn package(tape: &Path, more: &[&str], to: &str) {
    assert!(packager(tape, more, to).wait().await.expect("it ends").success(), "{to}");
}

pub(crate) async fn package_at(speed: Option<&str>, tape: &Path, more: &[&str], to: &str) {
    assert!(packager_at(speed, tape, more, to).wait().await.expect("it ends").success(), "{to}");
}

/// What ffprobe says of the first seconds of a stream: the codecs, and how many packets it reads. A live stream isn't waited for.
pub(crate) async fn probed(url: &str, seconds: u32) -> (Vec<String>, usize) {
    let mut command = Command::new("ffprobe");
    if url.contains(".m3u8") {
        command.args(["-live_start_index", "0"]);
    }
    let output = command
        .args(["-v", "error", "-count_packets", "-of", "csv=p=0", "-read_intervals", &format!("%+{seconds}")])
        .args(["-show_entries", "stream=codec_name,nb_read_packets", url])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(30), output).await.expect("it comes to an end");
    let text = String::from_utf8(output.expect("ffprobe is installed").stdout).expect("text");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let packets = lines.iter().flatten().filter_map(|word| word.parse::<usize>().ok()).sum();
    let mut codecs: Vec<String> =
        lines.iter().filter_map(|words| Some((*words.first()?).to_owned())).collect();
    codecs.retain(|codec| !codec.is_empty());
    codecs.sort();
    codecs.dedup();
    (codecs, packets)
}
