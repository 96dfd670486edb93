//! Pairs that no way joins. Each attempt at one costs both ends seconds and whoever carries their signals some messages, and neighbours tell of the same
//! peers again and again, so those who were found out of reach are remembered: for a while, for NATs and their owners change.

use rillcast_protocol::id::PeerId;

use crate::map::keep;
use crate::time::{Duration, Instant};

/// Peers remembered; the oldest is forgotten for a new one.
pub const MAX_OUT_OF_REACH: usize = 256;
/// For so long.
pub const REMEMBERED: Duration = Duration::from_secs(30 * 60);
/// Attempts in a row that have to end without a way: one may have been lost datagrams.
pub const MISSES: u8 = 2;

/// Whom we couldn't reach.
#[derive(Clone, Debug, Default)]
pub struct OutOfReach {
    /// Oldest first.
    peers: Vec<(PeerId, Instant)>,
}

impl OutOfReach {
    /// No way was found to a peer, times enough.
    pub fn remember(&mut self, peer: PeerId, now: Instant) {
        keep(&mut self.peers, |(known, at)| *known != peer && now.since(*at) < REMEMBERED);
        if self.peers.len() >= MAX_OUT_OF_REACH {
            self.peers.remove(0);
        }
        self.peers.push((peer, now));
    }

    /// Whether there is no use in trying to reach it.
    pub fn has(&self, peer: PeerId, now: Instant) -> bool {
        self.peers.iter().any(|(known, at)| *known == peer && now.since(*at) < REMEMBERED)
    }

    /// We are in another network: whatever was learnt was learnt elsewhere.
    pub fn clear(&mut self) {
        self.peers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: usize) -> PeerId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(n as u64).to_be_bytes());
        PeerId(id)
    }

    // R24
    #[test]
    fn so_many_are_remembered_and_the_oldest_is_forgotten() {
        for (count, first) in
            [(MAX_OUT_OF_REACH - 1, true), (MAX_OUT_OF_REACH, true), (MAX_OUT_OF_REACH + 1, false)]
        {
            let mut out = OutOfReach::default();
            (0..count).for_each(|n| out.remember(peer(n), Instant::ZERO));
            assert_eq!(out.has(peer(0), Instant::ZERO), first, "{count}");
            assert!(out.has(peer(count - 1), Instant::ZERO));
        }
    }

    // R24
    #[test]
    fn one_is_remembered_for_so_long_from_the_last_time_and_until_the_network_changes() {
        let mut out = OutOfReach::default();
        let minute = Duration::from_secs(60);
        out.remember(peer(1), Instant::ZERO);
        let end = Instant::ZERO + REMEMBERED;
        assert!(out.has(peer(1), end.minus(Duration::from_micros(1))));
        assert!(!out.has(peer(1), end) && !out.has(peer(2), Instant::ZERO));
        out.remember(peer(1), Instant::ZERO + minute);
        assert!(out.has(peer(1), end) && !out.has(peer(1), end + minute));
        out.clear();
        assert!(!out.has(peer(1), Instant::ZERO + minute));
    }
}
