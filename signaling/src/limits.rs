//! Every bound of the server, in one place. Each has a test at, under and over it.

use std::time::Duration;

use rillcast_protocol::signal::MAX_MESSAGE;
use serde::Deserialize;

use crate::quota::Share;

/// What the server lets the outside use of it. The `[limits]` table of the settings file; all fields have defaults.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open TCP connections in all. Beyond: closed at once.
    pub connections: usize,
    /// Open TCP connections of one IPv4 address or one IPv6 /64. Beyond: closed at once.
    pub connections_per_address: usize,
    /// Seconds for the TLS handshake, for a request's head and, on a WebSocket, for the join. Beyond: closed.
    pub handshake_secs: u64,
    /// Seconds after which a plain HTTP connection is told to end; a request under way has as long again.
    pub http_secs: u64,
    /// Seconds without any message or WebSocket pong from a peer. Beyond: closed. A ping goes out at a third of it.
    pub idle_secs: u64,
    /// Bytes of one message from a peer. Beyond: refused as malformed.
    pub message_bytes: usize,
    /// Bytes of the read buffer of one WebSocket.
    pub read_buffer: usize,
    /// Messages that wait for one slow reader. Beyond: cut.
    pub queue_messages: usize,
    /// Bytes that wait for one slow reader. Beyond: cut.
    pub queue_bytes: usize,
    /// Seconds that one write to a peer may take. Beyond: cut.
    pub write_secs: u64,
    /// Messages per second from one viewer, in the long run. Beyond: read more slowly.
    pub messages_per_sec: u32,
    /// Messages at once from one viewer.
    pub messages_burst: u32,
    /// Bytes per second from one viewer, in the long run. Beyond: read more slowly.
    pub bytes_per_sec: u32,
    /// Bytes at once from one viewer.
    pub bytes_burst: u32,
    /// How many times a viewer's rates a seed may use, and how many times as many introductions are remembered of it.
    pub seed_factor: u32,
    /// Longest pause in reading from a peer that is too fast, in milliseconds. One that would need more is refused.
    pub throttle_ms: u64,
    /// Peers introduced per minute to one that asks, in the long run. Beyond: not answered. Neighbours tell of more, and
    /// whoever collects addresses is to learn few.
    pub introductions_per_min: u32,
    /// Peers introduced at once to one that asks.
    pub introductions_burst: u32,
    /// Peers introduced to a newcomer, where the swarm is larger than a site's `max_links`, and to one that asks.
    pub introduce: usize,
    /// Introductions remembered per peer; relaying works between them only. Beyond: the oldest is forgotten.
    pub introduced: usize,
    /// Independent peers whose word it takes to send another away for lying, if they are also most of those that it was introduced to and
    /// more than thank it; 0 never does.
    pub quarantine_witnesses: u8,
    /// Swarms. Beyond: joins are refused as unavailable.
    pub swarms: usize,
    /// Members of one swarm. Beyond: joins are refused as unavailable.
    pub members: usize,
    /// Seconds that an empty swarm's digests are kept.
    pub linger_secs: u64,
    /// Tracks of one swarm that the built-in publisher follows. Beyond: not followed.
    pub tracks_per_swarm: usize,
    /// Tracks that the built-in publisher follows in all. Beyond: not followed.
    pub tracks: usize,
    /// Seconds (or three segments, if that is longer) that a seed may publish nothing of a track that is played until
    /// the built-in publisher takes it over.
    pub seed_lease_secs: u64,
    /// Digests of a publisher that others must have confirmed before viewers are told to take its word, in each swarm; 0 takes it at once. The
    /// built-in publisher counts at once, and so does a swarm's first where none is built in, and as long as it can't follow what is played.
    pub publisher_proof: u16,
    /// Segments behind the live edge that the built-in publisher digests unasked when it begins with a track. Those
    /// that a viewer asks for it digests anyway, so more than 0 only costs copies where nobody plays them.
    pub publish_backlog: usize,
    /// Milliseconds for which a track must have been played until the built-in publisher digests it unasked.
    pub publish_settle_ms: u64,
    /// Segments that the built-in publisher fetches at a time.
    pub fetches: usize,
    /// Members that a new digest is sent to; gossip does the rest.
    pub digest_fanout: usize,
    /// Newest digests of a track that a newcomer gets at once, of whole segments and of parts.
    pub digests_to_newcomer: usize,
    /// Digests kept per track that isn't known to be finished (where a seed publishes, none is). Beyond: the oldest goes.
    pub digests_live: usize,
    /// Digests kept per finished track. Beyond: the lowest number goes.
    pub digests_vod: usize,
    /// Bytes of hosted segments in memory; 0 turns hosting off. Beyond: the oldest goes.
    pub hosted_bytes: usize,
    /// Seconds that a segment is hosted.
    pub hosted_secs: u64,
    /// STUN answers per second to one address. Beyond: silence.
    pub stun_per_address: u32,
    /// STUN answers per second in all. Beyond: silence.
    pub stun_per_sec: u32,
    /// Relays of the built-in TURN server. Beyond: refused.
    pub turn_allocations: usize,
    /// Relays of one peer. A browser takes one for each link that it attempts, from each of its networks. Beyond: refused.
    pub turn_allocations_per_user: usize,
    /// Relays of one IPv4 address or one IPv6 /64. Beyond: refused.
    pub turn_allocations_per_address: usize,
    /// Addresses that one relay's client may send to at a time. Beyond: refused.
    pub turn_peers: usize,
    /// Bytes per second that are relayed for one client, both ways together; a second's worth at once. Beyond: dropped.
    pub turn_bytes_per_sec: u32,
    /// Bytes per second that are relayed in all. Beyond: dropped.
    pub turn_bytes_per_sec_in_all: u32,
    /// Seconds that a client may keep its relay. Beyond: ended.
    pub turn_session_secs: u64,
    /// Clients that haven't shown credentials yet. Beyond: the oldest is forgotten.
    pub turn_new: usize,
    /// New clients per second at one address. Beyond: silence.
    pub turn_new_per_address: u32,
    /// New clients per second in all. Beyond: silence.
    pub turn_new_per_sec: u32,
    /// Seconds that a peer's ticket counts, 60 to a day; it is renewed at half of that.
    pub ticket_secs: u64,
    /// Longest life of a join token, in seconds. Beyond: refused.
    pub token_max_secs: u64,
    /// Pairs of a token with a `jti` and a place that it is used from, until the token expires. Beyond: new ones are
    /// refused as unavailable.
    pub token_memory: usize,
    /// Revocations in all sites together. Beyond: refused until some are over or taken back.
    pub revocations: usize,
    /// What one address (an IPv4 address or an IPv6 /64) may use, over all its connections.
    pub per_address: Share,
    /// What one token may use: by its `jti` and by its `sub`.
    pub per_token: Share,
    /// What one site's members may use.
    pub per_site: Share,
    /// Addresses, tokens and sites that are counted. Beyond: joins are refused as unavailable.
    pub quota_memory: usize,
    /// Admin requests per second with the right token, and from each address with a wrong one. Beyond: 429.
    pub admin_per_sec: u32,
}

