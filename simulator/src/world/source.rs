//! The origin or CDN, and the copies that the built-in publisher hands on once.

use std::ops::Range;

use rillcast_core::engine::{FetchId, Input, SourceError, SourceHead, Via};
use rillcast_core::protocol::digest::BLOCK;
use rillcast_core::protocol::id::SegmentKey;
use rillcast_core::time::{Duration, Instant};

use super::{Event, World};
use crate::media::Lump;

/// Bytes of one step of a transfer: so finely do transfers share the source.
const STEP: u32 = 64 * 1024;

/// A request being answered.
#[derive(Debug, Clone)]
pub(super) struct Fetching {
    key: SegmentKey,
    at: u32,
    end: u32,
    via: Via,
}

impl World {
    pub(super) fn fetch(
        &mut self,
        n: u32,
        fetch: FetchId,
        key: SegmentKey,
        range: Option<Range<u32>>,
        via: Via,
    ) {
        let len = self.media.len(key);
        let wait = Duration::from_secs_f64(self.scenario.source.first_byte_ms / 1000.0);
        let whole = range.is_none();
        let range = range.unwrap_or(0..len);
        let range = range.start.min(len)..range.end.min(len);
        let refused = match via {
            Via::Publisher => (!self.take_hosted(key, &range)).then_some(410),
            Via::Origin => (key.number > self.edge(self.now)).then_some(404),
        };
        if let Some(status) = refused {
            return self.give(wait, n, Input::SourceFailed { fetch, error: SourceError::Status(status) });
        }
        let total = Some(len);
        let head = if whole { SourceHead::Whole { total } } else { SourceHead::Partial { total } };
        self.give(wait, n, Input::SourceHead { fetch, head });
        self.node(n).fetches.insert(fetch, Fetching { key, at: range.start, end: range.end, via });
        self.after(wait, Event::Fetch(n, fetch));
    }

    /// Each byte of the publisher's copy goes out once.
    fn take_hosted(&mut self, key: SegmentKey, range: &Range<u32>) -> bool {
        let blocks = range.start / BLOCK..range.end.div_ceil(BLOCK);
        if !self.published.contains(&key) || blocks.clone().any(|b| self.handed_on.contains(&(key, b))) {
            return false;
        }
        self.handed_on.extend(blocks.map(|b| (key, b)));
        true
    }

    /// The next bytes of a transfer: they wait for the source's turn, then for the viewer's downlink.
    pub(super) fn fetch_step(&mut self, n: u32, fetch: FetchId) {
        let Some(fetching) = self.nodes[n as usize].fetches.get(&fetch).cloned() else { return };
        if !self.is_there(n) {
            return;
        }
        let end = (fetching.at + STEP).min(fetching.end);
        let bytes = end - fetching.at;
        let source = &self.scenario.source;
        let mut ready = self.now;
        if let (Some(total), Via::Origin) = (source.total_mbps, fetching.via) {
            let takes = Duration::from_secs_f64(f64::from(bytes) / (total * 125_000.0));
            self.source_free = self.source_free.max(self.now) + takes;
            ready = self.source_free;
        }
        // One transfer's rate is bounded by the way to this viewer, all of them together by its downlink.
        ready += Duration::from_secs_f64(f64::from(bytes) / (source.per_viewer_kbps * 125.0));
        if fetching.via == Via::Origin {
            let first = self.nodes[n as usize].player.first.is_none();
            self.account(fetching.key, u64::from(bytes), first);
        }
        if let Some(f) = self.node(n).fetches.get_mut(&fetch) {
            f.at = end;
        }
        self.schedule(ready, Event::Fetched(n, fetch, bytes));
    }

    /// Bytes of a transfer are at the end of the viewer's downlink.
    pub(super) fn fetched(&mut self, n: u32, fetch: FetchId, bytes: u32) {
        let Some(done) = self.nodes[n as usize].fetches.get(&fetch).map(|f| f.at >= f.end) else { return };
        let received = self.takes_in(n, bytes);
        let data = Lump::good(bytes);
        self.schedule(received, Event::Input(n, Box::new(Input::SourceData { fetch, data })));
        if done {
            self.node(n).fetches.remove(&fetch);
            self.schedule(received, Event::Input(n, Box::new(Input::SourceEnd { fetch })));
        } else {
            self.schedule(received, Event::Fetch(n, fetch));
        }
    }

    /// The source has given bytes of a segment; `first` if they are a joiner's first.
    pub(super) fn account(&mut self, key: SegmentKey, bytes: u64, first: bool) {
        let entry = self.ledger.source.entry(key).or_default();
        entry.0 += bytes;
        entry.1 += if first { bytes } else { 0 };
        if let Some(second) = self.ledger.per_second.last_mut() {
            *second += bytes;
        }
    }

    /// When the source's own copy of a segment is with its publisher.
    pub(super) fn digested(&self, now: Instant) -> Instant {
        now + Duration::from_millis(350)
    }
}
