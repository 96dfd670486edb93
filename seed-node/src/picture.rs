//! What can be seen of a swarm from outside: for metrics and tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rillcast_core::engine::Stats;
use rillcast_protocol::id::{PeerId, SwarmId};

use crate::replicas::Tally;
use crate::rtc::Why;

/// One swarm's state and counters.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// Connected to signaling.
    pub joined: bool,
    /// Who we are.
    pub peer: Option<PeerId>,
    /// In which swarm.
    pub swarm: Option<SwarmId>,
    /// The engine's counters and links.
    pub stats: Stats,
    /// Links and attempts.
    pub links: usize,
    /// Tracks followed.
    pub followed: usize,
    /// Segments signed.
    pub published: u64,
    /// Segments that came again with other bytes.
    pub conflicts: u64,
    /// Segments of which another publisher says something else.
    pub disputes: u64,
    /// Segments that got no digest.
    pub skipped: u64,
    /// Media bytes fetched for publishing.
    pub published_bytes: u64,
    /// Media bytes that came from copies on disk.
    pub recalled_bytes: u64,
    /// What became of the segments that several seeds share.
    pub shared: Tally,
    /// Links ended, by cause.
    pub ended: BTreeMap<&'static str, u64>,
    /// Peers that lied.
    pub liars: u64,
    /// Links refused, or ended, for want of a ticket that counts.
    pub refused: u64,
}

/// A place where the newest picture is found.
pub type Shared = Arc<Mutex<Picture>>;

impl Picture {
    /// A link has ended.
    pub(crate) fn link_ended(&mut self, why: &Why) {
        *self.ended.entry(name(why)).or_default() += 1;
    }
}

/// As a metric's label.
fn name(why: &Why) -> &'static str {
    match why {
        Why::Told => "told",
        Why::Peer => "peer",
        Why::NeverOpened => "never_opened",
        Why::NoWay => "no_way",
        Why::Silent => "silent",
        Why::Stalled => "stalled",
        Why::Overrun => "overrun",
        Why::Protocol(_) => "protocol",
        Why::Setup(_) => "setup",
    }
}
