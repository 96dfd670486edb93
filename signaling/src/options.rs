//! The command line.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Parser, ValueEnum};
use thiserror::Error;

use rillcast_relay::cidr::Cidr;
use rillcast_relay::options::{Ports, RelayAddress};

/// Rendezvous for Rillcast viewers: introductions, relaying, digests, STUN, and the script that a page needs.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "rillcast-signaling", version)]
pub struct Options {
    /// Serve plain HTTP and ws:// here. Repeatable. Default, if there is no --listen-tls either: 127.0.0.1:9100.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SIGNALING_LISTEN", value_delimiter = ' ')]
    pub listen: Vec<SocketAddr>,
    /// Serve HTTPS and wss:// here; needs --cert and --key. Repeatable.
    #[arg(
        long,
        value_name = "ADDR:PORT",
        requires = "cert",
        requires = "key",
        env = "RILLCAST_SIGNALING_LISTEN_TLS",
        value_delimiter = ' '
    )]
    pub listen_tls: Vec<SocketAddr>,
    /// Certificate chain, PEM. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_CERT")]
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_KEY")]
    pub key: Option<PathBuf>,
    /// Answer STUN here, over UDP. Repeatable; viewers are told the ports of the first two, which tell them how their NATs map ports.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SIGNALING_STUN", value_delimiter = ' ')]
    pub stun: Vec<SocketAddr>,
    /// Tell viewers of STUN at another address (of this machine or another one) instead of the second --stun: some NATs map by address alone.
    #[arg(long, value_name = "HOST:PORT", env = "RILLCAST_SIGNALING_STUN_ALSO")]
    pub stun_also: Option<HostPort>,
    /// Relay for peers that can't reach each other (TURN) here, over UDP; answers STUN too. Repeatable; the first one's port is what viewers are told.
    #[arg(long, value_name = "ADDR:PORT", env = "RILLCAST_SIGNALING_TURN", value_delimiter = ' ')]
    pub turn: Vec<SocketAddr>,
    /// Address of the relays, as peers reach it, and behind a NAT what it is here: 203.0.113.7/10.0.0.7. Once for IPv4, once for IPv6. Default: those of --turn.
    #[arg(
        long,
        value_name = "PUBLIC[/LOCAL]",
        requires = "turn",
        env = "RILLCAST_SIGNALING_TURN_RELAY",
        value_delimiter = ' '
    )]
    pub turn_relay: Vec<RelayAddress>,
    /// Ports of the relays. Default: 49152-65535.
    #[arg(long, value_name = "FROM-TO", requires = "turn", env = "RILLCAST_SIGNALING_TURN_PORTS")]
    pub turn_ports: Option<Ports>,
    /// Relay to this range although it isn't of the public internet (10.20.0.0/16, say). Repeatable.
    #[arg(
        long,
        value_name = "CIDR",
        requires = "turn",
        env = "RILLCAST_SIGNALING_TURN_ALLOW",
        value_delimiter = ' '
    )]
    pub turn_allow: Vec<Cidr>,
    /// Settings of sites, and limits. Read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_CONFIG")]
    pub config: Option<PathBuf>,
    /// Let the built-in publisher fetch whatever viewers play under this URL prefix, for all sites. Repeatable.
    #[arg(long, value_name = "URL-PREFIX", env = "RILLCAST_SIGNALING_PUBLISH", value_delimiter = ' ')]
    pub publish: Vec<String>,
    /// Don't hand on the bytes that the built-in publisher fetches.
    #[arg(long, env = "RILLCAST_SIGNALING_NO_HOSTING")]
    pub no_hosting: bool,
    /// Keep the swarm secret, the publisher's key and the keys that sign tickets in this directory, so that they survive a restart.
    #[arg(long, value_name = "DIR", env = "RILLCAST_SIGNALING_STATE_DIR")]
    pub state_dir: Option<PathBuf>,
    /// Sign tickets with a new key from this start on. Those that the key in --state-dir has signed count until they run out.
    #[arg(long, env = "RILLCAST_SIGNALING_ROTATE_AUTHORITY")]
    pub rotate_authority: bool,
    /// Turn the admin interface on; the file's first line is its token.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// Tell countries by this database in MaxMind's format (GeoLite2-Country, say). Read again when it changes.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_GEO_COUNTRY")]
    pub geo_country: Option<PathBuf>,
    /// Tell providers (autonomous systems) by this database; may be the same file. Read again when it changes.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_GEO_ASN")]
    pub geo_asn: Option<PathBuf>,
    /// Add who changed what through the admin interface, and when, to this file: one line of JSON each.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_AUDIT_LOG")]
    pub audit_log: Option<PathBuf>,
    /// Add what each peer has given, with its receivers' signatures, to this file when it leaves: one line of JSON each.
    #[arg(long, value_name = "FILE", env = "RILLCAST_SIGNALING_RECEIPTS")]
    pub receipts: Option<PathBuf>,
    /// Serve the browser bundle from this directory instead of from the binary.
    #[arg(long, value_name = "DIR", env = "RILLCAST_SIGNALING_BUNDLE")]
    pub bundle: Option<PathBuf>,
    /// Believe proxies at these addresses (10.0.0.0/8, say) whom they ask for, by X-Forwarded-For. Repeatable.
    #[arg(long, value_name = "CIDR", env = "RILLCAST_SIGNALING_TRUSTED_PROXY", value_delimiter = ' ')]
    pub trusted_proxy: Vec<Cidr>,
    /// Let everybody read /metrics; otherwise this machine and whoever has the admin token may.
    #[arg(long, env = "RILLCAST_SIGNALING_METRICS_OPEN")]
    pub metrics_open: bool,
    /// Serve addresses other than loopback although sites without keys ask nobody for authorisation.
    #[arg(long, env = "RILLCAST_SIGNALING_INSECURE_OPEN")]
    pub insecure_open: bool,
    /// Write the log for people (text) or for programs (json: one object a line).
    #[arg(long, value_name = "FORMAT", env = "RILLCAST_SIGNALING_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,
}

