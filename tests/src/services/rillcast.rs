//! Rillcast's own servers: signaling, and a seed if wanted. The one place that knows their command lines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;

use super::admin::Admin;
use super::{Place, Server};
use crate::site;

/// The site's name in signaling's settings, on pages and for the seed.
pub const SITE: &str = "default";

/// The log of receipts, in the servers' folder.
const RECEIPTS: &str = "receipts.jsonl";

/// How long a server may take to end when it is told to.
const LEAVING: Duration = Duration::from_secs(20);

/// What servers are started with besides the usual.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// A seed node beside signaling that follows the stream.
    pub seed: bool,
    /// Signaling's settings file (TOML); empty: it has none.
    pub settings: String,
    /// Signaling keeps a log of receipts.
    pub receipts: bool,
    /// Keys and copies are kept, so that whoever comes after a restart is who was there before.
    pub keeps: bool,
    /// The folder of the programs, with the browser bundle inside, if they aren't those built beside this one.
    pub programs: Option<PathBuf>,
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
    setup: Setup,
    master: String,
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
        let admin = Admin::new()?;
        let folder = tempfile::tempdir().context("there's no room for signaling's files")?;
        let command = signaling_command(place, address, master, setup, &admin, folder.path())?;
        let signaling = Server::start("signaling", command, place, port).await?;
        let (setup, master) = (setup.clone(), master.to_owned());
        let mut started =
            Self { signaling, seed: None, address, place: place.clone(), admin, folder, setup, master };
        if started.setup.seed {
            started.add_seed(place, &[]).await?;
        }
        Ok(started)
    }

    /// Ends signaling as a service manager does, and starts this build's in its place.
    pub async fn upgrade_signaling(&mut self) -> Result<()> {
        self.signaling.terminate(LEAVING).await?;
        self.setup.programs = None;
        let (place, folder) = (&self.place, self.folder.path());
        let command = signaling_command(place, self.address, &self.master, &self.setup, &self.admin, folder)?;
        self.signaling = Server::start("signaling", command, place, self.address.port()).await?;
        Ok(())
    }

    /// Ends the seed as a service manager does, and starts this build's in its place.
    pub async fn upgrade_seed(&mut self) -> Result<()> {
        let mut old = self.seed.take().context("there is no seed")?;
        old.terminate(LEAVING).await?;
        let programs = self.setup.programs.take();
        let added = self.add_seed(&self.place.clone(), &[]).await;
        self.setup.programs = programs;
        added
    }

    /// Kills the seed as a crash would, and starts it again.
    pub async fn crash_seed(&mut self) -> Result<()> {
        let mut old = self.seed.take().context("there is no seed")?;
        old.kill().await?;
        self.add_seed(&self.place.clone(), &[]).await
    }

    /// Starts a seed node at a place, with more flags.
    pub async fn add_seed(&mut self, place: &Place, more: &[&str]) -> Result<()> {
        let mut command = place.command(self.setup.program("rillcast-seed")?);
        let udp = SocketAddr::new(place.address(), place.free_port()?);
        command.args(seed_args(udp, self.address, &self.master)).args(more);
        if self.setup.keeps {
            command.arg("--key").arg(self.folder.path().join("seed.key"));
            command.arg("--cache-dir").arg(self.folder.path().join("copies"));
        }
        let mut seed = Server::spawn("seed", command)?;
        // What it prints once it is in the swarm.
        seed.wait_for_line("\"joined\"").await?;
        self.seed = Some(seed);
        Ok(())
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

impl Setup {
    fn program(&self, name: &str) -> Result<PathBuf> {
        let Some(folder) = &self.programs else { return program(name) };
        let path = folder.join(name);
        ensure!(path.is_file(), "{} isn't there: has that version been built?", path.display());
        Ok(path)
    }
}

fn signaling_command(
    place: &Place,
    address: SocketAddr,
    master: &str,
    setup: &Setup,
    admin: &Admin,
    folder: &Path,
) -> Result<Command> {
    let mut command = place.command(setup.program("rillcast-signaling")?);
    command.args(signaling_args(address, master)).arg("--admin-token-file").arg(admin.file());
    // Another version's bundle is inside its program.
    if let Some(dist) = site::dist().filter(|_| setup.programs.is_none()) {
        command.arg("--bundle").arg(dist);
    }
    if !setup.settings.is_empty() {
        let file = folder.join("settings.toml");
        std::fs::write(&file, &setup.settings).context("can't write signaling's settings")?;
        command.arg("--config").arg(file);
    }
    if setup.receipts {
        command.arg("--receipts").arg(folder.join(RECEIPTS));
    }
    if setup.keeps {
        let state = folder.join("state");
        std::fs::create_dir_all(&state).context("can't make signaling's folder")?;
        command.arg("--state-dir").arg(state);
    }
    Ok(command)
}

fn signaling_args(listen: SocketAddr, master: &str) -> Vec<String> {
    let listen = listen.to_string();
    // `http://host:port/` of the stream: what the built-in publisher may fetch.
    let prefix = master.splitn(4, '/').take(3).collect::<Vec<_>>().join("/") + "/";
    ["--listen", &listen, "--stun", &listen, "--publish", &prefix, "--insecure-open"]
        .map(str::to_owned)
        .to_vec()
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
