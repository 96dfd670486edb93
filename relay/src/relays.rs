//! The sockets: those that clients speak to, and one for each relay, by which peers reach its client.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::options::{Ports, RelayAddress};
use crate::random::{self, Choice};

/// Datagrams that wait for the server's task. When it's full, clients' wait in their socket, and peers' are dropped: they can't be told to wait, and must not
/// keep clients waiting.
pub const QUEUE: usize = 1024;
/// Longest datagram. What peers of ours send stays below 1,300 bytes.
const LONGEST: usize = 2048;
/// Ports tried for a relay.
const TRIES: usize = 32;

/// A client: the socket that it speaks to, and its address.
pub type Key = (usize, SocketAddr);

/// Where a datagram came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// From a client, at the socket with this number.
    Listener(usize),
    /// From a peer, at this relay.
    Relay(SocketAddr),
}

/// A datagram.
#[derive(Debug)]
pub struct Arrived {
    /// Where.
    pub at: At,
    /// From where.
    pub from: SocketAddr,
    /// What.
    pub data: Vec<u8>,
}

/// A socket that clients speak to.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<UdpSocket>,
    /// As bound.
    pub local: SocketAddr,
    reader: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Listener {
    /// Serves a socket; the number is this listener's.
    pub fn start(socket: UdpSocket, number: usize, queue: mpsc::Sender<Arrived>) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let socket = Arc::new(socket);
        let reader = tokio::spawn(read_clients(Arc::clone(&socket), number, queue));
        Ok(Self { socket, local, reader })
    }

    /// Sends to a client; lost where the socket is full, as a datagram may be.
    pub fn send(&self, to: SocketAddr, data: &[u8]) {
        let to = match to.ip() {
            IpAddr::V4(v4) if self.local.is_ipv6() => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        let _ = self.socket.try_send_to(data, to);
    }
}

async fn read_clients(socket: Arc<UdpSocket>, number: usize, queue: mpsc::Sender<Arrived>) {
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        let (from, data) = next(&socket, &mut buffer).await;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if queue.send(Arrived { at: At::Listener(number), from, data }).await.is_err() {
            return;
        }
    }
}

async fn read_peers(socket: Arc<UdpSocket>, relay: SocketAddr, queue: mpsc::Sender<Arrived>) {
    let mut buffer = vec![0; LONGEST + 1];
    loop {
        let (from, data) = next(&socket, &mut buffer).await;
        let arrived = Arrived { at: At::Relay(relay), from, data };
        if let Err(mpsc::error::TrySendError::Closed(_)) = queue.try_send(arrived) {
            return;
        }
    }
}

/// The next datagram that isn't too long.
async fn next(socket: &UdpSocket, buffer: &mut [u8]) -> (SocketAddr, Vec<u8>) {
    loop {
        match socket.recv_from(buffer).await {
            Ok((length, from)) if length <= LONGEST => return (from, buffer[..length].to_vec()),
            Ok(_) => {}
            // An ICMP error for something sent before; it says nothing about what comes next.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[derive(Debug)]
struct Relay {
    client: Key,
    socket: Arc<UdpSocket>,
    reader: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// All relays.
#[derive(Debug)]
pub struct Relays {
    addresses: Vec<RelayAddress>,
    ports: Ports,
    queue: mpsc::Sender<Arrived>,
    open: HashMap<SocketAddr, Relay>,
    choice: Choice,
}

impl Relays {
    /// None yet.
    pub fn new(addresses: Vec<RelayAddress>, ports: Ports, queue: mpsc::Sender<Arrived>) -> Self {
        let choice = Choice::new(u64::from_be_bytes(random::fresh()));
        Self { addresses, ports, queue, open: HashMap::new(), choice }
    }

    /// Whether there are relays of this family.
    pub fn has(&self, v4: bool) -> bool {
        self.addresses.iter().any(|address| address.public.is_ipv4() == v4)
    }

    /// A relay for a client, as peers see it; `None` where no port is free.
    pub fn open(&mut self, client: Key, v4: bool) -> Option<SocketAddr> {
        let address = *self.addresses.iter().find(|address| address.public.is_ipv4() == v4)?;
        // At random: who can guess ports can send to relays that aren't meant for it (RFC 8656, 7.2).
        let from = self.choice.below(self.ports.count());
        for place in from..from + TRIES.min(self.ports.count()) {
            let port = self.ports.at(place);
            let public = SocketAddr::new(address.public, port);
            let Ok(socket) = bind(SocketAddr::new(address.local, port)) else { continue };
            let socket = Arc::new(socket);
            let reader = tokio::spawn(read_peers(Arc::clone(&socket), public, self.queue.clone()));
            self.open.insert(public, Relay { client, socket, reader });
            return Some(public);
        }
        None
    }

    /// Ends a relay.
    pub fn close(&mut self, relay: SocketAddr) -> bool {
        self.open.remove(&relay).is_some()
    }

    /// Whose relay it is.
    pub fn client(&self, relay: SocketAddr) -> Option<Key> {
        self.open.get(&relay).map(|relay| relay.client)
    }

    /// Sends from a relay to a peer; lost where the socket is full.
    pub fn send(&self, relay: SocketAddr, to: SocketAddr, data: &[u8]) {
        if let Some(relay) = self.open.get(&relay) {
            let _ = relay.socket.try_send_to(data, to);
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