/// A host by name or address and a port, as others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort(String);

/// A text that names no host and port.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no host and port; write it like stun.example:3478, 203.0.113.8:3478 or [2001:db8::8]:3478")]
pub struct HostPortError(String);

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, HostPortError> {
        let parts = text.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
        let is_host = |host: &str| match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
            None => {
                (1..=200).contains(&host.len())
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
            }
        };
        match parts {
            Some((host, _)) if is_host(host) => Ok(Self(text.to_owned())),
            _ => Err(HostPortError(text.to_owned())),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_its_variable_and_the_readme_names_it() {
        let readme = include_str!("../README.md");
        let command = Options::command();
        let flags: Vec<_> = command.get_arguments().filter(|a| a.get_env().is_some()).collect();
        assert!(flags.len() > 20);
        for flag in command.get_arguments().filter_map(|a| Some((a.get_long()?, a.get_env()))) {
            let (name, variable) = flag;
            let expected = format!("RILLCAST_SIGNALING_{}", name.to_uppercase().replace('-', "_"));
            assert_eq!(variable.and_then(|v| v.to_str()), Some(expected.as_str()), "--{name}");
            assert!(readme.contains(&format!("`--{name}")), "README.md lacks --{name}");
        }
    }

    #[test]
    fn a_host_and_port_are_a_name_or_an_address_and_a_port_above_0() {
        let read = |text: &str| text.parse::<HostPort>();
        for good in ["stun.example:3478", "203.0.113.8:1", "[2001:db8::8]:65535"] {
            assert_eq!(read(good).map(|at| at.to_string()).as_deref(), Ok(good));
        }
        for bad in
            ["", "stun.example", ":3478", "a:0", "a:65536", "a:x", "2001:db8::8:3478", "[::1:1", "a b:1"]
        {
            assert_eq!(read(bad), Err(HostPortError(bad.to_owned())), "{bad}");
        }
        for (length, fits) in [(199, true), (200, true), (201, false)] {
            assert_eq!(read(&format!("{}:1", "a".repeat(length))).is_ok(), fits, "{length}");
        }
    }

    // What the package brings is what the program understands.
    #[test]
    fn the_packages_variables_are_flags() {
        let command = Options::command();
        let known: Vec<&str> =
            command.get_arguments().filter_map(|a| a.get_env().and_then(|v| v.to_str())).collect();
        let shipped = include_str!("../packaging/rillcast-signaling.default");
        let named: Vec<&str> = shipped
            .lines()
            .filter_map(|line| line.trim_start_matches('#').split_once('='))
            .map(|(name, _)| name)
            .collect();
        assert!(named.len() > 5, "{named:?}");
        for name in named {
            assert!(known.contains(&name), "{name}");
        }
    }
}
