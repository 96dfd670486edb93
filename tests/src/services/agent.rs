//! The agent for native players, as a process.

use std::net::SocketAddr;
use std::ops::Sub;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use super::rillcast::{SITE, content, program};
use super::{Place, Server, http};

/// Where it listens, on its own host's loopback address alone.
const PORT: u16 = 9300;
/// Where its metrics are.
const METRICS: u16 = 9301;

/// A running agent; it is killed when this is dropped.
#[derive(Debug)]
pub struct Agent {
    server: Server,
    place: Place,
    master: String,
}

/// Bytes handed to players, by who brought them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brought {
    /// The source, the site's own CDN.
    pub source: u64,
    /// The publisher, who fetches each segment once for all.
    pub publisher: u64,
    /// Other viewers and seeds.
    pub peers: u64,
}

impl Brought {
    /// The peers' part of all.
    pub fn peer_share(self) -> f64 {
        self.peers as f64 / (self.source + self.publisher + self.peers).max(1) as f64
    }
}

impl Sub for Brought {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            source: self.source - before.source,
            publisher: self.publisher - before.publisher,
            peers: self.peers - before.peers,
        }
    }
}

impl Agent {
    /// Starts it at `place` for the stream of `master`.
    pub async fn start(place: &Place, signaling: SocketAddr, master: &str) -> Result<Self> {
        let mut command = place.command(program("rillcast-seed")?);
        let udp = SocketAddr::new(place.address(), place.free_port()?);
        command.args(["--manifest", master, "--signal", &format!("ws://{signaling}/")]);
        command.args(["--site", SITE, "--content", content(master), "--udp", &udp.to_string()]);
        // Reached by its own host's players alone; metrics are read from outside of it.
        command.args(["--agent", &format!("127.0.0.1:{PORT}"), "--insecure-open"]);
        command.args(["--metrics", &SocketAddr::new(place.address(), METRICS).to_string()]);
        let mut server = Server::spawn("agent", command)?;
        server.wait_for_line("\"agent\"").await?;
        Ok(Self { server, place: place.clone(), master: master.to_owned() })
    }

    /// Where its players are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The stream's address for a player on its host.
    pub fn url(&self) -> String {
        format!("http://localhost:{PORT}/{}", self.master.replacen("://", "/", 1))
    }

    /// What it has handed to players so far.
    pub async fn brought(&self) -> Result<Brought> {
        let request = Request::builder().uri("/metrics").header("host", "agent");
        let all = http::ask(&self.place, METRICS, request.body(Full::<Bytes>::default())?).await?;
        let by = |name: &str| {
            let ending = format!("by=\"{name}\"}} ");
            let lines = all.lines().filter(|line| line.starts_with("rillcast_agent_bytes_total{"));
            let value = lines.filter_map(|line| line.split_once(&ending)).next();
            let value = value.with_context(|| format!("the agent's metrics lack bytes by {name}"))?;
            value.1.parse::<u64>().context("a metric is a number")
        };
        Ok(Brought { source: by("source")?, publisher: by("publisher")?, peers: by("peers")? + by("seeds")? })
    }

    /// Fails, with its last words, if it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }
}
