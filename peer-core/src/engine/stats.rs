//! What a page or a metrics endpoint shows of one engine.

use rillcast_protocol::id::{PeerId, Role};

/// Counters since the start, and the picture of the moment.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Media bytes from the origin or CDN.
    pub source_bytes: u64,
    /// Media bytes from the publisher built into signaling.
    pub publisher_bytes: u64,
    /// Media bytes from viewers.
    pub peer_bytes: u64,
    /// Media bytes from seeds.
    pub seed_bytes: u64,
    /// Media bytes given to others.
    pub uploaded_bytes: u64,
    /// Media bytes handed to the player.
    pub delivered_bytes: u64,
    /// Media bytes received that were here already, or unwanted.
    pub wasted_bytes: u64,
    /// Blocks that failed verification.
    pub false_blocks: u64,
    /// Links refused or closed for want of a ticket that counts.
    pub refused_links: u64,
    /// Times that the guard fetched missing bytes from the source.
    pub rescues: u64,
    /// Bytes that the guard fetched.
    pub rescue_bytes: u64,
    /// The uplink's best rate of late, in bytes/s; 0 while unknown.
    pub upload_rate: u64,
    /// What the source gives, in bytes/s; 0 while unknown.
    pub source_rate: u64,
    /// Bytes of media held.
    pub stored_bytes: u64,
    /// Open links.
    pub links: Vec<LinkStats>,
}

/// One open link.
#[derive(Clone, Debug)]
pub struct LinkStats {
    /// The other end.
    pub peer: PeerId,
    /// What it is.
    pub role: Role,
    /// Round trip in milliseconds, once measured.
    pub rtt_ms: Option<u32>,
    /// Media bytes received.
    pub received: u64,
    /// Media bytes sent.
    pub sent: u64,
    /// The track number it plays and the first segment it lacks, for the picture of the overlay.
    pub playing: Option<(u64, u64)>,
}
