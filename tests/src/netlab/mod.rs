//! A laboratory of network namespaces: one switch, and hosts on access links of stated rates, made by the test itself
//! and gone after it. Nothing in it reaches the real network.
//!
//! Every host has a namespace with an `eth0` in 10.77.0.0/16 and a default route (browsers gather no addresses
//! without one). Its uplink is shaped on its own side of the cable, its downlink on the switch's side, each with a
//! queue as access links have. A [home](Lab::add_home) has a router between, with the queue. [`internet`] is another way to connect hosts: by NATs of every kind.

mod command;
mod home;
mod host;
pub mod internet;
mod leftovers;
mod link;
mod living;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, ensure};

pub use host::{Host, Traffic};
pub use link::{Link, Mbits};
pub use living::Living;

use command::{in_batch, run};

/// What all our namespaces' names begin with; then come the process id and numbers.
const PREFIX: &str = "rillcast-";
/// Hosts in one laboratory.
const HOSTS: u32 = 60_000;

/// A switch with hosts on it. Dropping it removes them all, with the processes still in them.
#[derive(Debug)]
pub struct Lab {
    name: String,
    hosts: Mutex<Vec<String>>,
    next: AtomicU32,
}

impl Lab {
    /// Builds the switch, after clearing away what killed runs have left.
    pub fn new() -> Result<Self> {
        static LABS: AtomicU32 = AtomicU32::new(0);
        ensure!(
            rustix::process::geteuid().is_root(),
            "network namespaces need root: run this as root, or use --flat, which needs none"
        );
        leftovers::clear();
        let name = format!("{PREFIX}{}-{}", std::process::id(), LABS.fetch_add(1, Ordering::Relaxed));
        let lab = Self { name, hosts: Mutex::default(), next: AtomicU32::new(1) };
        run("ip", &["netns", "add", &lab.switch()])?;
        in_batch(&lab.switch(), &["link add br0 type bridge", "link set br0 up", "link set lo up"])?;
        Ok(lab)
    }

    /// Plugs a host in. `name` is for people; it must be new in this laboratory.
    pub fn add(&self, name: &str, link: Link) -> Result<Host> {
        let number = self.next_number()?;
        let namespace = self.add_namespace(name)?;
        let port = format!("p{number}");
        let address = Self::address(number);
        let host = Host::on_switch(namespace, address, self.switch(), port.clone());
        in_batch(
            &self.switch(),
            &[
                &format!("link add {port} type veth peer name eth0 netns {}", host.namespace()),
                &format!("link set {port} master br0 up"),
            ],
        )?;
        Self::bring_up(host.namespace(), address)?;
        host.set_link(link)?;
        Ok(host)
    }

    fn next_number(&self) -> Result<u32> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        ensure!(number <= HOSTS, "a laboratory holds at most {HOSTS} hosts");
        Ok(number)
    }

    /// The address of the host with this number.
    fn address(number: u32) -> IpAddr {
        let [high, low] = (number as u16).to_be_bytes();
        IpAddr::from([10, 77, high, low])
    }

    /// Gives a namespace's `eth0` its address.
    fn bring_up(namespace: &str, address: IpAddr) -> Result<()> {
        in_batch(
            namespace,
            &[
                "link set lo up",
                &format!("addr add {address}/16 broadcast 10.77.255.255 dev eth0"),
                "link set eth0 up",
                // Nobody is there: what is meant for elsewhere gets lost, as it should.
                "route add default via 10.77.255.254",
            ],
        )
    }

    /// A namespace without an interface, which goes with this laboratory. Told back: its full name.
    fn add_namespace(&self, name: &str) -> Result<String> {
        let namespace = self.namespace(name);
        run("ip", &["netns", "add", &namespace])?;
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).push(namespace.clone());
        Ok(namespace)
    }

    /// A namespace's full name.
    fn namespace(&self, name: &str) -> String {
        format!("{}-{name}", self.name)
    }

    fn switch(&self) -> String {
        format!("{}-switch", self.name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let hosts = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        for namespace in hosts.iter().chain([&self.switch()]) {
            leftovers::remove(namespace);
        }
    }
}
