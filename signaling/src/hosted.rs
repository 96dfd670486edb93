//! The bytes that the built-in publisher had to fetch for hashing, handed on once: so its fetch *is* the swarm's copy
//! instead of one more. Each byte goes out at most once; whoever comes later gets it from peers or from the source.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use rillcast_protocol::id::{SegmentKey, SwarmId};

use crate::metrics::Metrics;

/// Where hosted segments are found, relative to the server.
pub const BASE: &str = "/hosted";
/// Bytes handed to the connection at a time.
const CHUNK: u32 = 32 * 1024;

type Name = (SwarmId, SegmentKey);

/// Why there are no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Never had it, or too long ago.
    Unknown,
    /// Given away, in whole or in part.
    Gone,
    /// Outside of the segment; it has this many bytes.
    Outside(u32),
}

/// What part of a segment is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// From the first byte to the second, both included.
    Span(u32, u32),
    /// From this byte on.
    From(u32),
}

#[derive(Debug)]
struct Entry {
    body: Bytes,
    /// Not yet given away: disjoint, in order, never adjacent.
    free: Vec<Range<u32>>,
    until: Instant,
}

#[derive(Debug, Default)]
struct Shelf {
    entries: HashMap<Name, Entry>,
    /// Oldest first.
    order: VecDeque<Name>,
    bytes: usize,
}

/// A bounded shelf of segments.
#[derive(Debug)]
pub struct Host {
    max_bytes: usize,
    keep: Duration,
    metrics: Arc<Metrics>,
    shelf: Mutex<Shelf>,
}