impl Limits {
    /// Those of STUN and TURN.
    pub fn relay(&self) -> rillcast_relay::Limits {
        rillcast_relay::Limits {
            stun_per_address: self.stun_per_address,
            stun_per_sec: self.stun_per_sec,
            allocations: self.turn_allocations,
            allocations_per_user: self.turn_allocations_per_user,
            allocations_per_address: self.turn_allocations_per_address,
            peers: self.turn_peers,
            bytes_per_sec: self.turn_bytes_per_sec,
            bytes_per_sec_in_all: self.turn_bytes_per_sec_in_all,
            session_secs: self.turn_session_secs,
            new: self.turn_new,
            new_per_address: self.turn_new_per_address,
            new_per_sec: self.turn_new_per_sec,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_per_address: 512,
            handshake_secs: 10,
            http_secs: 120,
            idle_secs: 90,
            message_bytes: MAX_MESSAGE,
            read_buffer: 8 * 1024,
            queue_messages: 512,
            queue_bytes: 512 * 1024,
            write_secs: 10,
            messages_per_sec: 40,
            messages_burst: 400,
            bytes_per_sec: 64 * 1024,
            bytes_burst: 512 * 1024,
            seed_factor: 16,
            throttle_ms: 10_000,
            introductions_per_min: 3,
            introductions_burst: 32,
            introduce: 8,
            introduced: 128,
            quarantine_witnesses: 3,
            swarms: 10_000,
            members: 50_000,
            linger_secs: 60,
            tracks_per_swarm: 24,
            tracks: 256,
            seed_lease_secs: 8,
            publisher_proof: 4,
            publish_backlog: 0,
            publish_settle_ms: 3000,
            fetches: 8,
            digest_fanout: 64,
            digests_to_newcomer: 8,
            digests_live: 512,
            digests_vod: 4096,
            hosted_bytes: 64 * 1024 * 1024,
            hosted_secs: 30,
            stun_per_address: 20,
            stun_per_sec: 5000,
            turn_allocations: 4000,
            turn_allocations_per_user: 64,
            turn_allocations_per_address: 512,
            turn_peers: 128,
            turn_bytes_per_sec: 1024 * 1024,
            turn_bytes_per_sec_in_all: 128 * 1024 * 1024,
            turn_session_secs: 24 * 3600,
            turn_new: 1024,
            turn_new_per_address: 50,
            turn_new_per_sec: 2000,
            ticket_secs: 900,
            token_max_secs: 24 * 3600,
            token_memory: 100_000,
            revocations: 10_000,
            // An office or a carrier's NAT is one address.
            per_address: Share {
                joins_per_min: 600,
                connections: 512,
                messages_per_sec: 4000,
                bytes_per_sec: 4 * 1024 * 1024,
            },
            // A household with all its pages.
            per_token: Share {
                joins_per_min: 60,
                connections: 32,
                messages_per_sec: 400,
                bytes_per_sec: 1024 * 1024,
            },
            // As much as the server has: a site alone needs no other bound, of several each should have its own.
            per_site: Share {
                joins_per_min: 60_000,
                connections: 20_000,
                messages_per_sec: 200_000,
                bytes_per_sec: 256 * 1024 * 1024,
            },
            quota_memory: 200_000,
            admin_per_sec: 10,
        }
    }
}

impl Limits {
    pub(crate) fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_secs)
    }

    pub(crate) fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_secs.max(1))
    }

    pub(crate) fn write(&self) -> Duration {
        Duration::from_secs(self.write_secs)
    }

    /// A ticket's life in milliseconds.
    pub fn ticket_ms(&self) -> u64 {
        self.ticket_secs.clamp(60, 24 * 3600) * 1000
    }

    pub(crate) fn throttle(&self) -> Duration {
        Duration::from_millis(self.throttle_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_count_for_a_minute_at_least_and_a_day_at_most() {
        for (set, secs) in [(0, 60), (59, 60), (60, 60), (900, 900), (86_400, 86_400), (86_401, 86_400)] {
            assert_eq!(Limits { ticket_secs: set, ..Limits::default() }.ticket_ms(), secs * 1000, "{set}");
        }
    }
}
