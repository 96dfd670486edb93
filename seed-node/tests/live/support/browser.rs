//! A browser page at the other end of a link; see `page.mjs`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rillcast_protocol::coding::Text;
use rillcast_protocol::session::{Description, SessionSignal, Side};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A page and its browser. Both end with the script's input: killed, the script could not take the browser with it, which is in a process
/// group of its own.
pub(crate) struct Page {
    node: Child,
    /// Until it is dropped.
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    attempt: u32,
}

/// What a page says.
#[derive(Debug)]
pub(crate) enum Said {
    Signal(SessionSignal),
    Open,
    Closed,
    Control(String),
    Port(u16),
    Received { bytes: usize, bad: usize, ms: f64, gap: f64 },
}

impl Page {
    /// Starts `chromium` or `firefox`. A test without its browser fails, or nobody would notice that it tests nothing.
    pub(crate) async fn start(name: &str) -> Self {
        let (variable, usual) = match name {
            "firefox" => ("RILLCAST_FIREFOX", "/usr/bin/firefox-esr"),
            _ => ("RILLCAST_CHROMIUM", "/usr/bin/chromium"),
        };
        let executable = std::env::var(variable).unwrap_or_else(|_| usual.to_owned());
        let has_modules = std::env::var_os("RILLCAST_NODE_MODULES").is_some();
        assert!(
            has_modules && std::path::Path::new(&executable).exists(),
            "run this through `cargo xtask test`, or set RILLCAST_NODE_MODULES to a node_modules with puppeteer-core and \
             {variable} to a browser ({executable} isn't one)"
        );
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/live/support/page.mjs");
        let mut node = Command::new("node")
            .args([script, name, &executable])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is installed");
        let input = node.stdin.take();
        let output = BufReader::new(node.stdout.take().expect("piped")).lines();
        let mut page = Self { node, input, output, attempt: 1 };
        loop {
            let line = page.line().await;
            if let Some(version) = line["ready"].as_str() {
                eprintln!("{version}");
                return page;
            }
        }
    }

    async fn line(&mut self) -> Value {
        let line = self.output.next_line().await.expect("readable").expect("the page's script is running");
        serde_json::from_str(&line).expect("JSON")
    }

    pub(crate) async fn tell(&mut self, command: Value) {
        let input = self.input.as_mut().expect("piped");
        input.write_all(format!("{command}\n").as_bytes()).await.expect("the page's script is running");
    }

    pub(crate) async fn signal(&mut self, signal: SessionSignal) {
        let (kind, text) = match signal {
            SessionSignal::Offer { attempt, description } => {
                self.attempt = attempt;
                ("offer", description.to_sdp(Side::Offer).expect("plain"))
            }
            SessionSignal::Answer { description, .. } => {
                ("answer", description.to_sdp(Side::Answer).expect("plain"))
            }
            SessionSignal::Candidate { candidate, .. } => ("candidate", candidate.as_str().to_owned()),
            SessionSignal::Abort { .. } => return,
        };
        self.tell(json!({"op": "signal", "kind": kind, "text": text})).await;
    }

    /// What the page says next.
    pub(crate) async fn next(&mut self) -> Said {
        let attempt = self.attempt;
        loop {
            let line = self.line().await;
            let text = line["text"].as_str().unwrap_or_default();
            let description = || Description::from_sdp(text).expect("a browser's SDP");
            if let Some(log) = line["log"].as_str() {
                eprintln!("page: {log}");
            } else if line["open"] == true {
                return Said::Open;
            } else if line["closed"] == true {
                return Said::Closed;
            } else if let Some(control) = line["control"].as_str() {
                return Said::Control(control.to_owned());
            } else if let Some(port) = line["port"].as_u64() {
                return Said::Port(port as u16);
            } else if let Some(bytes) = line["received"].as_u64() {
                return Said::Received {
                    bytes: bytes as usize,
                    bad: line["bad"].as_u64().unwrap_or(1) as usize,
                    ms: line["ms"].as_f64().unwrap_or_default(),
                    gap: line["gap"].as_f64().unwrap_or_default(),
                };
            } else {
                return Said::Signal(match line["kind"].as_str() {
                    Some("offer") => SessionSignal::Offer { attempt, description: description() },
                    Some("answer") => SessionSignal::Answer { attempt, description: description() },
                    _ => SessionSignal::Candidate {
                        attempt,
                        candidate: Text::new(text).expect("a short candidate"),
                    },
                });
            }
        }
    }
}

impl Drop for Page {
    /// Waits for the browser's end, or it would outlive the test that it belongs to.
    fn drop(&mut self) {
        self.input.take();
        let late = Instant::now() + Duration::from_secs(10);
        while Instant::now() < late && matches!(self.node.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Datagrams that the kernel dropped at the sockets bound to a port, because their receive buffer was full.
pub(crate) fn kernel_drops(port: u16) -> u64 {
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|t| std::fs::read_to_string(t).unwrap_or_default());
    let rows = tables.iter().flat_map(|t| t.lines().skip(1));
    rows.filter_map(|row| {
        let fields: Vec<&str> = row.split_whitespace().collect();
        let (_, hex) = fields.get(1)?.rsplit_once(':')?;
        (u16::from_str_radix(hex, 16).ok()? == port).then_some(())?;
        fields.last()?.parse::<u64>().ok()
    })
    .sum()
}
