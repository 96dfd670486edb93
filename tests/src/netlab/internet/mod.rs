//! An internet in one thread: hosts with public addresses, homes behind NATs of every kind, carriers' NATs before them, offices that let little through.
//! Every host is a network namespace whose interface's other end is here (a TUN), so that any program can be on it, browsers too.
//!
//! - [`kind`]: kinds of NAT; [`population`]: how many have which
//! - [`packet`], [`nat`], [`net`]: packets, what a NAT does with them, and their way. Pure logic
//! - [`wires`]: the interfaces and the thread

pub mod kind;
pub mod nat;
pub mod net;
pub mod packet;
pub mod population;
pub mod random;
mod wires;

use std::collections::HashMap;
use std::net::IpAddr;

use anyhow::{Result, ensure};

use self::kind::Kind;
use self::nat::Nat;
use self::net::{Line, Net, Spot, Wire};
use self::wires::Wires;
use super::command::in_batch;
use super::{Host, Lab};

/// The prefix of public addresses: set aside for benchmarks (RFC 2544), so nobody's.
pub const PUBLIC: &str = "198.18.0.0/15";

/// The internet. Dropping it ends it; its hosts go with their laboratory.
#[derive(Debug)]
pub struct Internet {
    lab: Lab,
    wires: Wires,
    namespaces: HashMap<String, Wire>,
    public: u32,
    seed: u64,
}

impl Internet {
    /// Nobody is there yet. The same seed gives the same choices again.
    pub fn new(seed: u64) -> Result<Self> {
        let (lab, wires) = (Lab::new()?, Wires::start(Net::new(seed))?);
        Ok(Self { lab, wires, namespaces: HashMap::new(), public: 0, seed })
    }

    /// A public IPv4 address that nobody has.
    pub fn public_address(&mut self) -> Result<IpAddr> {
        self.public += 1;
        ensure!(self.public < 1 << 17, "there are no more public addresses");
        Ok(IpAddr::from((0xc612_0000u32 + self.public).to_be_bytes()))
    }

    /// A host below a spot, with these addresses. Several may be in one namespace: they are told apart by their addresses, and reach each other without us.
    pub fn host(
        &mut self,
        namespace: &str,
        below: Spot,
        addresses: &[IpAddr],
        line: Line,
    ) -> Result<(Host, Spot)> {
        let (wire, name) = match self.namespaces.get(namespace) {
            Some(wire) => (*wire, self.lab.namespace(namespace)),
            None => {
                let name = self.lab.add_namespace(namespace)?;
                let wire = self.wires.plug_in(&name)?;
                self.namespaces.insert(namespace.to_owned(), wire);
                in_batch(&name, &["link set lo up", "link set eth0 up"])?;
                (wire, name)
            }
        };
        let mut commands = Vec::new();
        for address in addresses {
            let (length, extra) = if address.is_ipv4() { (32, "") } else { (128, " nodad") };
            commands.push(format!("addr add {address}/{length} dev eth0{extra}"));
            let family = if address.is_ipv4() { "-4" } else { "-6" };
            // Browsers gather no addresses without one.
            commands.push(format!("{family} route replace default dev eth0"));
        }
        for command in commands {
            // One by one: a batch knows no options of its own.
            super::command::run(
                "ip",
                &[&["-n", &name], &command.split(' ').collect::<Vec<_>>()[..]].concat(),
            )?;
        }
        let spot = self.wires.net().add_host(below, wire, addresses, line);
        let first = addresses.first().copied().unwrap_or(IpAddr::from([0, 0, 0, 0]));
        Ok((Host::on_wire(name, first), spot))
    }

    /// A host with a public address of its own.
    pub fn public(&mut self, name: &str) -> Result<(Host, Spot)> {
        let address = self.public_address()?;
        self.host(name, Net::ROOT, &[address], Line::default())
    }

    /// A NAT of this kind on the internet.
    pub fn nat(&mut self, kind: Kind) -> Result<Spot> {
        let nat = Nat::new(kind, self.public_address()?, self.fresh());
        Ok(self.wires.net().add_nat(Net::ROOT, nat))
    }

    /// Puts a NAT below a spot.
    pub fn nat_below(&mut self, below: Spot, nat: Nat) -> Spot {
        self.wires.net().add_nat(below, nat)
    }

    /// From now on a host's line does this to its packets.
    pub fn set_line(&mut self, host: Spot, line: Line) {
        self.wires.net().set_line(host, line);
    }

    /// Bytes that came from one host to another.
    pub fn carried(&self, from: Spot, to: Spot) -> u64 {
        self.wires.net().carried(from, to)
    }

    /// Bytes that a host got out to anybody.
    pub fn sent_by(&self, from: Spot) -> u64 {
        self.wires.net().sent_by(from)
    }

    /// A seed for the next thing.
    pub fn fresh(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(1);
        self.seed
    }
}
