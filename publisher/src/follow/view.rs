//! What a running follower knows of its playlist, and what is still to be done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;
use rillcast_protocol::id::SegmentKey;

use super::PENDING;
use crate::edge::Edge;
use crate::origin::Validators;
use crate::playlist::{Playlist, Segment};
use crate::publisher::Config;
use crate::vod::Plan;

/// Addresses kept for one playlist.
const ADDRESSES: usize = 4;
/// A mirror may be behind its origin for so long.
const LAG: Duration = Duration::from_secs(30);

/// What a running follower knows.
pub(super) struct View {
    pub(super) addresses: Vec<Url>,
    pub(super) edge: Edge,
    pub(super) validators: Validators,
    pub(super) playlist: Option<Arc<Playlist>>,
    /// Which server's that is, and since when another's is behind it.
    pub(super) from: String,
    pub(super) behind: Option<Instant>,
    /// For a playlist that was finished when first seen.
    pub(super) plan: Option<Plan>,
    pub(super) pending: VecDeque<Segment>,
    pub(super) wanted: VecDeque<SegmentKey>,
    pub(super) recalled: VecDeque<SegmentKey>,
    /// From when on what is pending is fetched unasked.
    pub(super) settled: Instant,
    pub(super) underway: Vec<SegmentKey>,
    pub(super) looking: bool,
    /// It was said to have changed, since the last look began.
    pub(super) told: bool,
    pub(super) failing: bool,
}

impl View {
    pub(super) fn new(address: Url, config: &Config) -> Self {
        Self {
            addresses: vec![address],
            edge: Edge::new(config.pace, Instant::now()),
            validators: Validators::default(),
            playlist: None,
            from: String::new(),
            behind: None,
            plan: None,
            pending: VecDeque::new(),
            wanted: VecDeque::new(),
            recalled: VecDeque::new(),
            settled: Instant::now() + config.settle,
            underway: Vec::new(),
            looking: false,
            told: false,
            failing: false,
        }
    }

    pub(super) fn add_address(&mut self, url: Url) {
        if !self.addresses.contains(&url) && self.addresses.len() < ADDRESSES {
            self.addresses.push(url);
        }
    }

    /// Whether a playlist is an older one of another server, a mirror's that comes after its origin: nothing began anew, and nothing has to be
    /// fetched again. One that stays behind is believed in the end.
    pub(super) fn lags(&mut self, playlist: &Playlist, from: &str, at: Instant) -> bool {
        let newest = |playlist: &Playlist| playlist.segments.last().map(|segment| segment.key);
        let known = self.playlist.as_deref().and_then(newest);
        let is_behind = from != self.from && newest(playlist) < known;
        if is_behind && at.saturating_duration_since(*self.behind.get_or_insert(at)) < LAG {
            return true;
        }
        self.behind = None;
        from.clone_into(&mut self.from);
        false
    }

    pub(super) fn look(&mut self, now: Instant) {
        self.told = true;
        self.edge.told(now);
    }

    pub(super) fn want(&mut self, key: SegmentKey) {
        if !self.wanted.contains(&key) && self.wanted.len() < PENDING {
            self.wanted.push_back(key);
        }
    }

    pub(super) fn recall(&mut self, key: SegmentKey) {
        if !self.recalled.contains(&key) && self.recalled.len() < PENDING {
            self.recalled.push_back(key);
        }
    }
}
