//! What was found, and what is required of it (R12).

use serde::Serialize;

use super::stage::Uploader;
use crate::bench::median::median;

/// Beside what yields a TCP flow keeps so much of what it gets alone.
const KEEPS: f64 = 0.9;
/// What yields uses so much of an idle uplink.
const USES: f64 = 0.9;

/// One case: medians of its rounds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Case {
    /// Who uploads.
    pub(crate) uploader: &'static str,
    /// Whether what it uploads yields.
    pub(crate) yields: bool,
    /// Of the uplink's capacity, what uploads take while nobody else does, headers included.
    pub(crate) alone: f64,
    /// Of what a TCP flow gets alone, what it keeps beside them.
    pub(crate) tcp_keeps: f64,
    /// What each round came to: the same two figures.
    pub(crate) rounds: Vec<[f64; 2]>,
}

impl Case {
    pub(super) fn new(uploader: Uploader, yields: bool, rounds: Vec<[f64; 2]>) -> Self {
        let uploader = match uploader {
            Uploader::Browser => "a viewer in Chromium",
            Uploader::Seed => "a seed",
        };
        let of = |which: usize| median(rounds.iter().map(|round| round[which])).unwrap_or(0.0);
        Self { uploader, yields, alone: of(0), tcp_keeps: of(1), rounds }
    }

    /// What doesn't hold; nothing is asked of what doesn't yield.
    fn failing(&self) -> Vec<String> {
        let mut failing = Vec::new();
        if self.yields && self.tcp_keeps < KEEPS {
            failing
                .push(format!("beside {} TCP keeps {:.3}, less than {KEEPS}", self.uploader, self.tcp_keeps));
        }
        if self.yields && self.alone < USES {
            failing.push(format!(
                "{} alone uses {:.3} of its uplink, less than {USES}",
                self.uploader, self.alone
            ));
        }
        failing
    }
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Findings {
    /// Of the uplink's capacity, what the TCP flow gets with nobody beside it, without headers.
    pub(crate) tcp_alone: f64,
    pub(crate) cases: Vec<Case>,
}

impl Findings {
    pub(super) fn failing(&self) -> Vec<String> {
        self.cases.iter().flat_map(Case::failing).collect()
    }
}
