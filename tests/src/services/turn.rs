//! A TURN server that isn't ours, coturn: what viewers are linked through where nobody may learn their addresses.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Place, Server};

const PORT: u16 = 3478;
const USER: &str = "viewer";
const PASSWORD: &str = "rillcast";

/// A running coturn.
#[derive(Debug)]
pub struct Turn {
    server: Server,
    address: SocketAddr,
    _folder: TempDir,
}

impl Turn {
    /// Starts it at a place.
    pub async fn start(place: &Place) -> Result<Self> {
        let folder = tempfile::tempdir().context("there's no room for coturn's files")?;
        let address = SocketAddr::new(place.address(), PORT);
        let ip = address.ip().to_string();
        let mut command = place.command("turnserver");
        command
            .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--lt-cred-mech", "--realm", "rillcast.test"])
            .args(["--listening-ip", &ip, "--relay-ip", &ip, "--listening-port", &PORT.to_string()])
            .args(["--user", &format!("{USER}:{PASSWORD}")])
            // Where it lies usually, others may have one, and only root may write.
            .arg("--db")
            .arg(folder.path().join("turn.db"))
            .arg("--pidfile")
            .arg(folder.path().join("turn.pid"))
            .args(["--log-file", "stdout", "--simple-log"]);
        let server = Server::start("coturn", command, place, PORT).await.context(
            "coturn isn't there or doesn't start; `cargo xtask setup` installs it (Debian: apt-get install coturn)",
        )?;
        Ok(Self { server, address, _folder: folder })
    }

    /// Its address, which is that of all that it relays.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into a site's `ice`.
    pub fn ice(&self) -> String {
        let url = format!("turn:{}?transport=udp", self.address);
        format!("{{ url = \"{url}\", username = \"{USER}\", credential = \"{PASSWORD}\" }}")
    }

    /// The process.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}
