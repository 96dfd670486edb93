//! mpv without a screen, watched through its own interface.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::services::{Place, Server};

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// It may take so long to start, and as much again as it is to play.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it came to.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Played {
    /// Seconds of the stream that it played.
    pub(crate) played_s: f64,
    /// From its start to its first picture, in seconds.
    pub(crate) start_s: f64,
    /// Times that it stood still for want of the stream, after the first picture.
    pub(crate) stalls: u32,
    /// Frames that it left out.
    pub(crate) dropped: u64,
}

/// Plays `url` at `place` for so many seconds of the stream.
pub(super) async fn play(place: &Place, url: &str, seconds: u64) -> Result<Played> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("mpv.sock");
    let mut command = place.command("mpv");
    // Pictures and sound go nowhere, at the stream's own pace.
    command.args(["--no-config", "--no-terminal", "--vo=null", "--ao=null", "--hwdec=no"]);
    command.arg(format!("--input-ipc-server={}", socket.display())).arg(url);
    let began = Instant::now();
    let mut server = Server::spawn("mpv", command)?;
    let mut mpv = connect(&socket, &mut server).await?;
    let mut first: Option<(f64, f64)> = None;
    let (mut stalls, mut standing) = (0, false);
    loop {
        tokio::time::sleep(LOOK).await;
        server.check()?;
        let waited = began.elapsed();
        ensure!(
            waited < PATIENCE + 2 * Duration::from_secs(seconds),
            "mpv has played {first:?} after {waited:?}{}",
            server.tail()
        );
        let Some(at) = mpv.property("time-pos").await?.as_f64() else { continue };
        let (from, start_s) = *first.get_or_insert((at, waited.as_secs_f64()));
        let stands = mpv.property("paused-for-cache").await? == json!(true);
        stalls += u32::from(stands && !standing && at > from);
        standing = stands;
        if at - from >= seconds as f64 {
            let frames = |value: Value| value.as_u64().unwrap_or(0);
            let dropped = frames(mpv.property("frame-drop-count").await?)
                + frames(mpv.property("decoder-frame-drop-count").await?);
            return Ok(Played { played_s: at - from, start_s, stalls, dropped });
        }
    }
}

async fn connect(socket: &Path, server: &mut Server) -> Result<Mpv> {
    let began = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(socket).await {
            let (read, write) = stream.into_split();
            return Ok(Mpv { lines: BufReader::new(read).lines(), write });
        }
        server.check()?;
        if began.elapsed() > PATIENCE {
            bail!("mpv doesn't listen on {}{}", socket.display(), server.tail());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A connection to it.
struct Mpv {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Mpv {
    /// A property's value; null while it has none.
    async fn property(&mut self, name: &str) -> Result<Value> {
        self.write
            .write_all(format!("{}\n", json!({ "command": ["get_property", name] })).as_bytes())
            .await?;
        loop {
            let line = self.lines.next_line().await?.context("mpv has hung up")?;
            let said: Value = serde_json::from_str(&line)?;
            // Events come in between.
            if said.get("error").is_some() {
                return Ok(said["data"].clone());
            }
        }
    }
}
