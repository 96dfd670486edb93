//! A relay (TURN over UDP) for viewers whom no direct path joins: what passes is sealed between them.

use std::net::SocketAddr;
use std::sync::Arc;

use rillcast_publisher::PublishingKey;
use rillcast_relay::{Counters, Limits, Place, Secret};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Error;

/// What an operator has set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where viewers speak to it, where its relays are, and to whom it relays.
    pub place: Place,
    /// Bytes/s for all viewers together.
    pub cap: u32,
}

/// What signaling is told.
#[derive(Clone, Copy)]
pub struct Offer {
    /// Where it is, at the address by which signaling sees this node.
    pub port: u16,
    /// Makes its credentials.
    pub secret: [u8; 32],
}

/// The secret is never shown.
impl std::fmt::Debug for Offer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offer").field("port", &self.port).finish_non_exhaustive()
    }
}

/// A running relay.
#[derive(Clone, Debug)]
pub struct Running {
    /// Where viewers speak to it.
    pub address: SocketAddr,
    /// What signaling is told.
    pub offer: Offer,
    /// What it has done.
    pub counters: Arc<Counters>,
}

/// Starts it; it runs in `tasks` until stopped.
pub async fn start(
    config: &Config,
    key: &PublishingKey,
    tasks: &mut JoinSet<Result<(), Error>>,
    stop: &watch::Receiver<bool>,
) -> Result<Running, Error> {
    // Of the node's key: credentials outlive a restart.
    let secret = blake3::derive_key("rillcast seed relay v1", &key.secret());
    let usual = Limits::default();
    let limits = Limits {
        bytes_per_sec: usual.bytes_per_sec.min(config.cap),
        bytes_per_sec_in_all: config.cap,
        ..usual
    };
    let counters = Arc::new(Counters::default());
    let (bound, serves) =
        rillcast_relay::start(&config.place, Secret::new(&secret), &limits, Arc::clone(&counters)).await?;
    let address = bound.first().copied().ok_or(Error::NoRelay)?;
    let mut stop = stop.clone();
    tasks.spawn(async move {
        tokio::select! {
            () = serves => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        Ok(())
    });
    Ok(Running { address, offer: Offer { port: address.port(), secret }, counters })
}
