//! One host of a laboratory: where servers listen and browsers run.

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::Deserialize;

use super::command::run;
use super::link::{Link, shape};

/// Bytes through a host's network interface, headers included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the host.
    pub sent: u64,
    /// To the host.
    pub received: u64,
}

/// A host. It stays plugged in until its laboratory is dropped.
#[derive(Debug, Clone)]
pub struct Host {
    namespace: String,
    address: IpAddr,
    /// Where it is plugged in, if that is a switch: the switch's namespace, and the port.
    port: Option<(String, String)>,
    /// The namespace of the router between it and the switch, if there is one.
    router: Option<String>,
}

impl Host {
    pub(super) fn on_switch(namespace: String, address: IpAddr, switch: String, port: String) -> Self {
        Self { namespace, address, port: Some((switch, port)), router: None }
    }

    /// A host behind this one, which is its router.
    pub(super) fn standing_before(self, namespace: String, address: IpAddr) -> Self {
        Self { namespace, address, port: self.port, router: Some(self.namespace) }
    }

    pub(super) fn on_wire(namespace: String, address: IpAddr) -> Self {
        Self { namespace, address, port: None, router: None }
    }

    /// Name of its network namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// A listener at a port of this host (0 for any), usable from any namespace's process.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        let addr = SocketAddr::new(self.address(), port);
        self.inside(move || TcpListener::bind(addr))?
            .with_context(|| format!("can't listen on {addr} in {}", self.namespace))
    }

    /// A connection that begins at this host.
    pub fn connect(&self, to: SocketAddr) -> Result<TcpStream> {
        self.inside(move || TcpStream::connect_timeout(&to, Duration::from_secs(10)))?
            .with_context(|| format!("can't connect to {to} from {}", self.namespace))
    }

    /// A command that will run on this host.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program).kill_on_drop(true);
        command
    }

    /// Changes its link, or its router's.
    pub fn set_link(&self, link: Link) -> Result<()> {
        let (switch, port) = self.port()?;
        shape(self.outermost(), "eth0", link.up, link.queue_ms)?;
        shape(switch, port, link.down, link.queue_ms)
    }

    /// Pulls its cable, or puts it back.
    pub fn set_plugged(&self, plugged: bool) -> Result<()> {
        let state = if plugged { "up" } else { "down" };
        let (switch, port) = self.port()?;
        run("ip", &["-n", switch, "link", "set", port, state]).map(drop)
    }

    /// What went over its link so far.
    pub fn traffic(&self) -> Result<Traffic> {
        let text = run("ip", &["-n", self.outermost(), "-s", "-j", "link", "show", "dev", "eth0"])?;
        let shown: Vec<Shown> =
            serde_json::from_str(&text).context("ip's statistics have changed their form")?;
        let stats = &shown.first().context("ip showed no interface")?.stats64;
        Ok(Traffic { sent: stats.tx.bytes, received: stats.rx.bytes })
    }

    /// The namespace whose `eth0` is the link.
    fn outermost(&self) -> &str {
        self.router.as_deref().unwrap_or(&self.namespace)
    }

    fn port(&self) -> Result<(&str, &str)> {
        let (switch, port) =
            self.port.as_ref().context("this host is on no switch: its line is the internet's to say")?;
        Ok((switch, port))
    }

    /// Does something on a thread that has moved into this host's namespace.
    pub(super) fn inside<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.namespace);
        let file = File::open(&path).with_context(|| format!("{} is gone", path.display()))?;
        std::thread::spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).map(|()| act())
        })
        .join()
        .map_err(|_| anyhow!("the thread in {} panicked", self.namespace))?
        .with_context(|| format!("can't enter {}: are you root?", self.namespace))
    }
}

#[derive(Deserialize)]
struct Shown {
    stats64: Stats,
}

#[derive(Deserialize)]
struct Stats {
    rx: Bytes,
    tx: Bytes,
}

#[derive(Deserialize)]
struct Bytes {
    bytes: u64,
}
