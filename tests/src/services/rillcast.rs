//! Rillcast's own servers: signaling, and a seed if wanted. The one place that knows their command lines.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::{Place, Server};

/// Running signaling, and a seed if one was asked for.
#[derive(Debug)]
pub struct Rillcast {
    signaling: Server,
    seed: Option<Server>,
    address: SocketAddr,
}

impl Rillcast {
    /// Starts signaling at `port` of `place` (0 for any), and with `seed` a seed node beside it that follows the
    /// stream of `master` (the URL of its master playlist).
    pub async fn start(place: &Place, port: u16, master: &str, seed: bool) -> Result<Self> {
        let port = if port == 0 { place.free_port()? } else { port };
        let address = SocketAddr::new(place.address(), port);
        let mut command = place.command(program("rillcast-signaling")?);
        command.args(signaling_args(address));
        let signaling = Server::start("signaling", command, place, port).await?;
        let seed = if seed { Some(Self::start_seed(place, address, master)?) } else { None };
        Ok(Self { signaling, seed, address })
    }

    fn start_seed(place: &Place, signaling: SocketAddr, master: &str) -> Result<Server> {
        let mut command = place.command(program("rillcast-seed")?);
        command.args(seed_args(place, signaling, master));
        Server::spawn("seed", command)
    }

    /// What a page's script tag names.
    pub fn script(&self) -> String {
        format!("http://{}/rillcast.js", self.address)
    }

    /// Where signaling listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The signaling process.
    pub fn signaling(&mut self) -> &mut Server {
        &mut self.signaling
    }

    /// The seed process.
    pub fn seed(&mut self) -> Option<&mut Server> {
        self.seed.as_mut()
    }

    /// Fails if one of them has ended.
    pub fn check(&mut self) -> Result<()> {
        self.signaling.check()?;
        self.seed.as_mut().map_or(Ok(()), Server::check)
    }
}

fn signaling_args(listen: SocketAddr) -> Vec<String> {
    ["--listen", &listen.to_string(), "--insecure-open"].map(str::to_owned).to_vec()
}

fn seed_args(place: &Place, signaling: SocketAddr, master: &str) -> Vec<String> {
    let signaling = format!("ws://{signaling}");
    let udp = SocketAddr::new(place.address(), 0).to_string();
    ["--signaling", &signaling, "--stream", master, "--udp", &udp, "--insecure-open"]
        .map(str::to_owned)
        .to_vec()
}

/// A program built beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("can't find this program's own path")?;
    // Tests lie one folder deeper than programs.
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    ensure!(
        found.is_some(),
        "{name} isn't built: run this through `cargo xtask`, or build it first with `cargo build --release -p {name}`"
    );
    found.context("just found")
}
