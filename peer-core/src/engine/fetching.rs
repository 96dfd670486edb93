//! What the source says to our fetches.

use rillcast_protocol::id::SegmentKey;

use crate::media::Bringer;
use crate::overlay::Link;
use crate::payload::Payload;
use crate::time::{Duration, Instant};
use crate::transfer::source::Ranges;

use super::{Engine, FetchId, Output, SourceError, SourceHead, Via};

/// A player that waits, and whose source fails, is fed by peers for so long before it is told: its own rules may know better then.
const HOPE: Duration = Duration::from_millis(4000);

fn bringer(via: Via) -> Bringer {
    match via {
        Via::Origin => Bringer::Source,
        Via::Publisher => Bringer::Publisher,
    }
}

impl<P: Payload + core::fmt::Debug + 'static> Engine<P> {
    pub(super) fn source_head(&mut self, id: FetchId, head: SourceHead, now: Instant) {
        self.sources.head(id, now);
        let Some(fetch) = self.sources.fetch_mut(id) else { return };
        if let SourceHead::Whole { total: Some(total) } = head {
            fetch.left = u64::from(total);
        }
        let asked = fetch.blocks.is_some();
        if asked && fetch.via == Via::Origin {
            match head {
                SourceHead::Partial { .. } => self.sources.learn_ranges(Ranges::Yes),
                SourceHead::Whole { .. } => {
                    (fetch.at, fetch.whole) = (0, true);
                    self.sources.learn_ranges(Ranges::No);
                }
            }
        }
    }

    pub(super) fn source_data(&mut self, id: FetchId, data: P, now: Instant) {
        let bytes = data.len();
        self.sources.got(id, bytes, now);
        let Some(fetch) = self.sources.fetch_mut(id) else { return };
        match fetch.via {
            Via::Origin => self.counters.source_bytes += bytes as u64,
            Via::Publisher => self.counters.publisher_bytes += bytes as u64,
        }
        fetch.buffer.push(data);
        let (key, at, via) = (fetch.key, fetch.at, fetch.via);
        let mut buffer = core::mem::take(&mut fetch.buffer);
        let at = self.cut(key, at, &mut buffer, bringer(via), now);
        // A longer resource than its digest says would fill memory; the end of the fetch settles the rest.
        let too_long = buffer.len() > rillcast_protocol::digest::MAX_SEGMENT as usize;
        if let Some(fetch) = self.sources.fetch_mut(id) {
            (fetch.at, fetch.buffer) = (at, buffer);
        }
        self.loading(id, key);
        if too_long {
            self.outputs.push_back(Output::CancelFetch { fetch: id });
            self.source_failed(id, SourceError::Network, now);
        }
    }

    /// Progress of a whole segment without a digest, for the player's own rules.
    fn loading(&mut self, id: FetchId, key: SegmentKey) {
        let described = self.store.segment(&key).is_some_and(|s| s.digest().is_some());
        if described || !self.demands.contains_key(&key) {
            return;
        }
        if let Some(fetch) = self.sources.fetch_mut(id) {
            let loaded = fetch.at + fetch.buffer.len() as u32;
            self.outputs.push_back(Output::Progress { key, loaded, total: None });
        }
    }

    pub(super) fn source_end(&mut self, id: FetchId, now: Instant) {
        let Some(fetch) = self.sources.end(id, now) else { return };
        let key = fetch.key;
        if fetch.via == Via::Publisher || (!fetch.whole && fetch.blocks.is_some()) {
            // A short or long answer: what came was cut and checked, the rest is missing and will be looked for.
            if !fetch.buffer.is_empty() && fetch.via == Via::Origin {
                self.contradicted(key, now);
            }
            return;
        }
        let segment = self.store.entry(key, now);
        let length = segment.digest().map(|d| d.length);
        match length {
            None => {
                segment.put_whole(fetch.buffer.into_parts(), now);
                self.try_deliver(key, now);
                self.trim();
            }
            // All of it was cut into blocks, and each is judged by itself.
            Some(length) if fetch.at == length && fetch.buffer.is_empty() => {}
            Some(_) => self.contradicted(key, now),
        }
    }

    pub(super) fn source_failed(&mut self, id: FetchId, error: SourceError, now: Instant) {
        let Some(fetch) = self.sources.end(id, now) else { return };
        let key = fetch.key;
        let ranged = fetch.blocks.is_some() && fetch.via == Via::Origin;
        // A source whose CORS rules don't let a Range header through fails without a status: try without.
        if ranged && error == SourceError::Network && self.sources.ranges() == Ranges::Unknown {
            self.sources.learn_ranges(Ranges::No);
            return;
        }
        self.scheduler.source_failed(key, fetch.blocks, fetch.via, error, now);
        if fetch.via == Via::Origin && self.demands.contains_key(&key) && !self.may_yet_come(&key, now) {
            self.demands.remove(&key);
            self.outputs.push_back(Output::Failed { key, error });
        }
    }

    /// Whether peers could still bring all that is missing of a segment before the player needs it, or soon, if it waits for it.
    fn may_yet_come(&self, key: &SegmentKey, now: Instant) -> bool {
        let Some(segment) = self.store.segment(key).filter(|s| s.digest().is_some()) else { return false };
        let waited = self.demands.get(key).map_or(Duration::ZERO, |demand| now.since(demand.since));
        let starving = self.timeline.is_starving() || !self.timeline.has_started();
        (!starving || waited < HOPE)
            && segment.missing().iter().all(|b| {
                let may = |l: &Link| !(l.passive || (starving && l.is_doubted(now)));
                self.downloads.is_coming(key, b)
                    || self.members.links().any(|(id, l)| may(l) && self.index.holds(id, key, b))
            })
    }
}
