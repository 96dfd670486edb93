//! Why settings can't be used, and what to do about it.

use std::net::SocketAddr;
use std::path::PathBuf;

use rillcast_publisher::mirrors::MirrorError;
use thiserror::Error;

use super::MAX_MANIFESTS;

/// Something is set wrongly.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read {0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file isn't what it should be.
    #[error("{0}: {1}")]
    Toml(PathBuf, String),
    /// Nothing to seed.
    #[error("no stream to seed; give at least one --manifest URL, or --ingest for encoders to push to")]
    NoManifest,
    /// More than can be run.
    #[error("{0} manifests, but one node seeds at most {MAX_MANIFESTS}; start another node")]
    TooManyManifests(usize),
    /// No signaling.
    #[error("no signaling server; give --signal, such as --signal ws://127.0.0.1:9100/")]
    NoSignal,
    /// Not a URL of the right kind.
    #[error("--{0} {1:?} isn't a URL that starts with {2}")]
    Url(&'static str, String, &'static str),
    /// A content id for several manifests.
    #[error("--content names one swarm, but there are several manifests; start a node for each")]
    Content,
    /// Not an amount.
    #[error("{0:?} isn't a number of bytes; write 536870912 or 512M")]
    Amount(String),
    /// Not a mirror.
    #[error("--fallback: {0}")]
    Mirror(#[from] MirrorError),
    /// Not a length of time.
    #[error("{0:?} isn't a length of time of up to ten years; write 90s, 12h or 7d")]
    Span(String),
    /// Out of bounds.
    #[error("--{0} must be at least {1}")]
    TooLittle(&'static str, u64),
    /// Too short a time.
    #[error("--{0} must be at least {1}")]
    TooShort(&'static str, &'static str),
    /// Too long a time.
    #[error("--{0} must be at most {1}")]
    TooLong(&'static str, &'static str),
    /// Copies that nobody could tell from others after a restart.
    #[error(
        "--cache-dir needs --key: copies are known to be true by this node's signature, and without --key it changes with each start"
    )]
    CacheKey,
    /// Settings of a cache that there is none of.
    #[error("--{0} says how copies are kept, but not where; give --cache-dir too")]
    NoCache(&'static str),
    /// A publisher that plays.
    #[error("--publish-only has no links, and --agent lives by them; start a node for each")]
    PublishOnly,
    /// A relay's setting without a relay.
    #[error("--{0} says how is relayed, but not where; give --relay too")]
    NoRelay(&'static str),
    /// A relay on a node that seeds nothing.
    #[error("--relay is for viewers of what this node seeds; give a --manifest that it seeds")]
    RelayAlone,
    /// A relay without an address.
    #[error(
        "--relay {0} says no address that relays could have; name the one by which peers reach this machine with --relay-address"
    )]
    RelayAddress(SocketAddr),
    /// A relay's setting.
    #[error("--{0}: {1}")]
    Relay(&'static str, String),
    /// An origin without a place for what is pushed.
    #[error("--ingest needs --ingest-dir: what is pushed is kept there, past what the encoder lists")]
    NoIngestDir,
    /// Settings of an origin that there is none of.
    #[error(
        "--{0} says how pushed streams are kept, but not where they are pushed to; give --ingest or --ingest-tls too"
    )]
    NoIngest(&'static str),
    /// TLS without a certificate.
    #[error(
        "--ingest-tls needs --ingest-cert and --ingest-cert-key: PEM files of the certificate chain and its private key"
    )]
    NoCertificate,
    /// A certificate that nobody is shown.
    #[error(
        "--ingest-cert and --ingest-cert-key are shown at --ingest-tls, which isn't given; give it, or leave them out"
    )]
    NoIngestTls,
    /// Not a place for streams.
    #[error("--ingest-url {0:?} has a query or fragment; give scheme, host, port and path alone")]
    IngestUrl(String),
    /// Everybody may push.
    #[error(
        "{0}, where encoders push, can be reached by others, who could push what they like; name the stream keys with --ingest-keys, use a \
         loopback address, or add --insecure-open if that is what you want"
    )]
    OpenIngest(SocketAddr),
    /// Viewers of a site without keys.
    #[error(
        "--udp {0} can be reached by others, and without --token-file the site asks nobody for a token: whoever likes could be \
         served; name the token's file, use a loopback address, or add --insecure-open if that is what you want"
    )]
    Open(SocketAddr),
    /// Metrics for everybody.
    #[error(
        "--metrics {0} can be reached by others, who are not asked who they are; use a loopback address, or add \
         --insecure-open if that is what you want"
    )]
    OpenMetrics(SocketAddr),
    /// An agent for everybody.
    #[error(
        "--agent {0} can be reached by others, who could play what this machine may; use a loopback address, or add \
         --insecure-open if that is what you want"
    )]
    OpenAgent(SocketAddr),
}
