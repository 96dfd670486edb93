//! What was found, and what is required of it.

use serde::Serialize;

/// What one viewer came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Watched {
    /// It came before the upgrade, and so has the former version's script and engine.
    pub(crate) former: bool,
    pub(crate) stalls: u64,
    pub(crate) stall_ms: f64,
    pub(crate) played_s: f64,
    pub(crate) from_peers: u64,
    pub(crate) consumed: u64,
    pub(crate) uploaded: u64,
}

/// A stretch of time, by what happened at its end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stretch {
    pub(crate) what: &'static str,
    /// Stalls of all former viewers in it.
    pub(crate) stalls: u64,
    /// Of what came to them in it, the part of peers and seeds.
    pub(crate) offload: f64,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Findings {
    pub(crate) stretches: Vec<Stretch>,
    pub(crate) viewers: Vec<Watched>,
}

impl Findings {
    /// What doesn't hold.
    pub(super) fn failing(&self) -> Vec<String> {
        let mut failing = Vec::new();
        // What happened before the upgrade isn't its doing.
        let stalls: u64 = self.stretches.iter().skip(1).map(|stretch| stretch.stalls).sum();
        if stalls > 0 {
            failing.push(format!("viewers who were there stalled {stalls} times"));
        }
        let late = self.viewers.iter().filter(|viewer| !viewer.former);
        if late.clone().any(|viewer| viewer.stalls > 0) {
            failing.push("viewers who came after it stalled".to_owned());
        }
        // Versions N and N-1 share a swarm.
        if late.clone().all(|viewer| viewer.from_peers == 0) {
            failing.push("no viewer of the new version got anything from anybody".to_owned());
        }
        failing
    }
}
