//! A TURN server that isn't ours, coturn: what viewers are linked through where nobody may learn their addresses.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Place, Server};

const PORT: u16 = 3478;
const USER: &str = "viewer";
const PASSWORD: &str = "rillcast";

/// Who may relay.
enum Users<'a> {
    /// One, by a password for good.
    One,
    /// Whoever has credentials made with this secret, for their time.
    Shared(&'a str),
}

/// A running coturn.
#[derive(Debug)]
pub struct Turn {
    server: Server,
    address: SocketAddr,
    _folder: TempDir,
}

impl Turn {
    /// Starts it at a place, with one user.
    pub async fn start(place: &Place) -> Result<Self> {
        Self::start_for(place, PORT, Users::One).await
    }

    /// Starts it at a place and port for whoever has credentials made with a secret.
    pub async fn start_shared(place: &Place, port: u16, secret: &str) -> Result<Self> {
        Self::start_for(place, port, Users::Shared(secret)).await
    }

    async fn start_for(place: &Place, port: u16, users: Users<'_>) -> Result<Self> {
        let folder = tempfile::tempdir().context("there's no room for coturn's files")?;
        let address = SocketAddr::new(place.address(), port);
        let ip = address.ip().to_string();
        let mut command = place.command("turnserver");
        command
            .args(["-n", "--no-tls", "--no-dtls", "--no-cli", "--realm", "rillcast.test"])
            .args(["--listening-ip", &ip, "--relay-ip", &ip, "--listening-port", &port.to_string()])
            // Where it lies usually, others may have one, and only root may write.
            .arg("--db")
            .arg(folder.path().join("turn.db"))
            .arg("--pidfile")
            .arg(folder.path().join("turn.pid"))
            .args(["--log-file", "stdout", "--simple-log"]);
        match users {
            Users::One => command.args(["--lt-cred-mech", "--user", &format!("{USER}:{PASSWORD}")]),
            Users::Shared(secret) => command.args(["--use-auth-secret", "--static-auth-secret", secret]),
        };
        let server = Server::start("coturn", command, place, port).await.context(
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
