//! The program itself, as a child process, and signaling for it.

use std::collections::HashMap;
use std::process::Stdio;

use rillcast_signaling::options::Options as SignalOptions;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::origin::Origin;

/// Signaling on a free port, and its WebSocket.
pub(crate) async fn signaling() -> (rillcast_signaling::server::Running, String) {
    signaling_with("").await
}

/// With these settings (TOML).
pub(crate) async fn signaling_with(settings: &str) -> (rillcast_signaling::server::Running, String) {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let dir = tempfile::tempdir().expect("room");
    let config = dir.path().join("settings.toml");
    std::fs::write(&config, settings).expect("room");
    let options = SignalOptions { listen, config: Some(config), ..SignalOptions::default() };
    let running = rillcast_signaling::server::start(options).await.expect("a free port");
    let url = format!("ws://{}", running.listening[0]);
    (running, url)
}

/// A seed that runs until it is dropped.
pub(crate) struct Program {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    metrics: String,
}

impl Program {
    /// Seeds the origin's stream on free ports.
    pub(crate) fn seed(origin: &Origin, signal: &str, more: &[&str]) -> Self {
        Self::seed_of(&origin.url("master.m3u8"), signal, more)
    }

    /// The same of any stream.
    pub(crate) fn seed_of(manifest: &str, signal: &str, more: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rillcast-seed"))
            .args(["--manifest", manifest, "--signal", signal])
            .args(["--udp", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it was built for this test");
        let out = BufReader::new(child.stdout.take().expect("piped")).lines();
        Self { child, out, metrics: String::new() }
    }

    /// What it says when it has joined.
    pub(crate) async fn joined(&mut self) -> serde_json::Value {
        let line = self.out.next_line().await.expect("readable").expect("a line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        self.metrics = format!("http://{}/metrics", said["metrics"].as_str().expect("was asked for"));
        said
    }

    /// Its series, without their labels; of several the sum.
    pub(crate) async fn metrics(&self) -> HashMap<String, u64> {
        let text = reqwest::get(&self.metrics).await.expect("answers").text().await.expect("text");
        let mut series = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let name = name.split('{').next().unwrap_or_default().to_owned();
            *series.entry(name).or_default() += value.parse::<u64>().expect("a number");
        }
        series
    }

    /// Told by this signal.
    pub(crate) async fn tell(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().await.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().await.expect("it ends")
    }

    /// Ends it without a word.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it ran");
    }
}
