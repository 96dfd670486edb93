//! Seeds: native nodes around the same engine that follow what their neighbours play, fetch each new segment once, sign for it
//! and serve it. Each seed fetches its own copy.

use rillcast_core::engine::Input;
use rillcast_core::protocol::id::{Role, SegmentKey, TrackId};
use rillcast_core::time::Duration;

use super::{Event, World};
use crate::media::{Lump, Media};

/// A track is followed on for so long after its last viewer has left it.
const LINGER: Duration = Duration::from_secs(30);
/// From a segment's being there to a seed's asking for it: it reads the playlist by its own clock.
const NOTICE: Duration = Duration::from_millis(200);

impl World {
    /// Whether some seed that signaling reaches follows a track.
    pub(super) fn is_seeded(&self, track: TrackId) -> bool {
        self.seeds_there().any(|n| self.nodes[n as usize].follows.iter().any(|(t, _)| *t == track))
    }

    fn seeds_there(&self) -> impl Iterator<Item = u32> + '_ {
        let seeds = self.scenario.seeds.as_ref().map_or(0, |s| s.count);
        (self.nodes.len() - seeds..self.nodes.len()).map(|n| n as u32).filter(|n| self.is_there(*n))
    }

    /// What a seed's neighbours play has changed.
    pub(super) fn seed_follows(&mut self, n: u32, tracks: &[TrackId]) {
        let now = self.now;
        let newest = self.media.newest(now);
        let mut begun = Vec::new();
        let follows = &mut self.node(n).follows;
        for (track, unused) in follows.iter_mut() {
            match tracks.contains(track) {
                true => *unused = None,
                false => *unused = unused.or(Some(now)),
            }
        }
        for track in tracks {
            if !follows.iter().any(|(t, _)| t == track) {
                follows.push((*track, None));
                begun.push(*track);
            }
        }
        for track in begun {
            // The newest is where somebody who begins now joins in.
            if let Some(unit) = newest {
                self.seed_fetches(n, self.media.key(Media::level(track), unit));
            }
        }
    }

    /// A new segment exists: seeds that follow its track fetch it.
    pub(super) fn seeds_see(&mut self, unit: u64) {
        let now = self.now;
        let seeds: Vec<u32> = self.seeds_there().collect();
        for n in seeds {
            let follows = &mut self.node(n).follows;
            follows.retain(|(_, unused)| unused.is_none_or(|since| now.since(since) < LINGER));
            let tracks: Vec<TrackId> = follows.iter().map(|(t, _)| *t).collect();
            for track in tracks {
                self.seed_fetches(n, self.media.key(Media::level(track), unit));
            }
        }
    }

    fn seed_fetches(&mut self, n: u32, key: SegmentKey) {
        let len = self.media.len(key);
        self.account(key, u64::from(len), false);
        self.ledger.publishers.1 += u64::from(len);
        let first_byte = Duration::from_secs_f64(self.scenario.source.first_byte_ms / 1000.0);
        let rate = self.nodes[n as usize].down.min(self.scenario.source.per_viewer_kbps * 125.0);
        let takes = Duration::from_secs_f64(f64::from(len) / rate);
        self.after(NOTICE + first_byte + takes, Event::Seeded(n, key));
    }

    /// A seed has a segment: it serves it, and signaling passes its digest on.
    pub(super) fn seeded(&mut self, n: u32, key: SegmentKey) {
        debug_assert_eq!(self.nodes[n as usize].role, Role::Seed);
        let digest = self.media.digest(key, false);
        let body = Lump::fetched(self.media.len(key), self.media.pack(key), false);
        self.input(n, Input::Published { digest, body });
        let unit = self.media.unit_of(key);
        let news = self.newest.get(&key.track).is_none_or(|units| !units.contains(&unit));
        if news && !self.outage {
            self.spread(key);
        }
    }
}
