//! A node that encoders push to, which seeds what is pushed as well, and ffmpeg that pushes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::rillcast::program;
use super::{Place, Server};

/// The path of the stream that is pushed.
const STREAM: &str = "tv/index.m3u8";
/// Seconds of a segment.
pub const SEGMENT_S: u32 = 2;

/// A running node.
#[derive(Debug)]
pub struct Ingest {
    server: Server,
    address: SocketAddr,
    place: Place,
    _folder: TempDir,
}

impl Ingest {
    /// Where the stream will be found at that port of a place.
    pub fn manifest(place: &Place, port: u16) -> String {
        format!("http://{}/{STREAM}", SocketAddr::new(place.address(), port))
    }

    /// Starts it; it joins the stream's swarm at that signaling server.
    pub async fn start(place: &Place, port: u16, signaling: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir().context("there's no room for what is pushed")?;
        let address = SocketAddr::new(place.address(), port);
        let udp = SocketAddr::new(place.address(), place.free_port()?).to_string();
        let (listen, signal) = (address.to_string(), format!("ws://{signaling}/"));
        let manifest = Self::manifest(place, port);
        let mut command = place.command(program("rillcast-seed")?);
        command.args(["--ingest", &listen, "--manifest", &manifest, "--signal", &signal, "--udp", &udp]);
        command.args(["--insecure-open", "--ingest-dir"]).arg(folder.path().join("ingest"));
        let mut server = Server::spawn("ingest", command)?;
        server.wait_for_line("\"joined\"").await?;
        Ok(Self { server, address, place: place.clone(), _folder: folder })
    }

    /// Where the stream is found.
    pub fn url(&self) -> String {
        format!("http://{}/{STREAM}", self.address)
    }

    /// What is served under a path of its server.
    pub async fn get(&self, path: &str) -> Result<Vec<u8>> {
        let (place, port) = (self.place.clone(), self.address.port());
        // One answer, and the end of the connection behind it.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address);
        let read = move || -> Result<Vec<u8>> {
            let mut stream = place.connect(port)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        };
        let answer = tokio::task::spawn_blocking(read).await??;
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").context("no answer of HTTP's")?;
        ensure!(answer.starts_with(b"HTTP/1.0 200"), "{path}: {}", String::from_utf8_lossy(&answer[..end]));
        Ok(answer[end + 4..].to_vec())
    }

    /// The segments that are listed, newest last.
    pub async fn listed(&self) -> Result<Vec<String>> {
        let text = String::from_utf8(self.get(&format!("/{STREAM}")).await?).context("a playlist is text")?;
        Ok(text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect())
    }

    /// Fails if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }
}

/// Makes what will be pushed, once for all runs: a picture of this bitrate and a tone.
pub async fn tape(folder: &Path, kbps: u32) -> Result<PathBuf> {
    let path = folder.join("tape.mkv");
    let (rate, gop) = (format!("{kbps}k"), (25 * SEGMENT_S).to_string());
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-y", "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25"])
        .args(["-f", "lavfi", "-i", "sine=f=440:r=48000", "-t", "20"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-b:v", &rate, "-maxrate", &rate, "-bufsize", &rate])
        .args(["-g", &gop, "-sc_threshold", "0", "-c:a", "aac", "-b:a", "64k"])
        .arg(&path)
        .status()
        .await
        .context("ffmpeg isn't there; `cargo xtask setup` installs it")?;
    ensure!(made.success(), "ffmpeg couldn't make a tape in {}", folder.display());
    Ok(path)
}

/// ffmpeg at a place, which pushes the tape again and again at the speed of playing.
pub fn push(place: &Place, tape: &Path, to: &str) -> Result<Server> {
    let mut command = place.command("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"]).arg(tape);
    command.args(["-c", "copy", "-f", "hls", "-hls_time", &SEGMENT_S.to_string(), "-hls_list_size", "6"]);
    command.args(["-hls_flags", "delete_segments+program_date_time", "-method", "PUT", to]);
    Server::spawn("ffmpeg", command)
}
