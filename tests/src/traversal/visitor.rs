//! A whole native peer in a home: the node's own visit to a swarm, with engine, signaling and links. It plays nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result};
use rillcast_protocol::id::{Delivery, Role};
use rillcast_protocol::nat::NatClass;
use rillcast_publisher::Url;
use rillcast_seed::peer::{Peer, Visit};
use rillcast_seed::picture::{Picture, Shared};
use rillcast_seed::rtc::outside::Seen;
use rillcast_seed::rtc::{Endpoint, EndpointConfig};
use rillcast_seed::source;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What visitors watch.
pub(super) const CONTENT: &str = "http://origin.example/live/master.m3u8";

/// A peer. Dropping it ends it.
#[derive(Debug)]
pub struct Visitor {
    shared: Shared,
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

impl Visitor {
    /// Comes to a swarm: on this host's runtime, from this address of its, to signaling there.
    pub(super) async fn come(life: &Handle, address: IpAddr, signaling: SocketAddr) -> Result<Self> {
        // Another provider may be installed already; any will do, for nothing here speaks TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let visit = Visit {
            signal: Url::parse(&format!("ws://{signaling}/ws"))?,
            site: "demo".to_owned(),
            content: CONTENT.to_owned(),
            role: Role::Viewer,
            publisher: None,
            links: true,
            delivery: Delivery::Hls,
            token_file: None,
            store_budget: 1 << 20,
            upload_cap: 0,
            share: None,
            yields: false,
            relay: None,
        };
        let (shared, udp) = (Shared::default(), SocketAddr::new(address, 0));
        let picture = Arc::clone(&shared);
        let begin = life.spawn(async move {
            let endpoint = Endpoint::bind(&EndpointConfig { udp, advertise: Vec::new(), max_links: 16 })?;
            let seen = endpoint.seen().context("it doesn't ask how it is seen")?;
            let client = source::client(reqwest::redirect::Policy::none())?;
            let mut peer = Peer::start(visit, endpoint, tls.into(), client, picture)?;
            let task = tokio::spawn(async move {
                loop {
                    peer.step().await;
                    while peer.told().is_some() {}
                    peer.show();
                }
            });
            anyhow::Ok((seen, task))
        });
        let (seen, task) = begin.await??;
        Ok(Self { shared, seen, task })
    }

    /// What is to be seen of it.
    pub fn picture(&self) -> Picture {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it has found its NAT to map.
    pub fn nat(&self) -> NatClass {
        self.seen.borrow().nat
    }

    /// Links that are open, and those that have ended, failed attempts included.
    pub fn links(&self) -> (usize, u64) {
        let picture = self.picture();
        (picture.stats.links.len(), picture.ended.values().sum())
    }

    /// Attempts under way, or waited for.
    pub fn attempts(&self) -> usize {
        let picture = self.picture();
        picture.links.saturating_sub(picture.stats.links.len())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
