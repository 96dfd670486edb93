//! The origin or CDN, and the copies that the built-in publisher hands on once.

use std::ops::Range;

use rillcast_core::engine::{FetchId, Input, SourceError, SourceHead, Via};
use rillcast_core::protocol::digest::BLOCK;
use rillcast_core::protocol::id::SegmentKey;
use rillcast_core::time::{Duration, Instant};

use super::sharing::Step;
use super::wires::{STANDING, Waiting};
use super::{Event, World};
use crate::media::Lump;

/// Bytes of one step of a transfer, at most.
const STEP: u32 = 64 * 1024;
/// Over a narrow downlink a step takes no longer than this, in s, or its engine would see nothing for longer than in a browser.
const GRAIN: f64 = 0.25;
const SMALLEST: u32 = 8 * 1024;
/// From a segment's being there to its publisher's having its copy.
const PUBLISHING: Duration = Duration::from_millis(350);

/// A request being answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetching {
    key: SegmentKey,
    at: u32,
    end: u32,
    via: Via,
    /// By the guard, or before the player has anything.
    hurried: bool,
    /// By the guard.
    rescue: bool,
    whole: bool,
    /// What is on its way is thrown away when it comes.
    cancelled: bool,
    /// Its bytes wait at the source.
    held: bool,
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
        let rescue = self.node(n).rescuing.take() == Some(key);
        let hurried = rescue || self.nodes[n as usize].player.first.is_none();
        let len = self.media.len(key);
        let wait = Duration::from_secs_f64(self.scenario.source.first_byte_ms / 1000.0);
        let whole = range.is_none();
        let range = range.unwrap_or(0..len);
        let range = range.start.min(len)..range.end.min(len);
        let refused = match via {
            Via::Publisher if self.without_server(n) => Some(SourceError::Network),
            Via::Publisher => (!self.take_hosted(key, &range)).then_some(SourceError::Status(410)),
            Via::Origin => (self.media.unit_of(key) > self.edge()).then_some(SourceError::Status(404)),
        };
        if let Some(error) = refused {
            return self.give(wait, n, Input::SourceFailed { fetch, error });
        }
        let total = Some(len);
        let head = if whole { SourceHead::Whole { total } } else { SourceHead::Partial { total } };
        self.give(wait, n, Input::SourceHead { fetch, head });
        let fetching = Fetching {
            key,
            at: range.start,
            end: range.end,
            via,
            hurried,
            rescue,
            whole,
            cancelled: false,
            held: false,
        };
        self.node(n).fetches.push((fetch, fetching));
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

    /// A request is taken back. What is on its way of it comes for nothing.
    pub(super) fn cancel_fetch(&mut self, n: u32, fetch: FetchId) {
        self.break_off(n, fetch);
        if let Some((_, fetching)) = self.node(n).fetches.iter_mut().find(|(id, _)| *id == fetch) {
            fetching.cancelled = true;
        }
    }

    /// A source of limited capacity serves others instead, once it hears of it.
    pub(super) fn break_off(&mut self, n: u32, fetch: FetchId) {
        let hears = Duration::from_secs_f64(self.scenario.source.first_byte_ms / 2000.0);
        let (now, sharing) = (self.now, self.sharing.as_mut());
        let Some(bytes) = sharing.and_then(|s| s.break_off(now, (n, fetch), hears)) else { return };
        self.await_turn();
        let fetches = &mut self.node(n).fetches;
        if let Some(at) = fetches.iter().position(|(id, _)| *id == fetch) {
            let (_, fetching) = fetches.swap_remove(at);
            self.book(n, &fetching, bytes);
        }
    }

    /// The next bytes of a transfer: they wait for the source's turn, then for the viewer's downlink.
    pub(super) fn fetch_step(&mut self, n: u32, fetch: FetchId) {
        let node = self.node(n);
        let Some(at) = node.fetches.iter().position(|(id, _)| *id == fetch) else { return };
        if node.fetches[at].1.cancelled {
            node.fetches.swap_remove(at);
            return;
        }
        let most = ((self.nodes[n as usize].down * GRAIN) as u32).clamp(SMALLEST, STEP);
        let step = self.sharing.as_ref().map_or(most, |sharing| sharing.grain(most));
        let fetching = &mut self.node(n).fetches[at].1;
        let end = (fetching.at + step).min(fetching.end);
        let bytes = end - fetching.at;
        fetching.at = end;
        if fetching.via == Via::Origin
            && let Some(sharing) = &mut self.sharing
        {
            sharing.begin(self.now, Step { node: n, fetch, bytes });
            return self.await_turn();
        }
        // One transfer's rate is bounded by the way to this viewer, all of them together by its downlink.
        let takes = f64::from(bytes) / (self.scenario.source.per_viewer_kbps * 125.0);
        self.after(Duration::from_secs_f64(takes), Event::Fetched(n, fetch, bytes));
    }

    fn await_turn(&mut self) {
        if let Some((when, turn)) = self.sharing.as_ref().and_then(|s| s.next()) {
            self.schedule(when, Event::Served(turn));
        }
    }

    /// The limited source has come to the end of some transfers' steps.
    pub(super) fn served(&mut self, turn: u64) {
        let Some(sharing) = &mut self.sharing else { return };
        let Some(ended) = sharing.ended(self.now, turn) else { return };
        self.await_turn();
        for Step { node, fetch, bytes } in ended {
            self.fetched(node, fetch, bytes);
        }
    }

    /// Bytes of a transfer are at the end of the viewer's downlink. If many wait there already, TCP holds these back until they don't.
    pub(super) fn fetched(&mut self, n: u32, fetch: FetchId, bytes: u32) {
        let Some(at) = self.nodes[n as usize].fetches.iter().position(|(id, _)| *id == fetch) else { return };
        let waits = self.waits_to_enter(n);
        let fetching = &mut self.node(n).fetches[at].1;
        if waits > STANDING && !fetching.cancelled {
            fetching.held = true;
            return self.after(waits - STANDING, Event::Fetched(n, fetch, bytes));
        }
        if self.kept_waiting(n, Waiting::Step(n, fetch, bytes)) {
            self.node(n).fetches[at].1.held = true;
        } else {
            self.step_enters(n, fetch, bytes);
        }
    }

    /// They get into it.
    pub(super) fn step_enters(&mut self, n: u32, fetch: FetchId, bytes: u32) {
        let Some(at) = self.nodes[n as usize].fetches.iter().position(|(id, _)| *id == fetch) else { return };
        let fetching = self.nodes[n as usize].fetches[at].1;
        if fetching.cancelled && fetching.held {
            // It never left the source.
            self.node(n).fetches.swap_remove(at);
            return;
        }
        self.book(n, &fetching, bytes);
        let of = self.media.pack(fetching.key);
        // It has been coming at the source's rate; a narrower downlink lets it in at its own.
        let coming =
            Duration::from_secs_f64(f64::from(bytes) / (self.scenario.source.per_viewer_kbps * 125.0));
        let received = self.takes_in(n, bytes, of, true, self.now.minus(coming));
        if fetching.cancelled {
            self.node(n).fetches.swap_remove(at);
            return;
        }
        self.node(n).fetches[at].1.held = false;
        let data = Lump::fetched(bytes, of, fetching.hurried);
        self.schedule(received, Event::Input(n, Box::new(Input::SourceData { fetch, data })));
        if fetching.at >= fetching.end {
            self.node(n).fetches.swap_remove(at);
            self.schedule(received, Event::Input(n, Box::new(Input::SourceEnd { fetch })));
        } else {
            self.schedule(received, Event::Fetch(n, fetch));
        }
    }

    /// Bytes that a viewer was sent, by why.
    fn book(&mut self, n: u32, fetching: &Fetching, bytes: u32) {
        let node = self.node(n);
        let first = node.player.first.is_none();
        let kind = match fetching.via {
            Via::Publisher => &mut node.taken.publisher,
            Via::Origin if first => &mut node.taken.first,
            Via::Origin if fetching.rescue => &mut node.taken.rescue,
            Via::Origin if fetching.whole => &mut node.taken.whole,
            Via::Origin => &mut node.taken.election,
        };
        *kind += u64::from(bytes);
        if fetching.via == Via::Origin {
            self.account(fetching.key, u64::from(bytes), first);
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
    pub(super) fn digested(&self) -> Instant {
        self.now + PUBLISHING
    }
}
