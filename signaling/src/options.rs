//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::cidr::Cidr;
use crate::turn::options::{Ports, RelayAddress};

/// Rendezvous for Rillcast viewers: introductions, relaying, digests, STUN, and the script that a page needs.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "rillcast-signaling", version)]
pub struct Options {
    /// Serve plain HTTP and ws:// here. Repeatable. Default, if there is no --listen-tls either: 127.0.0.1:9100.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Serve HTTPS and wss:// here; needs --cert and --key. Repeatable.
    #[arg(long, value_name = "ADDR:PORT", requires = "cert", requires = "key")]
    pub listen_tls: Vec<SocketAddr>,
    /// Certificate chain, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Answer STUN here, over UDP. Repeatable; the first one's port is what viewers are told.
    #[arg(long, value_name = "ADDR:PORT")]
    pub stun: Vec<SocketAddr>,
    /// Relay for peers that can't reach each other (TURN) here, over UDP; answers STUN too. Repeatable; the first one's port is what viewers are told.
    #[arg(long, value_name = "ADDR:PORT")]
    pub turn: Vec<SocketAddr>,
    /// Address of the relays, as peers reach it, and behind a NAT what it is here: 203.0.113.7/10.0.0.7. Once for IPv4, once for IPv6. Default: those of --turn.
    #[arg(long, value_name = "PUBLIC[/LOCAL]", requires = "turn")]
    pub turn_relay: Vec<RelayAddress>,
    /// Ports of the relays. Default: 49152-65535.
    #[arg(long, value_name = "FROM-TO", requires = "turn")]
    pub turn_ports: Option<Ports>,
    /// Relay to this range although it isn't of the public internet (10.20.0.0/16, say). Repeatable.
    #[arg(long, value_name = "CIDR", requires = "turn")]
    pub turn_allow: Vec<Cidr>,
    /// Settings of sites, and limits. Read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Let the built-in publisher fetch whatever viewers play under this URL prefix, for all sites. Repeatable.
    #[arg(long, value_name = "URL-PREFIX")]
    pub publish: Vec<String>,
    /// Don't hand on the bytes that the built-in publisher fetches.
    #[arg(long)]
    pub no_hosting: bool,
    /// Keep the swarm secret, the publisher's key and the keys that sign tickets in this directory, so that they survive a restart.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Sign tickets with a new key from this start on. Those that the key in --state-dir has signed count until they run out.
    #[arg(long)]
    pub rotate_authority: bool,
    /// Turn the admin interface on; the file's first line is its token.
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Tell countries by this database in MaxMind's format (GeoLite2-Country, say). Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub geo_country: Option<PathBuf>,
    /// Tell providers (autonomous systems) by this database; may be the same file. Read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub geo_asn: Option<PathBuf>,
    /// Add who changed what through the admin interface, and when, to this file: one line of JSON each.
    #[arg(long, value_name = "FILE")]
    pub audit_log: Option<PathBuf>,
    /// Add what each peer has given, with its receivers' signatures, to this file when it leaves: one line of JSON each.
    #[arg(long, value_name = "FILE")]
    pub receipts: Option<PathBuf>,
    /// Serve the browser bundle from this directory instead of from the binary.
    #[arg(long, value_name = "DIR")]
    pub bundle: Option<PathBuf>,
    /// Believe proxies at these addresses (10.0.0.0/8, say) whom they ask for, by X-Forwarded-For. Repeatable.
    #[arg(long, value_name = "CIDR")]
    pub trusted_proxy: Vec<Cidr>,
    /// Let everybody read /metrics; otherwise this machine and whoever has the admin token may.
    #[arg(long)]
    pub metrics_open: bool,
    /// Serve addresses other than loopback although sites without keys ask nobody for authorisation.
    #[arg(long)]
    pub insecure_open: bool,
}
