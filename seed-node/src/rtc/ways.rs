//! By which way a link's datagrams go: directly, or through the node's relay. Pure logic.
//!
//! NATs may let a peer in directly and keep us out, so what counts is by which way our checks are answered, not by which way a peer is heard.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::datagram::Datagram;

/// Addresses of one peer that may be spoken with through the relay. Beyond: the oldest is forgotten.
pub const MAX_RELAYED: usize = 8;

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From address to address.
    Direct,
    /// Through our relay.
    Relay,
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goes {
    /// Directly.
    pub direct: bool,
    /// Through the relay.
    pub relay: bool,
}

/// The ways of one link.
#[derive(Debug, Default)]
pub struct Ways {
    /// Of those who were ever heard through the relay.
    known: Mutex<Vec<(SocketAddr, Way)>>,
    /// Asked without a lock by the many links that have nothing to do with a relay.
    any: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    /// By which its last check came, and is answered.
    asked: Path,
    /// By which the last answer to one of ours came.
    answered: Option<Path>,
}

impl Ways {
    /// A peer was heard.
    pub fn came(&self, from: SocketAddr, path: Path, what: Datagram<'_>) {
        if path == Path::Direct && !self.any.load(Relaxed) {
            return;
        }
        let mut known = self.lock();
        let at = match known.iter().position(|(peer, _)| *peer == from) {
            Some(at) => at,
            None if path == Path::Direct => return,
            None => {
                if known.len() >= MAX_RELAYED {
                    known.remove(0);
                }
                known.push((from, Way { asked: path, answered: None }));
                self.any.store(true, Relaxed);
                known.len() - 1
            }
        };
        match what {
            Datagram::Check { .. } => known[at].1.asked = path,
            Datagram::Answer => known[at].1.answered = Some(path),
            Datagram::Dtls | Datagram::Foreign => {}
        }
    }

    /// Where something goes that is for a peer: its first byte tells what it is (RFC 7983; of STUN, whether it asks or answers). `tries`: it isn't known yet by which
    /// way the peer is reached at all, and the direct ones have been tried for a while.
    pub fn go(&self, to: SocketAddr, first: Option<u8>, tries: bool) -> Goes {
        let way = if self.any.load(Relaxed) {
            self.lock().iter().find(|(peer, _)| *peer == to).map(|(_, way)| *way)
        } else {
            None
        };
        let alone = |path| Goes { direct: path == Path::Direct, relay: path == Path::Relay };
        match (way, first) {
            // The answer to a check goes back as that came.
            (Some(way), Some(1)) => alone(way.asked),
            (None, Some(1)) => alone(Path::Direct),
            // Checks go both ways until it's known that the direct one leads there and back.
            (Some(way), Some(0..=3)) => Goes { direct: true, relay: way.answered != Some(Path::Direct) },
            (None, Some(0..=3)) => Goes { direct: true, relay: tries },
            (Some(way), _) => alone(way.answered.unwrap_or(way.asked)),
            (None, _) => alone(Path::Direct),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(SocketAddr, Way)>> {
        // No holder can panic half-way through a change.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: Datagram<'_> = Datagram::Check { ufrag: b"u" };
    const DATA: Option<u8> = Some(22);

    fn peer(n: u16) -> SocketAddr {
        SocketAddr::from(([198, 18, 0, 1], 1000 + n))
    }

    fn goes(direct: bool, relay: bool) -> Goes {
        Goes { direct, relay }
    }

    #[test]
    fn nobody_is_spoken_with_through_the_relay_who_was_not_heard_through_it() {
        let ways = Ways::default();
        ways.came(peer(1), Path::Direct, CHECK);
        assert_eq!(ways.go(peer(1), DATA, true), goes(true, false));
        assert_eq!(ways.go(peer(1), Some(1), true), goes(true, false));
        assert_eq!(
            (ways.go(peer(1), Some(0), false), ways.go(peer(1), Some(0), true)),
            (goes(true, false), goes(true, true))
        );
    }

    #[test]
    fn a_check_is_answered_by_the_way_it_came_and_all_else_goes_by_the_way_of_the_last_answer() {
        let ways = Ways::default();
        ways.came(peer(1), Path::Relay, CHECK);
        assert_eq!(
            (ways.go(peer(1), Some(1), false), ways.go(peer(1), DATA, false)),
            (goes(false, true), goes(false, true))
        );
        // Its NAT lets us hear it, and keeps us out.
        ways.came(peer(1), Path::Direct, CHECK);
        ways.came(peer(1), Path::Relay, Datagram::Answer);
        assert_eq!(
            (ways.go(peer(1), Some(1), false), ways.go(peer(1), DATA, false)),
            (goes(true, false), goes(false, true))
        );
        assert_eq!(ways.go(peer(1), Some(0), false), goes(true, true));
        ways.came(peer(1), Path::Direct, Datagram::Answer);
        assert_eq!(
            (ways.go(peer(1), Some(0), false), ways.go(peer(1), DATA, false)),
            (goes(true, false), goes(true, false))
        );
    }

    #[test]
    fn so_many_addresses_are_known_and_the_oldest_is_forgotten() {
        for (count, first) in [(MAX_RELAYED - 1, true), (MAX_RELAYED, true), (MAX_RELAYED + 1, false)] {
            let ways = Ways::default();
            (0..count as u16).for_each(|n| ways.came(peer(n), Path::Relay, CHECK));
            assert_eq!(ways.go(peer(0), DATA, false).relay, first, "{count}");
            assert!(ways.go(peer(count as u16 - 1), DATA, false).relay);
        }
    }
}
