//! The WebTorrent tracker that p2p-media-loader's viewers meet at.

use std::path::Path;

use anyhow::{Result, anyhow};

use super::{Place, Server};
use crate::browser::node_modules;

/// A running tracker.
#[derive(Debug)]
pub struct Tracker {
    server: Server,
    url: String,
}

impl Tracker {
    /// Starts bittorrent-tracker from npm.
    pub async fn start(place: &Place) -> Result<Self> {
        let modules = node_modules().map_err(|reason| anyhow!(reason))?;
        let (address, port) = (place.address(), place.free_port()?);
        let mut command = place.command("node");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("driver/tracker.mjs"))
            .args([address.to_string(), port.to_string()])
            .env("RILLCAST_NODE_MODULES", modules);
        let server = Server::start("tracker", command, place, port).await?;
        Ok(Self { server, url: format!("ws://{address}:{port}") })
    }

    /// Its WebSocket address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }
}
