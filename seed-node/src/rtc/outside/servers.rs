//! The STUN and TURN servers that signaling names, as far as this node can use them: over UDP.

use rillcast_protocol::settings::IceServer;

/// Most servers of either kind that are tried.
pub const MAX_SERVERS: usize = 3;
const DEFAULT_PORT: u16 = 3478;

/// A relay, and what it is asked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnServer {
    /// `host:port`.
    pub at: String,
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
}

/// What there is to ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// `host:port` of who tells our address.
    pub stun: Vec<String>,
    /// Who relays.
    pub turn: Vec<TurnServer>,
}

impl Servers {
    /// Of what signaling says. Relays answer STUN as well.
    pub fn of(ice: &[IceServer]) -> Self {
        let mut servers = Self::default();
        for server in ice {
            let url = server.url.as_str();
            if let Some(at) = url.strip_prefix("stun:").and_then(host_and_port) {
                servers.stun.push(at);
            } else if let Some(at) = url.strip_prefix("turn:").and_then(over_udp).and_then(host_and_port) {
                let (name, password) =
                    (server.username.as_str().to_owned(), server.credential.as_str().to_owned());
                servers.turn.push(TurnServer { at, name, password });
            }
        }
        servers.stun.extend(servers.turn.iter().map(|turn| turn.at.clone()));
        servers.stun.dedup();
        servers.stun.truncate(MAX_SERVERS);
        servers.turn.truncate(MAX_SERVERS);
        servers
    }
}

/// The URL without its query, unless that asks for another transport.
fn over_udp(rest: &str) -> Option<&str> {
    match rest.split_once('?') {
        None => Some(rest),
        Some((at, "transport=udp")) => Some(at),
        Some(_) => None,
    }
}

/// With the default port where there is none (RFC 7064, 7065).
fn host_and_port(rest: &str) -> Option<String> {
    let at = rest.split('?').next().filter(|at| !at.is_empty())?;
    let has_port = at.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    Some(if has_port { at.to_owned() } else { format!("{at}:{DEFAULT_PORT}") })
}

#[cfg(test)]
mod tests {
    use rillcast_protocol::coding::Text;

    use super::*;

    fn ice(url: &str) -> IceServer {
        let text = |text: &str| Text::new(text).expect("short");
        IceServer { url: text(url), username: text("n"), credential: text("p") }
    }

    #[test]
    fn what_is_over_udp_is_used_and_relays_answer_stun_too() {
        let urls = ["stun:a", "turn:b:1?transport=udp", "turn:c?transport=tcp", "turns:d", "turn:[::1]", "x"];
        let servers = Servers::of(&urls.map(ice));
        assert_eq!(servers.stun, ["a:3478", "b:1", "[::1]:3478"]);
        let turn: Vec<&str> = servers.turn.iter().map(|turn| turn.at.as_str()).collect();
        assert_eq!(turn, ["b:1", "[::1]:3478"]);
        assert_eq!((servers.turn[0].name.as_str(), servers.turn[0].password.as_str()), ("n", "p"));
    }

    #[test]
    fn so_many_servers_are_tried() {
        for n in [MAX_SERVERS - 1, MAX_SERVERS, MAX_SERVERS + 1] {
            let all: Vec<_> = (0..n).map(|i| ice(&format!("turn:h{i}"))).collect();
            let servers = Servers::of(&all);
            assert_eq!((servers.stun.len(), servers.turn.len()), (n.min(MAX_SERVERS), n.min(MAX_SERVERS)));
        }
    }
}
