//! What was found, and what is required of it.

use serde::Serialize;

use super::mpv::Played;
use crate::services::Brought;

/// Of what a player copies beside viewers in browsers at least so much comes from them.
const PEER_SHARE: f64 = 0.8;

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// Viewers in browsers.
    pub viewers: u32,
    /// Seconds that ffmpeg copied.
    pub seconds: u64,
    /// Bytes of the copy taken through the agent.
    pub copied: u64,
    /// It is, bit by bit, the copy taken from the origin.
    pub identical: bool,
    /// Of the bytes handed to ffmpeg the peers' part.
    pub peer_share: f64,
    /// The source's.
    pub source_share: f64,
    /// The peers' part up to each second.
    pub over_time: Vec<f64>,
    /// What mpv came to, if it played.
    pub(crate) mpv: Option<Played>,
    /// Of the bytes handed to mpv the peers' part.
    pub mpv_peer_share: f64,
    /// Stalls of the viewers in browsers.
    pub browser_stalls: u64,
}

impl Findings {
    /// The shares of what was handed over.
    pub(super) fn shares(brought: Brought) -> (f64, f64) {
        let all = (brought.source + brought.publisher + brought.peers).max(1) as f64;
        (brought.peer_share(), brought.source as f64 / all)
    }

    /// What doesn't hold.
    pub fn failing(&self) -> Vec<String> {
        let mut failing = Vec::new();
        if !self.identical {
            failing
                .push("what ffmpeg copied through the agent isn't what it copied from the origin".to_owned());
        }
        if self.peer_share < PEER_SHARE {
            failing.push(format!(
                "{:.1} % of what ffmpeg was handed came from peers, fewer than {:.0}",
                self.peer_share * 100.0,
                PEER_SHARE * 100.0
            ));
        }
        if let Some(mpv) = self.mpv.filter(|mpv| mpv.stalls > 0 || mpv.dropped > 0) {
            failing.push(format!("mpv stalled {} times and dropped {} frames", mpv.stalls, mpv.dropped));
        }
        failing
    }
}
