//! What a run has come to.

use std::collections::HashMap;

use rillcast_core::protocol::id::SegmentKey;

use crate::facts::{Lies, Segment};

/// Sums over the whole run, but for what says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By segment: bytes that the source gave, and those of joiners' first segments among them.
    pub(crate) source: HashMap<SegmentKey, (u64, u64)>,
    /// By segment: what was played.
    pub(crate) demand: HashMap<SegmentKey, Segment>,
    /// Bytes of the source in each second.
    pub(crate) per_second: Vec<u64>,
    /// Bytes of media that players got in each second.
    pub(crate) played_per_second: Vec<u64>,
    /// Bytes that viewers gave to each other in each second.
    pub(crate) peers_per_second: Vec<u64>,
    /// Viewers who were there in each second.
    pub(crate) present_per_second: Vec<u32>,
    /// Calls of engines.
    pub(crate) calls: u64,
    /// Of these, for nothing but time.
    pub(crate) timeouts: u64,
    /// Messages on control channels, and their bytes.
    pub(crate) control: (u64, u64),
    /// Viewer-seconds simulated.
    pub(crate) peer_seconds: f64,
    /// Of the source's bytes, those that a publisher fetched: signaling's own, then seeds.
    pub(crate) publishers: (u64, u64),
    /// Bytes between viewers by where they are: within one ISP, and from one to another.
    pub(crate) isp_bytes: (u64, u64),
    /// By site and segment: bytes that came in over the site's line, from the source and from peers.
    pub(crate) wan_in: HashMap<(u16, SegmentKey), u64>,
    /// By site: bytes that went out over its line.
    pub(crate) wan_out: HashMap<u16, u64>,
    /// Bytes of blocks that viewers took, by the number of peers that they came through; the guard's and newcomers' first segments
    /// left out.
    pub(crate) depths: Vec<u64>,
    /// What became of false blocks.
    pub(crate) lies: Lies,
    /// Links that opened, and attempts that were given up.
    pub(crate) links: (u64, u64),
    /// Bytes that each of the uplinks shared with a TCP flow carried in each second.
    pub(crate) shared_uplinks: Vec<Vec<Shared>>,
}

/// One second of an uplink that a TCP flow shares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shared {
    /// What TCP got acknowledged, headers included.
    pub(crate) tcp: u64,
    /// What arrived of our own media, headers included.
    pub(crate) ours: u64,
}
