//! The body of a peer: a visit to signaling, and links. Whose mind moves it, an engine's or an attacker's, is its owner's business.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rillcast_core::time::Instant;
use rillcast_protocol::coding::{Blob, Text};
use rillcast_protocol::id::{Delivery, PeerId, Role};
use rillcast_protocol::signal::{ClientMessage, Join};
use rillcast_seed::links::Links;
use rillcast_seed::rtc::{Endpoint, EndpointConfig, LinkEvent};
use rillcast_seed::signaling::{News, Signaling};
use tokio::sync::mpsc;

/// Events of links that wait for the owner.
const EVENTS: usize = 256;
/// Links of one station.
const LINKS: usize = 64;

/// Whom to visit, and as what.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Signaling's WebSocket.
    pub signal: String,
    /// The site.
    pub site: String,
    /// The content.
    pub content: String,
    /// HLS or DASH.
    pub delivery: Delivery,
    /// The token; empty where none is asked for.
    pub token: String,
    /// Where links are made.
    pub udp: SocketAddr,
}

/// What came in.
#[derive(Debug)]
pub enum Heard {
    /// From a link.
    Link(LinkEvent),
    /// From signaling.
    News(News),
    /// Nothing, for as long as was waited.
    Nothing,
}

/// A body.
#[derive(Debug)]
pub struct Station {
    /// Its links.
    pub links: Links,
    zero: std::time::Instant,
    events: mpsc::Receiver<LinkEvent>,
    news: mpsc::Receiver<News>,
    signaling: Signaling,
}

impl Visit {
    /// What is said to signaling by somebody who has this endpoint's certificate.
    pub fn join(&self, endpoint: &Endpoint) -> Result<Join> {
        Ok(Join {
            version: rillcast_protocol::VERSION,
            site: Text::new(self.site.as_str()).context("the site's name is too long")?,
            content: Text::new(self.content.as_str()).context("the content's name is too long")?,
            delivery: self.delivery,
            role: Role::Viewer,
            token: Blob::new(self.token.as_bytes()).context("the token is too long")?,
            publisher: None,
            fingerprint: endpoint.fingerprint(),
            session: None,
            sealing: Some(endpoint.sealer().key()),
            ticket: None,
        })
    }

    /// Somewhere to make links from.
    pub fn endpoint(&self) -> Result<Arc<Endpoint>> {
        Ok(Endpoint::bind(&EndpointConfig { udp: self.udp, advertise: Vec::new(), max_links: LINKS })?)
    }
}

impl Station {
    /// Begins a visit. Must be called within a tokio runtime.
    pub fn start(visit: &Visit) -> Result<Self> {
        let endpoint = visit.endpoint()?;
        let join = visit.join(&endpoint)?;
        // Another provider may be installed already; any will do, for nothing here speaks TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = rustls::ClientConfig::builder()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let (signaling, news) = Signaling::start(visit.signal.clone(), join, None, tls.into());
        let (tell, events) = mpsc::channel(EVENTS);
        Ok(Self {
            links: Links::new(endpoint, tell),
            zero: std::time::Instant::now(),
            events,
            news,
            signaling,
        })
    }

    /// Time since the visit began.
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.zero.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// What comes next.
    pub async fn hear(&mut self, wait: Duration) -> Heard {
        tokio::select! {
            Some(event) = self.events.recv() => Heard::Link(event),
            Some(news) = self.news.recv() => Heard::News(news),
            () = tokio::time::sleep(wait) => Heard::Nothing,
        }
    }

    /// Says something to signaling; false where it takes no more.
    pub fn tell(&self, message: ClientMessage) -> bool {
        self.signaling.send(message)
    }

    /// Has signaling bring a signal, as it travels, to a peer.
    pub fn relay(&self, to: PeerId, payload: Vec<u8>) -> bool {
        Blob::new(payload).is_some_and(|payload| self.tell(ClientMessage::Relay { to, payload }))
    }
}
