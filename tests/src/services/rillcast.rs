//! Rillcast's own servers: signaling, and a seed if wanted. The one place that knows their command lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::admin::Admin;
use super::{Place, Server};
use crate::site;

/// The site's name in signaling's settings, on pages and for the seed.
pub const SITE: &str = "default";

/// The log of receipts, in the servers' folder.
const RECEIPTS: &str = "receipts.jsonl";

/// What servers are started with besides the usual.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// A seed node beside signaling that follows the stream.
    pub seed: bool,
    /// Signaling's settings file (TOML); empty: it has none.
    pub settings: String,
    /// Signaling keeps a log of receipts.
    pub receipts: bool,
}

/// Running signaling, and a seed if one was asked for.
#[derive(Debug)]
pub struct Rillcast {
    signaling: Server,
    seed: Option<Server>,
    address: SocketAddr,
    place: Place,
    admin: Admin,
    folder: TempDir,
}

impl Rillcast {
    /// Starts signaling at `port` of `place` (0 for any), and with `seed` a seed node beside it that follows the
    /// stream of `master` (the URL of its master playlist).
    pub async fn start(place: &Place, port: u16, master: &str, seed: bool) -> Result<Self> {
        Self::start_with(place, port, master, &Setup { seed, ..Setup::default() }).await
    }

    /// The same with more than the usual.
    pub async fn start_with(place: &Place, port: u16, master: &str, setup: &Setup) -> Result<Self> {
        let port = if port == 0 { place.free_port()? } else { port };
        let address = SocketAddr::new(place.address(), port);
        let mut command = place.command(program("rillcast-signaling")?);
        let admin = Admin::new()?;
        command.args(signaling_args(address, master)).arg("--admin-token-file").arg(admin.file());
        let folder = tempfile::tempdir().context("there's no room for signaling's files")?;
        if !setup.settings.is_empty() {
            let file = folder.path().join("settings.toml");
            std::fs::write(&file, &setup.settings).context("can't write signaling's settings")?;
            command.arg("--config").arg(file);
        }
        if setup.receipts {
            command.arg("--receipts").arg(folder.path().join(RECEIPTS));
        }
        let signaling = Server::start("signaling", command, place, port).await?;
        let seed = if setup.seed { Some(Self::start_seed(place, address, master).await?) } else { None };
        Ok(Self { signaling, seed, address, place: place.clone(), admin, folder })
    }

    async fn start_seed(place: &Place, signaling: SocketAddr, master: &str) -> Result<Server> {
        let mut command = place.command(program("rillcast-seed")?);
        let udp = SocketAddr::new(place.address(), place.free_port()?);
        command.args(seed_args(udp, signaling, master));
        let mut seed = Server::spawn("seed", command)?;
        // What it prints once it is in the swarm.
        seed.wait_for_line("\"joined\"").await?;
        Ok(seed)
    }

    /// What a page's script tag names.
    pub fn script(&self) -> String {
        format!("http://{}/rillcast.js", self.address)
    }

    /// Where signaling listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes a field of the site's settings while viewers watch (`enabled` is the kill switch).
    pub async fn set(&self, field: &str, value: serde_json::Value) -> Result<()> {
        self.admin.set(&self.place, self.address.port(), SITE, field, &value).await
    }

    /// Lets a peer in no more: its name is that of its tickets, in hex.
    pub async fn revoke(&self, peer: &str) -> Result<()> {
        let revocation = serde_json::json!({ "kind": "peer", "name": peer });
        self.admin.revoke(&self.place, self.address.port(), SITE, &revocation).await
    }

    /// A counter or gauge of signaling's, by its name in `/metrics`.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let all = self.admin.read(&self.place, self.address.port(), "metrics").await?;
        let value = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.with_context(|| format!("/metrics has no {name}"))?.parse().context("a metric is a number")
    }

    /// What `/health` says.
    pub async fn health(&self) -> Result<serde_json::Value> {
        let said = self.admin.read(&self.place, self.address.port(), "health").await?;
        serde_json::from_str(&said).context("/health is JSON")
    }

    /// The log of receipts, where one is kept.
    pub fn receipts(&self) -> PathBuf {
        self.folder.path().join(RECEIPTS)
    }

    /// The servers' folder, for what belongs to them.
    pub fn folder(&self) -> &Path {
        self.folder.path()
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

fn signaling_args(listen: SocketAddr, master: &str) -> Vec<String> {
    let listen = listen.to_string();
    // `http://host:port/` of the stream: what the built-in publisher may fetch.
    let prefix = master.splitn(4, '/').take(3).collect::<Vec<_>>().join("/") + "/";
    let mut args = ["--listen", &listen, "--stun", &listen, "--publish", &prefix, "--insecure-open"]
        .map(str::to_owned)
        .to_vec();
    if let Some(dist) = site::dist() {
        args.extend(["--bundle".to_owned(), dist.display().to_string()]);
    }
    args
}

fn seed_args(udp: SocketAddr, signaling: SocketAddr, master: &str) -> Vec<String> {
    let (signal, udp) = (format!("ws://{signaling}/"), udp.to_string());
    let mut args = vec!["--manifest", master, "--signal", &signal, "--udp", &udp, "--insecure-open"];
    // The swarm's name, said by both sides: pages give the same in their script tag.
    args.extend(["--site", SITE, "--content", content(master)]);
    args.into_iter().map(str::to_owned).collect()
}

/// What pages and seed call the content of `master`: its path.
pub fn content(master: &str) -> &str {
    let after_scheme = master.find("://").map_or(0, |at| at + 3);
    master[after_scheme..].find('/').map_or(master, |at| &master[after_scheme + at..])
}

/// A program built beside this one.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("can't find this program's own path")?;
    // Tests lie one folder deeper than programs.
    let found = own.ancestors().skip(1).take(2).map(|dir| dir.join(name)).find(|path| path.is_file());
    ensure!(
        found.is_some(),
        "{name} isn't built: run this through `cargo xtask`, or build it first with `cargo build --release -p {name}`"
    );
    found.context("just found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_seed_name_a_stream_by_its_path() {
        assert_eq!(content("http://10.77.0.1:8080/live/master.m3u8"), "/live/master.m3u8");
        assert_eq!(content("/live/master.m3u8"), "/live/master.m3u8");
    }

    #[test]
    fn the_publisher_may_fetch_from_the_stream_s_own_server() {
        let args = signaling_args(([127, 0, 0, 1], 7).into(), "http://10.77.0.1:8080/live/master.m3u8");
        let at = args.iter().position(|arg| arg == "--publish").unwrap();
        assert_eq!(args[at + 1], "http://10.77.0.1:8080/");
    }
}
