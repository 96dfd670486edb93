//! An agent, signaling for it, and a client that says exactly what it is told to.

use std::net::SocketAddr;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use clap::Parser;
use rillcast_seed::agent::Running;
use rillcast_seed::agent::tally::Outcome;
use rillcast_seed::config::Options;
use rillcast_seed::node::Node;
use rillcast_seed::picture::Picture;
use rillcast_signaling::options::Options as SignalOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nobody listens there.
pub(crate) const NO_SIGNAL: &str = "ws://127.0.0.1:9/";

/// Signaling that publishes what is under a prefix.
pub(crate) async fn signaling(publish: &str) -> (rillcast_signaling::server::Running, String) {
    let options = SignalOptions {
        listen: vec!["127.0.0.1:0".parse().expect("an address")],
        publish: vec![publish.to_owned()],
        ..SignalOptions::default()
    };
    let running = rillcast_signaling::server::start(options).await.expect("a free port");
    let url = format!("ws://{}", running.listening[0]);
    (running, url)
}

pub(crate) struct Agent {
    pub(crate) node: Node,
}

impl Agent {
    pub(crate) async fn start(manifest: &str, signal: &str, more: &[&str]) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
        let base = ["rillcast-seed", "--manifest", manifest, "--signal", signal, "--udp", "127.0.0.1:0"];
        let agent = ["--agent", "127.0.0.1:0"];
        let flags = base.iter().chain(&agent).chain(more);
        let settings = Options::try_parse_from(flags).expect("flags that exist").settle().expect("enough");
        Self { node: Node::start(settings).await.expect("a node") }
    }

    pub(crate) fn running(&self) -> &Running {
        self.node.agent.as_ref().expect("it is an agent")
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// Where a URL is found.
    pub(crate) fn local(&self, url: &str) -> String {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        format!("http://{}/{scheme}/{rest}", self.address())
    }

    pub(crate) fn picture(&self) -> Picture {
        self.running().swarms[0].1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes handed to players: from the source and its publisher, from peers.
    pub(crate) fn brought(&self) -> (u64, u64) {
        let by: std::collections::HashMap<_, _> =
            self.running().tally.streams[0].1.by().into_iter().collect();
        (by["source"] + by["publisher"], by["peers"] + by["seeds"])
    }

    pub(crate) fn requests(&self, outcome: Outcome) -> u64 {
        self.running().tally.requests(outcome)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.running().tally.connections.load(Ordering::Relaxed)
    }

    pub(crate) async fn get(&self, url: &str, headers: &[(&'static str, &str)]) -> Answer {
        Client::connect(self.address()).await.ask("GET", &path(url), headers).await
    }
}

/// The path at the agent.
pub(crate) fn path(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").expect("a URL");
    format!("/{scheme}/{rest}")
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }
}

/// One connection, kept alive.
pub(crate) struct Client {
    stream: TcpStream,
    host: String,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("it listens");
        Self { stream, host: to.to_string(), read: Vec::new() }
    }

    pub(crate) fn named(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    pub(crate) async fn say(&mut self, method: &str, target: &str, headers: &[(&'static str, &str)]) {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.host);
        headers.iter().for_each(|(name, value)| text += &format!("{name}: {value}\r\n"));
        self.stream.write_all(format!("{text}\r\n").as_bytes()).await.expect("it listens on");
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        self.say(method, target, headers).await;
        let mut answer = self.head().await;
        let bodiless = method == "HEAD" || matches!(answer.status, 204 | 304);
        if bodiless {
        } else if let Some(length) = answer.headers.get("content-length") {
            let length = length.to_str().expect("text").parse().expect("a number");
            answer.body = self.take(length).await;
        } else {
            loop {
                let line = self.line().await;
                let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
                answer.body.extend(self.take(length).await);
                self.line().await;
                if length == 0 {
                    break;
                }
            }
        }
        answer
    }

    /// Status and headers.
    pub(crate) async fn head(&mut self) -> Answer {
        let status = self.line().await;
        let status = status.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        Answer { status, headers, body: Vec::new() }
    }

    /// The next bytes.
    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            self.more().await;
        }
        self.read.drain(..length).collect()
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.iter().position(|b| *b == b'\n') {
                return String::from_utf8(self.read.drain(..=end).collect()).expect("text");
            }
            self.more().await;
        }
    }

    async fn more(&mut self) {
        let mut buffer = vec![0; 64 * 1024];
        let n = self.stream.read(&mut buffer).await.expect("readable");
        assert!(n > 0, "the connection was closed in the middle");
        self.read.extend(&buffer[..n]);
    }
}

/// Bytes that players were handed from one look to another, by these agents together: from the source, from peers.
pub(crate) fn handed(before: &[(u64, u64)], after: &[(u64, u64)]) -> (u64, u64) {
    let sums = |looks: &[(u64, u64)]| looks.iter().fold((0, 0), |sum, look| (sum.0 + look.0, sum.1 + look.1));
    let (before, after) = (sums(before), sums(after));
    (after.0 - before.0, after.1 - before.1)
}
