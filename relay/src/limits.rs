//! What a server lets the outside use of it. Each bound has a test at, under and over it.

/// The bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// STUN answers per second to one address. Beyond: silence.
    pub stun_per_address: u32,
    /// STUN answers per second in all. Beyond: silence.
    pub stun_per_sec: u32,
    /// Relays in all. Beyond: refused.
    pub allocations: usize,
    /// Relays of one peer. A browser takes one for each link that it attempts, from each of its networks. Beyond: refused.
    pub allocations_per_user: usize,
    /// Relays of one IPv4 address or one IPv6 /64. Beyond: refused.
    pub allocations_per_address: usize,
    /// Addresses that one relay's client may send to at a time. Beyond: refused.
    pub peers: usize,
    /// Bytes per second that are relayed for one client, both ways together; a second's worth at once. Beyond: dropped.
    pub bytes_per_sec: u32,
    /// Bytes per second that are relayed in all. Beyond: dropped.
    pub bytes_per_sec_in_all: u32,
    /// Seconds that a client may keep its relay. Beyond: ended.
    pub session_secs: u64,
    /// Clients that haven't shown credentials yet. Beyond: the oldest is forgotten.
    pub new: usize,
    /// New clients per second at one address. Beyond: silence.
    pub new_per_address: u32,
    /// New clients per second in all. Beyond: silence.
    pub new_per_sec: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stun_per_address: 20,
            stun_per_sec: 5000,
            allocations: 4000,
            allocations_per_user: 64,
            allocations_per_address: 512,
            peers: 128,
            bytes_per_sec: 1024 * 1024,
            bytes_per_sec_in_all: 128 * 1024 * 1024,
            session_secs: 24 * 3600,
            new: 1024,
            new_per_address: 50,
            new_per_sec: 2000,
        }
    }
}
