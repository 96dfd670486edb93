//! Begins a server.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::cidr::Cidr;
use crate::client::Rules;
use crate::count::Counters;
use crate::credentials::Secret;
use crate::limits::Limits;
use crate::options::{Ports, RelayAddress};
use crate::peers::Peers;
use crate::relays::{Listener, QUEUE, Relays};
use crate::serve::Turn;

/// Where a server is.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Clients speak to it here.
    pub listen: Vec<SocketAddr>,
    /// Its relays' addresses; without any, those that clients speak to.
    pub addresses: Vec<RelayAddress>,
    /// Its relays' ports.
    pub ports: Ports,
    /// Private ranges to which it relays all the same.
    pub allow: Vec<Cidr>,
}

/// Why there is none.
#[derive(Debug, Error)]
pub enum StartError {
    /// Relays have no address.
    #[error("{0} says no address that relays could have")]
    NoAddress(SocketAddr),
    /// A relay can't be bound.
    #[error("no relay can be opened at {0}: {1}")]
    Relay(IpAddr, io::Error),
    /// Clients can't come in.
    #[error("can't listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
}

/// Where clients speak to a server, and the server itself: it runs as long as it is polled.
pub async fn start(
    place: &Place,
    secret: Secret,
    limits: &Limits,
    counters: Arc<Counters>,
) -> Result<(Vec<SocketAddr>, impl Future<Output = ()> + Send + use<>), StartError> {
    let mut addresses = place.addresses.clone();
    if addresses.is_empty() {
        for at in &place.listen {
            let ip = at.ip();
            if ip.is_unspecified() {
                return Err(StartError::NoAddress(*at));
            }
            addresses.push(RelayAddress { public: ip, local: ip });
        }
    }
    for address in &addresses {
        // Found out now, not when the first viewer needs it.
        UdpSocket::bind((address.local, 0)).await.map_err(|e| StartError::Relay(address.local, e))?;
    }
    let (queue, arrived) = mpsc::channel(QUEUE);
    let mut listeners = Vec::new();
    for (number, at) in place.listen.iter().enumerate() {
        let listener = async { Listener::start(UdpSocket::bind(at).await?, number, queue.clone()) };
        listeners.push(listener.await.map_err(|e| StartError::Listen(*at, e))?);
    }
    let bound = listeners.iter().map(|listener| listener.local).collect();
    let own = addresses.iter().map(|address| address.public).collect();
    let rules = Rules { secret, peers: Peers::new(place.allow.clone(), own), max_peers: limits.peers };
    let relays = Relays::new(addresses, place.ports.clone(), queue);
    Ok((bound, Turn::new(listeners, rules, relays, limits, counters).serve(arrived)))
}
