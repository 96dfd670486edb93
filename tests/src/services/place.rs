//! Where a server runs.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::netlab::Host;

/// This machine itself, or a host of a laboratory.
#[derive(Debug, Clone)]
pub enum Place {
    /// An address of this machine's.
    At(IpAddr),
    /// A host of a laboratory.
    Host(Host),
}

impl Place {
    /// 127.0.0.1.
    pub const LOOPBACK: Self = Self::At(IpAddr::V4(Ipv4Addr::LOCALHOST));

    /// Its address.
    pub fn address(&self) -> IpAddr {
        match self {
            Self::At(address) => *address,
            Self::Host(host) => host.address(),
        }
    }

    /// Name of its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::At(_) => None,
            Self::Host(host) => Some(host.namespace()),
        }
    }

    /// A command that will run there, and be killed when its handle is dropped.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::At(_) => {
                let mut command = Command::new(program);
                command.kill_on_drop(true);
                command
            }
            Self::Host(host) => host.command(program),
        }
    }

    /// A listener there.
    pub fn listen(&self, port: u16) -> Result<TcpListener> {
        match self {
            Self::At(_) => TcpListener::bind((self.address(), port))
                .with_context(|| format!("can't listen on port {port}: is it taken? choose another")),
            Self::Host(host) => host.listen(port),
        }
    }

    /// A TCP connection from there to itself.
    pub fn connect(&self, port: u16) -> Result<TcpStream> {
        let addr = SocketAddr::new(self.address(), port);
        match self {
            Self::At(_) => Ok(TcpStream::connect_timeout(&addr, Duration::from_secs(2))?),
            Self::Host(host) => host.connect(addr),
        }
    }

    /// A port that is free there now.
    pub fn free_port(&self) -> Result<u16> {
        Ok(self.listen(0)?.local_addr()?.port())
    }
}
