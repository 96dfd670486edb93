//! The origin, and the publisher's hosted copies.

use std::ops::Range;

use rillcast_core::engine::{FetchId, Input, SourceError, SourceHead, Via};
use rillcast_core::protocol::digest::BLOCK;
use rillcast_core::protocol::id::SegmentKey;
use rillcast_core::time::Duration;

use super::media::{Buf, body};
use super::net::{Event, Net};

/// What the source does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// 206 to Range, 200 without.
    Ranges,
    /// 200 with the whole segment, whatever was asked.
    Whole,
    /// Its CORS rules don't let a Range header through: the request fails without a status.
    RefusesRange,
    /// The same failure to every request.
    Fails(SourceError),
    /// Accepts and then says nothing.
    Hangs,
}

const FIRST_BYTE: Duration = Duration::from_millis(40);
const STEP: u32 = 16_000;

/// A fetch being answered.
#[derive(Clone, Debug)]
pub(super) struct Fetching {
    key: SegmentKey,
    version: u8,
    range: Range<u32>,
}

/// A request as the source's log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub node: usize,
    pub key: SegmentKey,
    pub range: Option<Range<u32>>,
    pub via: Via,
    /// How much of it was sent.
    pub sent: u32,
    fetch: FetchId,
}

impl Net {
    pub(super) fn fetch(
        &mut self,
        n: usize,
        fetch: FetchId,
        key: SegmentKey,
        range: Option<Range<u32>>,
        via: Via,
    ) {
        self.log.push(Asked { node: n, key, range: range.clone(), via, sent: 0, fetch });
        let version = if via == Via::Origin { (self.versions)(n, key.number) } else { 0 };
        let len = body(&self.rendition(key.track), key.number, version).len() as u32;
        let ready = self.now + FIRST_BYTE;
        let failure = match (via, self.answers) {
            (Via::Publisher, _) => {
                (!self.take_hosted(key, range.clone().unwrap_or(0..len))).then_some(SourceError::Status(410))
            }
            (Via::Origin, Answers::Fails(error)) => Some(error),
            (Via::Origin, Answers::RefusesRange) if range.is_some() => Some(SourceError::Network),
            (Via::Origin, Answers::Hangs) => return,
            _ => None,
        };
        if let Some(error) = failure {
            return self.schedule(ready, Event::Input(n, Input::SourceFailed { fetch, error }));
        }
        let ranged = range.is_some() && (via == Via::Publisher || self.answers == Answers::Ranges);
        let range = range.filter(|_| ranged).unwrap_or(0..len);
        let range = range.start.min(len)..range.end.min(len);
        let total = Some(len);
        let head = if ranged { SourceHead::Partial { total } } else { SourceHead::Whole { total } };
        let at = range.start;
        self.nodes[n].fetches.insert(fetch, Fetching { key, version, range });
        self.schedule(ready, Event::Input(n, Input::SourceHead { fetch, head }));
        self.schedule(ready, Event::Fetch(n, fetch, at));
    }

    /// The publisher hands every block on once.
    fn take_hosted(&mut self, key: SegmentKey, range: Range<u32>) -> bool {
        let blocks: Vec<_> = (range.start / BLOCK..range.end.div_ceil(BLOCK)).map(|b| (key, b)).collect();
        if !self.signaling || blocks.iter().any(|b| self.handed_on.contains(b)) {
            return false;
        }
        self.handed_on.extend(blocks);
        true
    }

    /// The next bytes of a fetch; a node's fetches share its downlink.
    pub(super) fn fetch_step(&mut self, n: usize, fetch: FetchId, at: u32) {
        let Some(fetching) = self.nodes[n].fetches.get(&fetch).cloned() else { return };
        if !self.nodes[n].alive {
            return;
        }
        let (range, key) = (fetching.range, fetching.key);
        let end = (at + STEP).min(range.end);
        let busy = self.nodes[n].fetches.len() as u64;
        let took = Duration::from_micros(u64::from(end - at) * 1_000_000 * busy / self.setup.source_rate);
        let then = self.now + took;
        let data =
            Buf(body(&self.rendition(key.track), key.number, fetching.version)
                .slice(at as usize..end as usize));
        let sent = u64::from(end - at);
        if let Some(asked) = self.log.iter_mut().rev().find(|a| a.node == n && a.fetch == fetch) {
            asked.sent += end - at;
            match asked.via {
                Via::Origin => self.figures.source += sent,
                Via::Publisher => self.figures.hosted += sent,
            }
        }
        self.schedule(then, Event::Input(n, Input::SourceData { fetch, data }));
        if end < range.end {
            self.schedule(then, Event::Fetch(n, fetch, end));
        } else {
            self.nodes[n].fetches.remove(&fetch);
            self.schedule(then, Event::Input(n, Input::SourceEnd { fetch }));
        }
    }
}
