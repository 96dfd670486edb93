//! What a run came to, as plain facts.

use std::collections::BTreeMap;

use rillcast_core::protocol::id::Role;
use rillcast_core::time::{Duration, Instant};

use super::node::Conduct;
use super::{BEFORE, World};
use crate::facts::{Facts, Isps, Second, Segment, Shared, Site, Visit};
use crate::media::Media;

impl World {
    /// Everything that the report is made of, once the run is over.
    pub(crate) fn facts(&self) -> Facts {
        let ledger = &self.ledger;
        let seconds = self.end.since(Instant::ZERO + BEFORE).as_secs_f64();
        let seeds = self.nodes.iter().filter(|n| n.role == Role::Seed);
        let visits = 0..self.nodes.len() as u32;
        let crowd = self.scenario.crowd.as_ref().map_or(0, |crowd| crowd.peers);
        Facts {
            peers: self.scenario.viewers.peers + crowd,
            ladder_bps: self.scenario.stream.ladder_kbps.iter().map(|kbps| kbps * 1000.0).collect(),
            segment_s: self.media.unit as f64 / 1e6,
            ratio: self.scenario.site.ratio,
            length_s: seconds,
            on_demand: self.media.film.is_some(),
            visits: visits.filter_map(|n| self.visit(n)).collect(),
            seconds: self.seconds(seconds as usize),
            segments: self.segments(),
            published: ledger.publishers.0 + ledger.publishers.1,
            seeds_uplink: seeds.map(|n| (n.up * seconds) as u64).sum(),
            depths: ledger.depths.clone(),
            isps: self.scenario.isps.as_ref().map(|_| {
                let (within, across) = ledger.isp_bytes;
                Isps { across, all: within + across, blindly: self.blind_cross_isp() }
            }),
            sites: self.sites(),
            shared: self.shared(),
            lies: ledger.lies,
            crawled: self.crawled(),
            control: ledger.control,
            calls: ledger.calls,
            peer_seconds: ledger.peer_seconds,
        }
    }

    /// Of the last second only its first moment belongs to the run.
    fn seconds(&self, count: usize) -> Vec<Second> {
        let ledger = &self.ledger;
        let at = |all: &[u64], n: usize| all.get(n).copied().unwrap_or(0);
        let second = |(n, viewers): (usize, &u32)| Second {
            viewers: *viewers,
            source: at(&ledger.per_second, n),
            peers: at(&ledger.peers_per_second, n),
            consumed: at(&ledger.played_per_second, n),
        };
        ledger.present_per_second.iter().enumerate().take(count).map(second).collect()
    }

    fn segments(&self) -> Vec<Segment> {
        let ledger = &self.ledger;
        let mut keys: Vec<_> = ledger.source.keys().chain(ledger.demand.keys()).copied().collect();
        keys.sort_unstable();
        keys.dedup();
        let segment = |key| {
            let demand = ledger.demand.get(&key).copied().unwrap_or_default();
            let (source, source_firsts) = ledger.source.get(&key).copied().unwrap_or_default();
            let level = Media::level(key.track) as u8;
            Segment { level, source, source_firsts, ..demand }
        };
        keys.into_iter().map(segment).collect()
    }

    fn visit(&self, n: u32) -> Option<Visit> {
        let node = self
            .nodes
            .get(n as usize)
            .filter(|node| node.role == Role::Viewer && node.conduct != Conduct::Crawler)?;
        let left = node.left?;
        let player = &node.player;
        let seconds = |at: Instant| at.as_micros() as f64 / 1e6 - BEFORE.as_secs_f64();
        Some(Visit {
            joined_s: seconds(player.joined),
            left_s: seconds(left),
            up_bps: node.up * 8.0,
            down_bps: node.down * 8.0,
            start_ms: player.start_ms(),
            stalls: player.stalls,
            stall_ms: player.stall_ms,
            skips: player.skips,
            seek_ms: player.seek_ms,
            played_ms: player.played_ms,
            consumed: player.consumed,
            levels: node.levels.clone(),
            latency_s: player.latency_s(),
            given: node.uploaded,
            taken: node.taken,
            hops: (node.hops.0 > 0).then(|| node.hops.1 as f64 / node.hops.0 as f64),
            blocked: self.is_blocked(n),
            withholds: node.conduct != Conduct::Honest,
        })
    }

    /// What came into each enterprise, over the sizes of the segments that it was of.
    fn sites(&self) -> Vec<Site> {
        let mut sites: BTreeMap<u16, Site> = BTreeMap::new();
        let filled =
            Instant::ZERO + BEFORE + Duration::from_secs_f64(self.scenario.viewers.come_within_seconds);
        for ((site, key), bytes) in &self.ledger.wan_in {
            let site = sites.entry(*site).or_default();
            site.inwards += bytes;
            let len = u64::from(self.media.len(*key));
            site.distinct += len;
            if self.media.film.is_none() && self.media.unit_of(*key) * self.media.unit >= filled.as_micros() {
                site.filled = (site.filled.0 + bytes, site.filled.1 + len);
            }
        }
        sites.into_values().collect()
    }

    fn shared(&self) -> Vec<Shared> {
        let Some(background) = &self.scenario.background else { return Vec::new() };
        let bps = background.up_kbps * 1000.0;
        let minutes = background.from_minute..background.to_minute;
        let uplink = |seconds: &Vec<super::ledger::Shared>| {
            let with_tcp = |n: usize| minutes.contains(&(n as f64 / 60.0));
            let mut shared = Shared { bps, ..Shared::default() };
            for (n, second) in seconds.iter().enumerate() {
                if with_tcp(n) {
                    shared.beside_s += 1;
                    shared.tcp += second.tcp;
                    shared.beside += second.ours;
                } else {
                    shared.alone_s += 1;
                    shared.alone += second.ours;
                }
            }
            shared
        };
        self.ledger.shared_uplinks.iter().map(uplink).collect()
    }
}
