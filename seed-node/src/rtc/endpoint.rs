//! What all links of a node share: the port, the certificate, the node's own candidates.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rillcast_protocol::id::Fingerprint;
use rillcast_protocol::session;
use rillcast_protocol::settings::IceServer;
use rtc::crypto::SignatureScheme;
use rtc::peer_connection::certificate::CertificateParams;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use webrtc::peer_connection::{RTCCertificate, crypto};

use super::mux::{Mux, MuxTasks};
use super::outside::{Outside, Seen};
use super::{candidate, outside, socket};
use crate::sealing::Sealer;

/// How to be reached.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The one UDP port.
    pub udp: SocketAddr,
    /// Addresses to tell instead of the interfaces' own: the public ones of a node behind a NAT.
    pub advertise: Vec<IpAddr>,
    /// Most links at a time, of all swarms together.
    pub max_links: usize,
}

/// The endpoint could not be set up.
#[derive(Debug, Error)]
pub enum EndpointError {
    /// The port can't be had.
    #[error("can't bind UDP {0}: {1}; choose another address with --udp")]
    Bind(SocketAddr, io::Error),
    /// The machine's addresses can't be read.
    #[error("can't list the network interfaces: {0}; name the node's addresses with --advertise")]
    Interfaces(io::Error),
    /// No certificate could be made.
    #[error("can't make a DTLS certificate: {0}")]
    Certificate(String),
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// One UDP port with everything that a link needs to start.
#[derive(Debug)]
pub struct Endpoint {
    mux: Arc<Mux>,
    _tasks: MuxTasks,
    pub(super) certificate: RTCCertificate,
    fingerprint: Fingerprint,
    sealer: Sealer,
    pub(super) candidates: Vec<String>,
    /// How we are seen from outside, where the operator hasn't said it.
    outside: Option<(Arc<Outside>, AbortOnDrop)>,
    /// `.local` candidates can be resolved: the machine has a multicast route.
    pub(super) mdns: AtomicBool,
}

impl Endpoint {
    /// Binds the port. Must be called within a tokio runtime.
    pub fn bind(config: &EndpointConfig) -> Result<Arc<Self>, EndpointError> {
        let bind_error = |e| EndpointError::Bind(config.udp, e);
        let socket = socket::bind(config.udp).map_err(bind_error)?;
        let bound = socket.local_addr().map_err(bind_error)?;
        let interfaces: Vec<IpAddr> = if bound.ip().is_unspecified() && config.advertise.is_empty() {
            let all = rtc::shared::ifaces::ifaces().map_err(EndpointError::Interfaces)?;
            all.into_iter().filter_map(|i| i.addr.map(|a| a.ip())).collect()
        } else {
            Vec::new()
        };
        let addresses = candidate::reachable(bound, &config.advertise, &interfaces);
        let (mux, tasks) = Mux::start(socket, config.max_links).map_err(bind_error)?;
        // Who is told where it is needn't ask, and on loopback nobody else is.
        let asks = config.advertise.is_empty() && !bound.ip().is_loopback();
        let outside = asks.then(|| {
            let outside = Arc::new(Outside::new(addresses.clone()));
            mux.watch_outside(Arc::clone(&outside));
            (outside, AbortOnDrop(outside::start(&mux)))
        });
        let (certificate, fingerprint) =
            certificate().map_err(|e| EndpointError::Certificate(e.to_string()))?;
        Ok(Arc::new(Self {
            mux,
            _tasks: tasks,
            certificate,
            fingerprint,
            sealer: Sealer::new().map_err(|e| EndpointError::Random(e.to_string()))?,
            candidates: candidate::lines(&addresses),
            outside,
            mdns: AtomicBool::new(true),
        }))
    }

    /// The shared socket.
    pub fn mux(&self) -> &Arc<Mux> {
        &self.mux
    }

    /// Of the certificate that all links are made with: what a ticket is for.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Seals what is told to others to connect; its key is named in a ticket.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// Signaling names STUN and TURN servers; they are asked from now on.
    pub fn name_servers(&self, ice: &[IceServer]) {
        if let Some((outside, _)) = &self.outside {
            outside.name(ice);
        }
    }

    /// How this node is seen from outside, now and later; `None` where it doesn't ask.
    pub fn seen(&self) -> Option<watch::Receiver<Seen>> {
        self.outside.as_ref().map(|(outside, _)| outside.seen())
    }

    /// The node's own candidates.
    pub fn candidates(&self) -> &[String] {
        &self.candidates
    }

    /// Whether peers' `.local` candidates can be resolved here.
    pub fn has_mdns(&self) -> bool {
        self.mdns.load(Relaxed)
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn certificate() -> Result<(RTCCertificate, Fingerprint), webrtc::error::Error> {
    let provider = crypto::default_provider().map_err(|e| webrtc::error::Error::Other(e.to_string()))?;
    let params =
        CertificateParams::new(Vec::new()).map_err(|e| webrtc::error::Error::Other(e.to_string()))?;
    let certificate = RTCCertificate::generate(provider.crypto(), SignatureScheme::EcdsaP256Sha256, params)?;
    let prints = certificate.get_fingerprints(provider.crypto())?;
    let sha256 = prints.iter().find(|print| print.algorithm == "sha-256");
    let fingerprint =
        sha256.and_then(|print| session::fingerprint(&format!("\na=fingerprint:sha-256 {}", print.value)));
    let fingerprint =
        fingerprint.ok_or_else(|| webrtc::error::Error::Other("it has no SHA-256 fingerprint".into()))?;
    Ok((certificate, fingerprint))
}
