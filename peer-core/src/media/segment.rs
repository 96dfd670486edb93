//! One segment: what its publisher says of it and which bytes of it are here.

use std::sync::Arc;

use rillcast_protocol::digest::SegmentDigest;
use rillcast_protocol::id::{BlockIndex, PeerId, Role};

use crate::engine::io::Share;
use crate::payload::Payload;
use crate::time::Instant;

use super::Bits;

/// Who brought some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bringer {
    /// Origin or CDN.
    Source,
    /// The publisher built into signaling.
    Publisher,
    /// A viewer or seed.
    Peer(PeerId, Role),
    /// This node itself, being the publisher.
    Own,
}

/// One block's place.
#[derive(Clone, Debug)]
pub enum Slot<P> {
    /// Not here.
    Missing,
    /// Here, being verified.
    Checking(P, Bringer),
    /// Here and true.
    Held(P, Bringer),
}

/// One segment.
#[derive(Clone, Debug)]
pub struct Segment<P> {
    digest: Option<Arc<SegmentDigest>>,
    slots: Vec<Slot<P>>,
    held: Bits,
    missing: Bits,
    /// All of it, straight from the source: for the own player alone.
    whole: Option<Vec<P>>,
    /// The source's bytes disagree with the digest: the segment comes whole from the source and isn't shared.
    pub conflict: bool,
    /// The player has it.
    pub delivered: bool,
    /// When its first byte was here.
    pub first_byte: Option<Instant>,
    /// When we first heard of it.
    pub known_at: Instant,
    bytes: u64,
}

impl<P: Payload> Segment<P> {
    /// A segment of which nothing is known yet.
    pub fn new(now: Instant) -> Self {
        Self {
            digest: None,
            slots: Vec::new(),
            held: Bits::default(),
            missing: Bits::default(),
            whole: None,
            conflict: false,
            delivered: false,
            first_byte: None,
            known_at: now,
            bytes: 0,
        }
    }

    /// Its signed digest, unless the source contradicted it.
    pub fn digest(&self) -> Option<&Arc<SegmentDigest>> {
        if self.conflict { None } else { self.digest.as_ref() }
    }

    /// Whether its digest says the same as another one.
    pub fn says(&self, digest: &SegmentDigest) -> bool {
        self.digest().is_some_and(|known| known.agrees(digest))
    }

    /// Takes a digest whose signature holds. The first one stays.
    pub fn describe(&mut self, digest: Arc<SegmentDigest>) {
        if self.digest.is_none() {
            self.slots = (0..digest.blocks()).map(|_| Slot::Missing).collect();
            self.missing = Bits::full(digest.blocks());
            self.digest = Some(digest);
        }
    }

    /// One block's place; `None` beyond the segment or without a digest.
    pub fn slot(&self, block: u16) -> Option<&Slot<P>> {
        self.slots.get(usize::from(block))
    }

    /// Whether a block isn't here at all.
    pub fn is_missing(&self, block: u16) -> bool {
        self.missing.contains(block)
    }

    /// Blocks that may be relayed.
    pub fn held(&self) -> &Bits {
        &self.held
    }

    /// A verified block.
    pub fn block(&self, block: u16) -> Option<&P> {
        match self.slot(block) {
            Some(Slot::Held(payload, _)) => Some(payload),
            _ => None,
        }
    }

    /// Bytes held, verified or not.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a block in for verification. False if it isn't missing.
    pub fn put(&mut self, block: u16, payload: P, from: Bringer, now: Instant) -> bool {
        match self.slots.get_mut(usize::from(block)) {
            Some(slot @ Slot::Missing) => {
                self.bytes += payload.len() as u64;
                *slot = Slot::Checking(payload, from);
                self.missing.remove(block);
                self.first_byte.get_or_insert(now);
                true
            }
            _ => false,
        }
    }

    /// Takes the outcome of a verification; tells who had brought the block.
    pub fn settle(&mut self, block: u16, ok: bool) -> Option<Bringer> {
        let slot = self.slots.get_mut(usize::from(block))?;
        match core::mem::replace(slot, Slot::Missing) {
            Slot::Checking(payload, from) => {
                if ok {
                    *slot = Slot::Held(payload, from);
                    self.held.insert(block);
                } else {
                    self.missing.insert(block);
                    self.bytes -= payload.len() as u64;
                }
                Some(from)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Takes all of it straight from the source.
    pub fn put_whole(&mut self, parts: Vec<P>, now: Instant) {
        if self.whole.is_none() {
            self.bytes += parts.iter().map(|p| p.len() as u64).sum::<u64>();
            self.whole = Some(parts);
            self.first_byte.get_or_insert(now);
        }
    }

    /// Takes back what came whole, to cut it into blocks.
    pub fn take_whole(&mut self) -> Option<Vec<P>> {
        let parts = self.whole.take()?;
        self.bytes -= parts.iter().map(|p| p.len() as u64).sum::<u64>();
        Some(parts)
    }

    /// Whether it came whole from the source.
    pub fn is_whole(&self) -> bool {
        self.whole.is_some()
    }

    /// The source contradicts the digest: forget every block.
    pub fn contradict(&mut self) {
        self.conflict = true;
        (self.held, self.missing) = Default::default();
        self.slots.clear();
        self.bytes = 0;
    }

    /// Blocks that aren't here, and are to come.
    pub fn missing(&self) -> Bits {
        if self.whole.is_some() { Bits::default() } else { self.missing.clone() }
    }

    /// Whether every block is held and verified.
    pub fn is_complete(&self) -> bool {
        !self.slots.is_empty() && self.held.count() as usize == self.slots.len()
    }

    /// Bytes here, and bytes in all once known.
    pub fn progress(&self) -> (u32, Option<u32>) {
        (self.bytes.min(u64::from(u32::MAX)) as u32, self.digest().map(|d| d.length))
    }

    /// Its bytes in order and who brought them, once all are here and true (or straight from the source).
    pub fn assemble(&self) -> Option<(Vec<P>, Share)> {
        if let Some(parts) = &self.whole {
            let source = parts.iter().map(|p| p.len() as u32).sum();
            return Some((parts.clone(), Share { source, ..Share::default() }));
        }
        if !self.is_complete() {
            return None;
        }
        let mut share = Share::default();
        let mut parts = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let Slot::Held(payload, from) = slot else { return None };
            let bytes = payload.len() as u32;
            match from {
                Bringer::Source | Bringer::Own => share.source += bytes,
                Bringer::Publisher => share.publisher += bytes,
                Bringer::Peer(_, Role::Viewer) => share.peers += bytes,
                Bringer::Peer(_, Role::Seed) => share.seeds += bytes,
            }
            parts.push(payload.clone());
        }
        Some((parts, share))
    }

    /// Length of a block, 0 without a digest.
    pub fn block_len(&self, block: u16) -> u32 {
        self.digest.as_ref().map_or(0, |d| d.range(BlockIndex(block)).len() as u32)
    }
}
