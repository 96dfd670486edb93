//! What a run has come to.

use std::collections::BTreeMap;

use rillcast_core::engine::Event;
use rillcast_core::time::Duration;

use super::media::number_of;
use super::net::Net;

/// Bytes and counts of a whole run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Media bytes that viewers fetched from the origin.
    pub source: u64,
    /// Media bytes that the publisher or the publishing seed fetched for itself.
    pub publisher: u64,
    /// Media bytes handed on by the publisher.
    pub hosted: u64,
    /// Media bytes that players got.
    pub delivered: u64,
    /// Calls of the engines.
    pub inputs: u64,
    /// Of these, for nothing but time.
    pub timeouts: u64,
}

impl Net {
    /// 1 - source bytes / played bytes, the publisher's own fetches included.
    pub fn savings(&self) -> f64 {
        1.0 - (self.figures.source + self.figures.publisher) as f64 / self.figures.delivered as f64
    }

    /// Source bytes / summed sizes of the distinct segments that were played.
    pub fn copies(&self) -> f64 {
        let mut distinct = BTreeMap::new();
        self.nodes.iter().flat_map(|n| &n.player.got).for_each(|g| {
            distinct.insert(g.key, g.bytes);
        });
        (self.figures.source + self.figures.publisher) as f64 / distinct.values().sum::<u64>() as f64
    }

    pub fn stalls(&self) -> u32 {
        self.nodes.iter().map(|n| n.player.stalls).sum()
    }

    /// Bytes that players got from viewers and seeds.
    pub fn bytes_from_peers(&self) -> u64 {
        let got = self.nodes.iter().flat_map(|n| &n.player.got);
        got.map(|g| u64::from(g.share.peers) + u64::from(g.share.seeds)).sum()
    }

    /// Who called whom a liar.
    pub fn liars(&self) -> Vec<(usize, usize)> {
        let liar = |(_, n, event): &(_, usize, Event)| match event {
            Event::Liar { peer, .. } => Some((*n, number_of(*peer))),
            _ => None,
        };
        self.told.iter().filter_map(liar).collect()
    }

    /// The longest time between joining and playing.
    pub fn slowest_start(&self) -> Duration {
        let starts = self.nodes.iter().filter_map(|n| Some(n.player.started? - n.player.joined?));
        starts.max().unwrap_or_default()
    }

    /// One line for people.
    pub fn summary(&self) -> String {
        let f = &self.figures;
        let stats: Vec<_> = self.nodes.iter().map(|n| n.engine.stats()).collect();
        let sum = |of: fn(&rillcast_core::engine::Stats) -> u64| stats.iter().map(of).sum::<u64>() / 1000;
        let up: Vec<_> = stats.iter().map(|s| s.uploaded_bytes / 1000).collect();
        format!(
            "savings {:.3} copies {:.2} stalls {} start {} ms; kB: viewers' own {} publisher {} hosted {} rescued {} wasted {} up {up:?}; \
             calls {} of which for time {}",
            self.savings(),
            self.copies(),
            self.stalls(),
            self.slowest_start().as_millis(),
            f.source / 1000,
            f.publisher / 1000,
            f.hosted / 1000,
            sum(|s| s.rescue_bytes),
            sum(|s| s.wasted_bytes),
            f.inputs,
            f.timeouts,
        )
    }
}