impl Host {
    /// A shelf of at most `max_bytes`, each segment for at most `keep`; 0 bytes turns hosting off.
    pub fn new(max_bytes: usize, keep: Duration, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { max_bytes, keep, metrics, shelf: Mutex::default() })
    }

    /// Whether anything is hosted at all.
    pub fn is_on(&self) -> bool {
        self.max_bytes > 0
    }

    /// Puts a segment on the shelf; false where it doesn't fit.
    pub fn put(&self, swarm: SwarmId, key: SegmentKey, body: Bytes, now: Instant) -> bool {
        let length = body.len();
        if length == 0 || length > self.max_bytes {
            return false;
        }
        let mut shelf = self.shelf();
        let name = (swarm, key);
        if shelf.entries.contains_key(&name) {
            return false;
        }
        while shelf.bytes + length > self.max_bytes {
            let Some(oldest) = shelf.order.pop_front() else { break };
            shelf.remove(&oldest);
        }
        shelf.bytes += length;
        shelf.order.push_back(name);
        let whole = 0..length as u32;
        shelf.entries.insert(name, Entry { body, free: vec![whole], until: now + self.keep });
        true
    }

    /// Whether some of the segment's bytes are still to be had.
    pub fn has(&self, swarm: SwarmId, key: SegmentKey) -> bool {
        self.is_on() && self.shelf().entries.get(&(swarm, key)).is_some_and(|e| !e.free.is_empty())
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.shelf().bytes
    }

    /// Takes a part away. What of it isn't sent in the end comes back.
    pub fn take(
        self: &Arc<Self>,
        swarm: SwarmId,
        key: SegmentKey,
        part: Part,
        now: Instant,
    ) -> Result<Grant, Refusal> {
        let name = (swarm, key);
        let mut shelf = self.shelf();
        let entry = shelf.entries.get_mut(&name).filter(|e| now < e.until).ok_or(Refusal::Unknown)?;
        let length = entry.body.len() as u32;
        let range = match part {
            Part::Whole => 0..length,
            Part::Span(first, last) => first..last.saturating_add(1).min(length),
            Part::From(first) => first..length,
        };
        if range.start >= range.end {
            return Err(Refusal::Outside(length));
        }
        if !remove(&mut entry.free, &range) {
            return Err(Refusal::Gone);
        }
        let bytes = entry.body.slice(range.start as usize..range.end as usize);
        if entry.free.is_empty() {
            // The bytes live on in the grant alone; the entry stays, to be able to say that they are gone.
            shelf.bytes -= length as usize;
        }
        Ok(Grant { host: self.clone(), name, at: range.start, rest: bytes, length, range })
    }

    /// Throws out what is too old.
    pub fn tick(&self, now: Instant) {
        let mut shelf = self.shelf();
        while let Some(name) = shelf.order.front().copied() {
            if shelf.entries.get(&name).is_some_and(|e| now < e.until) {
                break;
            }
            shelf.order.pop_front();
            shelf.remove(&name);
        }
    }

    fn give_back(&self, name: &Name, range: Range<u32>, length: u32) {
        let mut shelf = self.shelf();
        let Some(entry) = shelf.entries.get_mut(name).filter(|e| e.body.len() as u32 == length) else {
            return;
        };
        let was_empty = entry.free.is_empty();
        insert(&mut entry.free, range);
        if was_empty {
            shelf.bytes += length as usize;
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shelf {
    fn remove(&mut self, name: &Name) {
        if let Some(entry) = self.entries.remove(name)
            && !entry.free.is_empty()
        {
            self.bytes -= entry.body.len();
        }
    }
}

/// Bytes on their way to whoever asked first.
#[derive(Debug)]
pub struct Grant {
    host: Arc<Host>,
    name: Name,
    /// Where `rest` begins.
    at: u32,
    rest: Bytes,
    length: u32,
    /// What was granted.
    pub range: Range<u32>,
}

impl Grant {
    /// Bytes of the whole segment.
    pub fn length(&self) -> u32 {
        self.length
    }

    fn chunk(&mut self) -> Option<Bytes> {
        let take = self.rest.len().min(CHUNK as usize);
        if take == 0 {
            return None;
        }
        self.at += take as u32;
        self.host.metrics.hosted_served_bytes_total.add(take as u64);
        Some(self.rest.split_to(take))
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.at < self.range.end {
            self.host.give_back(&self.name, self.at..self.range.end, self.length);
        }
    }
}

impl Body for Grant {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.chunk().map(|c| Ok(Frame::data(c))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Takes a range out of the free ones, if all of it is free.
fn remove(free: &mut Vec<Range<u32>>, range: &Range<u32>) -> bool {
    let Some(at) = free.iter().position(|f| f.start <= range.start && range.end <= f.end) else {
        return false;
    };
    let around = free[at].clone();
    let parts = [around.start..range.start, range.end..around.end];
    free.splice(at..=at, parts.into_iter().filter(|p| !p.is_empty()));
    true
}

/// Puts a range back among the free ones.
fn insert(free: &mut Vec<Range<u32>>, range: Range<u32>) {
    let at = free.partition_point(|f| f.start < range.start);
    free.insert(at, range);
    let mut merged: Vec<Range<u32>> = Vec::with_capacity(free.len());
    for next in free.drain(..) {
        match merged.last_mut() {
            Some(last) if last.end >= next.start => last.end = last.end.max(next.end),
            _ => merged.push(next),
        }
    }
    *free = merged;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rillcast_protocol::id::TrackId;

    use super::*;

    const SWARM: SwarmId = SwarmId([1; 16]);

    fn key(number: u64) -> SegmentKey {
        SegmentKey { track: TrackId(0), number, discontinuity: 0, part: 0 }
    }

    fn host(bytes: usize) -> Arc<Host> {
        Host::new(bytes, Duration::from_secs(30), Arc::default())
    }

    fn drain(mut grant: Grant, chunks: usize) -> usize {
        (0..chunks).map_while(|_| grant.chunk()).map(|c| c.len()).sum()
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let now = Instant::now();
        let host = host(300);
        assert!((0..3).all(|n| host.put(SWARM, key(n), Bytes::from(vec![0; 100]), now)));
        assert_eq!(host.bytes(), 300);
        assert!(host.has(SWARM, key(0)));
        assert!(host.put(SWARM, key(3), Bytes::from(vec![0; 1]), now));
        assert_eq!(host.bytes(), 201);
        assert!(!host.has(SWARM, key(0)) && host.has(SWARM, key(1)));
        assert!(host.put(SWARM, key(4), Bytes::from(vec![0; 300]), now), "at the limit");
        assert!(!host.put(SWARM, key(5), Bytes::from(vec![0; 301]), now), "over it");
        assert_eq!(host.bytes(), 300);
    }

    #[test]
    fn a_segment_is_hosted_for_so_long_and_no_longer() {
        let now = Instant::now();
        let host = host(1000);
        host.put(SWARM, key(1), Bytes::from(vec![0; 100]), now);
        let later = now + Duration::from_millis(29_999);
        host.tick(later);
        assert!(host.take(SWARM, key(1), Part::Span(0, 9), later).is_ok());
        let over = now + Duration::from_secs(30);
        assert_eq!(host.take(SWARM, key(1), Part::From(50), over).err(), Some(Refusal::Unknown));
        host.tick(over);
        assert_eq!(host.bytes(), 0);
        assert!(host.shelf().entries.is_empty() && host.shelf().order.is_empty());
    }

    #[test]
    fn off_means_off() {
        let host = host(0);
        assert!(!host.is_on() && !host.put(SWARM, key(1), Bytes::from_static(b"x"), Instant::now()));
    }

    #[test]
    fn what_was_not_sent_comes_back() {
        let now = Instant::now();
        let host = host(1 << 20);
        host.put(SWARM, key(1), Bytes::from(vec![0; 100_000]), now);
        let grant = host.take(SWARM, key(1), Part::Whole, now).expect("free");
        assert!(!host.has(SWARM, key(1)));
        assert_eq!(drain(grant, 1), CHUNK as usize);
        assert_eq!(host.take(SWARM, key(1), Part::Span(0, 0), now).err(), Some(Refusal::Gone));
        let rest = host.take(SWARM, key(1), Part::From(CHUNK), now).expect("came back");
        assert_eq!(drain(rest, 100), 100_000 - CHUNK as usize);
        assert_eq!(host.bytes(), 0);
    }

    proptest! {
        /// Whatever is asked for in whatever order, and wherever connections break: no byte goes out twice, and what
        /// goes out is right.
        #[test]
        fn each_byte_goes_out_at_most_once(
            length in 1u32..200_000,
            asks in prop::collection::vec((any::<u32>(), any::<u32>(), 0usize..9), 1..40),
        ) {
            let now = Instant::now();
            let host = host(1 << 20);
            let body: Bytes = (0..length).map(|i| ((i * 31) >> 4) as u8).collect();
            host.put(SWARM, key(1), body.clone(), now);
            let mut out = vec![0u8; length as usize];
            for (a, b, chunks) in asks {
                let (a, b) = (a % length, b % (length + 10));
                let part = if b == 0 { Part::Whole } else if b < a { Part::From(a) } else { Part::Span(a, b) };
                if let Ok(mut grant) = host.take(SWARM, key(1), part, now) {
                    let mut at = grant.range.start as usize;
                    for _ in 0..chunks {
                        let Some(chunk) = grant.chunk() else { break };
                        prop_assert_eq!(&chunk, &body.slice(at..at + chunk.len()));
                        out[at..at + chunk.len()].iter_mut().for_each(|n| *n += 1);
                        at += chunk.len();
                    }
                }
                prop_assert!(out.iter().all(|n| *n <= 1));
                let shelf = host.shelf();
                let entry = &shelf.entries[&(SWARM, key(1))];
                prop_assert!(entry.free.windows(2).all(|w| w[0].end < w[1].start));
                let free: u32 = entry.free.iter().map(|f| f.end - f.start).sum();
                let sent = out.iter().filter(|n| **n == 1).count() as u32;
                prop_assert_eq!(free + sent, length, "whatever wasn't sent can still be had");
                let expected = if entry.free.is_empty() { 0 } else { length as usize };
                prop_assert_eq!(shelf.bytes, expected);
            }
        }
    }
}
