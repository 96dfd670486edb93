//! The native shell around the Rillcast engine: a seed node. It holds no policy; who gets what, when and from where is
//! the engine's to say.
//!
//! - [`node`]: a whole node; start here
//! - [`config`]: what an operator can set
//! - [`peer`]: one visit to a swarm: the engine, and everything around it, whatever the role
//! - [`driver`]: the seed of one swarm
//! - [`links`]: which peer is at which link
//! - [`rtc`]: WebRTC with every peer on one UDP port
//! - [`sealing`]: what peers tell each other to connect, kept from those who carry it
//! - [`signaling`]: the connection to signaling
//! - [`follow`]: which renditions are followed and published
//! - [`replicas`]: which segments this seed holds, of those that several share
//! - [`source`]: fetches from the source
//! - [`cache`]: copies on disk; [`recall`]: which of them viewers are about to need
//! - [`channel`]: linear channels, made of films by a schedule
//! - [`ingest`]: the origin that encoders push to
//! - [`agent`]: players' requests over HTTP, answered from the swarm
//! - [`check`], [`payload`]: verification, and the bytes that the engine moves here
//! - [`preflight`]: looks at all that a node needs before it is started
//! - [`share`]: what all streams may give together, divided among them
//! - [`picture`], [`metrics`]: what can be seen from outside, and how monitoring sees it

pub mod agent;
pub mod cache;
pub mod channel;
pub mod check;
pub mod config;
pub mod driver;
pub mod follow;
pub mod ingest;
pub mod links;
mod manifest;
pub mod metrics;
pub mod node;
pub mod payload;
pub mod peer;
pub mod picture;
pub mod preflight;
pub mod recall;
pub mod relay;
pub mod replicas;
pub mod rtc;
pub mod sealing;
mod serve;
pub mod share;
pub mod signaling;
pub mod source;

use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// A node can't start, or can't go on.
#[derive(Debug, Error)]
pub enum Error {
    /// The UDP port.
    #[error(transparent)]
    Endpoint(#[from] rtc::EndpointError),
    /// The signing key.
    #[error(transparent)]
    Key(#[from] rillcast_publisher::key::KeyError),
    /// The copies on disk.
    #[error(transparent)]
    Cache(#[from] cache::CacheError),
    /// The publisher.
    #[error(transparent)]
    Publisher(#[from] rillcast_publisher::origin::OriginError),
    /// A URL prefix.
    #[error("--allow: {0}")]
    Allow(#[from] rillcast_publisher::allow::PrefixError),
    /// The HTTP client.
    #[error("can't set an HTTP client up: {0}")]
    Http(#[from] reqwest::Error),
    /// What encoders push to.
    #[error(transparent)]
    Ingest(#[from] ingest::IngestError),
    /// Longer than signaling takes.
    #[error("the {0} is longer than signaling takes; shorten it, or give a --content id")]
    TooLong(&'static str),
    /// No randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The certificate authority.
    #[error("can't use the certificate authority in {0}: {1}")]
    Ca(PathBuf, String),
    /// The agent's address.
    #[error("can't serve players at {0}: {1}; choose another address with --agent")]
    Agent(SocketAddr, std::io::Error),
    /// The relay.
    #[error("--relay: {0}")]
    Relay(#[from] rillcast_relay::StartError),
    /// The relay listens nowhere.
    #[error("--relay names no address to listen at")]
    NoRelay,
    /// The metrics' address.
    #[error("can't serve metrics at {0}: {1}; choose another address with --metrics")]
    Metrics(SocketAddr, std::io::Error),
    /// A bug.
    #[error("a stream's task has ended: {0}; please report this")]
    Driver(String),
    /// Anything else of the system.
    #[error(transparent)]
    Io(std::io::Error),
}
